#!/bin/sh
# The service `keys`: every key and certificate that is missing, each given to the volume of who uses it. What is
# there stays, so it runs at each start. The authority of the broker's certificates is one for trials (docs/security.md).
set -eu
data="${LADING_LADING_DATA:-/var/lib/lading}"
certs="$data/certs"

# The broker's own names: in the project, on this host, and what LADING_BROKER_HOSTS adds for gateways elsewhere.
hosts="mosquitto localhost 127.0.0.1 ${LADING_BROKER_HOSTS:-}"

give() { # NAME FOLDER MODE: a certificate and its key
  mkdir -p "$data/$2"
  install -m 0644 "$certs/$1.crt" "$data/$2/$1.crt"
  install -m "$3" "$certs/$1.key" "$data/$2/$1.key"
}

lading init
[ -e "$certs/ca.crt" ] || lading certs init >/dev/null
if [ ! -e "$certs/server.crt" ]; then
  options=""
  for host in $hosts; do options="$options --host $host"; done
  # shellcheck disable=SC2086 # one option a word
  lading certs server server $options
fi
for name in ingest anchoring operator series health; do
  [ -e "$certs/$name.crt" ] || lading certs client "$name"
done
for key in "$data"/edge/keys/*.pem; do
  name="$(basename "$key" .pem)"
  [ -e "$certs/$name.crt" ] || lading certs gateway "$name"
  give "$name" edge/certs 0600
done
for name in ingest anchoring operator series; do give "$name" "$name/certs" 0600; done
install -m 0644 "$certs/ca.crt" "$data/shared/ca.crt"

# Mosquitto runs under a user of its own in our group.
give server broker 0640
give health broker 0640
install -m 0644 "$certs/ca.crt" "$certs/ca.crl" "$data/broker/"
