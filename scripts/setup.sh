# Sourced by demo, test and others: goes to the project's root and installs into .venv, or what
# REIDSEARCH_VENV says. The stamp holds what was installed, so that a second call costs nothing.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV="${REIDSEARCH_VENV:-.venv}"

make_venv() {
    local python="${PYTHON:-python3}"
    [ ! -x "$VENV/bin/python" ] || python="$VENV/bin/python"
    command -v "$python" >/dev/null || {
        echo "error: there is no $python" >&2
        echo "hint: name a Python of 3.11 to 3.13: PYTHON=/path/to/python3" >&2
        exit 1
    }
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
        echo "error: $("$python" --version 2>&1) is not among the versions that constraints.txt is for, 3.11 to 3.13" >&2
        echo "hint: remove $VENV if that is its Python, and name another: PYTHON=/path/to/python3" >&2
        exit 1
    }
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
}

install_project() { # install_project [EXTRA [PIP_OPTIONS]]; without options, the versions of constraints.txt
    local extra="${1:-}" stamp="$VENV/installed${1:+-$1}" wanted
    shift $(($# > 0))
    wanted="$(sha256sum pyproject.toml constraints.txt)"
    if [ $# -eq 0 ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    [ $# -gt 0 ] || set -- --constraint constraints.txt
    make_venv
    echo "Installing reidsearch${extra:+ and its $extra tools} into $VENV; the first time takes some minutes ..." >&2
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}" "$@"
    echo "$wanted" | tee "$VENV/installed" >"$stamp" # an extra brings the rest with it
}

build_docs() { # into site/; a link that leads nowhere is an error
    "$VENV/bin/python" -m typer reidsearch.cli.app utils docs --name reidsearch |
        sed 's/REIDSEARCH_<.*>/`&`/' >docs/reference/commands.md # else read as HTML
    "$VENV/bin/zensical" build --clean --strict
}
