import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.conftest import COMMAND, assert_refused, run


def test_version_is_the_package_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).out.strip() == version("reidsearch")


def test_help_names_every_command(tmp_path: Path) -> None:
    ran = run("--help", cwd=tmp_path)
    assert ran.code == 0
    for command in ("ingest", "search", "inspect", "render"):
        assert command in ran.out


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


def test_reader_that_leaves_hears_nothing(made_db: Path) -> None:
    command = [COMMAND, "inspect", "--db", made_db]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout
        assert ran.stderr
        ran.stdout.close()  # as `| head` does
        assert ran.stderr.read() == b""
    assert ran.returncode == 1
