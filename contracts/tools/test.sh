#!/usr/bin/env bash
# Builds and tests the contracts: tools from npm, form, committed artifacts, gas snapshots, tests.
# --write replaces artifacts and snapshots by what this tree gives, after a change to the contracts.
set -euo pipefail
cd "$(dirname "$0")/.."
write=${1:-}
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
  npm ci --ignore-scripts --no-audit --no-fund
  cp package-lock.json node_modules/.installed-lock.json
fi
PATH="$PWD/node_modules/.bin:$PATH"
forge build
forge fmt --check
python=$(command -v python3 || command -v python)
if [ "$write" = "--write" ]; then
  "$python" tools/check_artifacts.py --write
  forge test
else
  "$python" tools/check_artifacts.py
  FORGE_SNAPSHOT_CHECK=true forge test
fi
