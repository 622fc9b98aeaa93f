#!/usr/bin/env bash
# Lets a running gateway ask a validator of our own, and stops at the first wrong answer.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

start demo_validator
validator="http://127.0.0.1:$port" validator_program=$program

# asking [QUERY [MORE MEMBERS [MORE SETTINGS]]]: a chain that asks the validator about the prompt.
asking() {
    echo "\"plugin_chain\": [{\"name\": \"external_validator\", \"parallel\": true, \"priority\": 2${2:+, $2},
        \"settings\": {\"endpoint\": \"$validator/check${1:+?$1}\", \"headers\": {\"Authorization\": \"Bearer validators-own\"},
            \"fields\": [\"model\"], \"field_maps\": [{\"source\": \"messages.0.content\", \"destination\": \"input.text\"}],
            \"conditions\": [
                {\"field\": \"allowed\", \"operator\": \"eq\", \"value\": false, \"message\": \"The prompt is not allowed.\"},
                {\"field\": \"flagged\", \"operator\": \"eq\", \"value\": true, \"stop_flow\": false, \"message\": \"It is odd.\"}]${3:+, $3}}}]"
}

# asked MEMBER: what the validator tells of the last time that it was asked.
asked() {
    body=$(curl -s --max-time 5 "$validator/asked")
    field "$1"
}

# A call without another validator's answer: a tenant of its own for each case, so that no change has to be waited for.
case=0
fresh() {
    case=$((case + 1))
    new_tenant "$unique-$case"
    new_rule "$(asking "$@")"
}
says() {
    chat='{"model": "demo", "secret": "only for the upstream", "messages": [{"role": "user", "content": "'$1'"}]}'
}

echo "--    what the validator gets"
fresh
says "Hello!"
expect "a harmless prompt passes" 200 "$(proxy "$unique-$case" "$key")"
expect_text "to the upstream" 'You said: Hello!' "$body"
sent=$(asked body)
[ "$sent" = '{"model":"demo","input":{"text":"Hello!"}}' ] || fail "the validator got something else: $sent"
echo "ok    the validator got exactly the mapped fields"
headers=$(asked headers)
expect_text "and the configured header" "'Authorization': 'Bearer validators-own'" "$headers"
case "$headers$sent" in *"$key"*) fail "the client's key was sent to the validator" ;; esac
expect "the rule can be read" 200 "$(admin GET "/tenants/$id/rules/$rule")"
expect_text "and shows no secret" '"Authorization":{"set":true}' "$body"

echo "--    what it says"
says "Something forbidden"
expect "a prompt that it rejects is refused" 422 "$(proxy "$unique-$case" "$key")"
expect_text "with the condition's message" 'The prompt is not allowed.' "$body"
[ "$(field error.code)" = validation_failed ] || fail "the code is not validation_failed: $body"
[ "$(header x-gateway-error-source)" = plugin:external_validator ] || fail "the plugin is not named"
says "Something odd"
expect "one that it only flags passes" 200 "$(proxy "$unique-$case" "$key")"
chat='no JSON'
expect "a body that is no JSON is refused" 400 "$(proxy "$unique-$case" "$key")"

echo "--    when it fails, the door is closed"
says "Hello!"
for fault in status=500 text redirect wait=5; do
    fresh "$fault" '"timeout": "300ms"'
    expect "with ?$fault" 503 "$(proxy "$unique-$case" "$key")"
    [ "$(field error.code)" = plugin_failure ] || fail "the code is not plugin_failure: $body"
    [ "$(header x-gateway-error-source)" = plugin:external_validator ] || fail "the plugin is not named"
done
fresh status=500 '"on_error": "open"'
expect "unless the entry says that it may be passed over" 200 "$(proxy "$unique-$case" "$key")"
before=$(asked times)
fresh status=500 '' '"retries": 2'
expect "with retries" 503 "$(proxy "$unique-$case" "$key")"
[ $(($(asked times) - before)) = 3 ] || fail "it was not asked three times"
echo "ok    it was asked three times"

echo "--    in shadow mode it only looks"
fresh '' '"mode": "shadow"'
says "Something forbidden"
expect "what it would reject passes" 200 "$(proxy "$unique-$case" "$key")"

echo "--    a dry run does not call it"
fresh
before=$(asked times)
expect "a call is explained" 200 "$(admin POST "/tenants/$id/explain" '{"method": "POST", "path": "/v1/chat/completions",
    "headers": {"x-api-key": "'"$key"'"}, "body": "{\"model\": \"demo\"}"}')"
expect_text "up to the upstream" '"outcome":"forwarded"' "$body"
expect_text "without asking" '"verdict":"not_called"' "$body"
[ "$(asked times)" = "$before" ] || fail "the validator was asked"

echo "--    what cannot work is refused when it is saved"
for endpoint in http://169.254.169.254/ ftp://validator.example not-a-url; do
    expect "the endpoint $endpoint" 422 "$(admin POST "/tenants/$id/rules" "{\"path\": \"/x\", \"target\": \"$upstream\",
        \"plugin_chain\": [{\"name\": \"external_validator\", \"settings\": {\"endpoint\": \"$endpoint\"}}]}")"
    expect_text "is pointed at" '"pointer":"/plugin_chain/0/settings/endpoint"' "$body"
done

echo "--    a validator that is gone"
kill "$validator_program"
wait "$validator_program" 2>/dev/null || true
says "Hello!"
expect "closes the door" 503 "$(proxy "$unique-$case" "$key")"
echo "All answers were as expected."
