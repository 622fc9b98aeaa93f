#!/usr/bin/env bash
# Compiles requirements*.in to requirements*.txt: all packages pinned, with hashes.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "lock.sh needs uv. Install it with: pip install uv" >&2; exit 1; }
for name in requirements requirements-otel requirements-dev; do
    uv pip compile --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header --quiet \
        "$@" "$name.in" --output-file "$name.txt"
done
