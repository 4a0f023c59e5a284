"""Dead letters over several partitions."""

from pathlib import Path

from ingest.letters import find_letter, newest
from lading import topics
from lading.deadletter import DeadLetter
from lading.log import SqliteLog


def test_the_newest_are_those_that_came_last(tmp_path: Path) -> None:
    """In whatever partition they lie, and however many older ones there are; each is found by its number."""
    log = SqliteLog(tmp_path / "log.sqlite", partitions=4)
    sent = [DeadLetter("odd" if ms % 2 else "even", "", "", ms, bytes([ms])) for ms in range(200)]
    for letter in sent:
        log.append(topics.DEAD, [(letter.data, letter.encode())])
    assert {record.partition for record in log.read(topics.DEAD, {}, 200)} == set(range(4))
    assert [one.letter for one in newest(log, 5)] == sent[-5:]
    assert [one.letter for one in newest(log, 3, "odd")] == sent[-5::2]
    for one in newest(log, 9):
        assert find_letter(log, one.number) == one
