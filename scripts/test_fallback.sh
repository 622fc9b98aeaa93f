#!/usr/bin/env bash
# Tests fallback between two providers on a running gateway. Stops at the first unexpected response.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

settings=$($python -c 'from shared.settings import load_settings_or_exit
server = load_settings_or_exit().server
print(server.engine, server.worker_count)')
read -r engine workers <<<"$settings"
[ "$engine" = express ] || fail "The engine $engine tries one target only. Set server.engine to express."

# Two providers that can be made to fail. Each accepts only its own two keys.
declare -A base controls providers
for provider in first second; do
    start demo_upstream --key "sk-$provider-old" --key "sk-$provider-new" --control-port 0
    base[$provider]="http://127.0.0.1:$port/v1" controls[$provider]=$control
done

# fails PROVIDER FAULT: makes a provider fail; see examples/demo_upstream/faults.py.
fails() {
    curl -sf -o /dev/null --max-time 5 -X PUT -d "$2" "${controls[$1]}" || fail "The fault $2 was not set."
}

# recovers PROVIDER: makes a provider well again.
recovers() {
    curl -sf -o /dev/null --max-time 5 -X DELETE "${controls[$1]}"
}

# counted PROVIDER MEMBER: prints how many calls came or failed since the provider's fault was set or removed.
counted() {
    body=$(curl -sf --max-time 5 "${controls[$1]}")
    field "$2"
}

# new_provider NAME: creates a provider of tenant $id with two models and their prices, and tests it.
new_provider() {
    expect "the provider $1 is created" 201 "$(admin POST "/tenants/$id/providers" '{"name": "'"$1"'", "kind": "custom",
        "base_url": "'"${base[$1]}"'", "apis": ["openai.chat", "anthropic.messages"],
        "keys": [{"name": "old", "secret": "sk-'"$1"'-old"}],
        "models": [{"id": "demo-small", "prices": {"input": "1", "output": "2"}},
            {"id": "demo-large", "prices": {"input": "10", "output": "20"}}]}')"
    case "$body" in *"sk-$1-old"*) fail "the response shows the provider's key" ;; esac
    providers[$1]="/tenants/$id/providers/$(field id)"
    expect "it is called" 200 "$(admin POST "${providers[$1]}/test" '{"deep": true}')"
    expect_text "and its address and key are right" '"ok":true' "${body// /}"
}

# served PROVIDER: expects that a call succeeds, and that this provider served it; counts these calls.
declare -A calls=([first]=0 [second]=0)
served() {
    expect "the call succeeds" 200 "$(proxy "$unique" "$key")"
    [ "$(header x-gateway-provider)" = "$1" ] ||
        fail "expected the provider $1, not '$(header x-gateway-provider)'"
    echo "ok    from the provider $1"
    calls[$1]=$((calls[$1] + 1))
}

# returns_to PROVIDER: expects that calls succeed until this provider serves them, within some seconds.
returns_to() {
    local end=$((SECONDS + 5)) provider=
    while [ "$provider" != "$1" ] && [ $SECONDS -lt $end ]; do
        response=$(proxy "$unique" "$key")
        [ "${response##*$'\n'}" = 200 ] || fail "a call failed in the meantime: $response"
        provider=$(header x-gateway-provider)
        calls[$provider]=$((calls[$provider] + 1))
    done
    [ "$provider" = "$1" ] || fail "calls do not return to the provider $1"
    echo "ok    calls return to the provider $1"
}

echo "--    a model with two targets"
new_tenant "$unique"
new_provider first
new_provider second
expect "the model best is created" 201 "$(admin POST "/tenants/$id/models" '{"name": "best", "targets": [
    {"provider": "first", "model": "demo-large", "priority": 0},
    {"provider": "second", "model": "demo-small", "priority": 1}]}')"
