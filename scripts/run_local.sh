#!/usr/bin/env bash
# Starts the gateway on this machine with all its parts. `--no-demo` leaves the store empty.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh
show_help "$@"
prepare requirements.txt

# For development, rules may call this machine, except the gateway's own ports.
export GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS="${GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS:-127.0.0.0/8,::1/128}"
exec .venv/bin/python -m scripts.local "$@"
