#!/bin/sh
# Installs Lading under a prefix, as the image has it: every package by its locked hash, our own wheel, bytecode, and
# the compiled kernels. Run from the repository's root; needs Python 3.11 or newer, nothing else.
#   deploy/install.sh /opt/lading
# Afterwards nothing below the prefix needs to be written: deploy/entrypoint.sh copies the kernels to where they may be.
set -eu
case "$1" in /*) prefix="$1" ;; *) echo "$1: an absolute path is wanted" >&2 && exit 2 ;; esac
python="${PYTHON:-python3}"
[ ! -e "$prefix" ] || { echo "$prefix is there already" >&2 && exit 2; }
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_COMPILE=1 PYTHONDONTWRITEBYTECODE=1
# As root pip would warn of what is meant here.
export PIP_ROOT_USER_ACTION=ignore

# The wheel is built by tools that are locked too and stay out of the prefix.
"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --require-hashes --only-binary :all: --requirement deploy/build.lock
"$work/build/bin/pip" wheel --quiet --no-build-isolation --no-deps --wheel-dir "$work/wheel" .

"$python" -m venv "$prefix"
"$prefix/bin/pip" install --quiet --require-hashes --only-binary :all: --requirement requirements.lock
"$prefix/bin/pip" install --quiet --no-deps --no-index "$work"/wheel/*.whl
"$prefix/bin/pip" check
"$prefix/bin/pip" uninstall --quiet --yes pip setuptools

install -m 0755 deploy/entrypoint.sh "$prefix/bin/lading-stage"

# Layers keep whole seconds. Bytecode and kernels name the time of the source they are of: with a fraction they would
# be made anew at every start.
find "$prefix" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-$(date +%s)}" {} +
"$prefix/bin/python" -m compileall -q "$prefix"/lib/python*/site-packages || true # some packages ship what is no Python
mkdir "$prefix/numba"
cd "$work" # here Python would import the source tree, and the kernels of that would be kept
HOME="$work" NUMBA_CACHE_DIR="$prefix/numba" "$prefix/bin/python" -m demo.warm
