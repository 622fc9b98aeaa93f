#!/usr/bin/env bash
# Tests rate limits on a running gateway. Stops at the first unexpected response.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

gateway_limit='"plugin_chain": [{"name": "rate_limiter", "settings": {"limits": {"global": {"limit": 5, "window": "1m"}}}}]'
rule_limit='"plugin_chain": [{"name": "rate_limiter", "settings": {"limit": 3, "window": "10s"}}]'
# The example of docs/reference/rate-limiter.md.
both='"plugin_chain": [{"name": "rate_limiter", "settings": {
    "gateway": {"enabled": true, "limits": {"global": {"limit": 5, "window": "1m"}}},
    "rule": {"enabled": true, "limits": {"global": {"limit": 3, "window": "10s"}}}}}]'

# calls SUBDOMAIN COUNT [curl arguments]: expects that COUNT calls are admitted.
calls() {
    local name=$1 i count=$2
    shift 2
    for i in $(seq "$count"); do
        expect "call $i is admitted" 200 "$(proxy "$name" "$key" "$@")"
    done
}

# rejected SUBDOMAIN SCOPE [NAME [curl arguments]]: expects that the limit NAME rejects the next call.
rejected() {
    local name=$1 scope=$2 limit=${3:-global}
    shift $(($# < 3 ? $# : 3))
    expect "the next call is rejected" 429 "$(proxy "$name" "$key" "$@")"
    [ "$(field rate_limit.scope)" = "$scope" ] || fail "expected the $scope limit: $body"
    expect_text "with the name of the limit" "Rate limit reached for $scope limit '$limit'" "$body"
    [ "$(header retry-after)" -ge 1 ] || fail "Retry-After is '$(header retry-after)'"
    [ "$(header x-ratelimit-remaining-requests)" = 0 ] || fail "X-RateLimit-Remaining-Requests is not 0"
    expect_text "and RateLimit has no units left" "-$limit\";r=0" "$(header ratelimit)"
}

# new_key: creates a key of tenant $id; sets $key.
new_key() {
    expect "another key is created" 201 "$(admin POST "/tenants/$id/api-keys" '{"name": "another"}')"
    key=$(field key)
}

# limiter SETTINGS: prints a chain with one rate_limiter.
limiter() {
    echo "\"plugin_chain\": [{\"name\": \"rate_limiter\", \"settings\": $1}]"
}

# A second proxy: another process and port, the same store.
second_pid=
stop_second() {
    [ -z "$second_pid" ] || { kill "$second_pid" && wait "$second_pid" || true; }
    second_pid=
}
trap 'stop_second; cleanup' EXIT

start_second() {
    local port
    port=$($python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    second_url="${proxy_url%:*}:$port"
    # As in run_local.sh, rules may call this machine.
    GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS="${GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS:-127.0.0.0/8,::1/128}" \
        GATEWAY__SERVER__PROXY_PORT=$port GATEWAY__SERVER__WORKERS=1 GATEWAY__METRICS__PORT=0 $python run_proxy.py >"$scratch/second" 2>&1 &
    second_pid=$!
    expect_within 60 "a second proxy is ready" 200 curl -sk --max-time 5 -w '\n%{http_code}' "$second_url/__/ready"
}

# at_second COMMAND…: runs the command with the second proxy.
at_second() {
    local proxy_url=$second_url
    "$@"
}

echo "--    gateway limit: 5 in 1m"
new_tenant "$unique-g" "$gateway_limit"
new_rule
calls "$unique-g" 5
rejected "$unique-g" gateway

echo "--    rule limit: 3 in 10s"
new_tenant "$unique-r"
new_rule "$rule_limit"
calls "$unique-r" 3
rejected "$unique-r" rule
[ "$(header retry-after)" -le 11 ] || fail "Retry-After is longer than the window: $(header retry-after)"

echo "--    both: the rule rejects first, and a rejected call is not charged at the gateway"
new_tenant "$unique-b" "$gateway_limit"
new_rule "$rule_limit"
calls "$unique-b" 3
rejected "$unique-b" rule
rejected "$unique-b" rule
expect "a second rule is created" 201 "$(admin POST "/tenants/$id/rules" "{\"path\": \"/v1/models\", \"target\": \"$upstream\"}")"
expect_soon "the gateway limit still admits calls" 200 curl -sk -w '\n%{http_code}' -D "$scratch/head" -H "Host: $unique-b.$base_domain" -H "x-api-key: $key" "$proxy_url/v1/models"
[ "$(header x-ratelimit-remaining-requests)" = 1 ] || fail "rejected calls were charged to the gateway limit"

echo "--    both spent: Retry-After is the longer one"
new_tenant "$unique-l" '"plugin_chain": [{"name": "rate_limiter", "settings": {"limit": 3, "window": "1m"}}]'
new_rule "$rule_limit"
calls "$unique-l" 3
rejected "$unique-l" rule
[ "$(header retry-after)" -gt 11 ] || fail "Retry-After is not the longer one: $(header retry-after)"

echo "--    both in one entry of the tenant"
new_tenant "$unique-s" "$both"
new_rule
calls "$unique-s" 3
rejected "$unique-s" rule

echo "--    both in one entry of the rule"
new_tenant "$unique-o"
new_rule "$both"
calls "$unique-o" 3
rejected "$unique-o" rule

echo "--    the admin API shows the usage, and reading it is not charged"
for _ in 1 2; do
    expect "the limits are read" 200 "$(admin GET "/tenants/$id/rate-limits" '' "$key")"
    expect_text "with 3 of 3 used at the rule" '"limit":3,"window":"10s","used":3,"remaining":0' "$body"
    expect_text "and 3 of 5 at the gateway" '"limit":5,"window":"1m","used":3,"remaining":2' "$body"
done

echo "--    each address: 2 in 1m, whatever X-Forwarded-For contains"
new_tenant "$unique-i"
new_rule "$(limiter '{"limits": {"per_ip": {"limit": 2, "window": "1m"}}}')"
calls "$unique-i" 2 -H 'X-Forwarded-For: 192.0.2.1'
rejected "$unique-i" rule per_ip -H 'X-Forwarded-For: 192.0.2.2' -H 'X-Real-IP: 192.0.2.3'

echo "--    each key: 2 in 1m; the gateway limit counts all keys together"
new_tenant "$unique-k" "$(limiter '{"limits": {"global": {"limit": 5, "window": "1m"}}}')"
new_rule "$(limiter '{"limits": {"per_key": {"limit": 2, "window": "1m"}}}')"
calls "$unique-k" 2
rejected "$unique-k" rule per_key
new_key
expect_soon "the new key can call" 200 proxy "$unique-k" "$key"
calls "$unique-k" 1
rejected "$unique-k" rule per_key
new_key
expect_soon "the new key gets the rest of the gateway limit" 200 proxy "$unique-k" "$key"
rejected "$unique-k" gateway

echo "--    each model: 1 in 1m for gpt-4o*, 2 for all others"
new_tenant "$unique-m"
new_rule "$(limiter '{"limits": {"per_model": {"gpt-4o*": {"limit": 1, "window": "1m"}, "*": {"limit": 2, "window": "1m"}}}}')"
calls "$unique-m" 2
rejected "$unique-m" rule 'per_model:*'
chat=${chat/demo/gpt-4o-mini}
calls "$unique-m" 1
rejected "$unique-m" rule 'per_model:gpt-4o*'
chat=${chat/gpt-4o-mini/demo}

echo "--    a raised limit keeps its usage"
new_tenant "$unique-e"
new_rule "$(limiter '{"limit": 2, "window": "1m"}')"
calls "$unique-e" 2
rejected "$unique-e" rule
expect "the limit is raised to 4" 200 "$(admin PATCH "/tenants/$id/rules/$rule" "{$(limiter '{"limit": 4, "window": "1m"}')}")"
expect_soon "the next call is admitted" 200 proxy "$unique-e" "$key"
calls "$unique-e" 1
rejected "$unique-e" rule

echo "--    two proxies on one store share the counters, which survive a restart"
start_second
new_tenant "$unique-p"
new_rule "$(limiter '{"limit": 4, "window": "1h"}')"
calls "$unique-p" 2
expect_soon "the second proxy knows the rule" 200 at_second proxy "$unique-p" "$key"
at_second calls "$unique-p" 1
at_second rejected "$unique-p" rule
rejected "$unique-p" rule
stop_second
start_second
at_second rejected "$unique-p" rule
echo "All responses were as expected."
