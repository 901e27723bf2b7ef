"""Who may import whom, and what starting a command may cost."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import reidsearch
from tests.conftest import COMMAND

PACKAGE = Path(reidsearch.__file__).parent
# From the top down; a module may import those of its own layer and of those below it.
LAYERS = (
    {"cli"},
    {"build"},
    {
        "ingest",
        "search",
        "evaluation",
        "render",
        "training",
        "export",
        "window",
        "grouping",
        "growing",
        "erase",
        "doctor",
    },
    {"sources", "detectors", "embedders", "store", "audit"},
    {
        *(
            "backends",
            "box_files",
            "calibration",
            "files",
            "text",
            "openvino_runtime",
            "images",
            "catalog",
            "datasets",
            "downloads",
            "pipeline",
            "provenance",
            "frame_set",
        ),
        *("boxes", "types", "defaults", "errors"),
    },
)
HEAVY = {"torch", "torchreid", "tensorflow", "chromadb", "cv2", "numpy"}


def modules() -> list[Path]:
    special = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}
    return [path for path in PACKAGE.rglob("*.py") if path not in special]


def top_part(name: str) -> str:
    return name.split(".")[1]


def name_of(path: Path) -> str:
    return ".".join(("reidsearch", *path.relative_to(PACKAGE).with_suffix("").parts))


def imported_by(path: Path) -> set[str]:
    """Modules of ours that a file imports anywhere in it, by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "reidsearch":
            found |= {f"reidsearch.{a.name}" for a in node.names if a.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reidsearch."):
            found.add(str(node.module))
    return found


def test_layers_import_downwards_only() -> None:
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    assert {top_part(name_of(path)) for path in modules()} == set(rank)
    upwards = [
        f"{name_of(path)} imports {other}"
        for path in modules()
        for other in imported_by(path)
        if rank[top_part(other)] < rank[top_part(name_of(path))]
    ]
    assert upwards == []


@pytest.mark.parametrize(
    ("backend", "table"),
    [
        ("reidsearch.detectors.tensorflow_graph", "detectors/__init__.py"),
        ("reidsearch.embedders.torch_embedder", "embedders/__init__.py"),
        ("reidsearch.embedders.openvino_export", "embedders/__init__.py"),
        ("reidsearch.embedders.openvino_ir", "embedders/__init__.py"),
        ("reidsearch.detectors.openvino_graph", "detectors/__init__.py"),
    ],
)
def test_only_its_table_imports_a_backend(backend: str, table: str) -> None:
    importers = [path for path in modules() if backend in imported_by(path)]
    assert importers == [PACKAGE / table]


def loaded_after(code: str, *, cwd: Path) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_and_help_load_nothing_heavy(tmp_path: Path) -> None:
    assert not HEAVY & loaded_after("import reidsearch", cwd=tmp_path)
    assert not HEAVY & loaded_after("import reidsearch.cli.app", cwd=tmp_path)
    assert "numpy" in loaded_after("from reidsearch import open_gallery", cwd=tmp_path)


def test_search_for_a_stored_person_loads_no_network(made_db: Path, tmp_path: Path) -> None:
    search = ["reidsearch", "search", "--frame", "pets09-s2l1:1", "--db", str(made_db)]
    code = (
        f"sys.argv = {search}\n"
        "from reidsearch.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code"
    )
    loaded = loaded_after(code, cwd=tmp_path)
    assert "numpy" in loaded
    assert not {"chromadb", "torch", "torchreid", "tensorflow", "openvino", "cv2"} & loaded


@pytest.mark.skipif(find_spec("triton") is None, reason="this torch has no triton to clash with")
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(("detectors.tensorflow_graph", "embedders.torch_embedder"), id="tf-first"),
        pytest.param(("embedders.torch_embedder", "detectors.tensorflow_graph"), id="tf-last"),
    ],
)
def test_both_frameworks_live_in_one_process(tmp_path: Path, order: tuple[str, str]) -> None:
    lines = [f"import reidsearch.{backend}" for backend in order]
    # Importing torch's compiler is what crashes when TensorFlow was loaded without our care.
    assert {"torch", "tensorflow"} <= loaded_after(
        "\n".join([*lines, "import torch._dynamo"]), cwd=tmp_path
    )


def test_the_command_is_the_one_under_test() -> None:
    assert COMMAND.is_file()
