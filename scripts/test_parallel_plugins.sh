#!/usr/bin/env bash
# Drives a running gateway through chains whose plugins run together, and stops at the first wrong answer.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

start demo_validator
validator="http://127.0.0.1:$port"

# entry WAIT PARALLEL [MORE MEMBERS]: an entry that takes WAIT seconds.
entry() {
    echo "{\"name\": \"external_validator\", \"enabled\": true, \"parallel\": $2, \"priority\": 2${3:+, $3}, \"timeout\": \"5s\",
        \"settings\": {\"endpoint\": \"$validator/check?wait=$1\", \"fields\": [\"messages\"], \"attempt_timeout\": \"5s\",
            \"conditions\": [{\"field\": \"allowed\", \"operator\": \"eq\", \"value\": false, \"message\": \"The validator says no.\"}]}}"
}
limiter='{"name": "rate_limiter", "enabled": true, "parallel": false, "priority": 1, "settings": {"limit": 3, "window": "1m"}}'
content='{"name": "content_validator", "enabled": true, "parallel": true, "priority": 2,
    "settings": {"blocked_patterns": ["(?i)forbidden"]}}'

asked_times() {
    body=$(curl -s --max-time 5 "$validator/asked")
    field times
}

# fastest SUBDOMAIN: the least of three calls, in milliseconds, in $took. (The machine may be busy.)
fastest() {
    local start now answer
    took=1000000
    for _ in 1 2 3; do
        start=${EPOCHREALTIME/[.,]/}
        answer=$(proxy "$1" "$key")
        now=${EPOCHREALTIME/[.,]/}
        expect "a call passes" 200 "$answer"
        [ $(((now - start) / 1000)) -ge $took ] || took=$(((now - start) / 1000))
    done
}

echo "--    the example of the specification"
new_tenant "$unique-e"
# As it stands there, two entries lack settings that they cannot do without.
example='[{"name": "rate_limiter", "enabled": true, "parallel": false, "priority": 1},
    {"name": "external_validator", "enabled": true, "parallel": true, "priority": 2},
    {"name": "content_validator", "enabled": true, "parallel": true, "priority": 2}]'
expect "without settings it is refused" 422 "$(admin POST "/tenants/$id/rules" \
    "{\"path\": \"/v1/chat/completions\", \"target\": \"$upstream\", \"plugin_chain\": $example}")"
expect_text "with a pointer to the limiter's" '"pointer":"/plugin_chain/0/settings/limit"' "$body"
expect_text "and to the validator's" '"pointer":"/plugin_chain/1/settings/endpoint"' "$body"
case "$body" in *'"/plugin_chain/2'*) fail "content_validator needs no settings: $body" ;; esac
new_rule "\"plugin_chain\": [$limiter, $(entry 0 true), $content]"
for i in 1 2; do
    expect "call $i passes all three" 200 "$(proxy "$unique-e" "$key")"
done
before=$(asked_times)
chat='{"model": "demo", "messages": [{"role": "user", "content": "Something forbidden"}]}'
expect "what both validators reject is refused" 422 "$(proxy "$unique-e" "$key")"
expect_text "by the first of them in the chain, although the other was faster" 'The validator says no.' "$body"
[ "$(header x-gateway-error-source)" = plugin:external_validator ] || fail "the first plugin is not named"
[ "$(asked_times)" = $((before + 1)) ] || fail "the validator was not asked"
expect "the limiter runs before them: the fourth call" 429 "$(proxy "$unique-e" "$key")"
[ "$(asked_times)" = $((before + 1)) ] || fail "a validator ran although the limiter had refused"
echo "ok    reaches no validator"
chat='{"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}'

echo "--    two validators of 200 ms each, together"
new_tenant "$unique-p"
new_rule "\"plugin_chain\": [$(entry 0.2 true), $(entry 0.2 true)]"
fastest "$unique-p"
{ [ $took -ge 200 ] && [ $took -lt 400 ]; } || fail "together they took $took ms"
echo "ok    took $took ms"

echo "--    the same, one after the other"
new_tenant "$unique-s"
new_rule "\"plugin_chain\": [$(entry 0.2 false), $(entry 0.2 false)]"
fastest "$unique-s"
[ $took -ge 400 ] || fail "one after the other they took $took ms"
echo "ok    took $took ms"

echo "--    of other priorities they run one after the other, too"
new_tenant "$unique-o"
new_rule "\"plugin_chain\": [$(entry 0.2 true), ${content/\"priority\": 2/\"priority\": 3}, $(entry 0.2 true '"on_error": "open"' | sed 's/"priority": 2/"priority": 4/')]"
fastest "$unique-o"
[ $took -ge 400 ] || fail "of different priorities they took $took ms"
echo "ok    took $took ms"

echo "--    a refusal does not wait for those behind it in the chain"
new_tenant "$unique-r"
new_rule "\"plugin_chain\": [$content, $(entry 2 true)]"
chat='{"model": "demo", "messages": [{"role": "user", "content": "Something forbidden"}]}'
start=${EPOCHREALTIME/[.,]/}
expect "it is refused" 422 "$(proxy "$unique-r" "$key")"
[ $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) -lt 2000 ] || fail "it waited for the validator behind it"
[ "$(header x-gateway-error-source)" = plugin:content_validator ] || fail "the first plugin is not named"
echo "ok    at once"

echo "--    the plan shows them as one group"
expect "a call is explained" 200 "$(admin POST "/tenants/$id/explain" \
    '{"method": "POST", "path": "/v1/chat/completions", "headers": {"x-api-key": "'"$key"'"}, "body": "{}"}')"
count=$($python -c 'import json, sys; print(len(json.loads(sys.argv[1])["plan"][0]["groups"]))' "$body")
[ "$count" = 1 ] || fail "expected one group, got $count: $body"
echo "ok    one group"

echo "--    what cannot run together is refused when it is saved"
cutting='{"name": "content_validator", "parallel": true, "priority": 2, "settings": {"fields": ["model"]}}'
expect "one that changes what another reads" 422 "$(admin POST "/tenants/$id/rules" \
    "{\"path\": \"/x\", \"target\": \"$upstream\", \"plugin_chain\": [$content, $cutting]}")"
expect_text "and both are named" 'run at the same time' "$body"
expect "a limiter that is said to run in parallel" 422 "$(admin POST "/tenants/$id/rules" \
    "{\"path\": \"/x\", \"target\": \"$upstream\", \"plugin_chain\": [${limiter/\"parallel\": false/\"parallel\": true}]}")"
expect_text "since it keeps state" 'keeps state' "$body"
echo "All answers were as expected."
