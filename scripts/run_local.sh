#!/usr/bin/env bash
# Starts the gateway on this machine, with everything that it needs: `--no-demo` leaves the store empty.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh
prepare requirements.txt

# For development: targets on this machine may be called. (The gateway's own ports may not.)
export GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS="${GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS:-127.0.0.0/8,::1/128}"
exec .venv/bin/python -m scripts.local "$@"
