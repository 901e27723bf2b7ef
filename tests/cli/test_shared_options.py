import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import COMMAND, assert_refused, run


def test_version_is_the_package_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).out.strip() == version("reidsearch")


def test_help_names_every_command(tmp_path: Path) -> None:
    ran = run("--help", cwd=tmp_path)
    assert ran.code == 0
    for command in ("ingest", "search", "inspect", "render"):
        assert command in ran.out


def test_help_fills_its_lines(tmp_path: Path) -> None:
    ran = run("erase", "--help", cwd=tmp_path, COLUMNS="100")
    [first] = [line for line in ran.out.splitlines() if "Options combine:" in line]
    assert len(first.rstrip()) > 85


def test_option_beats_variable_beats_file_beats_default(made_db: Path, tmp_path: Path) -> None:
    def shown(*arguments: object, **variables: str) -> int:
        search = ("search", "--frame", "pets09-s2l1:1", "--json", *arguments)
        return len(run(*search, cwd=tmp_path, **variables).json["matches"])

    (tmp_path / "reidsearch.toml").write_text(f'db = "{made_db}"\n[search]\ntop = 4\n')
    assert shown() == 4
    assert shown(REIDSEARCH_SEARCH_TOP="3") == 3
    assert shown("--top", 2, REIDSEARCH_SEARCH_TOP="3") == 2
    (tmp_path / "reidsearch.toml").write_text(f'top = 5\ndb = "{made_db}"\nevery = 2\n')
    assert shown() == 5
    (tmp_path / "reidsearch.toml").unlink()
    assert shown(REIDSEARCH_DB=str(made_db)) == 10


def test_the_environment_does_not_send_a_database_elsewhere(made_db: Path, tmp_path: Path) -> None:
    server = {"CHROMA_API_IMPL": "chromadb.api.fastapi.FastAPI", "CHROMA_SERVER_HOST": "127.0.0.1"}
    lines = [f"{name}={value}" for name, value in server.items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    ran = run("inspect", "--db", made_db, "--json", cwd=tmp_path, **server)
    assert ran.json["frames"] == 40, ran.err


def test_a_version_in_the_environment_is_none_of_ours(made_db: Path, tmp_path: Path) -> None:
    assert run("inspect", "--db", made_db, cwd=tmp_path, REIDSEARCH_VERSION="1").out.strip()


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    config = tmp_path / "reidsearch.toml"
    config.write_text("db = ")
    assert_refused(run("inspect", cwd=tmp_path), "reidsearch.toml", code=2)
    config.write_text("[search]\ntopp = 4\n")
    assert_refused(run("inspect", cwd=tmp_path), "topp", code=2)
    config.write_text("[serch]\ntop = 4\n")
    assert_refused(run("inspect", cwd=tmp_path), "serch", code=2)
    config.write_text('[render.video]\nout = "other.mp4"\n')
    assert_refused(run("inspect", cwd=tmp_path), "no database")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param("search --top abc", "--top abc is not a whole number", id="whole-number"),
        pytest.param("search --top 0", "--top 0 is less than 1", id="too-small"),
        pytest.param("search --min-score 2", "--min-score 2 is more than 1", id="too-large"),
        pytest.param("ingest a --fps x", "--fps x is not a number", id="number"),
        pytest.param(
            "search --backend gpu", "--backend gpu is not one of 'auto', 'reference'", id="choice"
        ),
        pytest.param(
            "search --between 1", "option '--between' requires 2 arguments", id="one-of-two"
        ),
        pytest.param("search --foo", "no such option: --foo", id="unknown-option"),
        pytest.param("--foo", "no such option: --foo", id="unknown-option-of-all"),
        pytest.param("audit foo", "no such command 'foo'", id="unknown-command"),
        pytest.param("ingest", "SOURCE: missing", id="missing"),
        pytest.param("train a --out b --batch 16", "(for example 16x4)", id="our-own"),
    ],
)
def test_wrong_usage_is_said_in_one_way(tmp_path: Path, given: str, said: str) -> None:
    ran = run(*given.split(), cwd=tmp_path)
    assert_refused(ran, code=2)
    assert ran.err.startswith("error: ")
    assert said in ran.err.splitlines()[0]


def test_wrong_value_is_blamed_on_where_it_stands(tmp_path: Path) -> None:
    ran = run("search", cwd=tmp_path, REIDSEARCH_SEARCH_TOP="0")
    assert_refused(ran, "error: REIDSEARCH_SEARCH_TOP=0 is less than 1", code=2)
    ran = run("ingest", "a", cwd=tmp_path, REIDSEARCH_INGEST_TILES="3x")
    assert_refused(ran, "it was set by REIDSEARCH_INGEST_TILES=3x", code=2)
    (tmp_path / "reidsearch.toml").write_text("tiles = '3x'\n[search]\ntop = 'x'\n")
    ran = run("search", cwd=tmp_path)
    assert_refused(ran, "error: top = 'x' in reidsearch.toml is not a whole number", code=2)
    ran = run("ingest", "a", cwd=tmp_path)
    assert_refused(ran, "it was set by tiles = '3x' in reidsearch.toml", code=2)
    ran = run("ingest", "a", "--tiles", "4x", cwd=tmp_path)
    assert_refused(ran, "'4x' is not a valid tile grid", code=2)
    assert "set by" not in ran.err


def test_errors_in_json(tmp_path: Path) -> None:
    ran = run("search", "--top", "abc", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["error"]) == (2, "--top abc is not a whole number")
    ran = run("inspect", "--json", cwd=tmp_path)
    assert ran.code == 1
    assert ran.json["error"] == "there is no database in db"
    assert "reidsearch ingest" in ran.json["hint"]
    (tmp_path / "reidsearch.toml").write_text("json = true\n")
    assert run("inspect", cwd=tmp_path).json == ran.json


def test_reader_that_leaves_hears_nothing(made_db: Path) -> None:
    command = [COMMAND, "inspect", "--db", made_db]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout
        assert ran.stderr
        ran.stdout.close()  # as `| head` does
        assert ran.stderr.read() == b""
    assert ran.returncode == 1
