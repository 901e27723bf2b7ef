"""What users install and what the README promises them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_wheel_carries_the_weights_and_the_catalogue(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", tmp_path, PROJECT]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "reidsearch/models/catalog.toml" in names
    assert "reidsearch/py.typed" in names
    built_in = PROJECT / "models" / "osnet_ain_x1_0.third.pt"
    assert zipfile.ZipFile(wheel).read(f"reidsearch/weights/{built_in.name}") == (
        built_in.read_bytes()
    )
    assert not [name for name in names if not name.startswith(("reidsearch/", "reidsearch-"))]
    # Unpacked elsewhere, the package finds its weights in itself.
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from reidsearch.models.catalog import default_embedder, find_embedder\n"
        "from reidsearch.models.weights import weights_path\n"
        "print(weights_path(find_embedder(default_embedder())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "site",
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "site" / "reidsearch" / "weights" / built_in.name)


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    text = (PROJECT / "README.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "tests").symlink_to(PROJECT / "tests")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    distances = [float(line.split()[1]) for line in done.stdout.splitlines()]
    assert distances == sorted(distances)
    assert len(distances) == 5


def test_links_lead_somewhere() -> None:
    """Those of the documentation too, as it is read without being built, and its pictures."""
    made = PROJECT / "docs" / "reference" / "commands.md"  # by scripts/docs
    pages = {PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/**/*.md")}
    for page in pages - {made}:
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
            target = (page.parent / link).resolve()
            assert target == made or target.exists(), (page, link)


def copy_scripts(folder: Path) -> None:
    for name in ("scripts/setup.sh", "scripts/demo", "pyproject.toml", "constraints.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)


def test_python_that_the_locked_versions_are_not_for(tmp_path: Path) -> None:
    copy_scripts(tmp_path)
    python = tmp_path / "python3.14"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.14.0 && exit\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "scripts" / "demo"],
        env={**os.environ, "PYTHON": str(python), "REIDSEARCH_VENV": ".venv"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Python 3.14.0 is not among the versions that constraints.txt is for" in done.stderr
    assert "hint: " in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_python_that_is_not_there(tmp_path: Path) -> None:
    copy_scripts(tmp_path)
    done = subprocess.run(
        [tmp_path / "scripts" / "demo"],
        env={**os.environ, "PYTHON": "/gone/python3", "REIDSEARCH_VENV": ".venv"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: there is no /gone/python3")


def test_the_torch_of_the_instructions_is_the_locked_one() -> None:
    text = (PROJECT / "docs" / "guides" / "install.md").read_text()
    [named] = re.findall(r"pip install (torch\S+) --index-url", text)
    assert named in (PROJECT / "constraints.txt").read_text().splitlines()


def test_every_requirement_is_locked() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = {re.split(r"[\[<>=]", line)[0] for line in sum(extras, project["dependencies"])}
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    locked = {line.partition("==")[0] for line in lines if not line.startswith("#")}
    assert wanted - {"reidsearch"} <= locked
