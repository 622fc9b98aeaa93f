#!/usr/bin/env bash
# Tests parallel plugins on a running gateway. Stops at the first unexpected response.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

start demo_validator
validator="http://127.0.0.1:$port"

# entry WAIT PARALLEL [MORE MEMBERS]: prints an entry that takes WAIT seconds.
entry() {
    echo "{\"name\": \"external_validator\", \"enabled\": true, \"parallel\": $2, \"priority\": 2${3:+, $3}, \"timeout\": \"5s\",
        \"settings\": {\"endpoint\": \"$validator/check?wait=$1\", \"fields\": [\"messages\"], \"attempt_timeout\": \"5s\",
            \"conditions\": [{\"field\": \"allowed\", \"operator\": \"eq\", \"value\": false, \"message\": \"The validator rejects this.\"}]}}"
}
limiter='{"name": "rate_limiter", "enabled": true, "parallel": false, "priority": 1, "settings": {"limit": 3, "window": "1m"}}'
content='{"name": "content_validator", "enabled": true, "parallel": true, "priority": 2,
    "settings": {"blocked_patterns": ["(?i)forbidden"]}}'

calls_of_validator() {
    body=$(curl -s --max-time 5 "$validator/calls")
    field count
}

# fastest SUBDOMAIN: sets $took to the fastest of three calls in milliseconds, as the machine may be busy.
fastest() {
    local start now response
    took=1000000
    for _ in 1 2 3; do
        start=${EPOCHREALTIME/[.,]/}
        response=$(proxy "$1" "$key")
        now=${EPOCHREALTIME/[.,]/}
        expect "a call succeeds" 200 "$response"
        [ $(((now - start) / 1000)) -ge $took ] || took=$(((now - start) / 1000))
    done
}

echo "--    the example of the specification"
new_tenant "$unique-e"
# In the specification, two entries lack required settings.
example='[{"name": "rate_limiter", "enabled": true, "parallel": false, "priority": 1},
    {"name": "external_validator", "enabled": true, "parallel": true, "priority": 2},
    {"name": "content_validator", "enabled": true, "parallel": true, "priority": 2}]'
expect "without settings it is rejected" 422 "$(admin POST "/tenants/$id/rules" \
    "{\"path\": \"/v1/chat/completions\", \"target\": \"$upstream\", \"plugin_chain\": $example}")"
expect_text "with a pointer to the setting of rate_limiter" '"pointer":"/plugin_chain/0/settings/limit"' "$body"
expect_text "and to the setting of external_validator" '"pointer":"/plugin_chain/1/settings/endpoint"' "$body"
case "$body" in *'"/plugin_chain/2'*) fail "content_validator needs no settings: $body" ;; esac
new_rule "\"plugin_chain\": [$limiter, $(entry 0 true), $content]"
for i in 1 2; do
    expect "call $i passes all three plugins" 200 "$(proxy "$unique-e" "$key")"
done
before=$(calls_of_validator)
chat='{"model": "demo", "messages": [{"role": "user", "content": "Something forbidden"}]}'
expect "a prompt that both validators reject is rejected" 422 "$(proxy "$unique-e" "$key")"
expect_text "by the first of them in the chain, although the second was faster" 'The validator rejects this.' "$body"
[ "$(header x-gateway-error-source)" = plugin:external_validator ] || fail "X-Gateway-Error-Source does not name the first plugin"
[ "$(calls_of_validator)" = $((before + 1)) ] || fail "the validator was not called"
expect "the limiter runs first and rejects the fourth call" 429 "$(proxy "$unique-e" "$key")"
[ "$(calls_of_validator)" = $((before + 1)) ] || fail "the validator was called although the limiter rejected"
echo "ok    the validator was not called"
chat='{"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}'

echo "--    two validators of 200 ms each, in parallel"
new_tenant "$unique-p"
new_rule "\"plugin_chain\": [$(entry 0.2 true), $(entry 0.2 true)]"
fastest "$unique-p"
{ [ $took -ge 200 ] && [ $took -lt 400 ]; } || fail "in parallel they took $took ms"
echo "ok    took $took ms"

echo "--    the same, one after the other"
new_tenant "$unique-s"
new_rule "\"plugin_chain\": [$(entry 0.2 false), $(entry 0.2 false)]"
fastest "$unique-s"
[ $took -ge 400 ] || fail "one after the other they took $took ms"
echo "ok    took $took ms"

echo "--    with different priorities they run one after the other"
new_tenant "$unique-o"
new_rule "\"plugin_chain\": [$(entry 0.2 true), ${content/\"priority\": 2/\"priority\": 3}, $(entry 0.2 true '"on_error": "open"' | sed 's/"priority": 2/"priority": 4/')]"
fastest "$unique-o"
[ $took -ge 400 ] || fail "with different priorities they took $took ms"
echo "ok    took $took ms"

echo "--    a rejection does not wait for later plugins of the chain"
new_tenant "$unique-r"
new_rule "\"plugin_chain\": [$content, $(entry 2 true)]"
chat='{"model": "demo", "messages": [{"role": "user", "content": "Something forbidden"}]}'
start=${EPOCHREALTIME/[.,]/}
expect "the request is rejected" 422 "$(proxy "$unique-r" "$key")"
[ $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) -lt 2000 ] || fail "the rejection waited for the validator"
[ "$(header x-gateway-error-source)" = plugin:content_validator ] || fail "X-Gateway-Error-Source does not name the first plugin"
echo "ok    without waiting"

echo "--    explain shows them as one group"
expect "a call is explained" 200 "$(admin POST "/tenants/$id/explain" \
    '{"method": "POST", "path": "/v1/chat/completions", "headers": {"x-api-key": "'"$key"'"}, "body": "{}"}')"
count=$($python -c 'import json, sys; print(len(json.loads(sys.argv[1])["plan"][0]["groups"]))' "$body")
[ "$count" = 1 ] || fail "expected one group, got $count: $body"
echo "ok    one group"

echo "--    plugins that cannot run in parallel are rejected when the rule is saved"
cutting='{"name": "content_validator", "parallel": true, "priority": 2, "settings": {"fields": ["model"]}}'
expect "a plugin that changes what another one reads" 422 "$(admin POST "/tenants/$id/rules" \
    "{\"path\": \"/x\", \"target\": \"$upstream\", \"plugin_chain\": [$content, $cutting]}")"
expect_text "with the reason" 'run at the same time' "$body"
expect "a parallel rate_limiter" 422 "$(admin POST "/tenants/$id/rules" \
    "{\"path\": \"/x\", \"target\": \"$upstream\", \"plugin_chain\": [${limiter/\"parallel\": false/\"parallel\": true}]}")"
expect_text "with the reason" 'merges its entries' "$body"
echo "All responses were as expected."
