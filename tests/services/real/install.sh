#!/usr/bin/env bash
# Puts the real servers that tests start, and public clients that the tests' own environment cannot hold (each pins an
# old paho-mqtt), into a cache outside the checkout, once a version:
#   $LADING_SERVERS, or ${XDG_CACHE_HOME:-~/.cache}/lading/servers
# Kafka comes from Maven Central, InfluxDB is built from its Go module, Mosquitto is Debian's. Docker Compose, which
# checks docker-compose.yml without an engine, is built from its Go module too. What cannot be had
# here is named on stderr; where CI=true that is a failure, elsewhere its tests are listed as skipped.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${LADING_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/lading/servers}"
missing=0

have() { command -v "$1" >/dev/null 2>&1; }
lack() { echo "$1" >&2; missing=1; }
# What follows from a pinned file is kept under the file's digest.
key() { cat "$@" | sha256sum | cut -c1-16; }

kafka() {
  local home="$cache/kafka-$(key "$here/kafka/pom.xml")"
  [ -e "$home/.complete" ] && return
  have mvn && have java || { lack "kafka needs java and mvn"; return; }
  echo "fetching Kafka to $home" >&2
  rm -rf "$home" && mkdir -p "$home"
  mvn -B -q -f "$here/kafka/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$home/libs"
  touch "$home/.complete"
}

influxdb() {
  local home="$cache/influxdb-$(key "$here/influxdb/go.mod" "$here/influxdb/go.sum")"
  [ -x "$home/influxd" ] && return
  have go && have cargo || { lack "influxd needs go and cargo"; return; }
  echo "building influxd to $home: some minutes, once" >&2
  local work
  work="$(mktemp -d)"
  cp "$here/influxdb/go.mod" "$here/influxdb/go.sum" "$work/"
  (
    cd "$work"
    mkdir bin
    go build -o bin/pkg-config github.com/influxdata/pkg-config # builds libflux with cargo
    # Lints newer than flux's code are warnings. The wrapper works where --cap-lints in RUSTFLAGS does not.
    printf '#!/bin/sh\nexec "$@" --cap-lints warn\n' >bin/rustc-lint-cap
    chmod +x bin/*
    # flux pins a Rust of its own: RUSTUP_TOOLCHAIN takes the one that is here.
    RUSTUP_TOOLCHAIN=stable RUSTC_WORKSPACE_WRAPPER="$work/bin/rustc-lint-cap" PKG_CONFIG="$work/bin/pkg-config" \
      CGO_ENABLED=1 go build -trimpath -tags sqlite_foreign_keys,sqlite_json -ldflags '-s -w -X main.version=v2.7.12' \
      -o influxd github.com/influxdata/influxdb/v2/cmd/influxd
  )
  mkdir -p "$home"
  mv "$work/influxd" "$home/influxd.new" && mv "$home/influxd.new" "$home/influxd"
  chmod -R u+w "$work" && rm -rf "$work"
}

compose() {
  local home="$cache/compose-$(key "$here/compose/go.mod" "$here/compose/go.sum")"
  [ -x "$home/docker-compose" ] && return
  have go || { lack "docker-compose needs go"; return; }
  echo "building docker-compose to $home: some minutes, once" >&2
  mkdir -p "$home"
  (
    cd "$here/compose"
    CGO_ENABLED=0 go build -mod=readonly -trimpath \
      -ldflags '-s -w -X github.com/docker/compose/v2/internal.Version=v2.40.3' \
      -o "$home/docker-compose.new" github.com/docker/compose/v2/cmd
  )
  mv "$home/docker-compose.new" "$home/docker-compose"
}

mosquitto() {
  have mosquitto || [ -x /usr/sbin/mosquitto ] || lack "mosquitto is not installed: apt-get install mosquitto"
}

# Libraries for tests/services/clients.py, a folder each, by the versions and digests in clients/*.txt.
clients() {
  local python="${PYTHON:-$here/../../../.venv/bin/python}" file home tag
  [ -x "$python" ] || python=python3
  tag="$("$python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')"
  for file in "$here"/clients/*.txt; do
    home="$cache/clients-$(basename "$file" .txt)-$tag-$(key "$file")"
    [ -e "$home/.complete" ] && continue
    rm -rf "$home" && mkdir -p "$home"
    if "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --target "$home" --requirement "$file"
    then touch "$home/.complete"
    else lack "the client of $(basename "$file") could not be installed"
    fi
  done
}

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
kafka
influxdb
compose
mosquitto
clients
if [ "$missing" = 1 ] && [ "${CI:-}" = true ]; then exit 1; fi
