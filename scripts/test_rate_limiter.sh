#!/usr/bin/env bash
# Drives a running gateway into its rate limits, and stops at the first wrong answer.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

gateway_limit='"plugin_chain": [{"name": "rate_limiter", "settings": {"limits": {"global": {"limit": 5, "window": "1m"}}}}]'
rule_limit='"plugin_chain": [{"name": "rate_limiter", "settings": {"limit": 3, "window": "10s"}}]'
# The block of the rate limiter's documentation, as it stands there.
both='"plugin_chain": [{"name": "rate_limiter", "settings": {
    "gateway": {"enabled": true, "limits": {"global": {"limit": 5, "window": "1m"}}},
    "rule": {"enabled": true, "limits": {"global": {"limit": 3, "window": "10s"}}}}}]'

# calls SUBDOMAIN COUNT: so many calls are admitted.
calls() {
    local i
    for i in $(seq "$2"); do
        expect "call $i is admitted" 200 "$(proxy "$1" "$key")"
    done
}

# refused SUBDOMAIN SCOPE: the next call is refused by that limit, honestly.
refused() {
    expect "the next call is refused" 429 "$(proxy "$1" "$key")"
    [ "$(field rate_limit.scope)" = "$2" ] || fail "expected the $2 limit to be named: $body"
    expect_text "with the message that SDKs show" "Rate limit reached for $2 limit 'global'" "$body"
    [ "$(header retry-after)" -ge 1 ] || fail "Retry-After is '$(header retry-after)'"
    [ "$(header x-ratelimit-remaining-requests)" = 0 ] || fail "something is said to remain"
    expect_text "and RateLimit says so" '-global";r=0' "$(header ratelimit)"
}

echo "--    gateway limit: 5 in 1m"
new_tenant "$unique-g" "$gateway_limit"
new_rule
calls "$unique-g" 5
refused "$unique-g" gateway

echo "--    rule limit: 3 in 10s"
new_tenant "$unique-r"
new_rule "$rule_limit"
calls "$unique-r" 3
refused "$unique-r" rule
[ "$(header retry-after)" -le 11 ] || fail "Retry-After is longer than the window: $(header retry-after)"

echo "--    both: the rule is named first, a refused call costs nothing at the gateway"
new_tenant "$unique-b" "$gateway_limit"
new_rule "$rule_limit"
calls "$unique-b" 3
refused "$unique-b" rule
refused "$unique-b" rule
expect "a second rule is created" 201 "$(admin POST "/tenants/$id/rules" "{\"path\": \"/v1/models\", \"target\": \"$upstream\"}")"
expect_soon "the gateway has two left" 200 curl -sk -w '\n%{http_code}' -D "$scratch/head" -H "Host: $unique-b.$base_domain" -H "x-api-key: $key" "$proxy_url/v1/models"
[ "$(header x-ratelimit-remaining-requests)" = 1 ] || fail "refused calls were charged to the gateway limit"

echo "--    both spent: the longer wait is told"
new_tenant "$unique-l" '"plugin_chain": [{"name": "rate_limiter", "settings": {"limit": 3, "window": "1m"}}]'
new_rule "$rule_limit"
calls "$unique-l" 3
refused "$unique-l" rule
[ "$(header retry-after)" -gt 11 ] || fail "Retry-After is not the longer wait: $(header retry-after)"

echo "--    both in one block, on the tenant"
new_tenant "$unique-s" "$both"
new_rule
calls "$unique-s" 3
refused "$unique-s" rule
echo "All answers were as expected."
