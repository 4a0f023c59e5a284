#!/bin/sh
# Makes the passwords and tokens of docker-compose.yml, each once: what is there stays. Needs a shell alone.
# The folder is entered by its owner alone; the files are readable, because containers read them under other users.
set -eu
umask 077
folder="$(cd "$(dirname "$0")" && pwd)/secrets"
mkdir -p "$folder"
chmod 0700 "$folder"
for name in influxdb_password influxdb_admin grafana_password; do
  if [ -e "$folder/$name" ]; then continue; fi
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name.new"
  chmod 0444 "$folder/$name.new"
  mv "$folder/$name.new" "$folder/$name"
done
echo "secrets are in $folder"
