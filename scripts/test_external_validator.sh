#!/usr/bin/env bash
# Tests external_validator on a running gateway. Stops at the first unexpected response.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

start demo_validator
validator="http://127.0.0.1:$port" validator_program=$program

# chain [QUERY [MORE MEMBERS [MORE SETTINGS]]]: prints a chain that sends the prompt to the validator.
chain() {
    echo "\"plugin_chain\": [{\"name\": \"external_validator\", \"parallel\": true, \"priority\": 2${2:+, $2},
        \"settings\": {\"endpoint\": \"$validator/check${1:+?$1}\", \"headers\": {\"Authorization\": \"Bearer validators-own\"},
            \"fields\": [\"model\"], \"field_maps\": [{\"source\": \"messages.0.content\", \"destination\": \"input.text\"}],
            \"conditions\": [
                {\"field\": \"allowed\", \"operator\": \"eq\", \"value\": false, \"message\": \"The prompt is not allowed.\"},
                {\"field\": \"flagged\", \"operator\": \"eq\", \"value\": true, \"stop_flow\": false, \"message\": \"It is odd.\"}]${3:+, $3}}}]"
}

# last_call MEMBER: prints a member of the validator's report on its last call.
last_call() {
    body=$(curl -s --max-time 5 "$validator/calls")
    field "$1"
}

# fresh [ARGUMENTS of chain]: creates a tenant and a rule. A new tenant needs no time to take effect.
case=0
fresh() {
    case=$((case + 1))
    new_tenant "$unique-$case"
    new_rule "$(chain "$@")"
}
# prompt TEXT: sets the prompt of the next calls.
prompt() {
    chat='{"model": "demo", "secret": "only for the upstream", "messages": [{"role": "user", "content": "'$1'"}]}'
}

echo "--    the request to the validator"
fresh
prompt "Hello!"
expect "a harmless prompt is forwarded" 200 "$(proxy "$unique-$case" "$key")"
expect_text "to the upstream" 'You said: Hello!' "$body"
sent=$(last_call body)
[ "$sent" = '{"model":"demo","input":{"text":"Hello!"}}' ] || fail "the validator received other fields: $sent"
echo "ok    the validator received exactly the mapped fields"
headers=$(last_call headers)
expect_text "and the configured header" "'Authorization': 'Bearer validators-own'" "$headers"
case "$headers$sent" in *"$key"*) fail "the validator received the client's key" ;; esac
expect "the rule is read" 200 "$(admin GET "/tenants/$id/rules/$rule")"
expect_text "without the secret" '"Authorization":{"set":true}' "$body"

echo "--    the verdict of the validator"
prompt "Something forbidden"
expect "a forbidden prompt is rejected" 422 "$(proxy "$unique-$case" "$key")"
expect_text "with the condition's message" 'The prompt is not allowed.' "$body"
[ "$(field error.code)" = validation_failed ] || fail "the code is not validation_failed: $body"
[ "$(header x-gateway-error-source)" = plugin:external_validator ] || fail "X-Gateway-Error-Source does not name the plugin"
prompt "Something odd"
expect "a prompt that is only flagged is forwarded" 200 "$(proxy "$unique-$case" "$key")"
chat='no JSON'
expect "a body that is not JSON is rejected" 400 "$(proxy "$unique-$case" "$key")"

echo "--    if the validator fails, the request is rejected"
prompt "Hello!"
for fault in status=500 text redirect wait=5; do
    fresh "$fault" '"timeout": "300ms"'
    expect "with ?$fault" 503 "$(proxy "$unique-$case" "$key")"
    [ "$(field error.code)" = plugin_failure ] || fail "the code is not plugin_failure: $body"
    [ "$(header x-gateway-error-source)" = plugin:external_validator ] || fail "X-Gateway-Error-Source does not name the plugin"
done
fresh status=500 '"on_error": "open"'
expect "with on_error open the request is forwarded" 200 "$(proxy "$unique-$case" "$key")"
before=$(last_call count)
fresh status=500 '' '"retries": 2'
expect "with retries" 503 "$(proxy "$unique-$case" "$key")"
[ $(($(last_call count) - before)) = 3 ] || fail "the validator was not called three times"
echo "ok    the validator was called three times"

echo "--    in shadow mode its verdict is only logged"
fresh '' '"mode": "shadow"'
prompt "Something forbidden"
expect "a forbidden prompt is forwarded" 200 "$(proxy "$unique-$case" "$key")"

echo "--    a dry run does not call the validator"
fresh
before=$(last_call count)
expect "a call is explained" 200 "$(admin POST "/tenants/$id/explain" '{"method": "POST", "path": "/v1/chat/completions",
    "headers": {"x-api-key": "'"$key"'"}, "body": "{\"model\": \"demo\"}"}')"
expect_text "and would be forwarded" '"outcome":"forwarded"' "$body"
expect_text "without calling the validator" '"verdict":"not_called"' "$body"
[ "$(last_call count)" = "$before" ] || fail "the validator was called"

echo "--    an invalid endpoint is rejected when the rule is saved"
for endpoint in http://169.254.169.254/ ftp://validator.example not-a-url; do
    expect "the endpoint $endpoint" 422 "$(admin POST "/tenants/$id/rules" "{\"path\": \"/x\", \"target\": \"$upstream\",
        \"plugin_chain\": [{\"name\": \"external_validator\", \"settings\": {\"endpoint\": \"$endpoint\"}}]}")"
    expect_text "with a pointer to the endpoint" '"pointer":"/plugin_chain/0/settings/endpoint"' "$body"
done

echo "--    a validator that is down"
kill "$validator_program"
wait "$validator_program" 2>/dev/null || true
prompt "Hello!"
expect "the request is rejected" 503 "$(proxy "$unique-$case" "$key")"
echo "All responses were as expected."
