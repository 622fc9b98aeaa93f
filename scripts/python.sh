# Finds Python 3.12 or newer, creates .venv and installs pinned packages. Source it in the project's folder.
#
#   . scripts/python.sh
#   prepare requirements.txt …      then .venv/bin/python and .venv/bin/gw are ready

die() {
    echo "$*" >&2
    exit 1
}

# show_help "$@": if the first argument asks for help, prints the comment at the top of the script, and ends.
show_help() {
    case "${1:-}" in
    -h | --help)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "scripts/$(basename "$0")"
        exit
        ;;
    esac
}

# True if the command is a Python 3.12 or newer. (A shim of pyenv may exist without its version.)
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

# Prints the newest usable Python: on the PATH, in pyenv's folder, or downloaded by uv.
find_python() {
    local candidate
    for candidate in python3.14 python3.13 python3.12 python3 python \
        $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python 2>/dev/null | sort -rV); do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    python_of_uv || die "AI Gateway needs Python 3.12 or newer, which was neither found nor downloaded." \
        "Install it from https://www.python.org/downloads/ or with your system's packages, then start again."
}

# Prints a Python that uv has downloaded to .python. If uv is missing, pip installs it there.
python_of_uv() {
    local uv=uv
    export UV_PYTHON_INSTALL_DIR=.python/versions
    if ! command -v uv >/dev/null 2>&1; then
        uv=.python/uv/bin/uv
        [ -x $uv ] || python3 -m pip install --quiet --target .python/uv uv >&2 || return 1
    fi
    # With --quiet, uv would hide why it fails.
    $uv python install --no-progress 3.14 >&2 && $uv python find --managed-python 3.14
}

# Runs a long command, which is terminated with this script.
run() {
    "$@" &
    trap "kill $! 2>/dev/null; exit 143" TERM
    wait $!
    local code=$?
    trap - TERM
    return $code
}

# prepare FILE…: creates .venv if necessary, and installs the files if one of them has changed.
prepare() {
    local python file changed="" files=()
    if ! is_new_enough .venv/bin/python; then
        [ -w . ] || die "$PWD is read-only, so .venv cannot be created in it. Copy the project to a folder of yours."
        python=$(find_python) || exit 1
        echo "Creating .venv with $("$python" --version) …"
        run "$python" -m venv --clear .venv || die "$python could not create .venv; see above." \
            "If it has no module ensurepip: on Debian and Ubuntu, install the package python3-venv."
    fi
    # A link, so that it is always that of this version. It may be there already, in a folder that is read-only.
    [ -e .venv/bin/gw ] || ln -sf ../../scripts/gw .venv/bin/gw 2>/dev/null || true
    for file in "$@"; do
        cmp -s "$file" ".venv/$file" || changed=yes
        files+=(-r "$file")
    done
    [ -n "$changed" ] || return 0
    [ -w .venv ] || die "$PWD/.venv is read-only, so packages cannot be installed in it. Copy the project" \
        "to a folder of yours."
    echo "Installing packages …"
    run .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 2 --no-compile \
        --require-hashes "${files[@]}" ||
        die "The packages could not be installed; see above. Without a network they must be in pip's cache."
    # Compiled here, because PYTHONDONTWRITEBYTECODE may be set. Uncompiled, the proxy starts in 7 to 10 s.
    run .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
    cp "$@" .venv/
}
