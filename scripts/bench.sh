#!/usr/bin/env bash
# Measures the gateway. docs/explanation/benchmarks.md explains the figures.
#   ./scripts/bench.sh --quick             beside nginx, HAProxy and others: about 4 min; without --quick 15 min
#   ./scripts/bench.sh --only NAME …       some of the contenders; --help lists them and all options
#   ./scripts/bench.sh --profile           shows where the time of a missed target goes
#   ./scripts/bench.sh --record            writes docs/benchmarks and the figures of the pages: about 20 min
#   ./scripts/bench.sh --streams           events of streams: plain, searched by a guard, metered
#   ./scripts/bench.sh --bodies            bodies of 1 MB and 10 MB
#   ./scripts/bench.sh --curves            by the number of rules, tenants, plugins and limits
#   ./scripts/bench.sh --calls [ENGINE]    function calls per request, a figure without noise
#   ./scripts/bench.sh --limiter           rate limits: beside other limiters, under attack, and their cost
#   ./scripts/bench.sh --budgets           what is spent of 1 USD beside other limiters, their cost, and settles per second
#   ./scripts/bench.sh --upload            one large upload beside nginx: speed, memory, first byte
#   ./scripts/bench.sh --pipeline          the cost of the plugin pipeline, beside its targets
#   ./scripts/bench.sh --models            finding models and choosing targets among many, beside the targets
#   ./scripts/bench.sh --translation       events and requests of one API in another
#   ./scripts/bench.sh --translated        streams that are translated, through the gateway
#   ./scripts/bench.sh --dashboards        ten open dashboards beside a load, and what they cost
#   ./scripts/bench.sh --rules             saving 1,000 rules of one tenant by the admin API
#   ./scripts/bench.sh --scale             up to 100,000 tenants, and 10,000 rules of one
#   ./scripts/bench.sh --fleet             what workers and requests cost Redis
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh
case "${1:-}" in -h | --help) [ ! -x .venv/bin/python ] || exec .venv/bin/python -m bench --help ;; esac
show_help "$@"
# The other limiters are a package that only development needs.
case "${1:-}" in
--budgets | --limiter) prepare requirements.txt requirements-dev.txt ;;
*) prepare requirements.txt ;;
esac

case "${1:-}" in
--calls) shift && exec .venv/bin/python -m bench.calls "$@" ;;
--models) shift && exec .venv/bin/python -m bench.models "$@" ;;
--translation) shift && exec .venv/bin/python -m bench.translation "$@" ;;
--translated) shift && exec .venv/bin/python -m bench.translated "$@" ;;
--dashboards) shift && exec .venv/bin/python -m bench.dashboards "$@" ;;
--rules) shift && exec .venv/bin/python -m bench.rules "$@" ;;
--pipeline) shift && exec .venv/bin/python -m bench.pipeline "$@" ;;
--budgets) shift && exec .venv/bin/python -m bench.budgets "$@" ;;
esac

export PATH="$PATH:/usr/sbin"
# Debian's wrk makes the load. Its nginx is the upstream, and its proxies are compared with.
modules=/usr/lib/nginx/modules
missing=()
command -v wrk >/dev/null || missing+=(wrk)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
[ -e $modules/ngx_http_lua_module.so ] || missing+=(libnginx-mod-http-lua)
[ -e /usr/share/lua/5.1/nginx/redis.lua ] || missing+=(lua-nginx-redis)
[ -e /usr/lib/"$(uname -m)"-linux-gnu/lua/5.1/cjson.so ] || missing+=(lua-cjson)
if [ ${#missing[@]} -gt 0 ]; then
    # Debian's packages of nginx and HAProxy may start servers. The benchmark does not use those.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]} …" >&2
        apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
            die "${missing[*]} could not be installed with apt-get."
    else
        die "This needs ${missing[*]}. On Debian: sudo apt-get install ${missing[*]}"
    fi
fi
for part in upload limiter streams bodies curves scale fleet; do
    [ "${1:-}" != --$part ] || { shift && exec .venv/bin/python -m bench.$part "$@"; }
done
exec .venv/bin/python -m bench "$@"
