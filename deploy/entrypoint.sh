#!/bin/sh
# `lading …` where nothing but NUMBA_CACHE_DIR may be written: Numba takes compiled kernels only from a folder that it
# may write to. They are copied at each start, so that none outlives the code that it is of.
set -eu
prefix="${LADING_PREFIX:-/opt/lading}"
if [ -n "${NUMBA_CACHE_DIR:-}" ] && [ -d "$prefix/numba" ]; then
  mkdir -p "$NUMBA_CACHE_DIR"
  cp -R "$prefix/numba/." "$NUMBA_CACHE_DIR/"
fi
exec "$prefix/bin/lading" "$@"