expect "a rule for AI is created" 201 "$(admin POST "/tenants/$id/rules" '{"path": "/v1", "ai": {"providers": ["first", "second"]}}')"
chat='{"model": "best", "messages": [{"role": "user", "content": "Hello!"}]}'
served first
expect_text "with the response of the upstream" 'You said: Hello!' "$body"
[ "$(header x-gateway-model)" = demo-large ] || fail "X-Gateway-Model is '$(header x-gateway-model)'"
# One token in and three out, at 10 and 20 USD per million.
[ "$(header x-gateway-cost)" = 0.00007 ] || fail "X-Gateway-Cost is '$(header x-gateway-cost)'"
echo "ok    with its cost: $(header x-gateway-cost) USD"

echo "--    the first fails before its response, and the second serves the same call"
for fault in '{"fail": "503"}' '{"fail": "reset"}' '{"fail": "refuse"}'; do
    echo "--    $fault"
    fails first "$fault"
    served second
    [ "$(header x-gateway-attempts)" = 2 ] || fail "X-Gateway-Attempts is '$(header x-gateway-attempts)'"
    [ "$(header x-gateway-cost)" = 0.000007 ] || fail "X-Gateway-Cost is '$(header x-gateway-cost)'"
    recovers first
    served first
done

echo "--    the first is limited, and its key rests for as long as it says"
fails first '{"fail": "429", "retry_after": "1"}'
served second
recovers first
returns_to first
echo "--    the key of the first is rejected until it has a new one"
fails first '{"fail": "401", "key": "sk-first-old"}'
served second
sleep 0.1 # the other workers hear of it
for _ in $(seq $((2 * workers))); do
    served second
done
[ "$(counted first calls)" = 1 ] || fail "a worker used a rejected key again"
echo "ok    by no worker a second time"
expect "a key is added" 201 "$(admin POST "${providers[first]}/keys" '{"name": "new", "secret": "sk-first-new"}')"
returns_to first
recovers first

echo "--    a stream that fails before its first text"
chat='{"model": "best", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'
fails first '{"fail": "error", "after": 1}'
served second
expect_text "with the whole stream" 'data: [DONE]' "$body"
case "$body" in *'"error"'*) fail "the stream has the error of the first: $body" ;; esac

echo "--    a stream that is cut after its first text ends with an error"
fails first '{"fail": "cut", "after": 3}'
served first
expect_text "with the text so far" '"content": "You "' "$body"
expect_text "and an error event" '"error"' "$body"
case "$body" in *'[DONE]'*) fail "the stream has an end: $body" ;; esac
recovers first

echo "--    all targets fail: the client gets the error of the last"
chat='{"model": "best", "messages": [{"role": "user", "content": "Hello!"}]}'
fails first '{"fail": "500"}'
fails second '{"fail": "503"}'
response=$(proxy "$unique" "$key")
status=${response##*$'\n'}
[ "$status" = 500 ] || [ "$status" = 503 ] || fail "expected the error of a target, got $response"
came=$(($(counted first calls) + $(counted second calls)))
[ "$(header x-gateway-attempts)" = "$came" ] || fail "X-Gateway-Attempts is '$(header x-gateway-attempts)', not $came"
echo "ok    after $came attempts: $status"
recovers first
recovers second
served first

echo "--    a model that nobody has"
chat='{"model": "worst", "messages": []}'
expect "a call of an unknown model is rejected" 404 "$(proxy "$unique" "$key")"
expect_text "with the names of models" best "$body"

echo "--    usage and cost"
# Calls that the second served have one token in and three out, at 1 and 2 USD per million.
second=$($python -c 'import sys
from shared.model.amounts import usd
calls = int(sys.argv[1])
print(f"second,{calls},{calls},{3 * calls},0,{usd(7_000 * calls)},0")' "${calls[second]}")
# usage: prints the usage by provider, and as a status whether it has all calls. It is written soon after a call.
usage() {
    local response
    response=$(admin GET "/tenants/$id/usage?group_by=provider&format=csv" | tr -d '\r')
    case "$response" in *"first,${calls[first]},"*"$second"*) ;; *) response=$response/missing ;; esac
    echo "$response"
}
expect_within 5 "the usage of all calls is read" 200 usage
echo "$body"
echo "All responses were as expected."
