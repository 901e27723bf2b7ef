# Sourced by demo and test: goes to the project's root and brings .venv up to date.
# The stamp holds what was installed, so that a second call costs nothing.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

install_project() { # install_project [EXTRA]
    local extra="${1:-}" stamp=".venv/installed${1:+-$1}" python="${PYTHON:-python3}" wanted
    wanted="$(sha256sum pyproject.toml)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "reidsearch needs Python 3.11 or newer; name one with PYTHON=/path/to/python3" >&2
        exit 1
    }
    echo "Installing reidsearch${extra:+ and its $extra tools} into .venv; the first time takes some minutes ..." >&2
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}"
    echo "$wanted" | tee .venv/installed >"$stamp" # an extra brings the rest with it
}
