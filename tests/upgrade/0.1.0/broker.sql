BEGIN TRANSACTION;
CREATE TABLE letters (
  number INTEGER PRIMARY KEY, client TEXT NOT NULL, topic TEXT NOT NULL, data BLOB NOT NULL, retain INTEGER NOT NULL,
  share TEXT);
INSERT INTO "letters" VALUES(1,'away','a/b',X'30',0,NULL);
INSERT INTO "letters" VALUES(2,'away','a/b',X'31',0,NULL);
INSERT INTO "letters" VALUES(3,'away','a/b',X'32',0,NULL);
CREATE TABLE retained (topic TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE sessions (client TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO "sessions" VALUES('away');
CREATE TABLE subscriptions (
  client TEXT NOT NULL, filter TEXT NOT NULL, qos INTEGER NOT NULL, PRIMARY KEY (client, filter)) WITHOUT ROWID;
INSERT INTO "subscriptions" VALUES('away','a/#',1);
CREATE INDEX letters_client ON letters (client);
COMMIT;
PRAGMA user_version = 0;
