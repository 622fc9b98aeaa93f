#!/usr/bin/env bash
# Tests the life of a tenant on a running gateway. Stops at the first unexpected response.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/scenario.sh

name="$unique-a"
new_tenant "$name" '"required_plugins": {"security_validator": {"priority": 1, "settings": {"required_headers": ["X-Request-ID"]}}}'
first=$id first_key=$key
expect "a second tenant with the same subdomain is rejected" 409 "$(admin POST /tenants "{\"name\": \"Again\", \"subdomain\": \"$name\"}")"
expect "an unknown field is rejected" 422 "$(admin POST /tenants "{\"name\": \"X\", \"subdomain\": \"$unique-x\", \"nmae\": 1}")"
expect "the tenant is read" 200 "$(admin GET "/tenants/$id")"
expect_text "the response has its subdomain" '"subdomain":"'"$name" "${body// /}"
case "$body" in *"$key"*) fail "the response shows the API key" ;; esac
expect "its name is changed" 200 "$(admin PATCH "/tenants/$id" '{"name": "Changed"}')"
[ "$(field name)" = Changed ] || fail "the name was not changed: $body"
expect "its own key cannot change its tier" 403 "$(admin PATCH "/tenants/$id" '{"tier": "enterprise"}' "$key")"

new_rule
expect "a call without the required header is rejected" 400 "$(proxy "$name" "$key")"
expect_text "with the code missing_required_header" missing_required_header "$body"
expect "a call with the header succeeds" 200 "$(proxy "$name" "$key" -H 'X-Request-ID: req-123')"
expect_text "with the response of the upstream" 'You said: Hello!' "$body"
[ "$(header x-request-id)" = req-123 ] || fail "the response does not have the request's X-Request-ID"
expect "a wrong key is rejected" 401 "$(proxy "$name" gwk_wrong -H 'X-Request-ID: 1')"
expect "an unknown tenant gets the same response" 401 "$(proxy nobody-here "$key" -H 'X-Request-ID: 1')"

expect "a second key is created" 201 "$(admin POST "/tenants/$id/api-keys" '{"name": "second"}')"
second=$(field key) second_id=$(field id)
expect_soon "the second key can call" 200 proxy "$name" "$second" -H 'X-Request-ID: 1'
expect "the second key is rotated" 201 "$(admin POST "/tenants/$id/api-keys/$second_id/rotate" '{}')"
rotated=$(field key)
expect_soon "the new key can call" 200 proxy "$name" "$rotated" -H 'X-Request-ID: 1'
expect "the old key can still call" 200 "$(proxy "$name" "$second" -H 'X-Request-ID: 1')"
expect "the old key is revoked" 204 "$(admin DELETE "/tenants/$id/api-keys/$second_id")"
expect_soon "the revoked key is rejected" 401 proxy "$name" "$second" -H 'X-Request-ID: 1'
expect_text "with the code api_key_revoked" api_key_revoked "$body"
expect "the keys are listed" 200 "$(admin GET "/tenants/$id/api-keys")"

new_tenant "$unique-b"
expect "another tenant's key cannot read the first tenant" 404 "$(admin GET "/tenants/$first" '' "$key")"
expect "another tenant's key cannot call as the first tenant" 401 "$(proxy "$name" "$key" -H 'X-Request-ID: 1')"

expect "the rule is deactivated" 200 "$(admin PATCH "/tenants/$first/rules/$rule" '{"active": false}')"
expect_soon "the rule no longer matches" 404 proxy "$name" "$first_key" -H 'X-Request-ID: 1'
expect "the tenant is deleted" 204 "$(admin DELETE "/tenants/$first")"
expect_soon "its key is rejected" 401 proxy "$name" "$first_key" -H 'X-Request-ID: 1'
expect "its subdomain stays reserved" 409 "$(admin POST /tenants "{\"name\": \"Next\", \"subdomain\": \"$name\"}")"
echo "All responses were as expected."
