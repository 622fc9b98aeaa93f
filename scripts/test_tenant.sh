#!/usr/bin/env bash
# Drives a running gateway through the life of a tenant, and stops at the first wrong answer.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

name="$unique-a"
new_tenant "$name" '"required_plugins": {"security_validator": {"priority": 1, "settings": {"required_headers": ["X-Request-ID"]}}}'
first=$id first_key=$key
expect "the same subdomain again is refused" 409 "$(admin POST /tenants "{\"name\": \"Again\", \"subdomain\": \"$name\"}")"
expect "an unknown field is refused" 422 "$(admin POST /tenants "{\"name\": \"X\", \"subdomain\": \"$unique-x\", \"nmae\": 1}")"
expect "the tenant can be read" 200 "$(admin GET "/tenants/$id")"
expect_text "its key is not shown again" '"subdomain":"'"$name" "${body// /}"
case "$body" in *"$key"*) fail "a read shows the key" ;; esac
expect "its name can be changed" 200 "$(admin PATCH "/tenants/$id" '{"name": "Changed"}')"
[ "$(field name)" = Changed ] || fail "the name was not changed: $body"
expect "its tier cannot be changed with its own key" 403 "$(admin PATCH "/tenants/$id" '{"tier": "enterprise"}' "$key")"

new_rule
expect "a call without the required header is refused" 400 "$(proxy "$name" "$key")"
expect_text "and says which" missing_required_header "$body"
expect "a call with it passes" 200 "$(proxy "$name" "$key" -H 'X-Request-ID: req-123')"
expect_text "from the upstream" 'You said: Hello!' "$body"
[ "$(header x-request-id)" = req-123 ] || fail "the answer does not carry the request's id"
expect "a wrong key is refused" 401 "$(proxy "$name" gwk_wrong -H 'X-Request-ID: 1')"
expect "an unknown tenant is refused alike" 401 "$(proxy nobody-here "$key" -H 'X-Request-ID: 1')"

expect "a second key is created" 201 "$(admin POST "/tenants/$id/api-keys" '{"name": "second"}')"
second=$(field key) second_id=$(field id)
expect_soon "it can call" 200 proxy "$name" "$second" -H 'X-Request-ID: 1'
expect "it is rotated" 201 "$(admin POST "/tenants/$id/api-keys/$second_id/rotate" '{}')"
rotated=$(field key)
expect_soon "the new one can call" 200 proxy "$name" "$rotated" -H 'X-Request-ID: 1'
expect "the old one still can, for a while" 200 "$(proxy "$name" "$second" -H 'X-Request-ID: 1')"
expect "the old one is revoked" 204 "$(admin DELETE "/tenants/$id/api-keys/$second_id")"
expect_soon "and refused" 401 proxy "$name" "$second" -H 'X-Request-ID: 1'
expect_text "as revoked" api_key_revoked "$body"
expect "keys are listed" 200 "$(admin GET "/tenants/$id/api-keys")"

new_tenant "$unique-b"
expect "another tenant's key sees nothing of the first" 404 "$(admin GET "/tenants/$first" '' "$key")"
expect "and cannot call as it" 401 "$(proxy "$name" "$key" -H 'X-Request-ID: 1')"

expect "the rule can be switched off" 200 "$(admin PATCH "/tenants/$first/rules/$rule" '{"active": false}')"
expect_soon "and is gone for callers" 404 proxy "$name" "$first_key" -H 'X-Request-ID: 1'
expect "the tenant is deleted" 204 "$(admin DELETE "/tenants/$first")"
expect_soon "and its key is refused" 401 proxy "$name" "$first_key" -H 'X-Request-ID: 1'
expect "its subdomain is kept from others" 409 "$(admin POST /tenants "{\"name\": \"Next\", \"subdomain\": \"$name\"}")"
echo "All answers were as expected."
