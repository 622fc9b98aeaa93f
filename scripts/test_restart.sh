#!/usr/bin/env bash
# Tests that a command restarts the proxy of a running gateway without a failed call. Calls come at 50 per second
# while the command runs and for AFTER seconds (45) more, half of them on new connections:
#
#   ./scripts/test_restart.sh systemctl reload ai-gateway-proxy
#   AFTER=20 ./scripts/test_restart.sh kill -USR2 "$supervisor"
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- --help
. scripts/scenario.sh

new_tenant "$unique-r"
new_rule

# calls FILE [curl arguments]: 25 calls per second in the background; a line of FILE is a status and the seconds.
calls() {
    local file=$1
    shift
    command curl -sk --noproxy '*' --rate 25/s --max-time 30 -o /dev/null -w '%{http_code} %{time_total}\n' \
        -H "Host: $unique-r.$base_domain" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
        -d "$chat" "$@" "$proxy_url/v1/chat/completions?call=[1-1000000]" >"$file" &
    programs+=($!)
}

expect_soon "a call succeeds" 200 proxy "$unique-r" "$key"
calls "$scratch/kept"
calls "$scratch/new" -H 'Connection: close'
end=$((SECONDS + ${AFTER:-45}))
"$@" || fail "The command failed: $*"
echo "ok    the command has run: $*"
while [ $SECONDS -lt $end ]; do read -rt 0.5 <> <(:) || true; done

# report FILE: prints how many calls succeeded, and their times; fails if one did not.
report() {
    $python -c 'import sys
rows = [line.split() for line in open(sys.argv[1]) if line.endswith("\n")]
failed = [status for status, _ in rows if status != "200"]
times = sorted(float(seconds) * 1000 for _, seconds in rows)
if failed or not rows:
    sys.exit(f"{len(failed)} of {len(rows)} calls failed: {sorted(set(failed))} (000: no connection)")
print(f"{len(rows)} calls, p50 {times[len(times) // 2]:.0f} ms, p99 {times[int(len(times) * 0.99)]:.0f} ms")' "$1"
}

for name in kept new; do
    text=$(report "$scratch/$name" 2>&1) || fail "Calls on $name connections: $text"
    echo "ok    on $name connections: $text"
done
expect "a call still succeeds" 200 "$(proxy "$unique-r" "$key")"
echo "All responses were as expected."
