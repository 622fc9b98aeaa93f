# Functions of the scenario scripts: calls of a running gateway, a demo upstream, and assertions. Source it.
#
#   . scripts/scenario.sh
#   expect "a rule is created" 201 "$(admin POST /tenants/$id/rules '{…}')"
#
# `admin` and `proxy` print the body and, in the last line, the status. `expect` sets $body to the body, and
# `field NAME` prints a member of it. At the end of the script its tenants are deleted, even after a failure.

. scripts/python.sh
show_help "$@"

python=.venv/bin/python
[ -x $python ] || python=python3

# No proxy of the environment can reach this machine.
curl() {
    command curl --noproxy '*' "$@"
}

fail() {
    echo "FAIL  $*" >&2
    exit 1
}

# The settings that run_local.sh uses: config.yaml and the environment.
settings=$($python -c 'from shared.settings import load_settings_or_exit
from shared.settings.probe import admin_url, proxy_url
settings = load_settings_or_exit()
print(admin_url(settings), proxy_url(settings), settings.server.base_domain, settings.admin.token or "")') ||
    fail "The settings are invalid; see above."
read -r admin_url proxy_url base_domain token <<<"$settings"

curl -s -o /dev/null --max-time 5 "$admin_url/livez" ||
    fail "No admin API at $admin_url. Start the gateway with ./scripts/run_local.sh"
curl -sk -o /dev/null --max-time 5 "$proxy_url/__/health" ||
    fail "No proxy at $proxy_url. Start the gateway with ./scripts/run_local.sh"

scratch=$(mktemp -d)
tenants=()
programs=()

cleanup() {
    local id program
    for id in "${tenants[@]}"; do
        curl -s -o /dev/null -X DELETE "$admin_url/api/v1/tenants/$id" ${token:+-H "Authorization: Bearer $token"}
    done
    for program in "${programs[@]}"; do
        kill "$program" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap cleanup EXIT

# start EXAMPLE [OPTIONS]: starts a program of examples/ on a free port; sets $port, $program (its process id), and,
# for one with a control, $control (its URL).
start() {
    local out="$scratch/${#programs[@]}"
    $python -m "examples.$1" --port 0 "${@:2}" >"$out" &
    program=$!
    programs+=("$program")
    port=
    for _ in $(seq 100); do
        port=$(grep -oE '^[0-9]+$' "$out" 2>/dev/null | head -1) && break
        read -rt 0.1 <> <(:) || true
    done
    [ -n "$port" ] || fail "examples.$1 did not start."
    control="http://127.0.0.1:$(tail -1 "$out")/control"
}

start demo_upstream
upstream="http://127.0.0.1:$port"

# The start of unique subdomains, because those of deleted tenants stay reserved for some time.
unique="test-$(date +%s)-$$"

# admin METHOD PATH [BODY] [KEY]: calls the admin API with the platform key or with KEY.
admin() {
    local key=${4:-$token}
    curl -s --max-time 10 -w '\n%{http_code}' -X "$1" "$admin_url/api/v1$2" ${key:+-H "Authorization: Bearer $key"} \
        ${3:+-H 'Content-Type: application/json' -d "$3"}
}

# The body that `proxy` sends.
chat='{"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}'

# proxy SUBDOMAIN KEY [curl arguments]: one chat call; writes the head of the response to $scratch/head.
# (-k, because the certificate of the proxy is for the host names of tenants.)
proxy() {
    local host="$1.$base_domain" key=$2
    shift 2
    curl -sk --max-time 10 -w '\n%{http_code}' -D "$scratch/head" -H "Host: $host" -H "Authorization: Bearer $key" \
        -H 'Content-Type: application/json' -d "$chat" \
        "$@" "$proxy_url/v1/chat/completions"
}

# expect DESCRIPTION STATUS RESPONSE
expect() {
    local status=${3##*$'\n'}
    body=${3%$'\n'*}
    [ "$status" = "$2" ] || fail "$1: expected $2, got $status: $body"
    echo "ok    $1: $2"
}

# expect_text DESCRIPTION TEXT IN
expect_text() {
    case "$3" in
    *"$2"*) echo "ok    $1" ;;
    *) fail "$1: expected '$2' in: $3" ;;
    esac
}

# expect_within SECONDS DESCRIPTION STATUS COMMAND…: repeats the command until the status is the expected one.
expect_within() {
    local deadline=$((SECONDS + $1)) description=$2 status=$3 response=
    shift 3
    while response=$("$@" || true) && [ "${response##*$'\n'}" != "$status" ] && [ $SECONDS -lt $deadline ]; do :; done
    expect "$description" "$status" "$response"
}

# expect_soon DESCRIPTION STATUS COMMAND…: for changes, which reach the proxy within two seconds.
expect_soon() {
    expect_within 3 "$@"
}

# field NAME: prints a member of $body. Dots lead to nested members.
field() {
    $python -c 'import json, sys
value = json.loads(sys.argv[1])
for name in sys.argv[2].split("."):
    value = value[name]
print(value)' "$body" "$1"
}

# header NAME: prints a header of the last response of `proxy`.
header() {
    sed -n "s/^$1: *//Ip" "$scratch/head" | tr -d '\r' | head -1
}

# new_tenant SUBDOMAIN [MORE MEMBERS]: creates a tenant; sets $id and $key.
new_tenant() {
    expect "tenant $1 is created" 201 "$(admin POST /tenants "{\"name\": \"Scenario\", \"subdomain\": \"$1\", \"tier\": \"pro\"${2:+, $2}}")"
    id=$(field id)
    key=$(field api_key)
    tenants+=("$id")
}

# new_rule [MORE MEMBERS]: creates a rule of tenant $id to the demo upstream; sets $rule.
new_rule() {
    expect "its rule is created" 201 "$(admin POST "/tenants/$id/rules" "{\"path\": \"/v1/chat/completions\", \"target\": \"$upstream\", \"methods\": [\"POST\"]${1:+, $1}}")"
    rule=$(field id)
}
