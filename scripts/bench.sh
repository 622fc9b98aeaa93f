#!/usr/bin/env bash
# Measures the gateway beside nginx and stock mitmproxy; docs/benchmarks.md says how to read it.
#   ./scripts/bench.sh --quick             about 90 s; without it about 10 min
#   ./scripts/bench.sh --only NAME …       some of the contenders; --help lists them and all options
#   ./scripts/bench.sh --profile [NAME]    where the time goes in one of them, instead of measuring
#   ./scripts/bench.sh --calls [ENGINE]    function calls a request, a figure without noise
#   ./scripts/bench.sh --limiter           rate limits beside other limiters, under attack, and what they cost
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh
prepare requirements.txt

export PATH="$PATH:/usr/sbin"
# Debian's wrk makes the load, its nginx is upstream and yardstick.
missing=()
command -v wrk >/dev/null || missing+=(wrk)
command -v nginx >/dev/null || missing+=(nginx-light)
if [ ${#missing[@]} -gt 0 ]; then
    # The package of nginx may start a server of its own on port 80; the benchmark does not use that one.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]} …" >&2
        apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
            die "${missing[*]} could not be installed with apt-get."
    else
        die "This needs ${missing[*]}. On Debian: sudo apt-get install ${missing[*]}"
    fi
fi

case "${1:-}" in
--profile) shift && exec .venv/bin/python -m bench.profile "$@" ;;
--calls) shift && exec .venv/bin/python -m bench.calls "$@" ;;
--limiter) shift && exec .venv/bin/python -m bench.limiter "$@" ;;
esac
exec .venv/bin/python -m bench "$@"
