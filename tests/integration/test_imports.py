"""What starting a command may cost; who may import whom is in pyproject.toml, for import-linter."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import COMMAND

TENSORFLOW = "reidsearch.models.detectors.tensorflow_graph"
TORCH = "reidsearch.models.embedders.torch_embedder"
HEAVY = {"torch", "torchreid", "tensorflow", "chromadb", "cv2", "numpy"}


def loaded_after(code: str, *, cwd: Path) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_and_help_load_nothing_heavy(tmp_path: Path) -> None:
    assert not HEAVY & loaded_after("import reidsearch", cwd=tmp_path)
    assert not HEAVY & loaded_after("import reidsearch.cli.app", cwd=tmp_path)
    assert "numpy" in loaded_after("from reidsearch import open_database", cwd=tmp_path)


def test_search_for_a_stored_person_loads_no_network(made_db: Path, tmp_path: Path) -> None:
    search = ["reidsearch", "search", "--frame", "pets09-s2l1:1", "--db", str(made_db)]
    code = (
        f"sys.argv = {search}\n"
        "from reidsearch.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code"
    )
    loaded = loaded_after(code, cwd=tmp_path)
    assert "numpy" in loaded
    unused = {"chromadb", "torch", "torchreid", "tensorflow", "openvino", "cv2", "scipy"}
    assert not unused & loaded


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="this torch has no triton to clash with")
@pytest.mark.parametrize(
    "order",
    [
        pytest.param((TENSORFLOW, TORCH), id="tf-first"),
        pytest.param((TORCH, TENSORFLOW), id="tf-last"),
    ],
)
def test_both_frameworks_live_in_one_process(tmp_path: Path, order: tuple[str, str]) -> None:
    lines = [f"import {backend}" for backend in order]
    # Importing torch's compiler is what crashes when TensorFlow was loaded without our care.
    assert {"torch", "tensorflow"} <= loaded_after(
        "\n".join([*lines, "import torch._dynamo"]), cwd=tmp_path
    )


def test_the_command_is_the_one_under_test() -> None:
    assert COMMAND.is_file()
