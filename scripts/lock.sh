#!/usr/bin/env bash
# Turns requirements*.in into requirements*.txt: every package pinned, with hashes.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "This needs uv: pip install uv" >&2; exit 1; }
for name in requirements requirements-dev; do
    uv pip compile --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header --quiet \
        "$@" "$name.in" --output-file "$name.txt"
done
