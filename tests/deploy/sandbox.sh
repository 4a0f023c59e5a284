#!/bin/sh
# Runs a command as the image's container would: as user 10001 without capabilities, with everything read only but /tmp.
#   sandbox.sh PREFIX PYTHON_HOME COMMAND…
# PREFIX and the interpreter's folder stay where they are, also below a home folder that others may not enter.
set -eu
prefix="$1" python_home="$2"
shift 2
[ "${IN_SANDBOX:-}" ] || exec env IN_SANDBOX=1 unshare --mount --propagation private "$0" "$prefix" "$python_home" "$@"

mount -t tmpfs -o mode=0755,size=1m tmpfs /opt
mkdir /opt/prefix /opt/python
mount --bind "$prefix" /opt/prefix
mount --bind "$python_home" /opt/python
case "$python_home" in
/root/*)
  mount -t tmpfs -o mode=0755,size=1m tmpfs /root
  mkdir -p "$python_home"
  mount --bind /opt/python "$python_home"
  mount -o remount,bind,ro "$python_home"
  mount -o remount,ro /root
  ;;
esac
mount -t tmpfs -o noexec,nosuid,nodev,mode=1777,size=256m tmpfs /tmp # as an engine mounts one
mkdir -p "$prefix"
mount --bind /opt/prefix "$prefix"
mount -o remount,bind,ro "$prefix"
mount -o remount,ro /opt
mount -o remount,bind,ro /
cd /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
  env -i PATH=/usr/bin:/bin HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba LADING_PREFIX="$prefix" \
  PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 "$@"
