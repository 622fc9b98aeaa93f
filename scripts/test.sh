#!/usr/bin/env bash
# Checks style, types, imports and tests. Installs what it needs on a fresh machine.
#   ./scripts/test.sh              the default suite
#   ./scripts/test.sh --slow       the slow tests instead, and generated tests with many examples
#   ./scripts/test.sh tests/core   other arguments go to pytest
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh
show_help "$@"
prepare requirements.txt requirements-dev.txt

# Browser tests drive Debian's Chromium, in the form without a desktop: a whole one takes twice the time.
shell=chromium-headless-shell
if ! command -v $shell >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $shell …"
        apt-get update -qq >/dev/null && apt-get install -y -qq $shell >/dev/null || command -v chromium >/dev/null ||
            die "apt-get could not install $shell, which the browser tests need."
    elif ! command -v chromium >/dev/null; then
        die "The browser tests need $shell. On Debian, install it with: sudo apt-get install $shell"
    fi
fi

bin=.venv/bin
# Compiled once, and not by each of the many programs that the tests start.
unset PYTHONDONTWRITEBYTECODE
cores=$(getconf _NPROCESSORS_ONLN)
parallel=(-n "$((cores < 4 ? cores : 4))")
# For tests that mostly wait for timeouts and for programs.
one_more=(-n "$((cores < 4 ? cores + 1 : 4))")
# They cover the pure packages (see [tool.coverage.run]). Only they run with coverage, which doubles their time. A
# process of their own does so beside all others: those wait for programs now and then.
covering=(tests/core tests/model tests/limits tests/pipeline tests/budgets tests/translation tests/upstreams tests/usage tests/admin_app/test_explain.py)

# Runs tests. A path may select no test for one of the two passes, which is not an error.
pass() {
    "$bin/python" -m pytest -q "$@" || [ $? = 5 ]
}

if [ "$#" = 0 ]; then
    "$bin/ruff" check .
    "$bin/ruff" format --check .
    "$bin/mypy" &
    { "$bin/lint-imports" --no-cache && "$bin/python" -m scripts.tree; } || { wait; exit 1; }
    wait $!
    pure=$(mktemp)
    set -m  # else Ctrl-C would not end it
    "$bin/python" -m pytest -q --cov --cov-report=term --cov-fail-under=100 "${covering[@]}" >"$pure" 2>&1 &
    set +m
    trap 'kill -INT -- -$! 2>/dev/null || true; rm -f "$pure"' EXIT
    trap 'exit 130' INT
    code=0
    # A test that hangs fails with its traceback, and ends the run.
    hang=(-o faulthandler_timeout=240 -o faulthandler_exit_on_timeout=true --max-worker-restart=0)
    "$bin/python" -m pytest -q "${one_more[@]}" "${hang[@]}" "${covering[@]/#/--ignore=}" || code=1
    wait $! || code=1
    cat "$pure"
    exit $code
fi
if [ "$1" = --slow ]; then
    shift
    code=0
    pass "${parallel[@]}" -m "slow and not alone" "$@" || code=1
    pass -m "slow and alone" "$@" || code=1
    # Tests with generated examples, with many of them.
    pass "${parallel[@]}" -m "hypothesis and not slow" --hypothesis-profile=many "$@" || code=1
    exit $code
fi
exec "$bin/python" -m pytest -q "${parallel[@]}" "$@"
