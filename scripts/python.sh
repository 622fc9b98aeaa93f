# Finds a Python >= 3.12, makes .venv with it and installs what is pinned. To be sourced, from the project's folder.
#
#   . scripts/python.sh
#   prepare requirements.txt …      afterwards .venv/bin/python is ready

die() {
    echo "$*" >&2
    exit 1
}

# True when the command is a Python that we can use. (pyenv's shims exist for versions that do not answer.)
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

# Prints the newest usable Python: on the PATH, in pyenv's folder, or from uv, which fetches one.
find_python() {
    local candidate
    for candidate in python3.14 python3.13 python3.12 python3 python \
        $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python 2>/dev/null | sort -rV); do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    python_of_uv || die "AI Gateway needs Python 3.12 or newer, and none was found or could be fetched." \
        "Install one from https://www.python.org/downloads/ or with your system's packages, and start again."
}

# Prints a Python that uv has fetched into .python; uv itself comes by pip into the same folder when missing.
python_of_uv() {
    local uv=uv
    export UV_PYTHON_INSTALL_DIR=.python/versions
    if ! command -v uv >/dev/null 2>&1; then
        uv=.python/uv/bin/uv
        [ -x $uv ] || python3 -m pip install --quiet --target .python/uv uv >&2 || return 1
    fi
    $uv python install --quiet 3.13 >&2 && $uv python find --managed-python 3.13
}

# Runs a command that may take long, and takes it along when we are stopped.
run() {
    "$@" &
    trap "kill $! 2>/dev/null; exit 143" TERM
    wait $!
    local code=$?
    trap - TERM
    return $code
}

# prepare FILE…: makes .venv when there is none that works, and installs the files when one of them has changed.
prepare() {
    local python file changed="" files=()
    if ! is_new_enough .venv/bin/python; then
        python=$(find_python) || exit 1
        echo "Making .venv with $("$python" --version) …"
        run "$python" -m venv --clear .venv ||
            die "$python could not make .venv; on Debian and Ubuntu its package python3-venv is missing."
    fi
    for file in "$@"; do
        cmp -s "$file" ".venv/$file" || changed=yes
        files+=(-r "$file")
    done
    [ -n "$changed" ] || return 0
    echo "Installing packages …"
    run .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 2 --no-compile \
        --require-hashes "${files[@]}" ||
        die "The packages could not be installed. Without a network they must be in pip's cache; see above."
    # Compiled here, because PYTHONDONTWRITEBYTECODE may be set: uncompiled, the proxy starts in 7 to 10 s.
    run .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
    cp "$@" .venv/
}
