"""What many tests share: the sample frames, a database made from them, and the command itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from reidsearch.cli.app import app
from reidsearch.core.progress import SILENT
from tests.local_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = Path(sys.executable).with_name("reidsearch")
MODELS = "REIDSEARCH_MODELS"
DATA = Path(__file__).parents[2] / "shared" / "data"
SAMPLE = Path(__file__).parent / "data" / "pets09-s2l1"
BOXES = SAMPLE / "det.txt"
PEOPLE = len(BOXES.read_text().splitlines())
INGEST = ("ingest", SAMPLE, "--fps", 10, "--detections", BOXES)
"""Makes the same database on every machine: how many people there are, and where, is given."""

# Started in the background of a shell, we would ignore it, and all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Ran(NamedTuple):
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: object, cwd: Path, typed: str | None = None, **variables: str) -> Ran:
    """Run the command in `cwd`, within this process: quick, and what most tests need."""
    with pytest.MonkeyPatch.context() as patch, unchanged_signals():
        patch.chdir(cwd)
        for name in set(os.environ) - set(user_environment()):
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["reidsearch", *map(str, arguments)])
        done = CliRunner().invoke(app, sys.argv[1:], input=typed)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


def run_apart(*arguments: object, cwd: Path, prefix: tuple[str, ...] = (), **variables: str) -> Ran:
    """Run the installed command in a process of its own, where that is the point of the test."""
    done = subprocess.run(
        [*prefix, COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=user_environment() | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def user_environment() -> dict[str, str]:
    """The variables of this process without options of the command."""
    return {k: v for k, v in os.environ.items() if k == MODELS or not k.startswith("REIDSEARCH_")}


@contextmanager
def unchanged_signals() -> Iterator[None]:
    """The command answers signals in its own way; put back how this process does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Warnings(type(SILENT)):
    """A `Progress` that keeps what it is warned of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def assert_refused(ran: Ran, *words: str, code: int = 1) -> None:
    """Check that a run ended with our message about `words`, and no traceback or data."""
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ran.out == "" or set(ran.json) == {"error", "hint"}
    if code == 1:
        assert ran.err.splitlines()[-1].startswith(("error:", "hint:")), ran.err
    for word in words:
        assert word in ran.err


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of pytest that all its workers share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where fetched and converted models are kept: not among those of the user."""
    os.environ[MODELS] = str(shared_folder(tmp_path_factory) / "models")


@pytest.fixture(scope="session")
def sample() -> Path:
    """40 real frames; see the README beside them."""
    return SAMPLE


@pytest.fixture(scope="session")
def made_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the sample frames, made once by the command. Only to be read."""
    folder = shared_folder(tmp_path_factory) / "made"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            ran = run(*INGEST, "--json", cwd=folder)
            assert ran.code == 0, ran.err
            assert (ran.json["frames"], ran.json["detections"]) == (40, PEOPLE)
            (folder / "done").touch()
    return folder / "db"


@pytest.fixture
def own_db(made_db: Path, tmp_path: Path) -> Path:
    """A copy of that database to change."""
    return Path(shutil.copytree(made_db, tmp_path / "db"))


@pytest.fixture(scope="session")
def pets() -> Path:
    """The whole of PETS09-S2L1, where it is at hand."""
    if not (DATA / "pets09-s2l1" / "vtest.avi").is_file():
        pytest.skip("the full PETS09-S2L1 video is not at hand")
    return DATA / "pets09-s2l1"


@pytest.fixture(scope="session")
def market() -> Path:
    """Market-1501's crops, where they are at hand."""
    if not (DATA / "market1501" / "query").is_dir():
        pytest.skip("Market-1501 is not at hand")
    return DATA / "market1501"


@pytest.fixture(scope="session")
def as_plain_user() -> tuple[str, ...]:
    """What to put before a command so that file permissions hold, also when root runs the tests."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root ignores file permissions, and there is no setpriv")
    return (setpriv, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--")


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on this machine that has nothing yet."""
    made = Server()
    yield made
    made.close()
