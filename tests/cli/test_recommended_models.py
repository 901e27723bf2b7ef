"""The recommended networks: fetched once by name, then used; here they are tiny."""

from __future__ import annotations

import hashlib
import resource
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from reidsearch.models import catalog, downloads
from tests.conftest import assert_refused, run
from tests.contract.networks import save_detector, save_embedder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local_server import Server

DETECTOR, EMBEDDER = "person-vehicle-bike-detection-2004", "person-reidentification-retail-0287"
NAMES = [f"{name}.{suffix}" for name in (DETECTOR, EMBEDDER) for suffix in ("xml", "bin")]
SOMEBODY = [[100, 60, 150, 200, 0.9]]


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    """A folder with the files of both."""
    folder = tmp_path / "networks"
    folder.mkdir()
    save_detector(folder, SOMEBODY, [1], name=DETECTOR)
    save_embedder(folder, [1, 3, 256, 128], 256, name=EMBEDDER)
    return folder


@pytest.fixture
def cache(networks: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty cache folder; the catalogue names those files, on our server."""
    known = dict(catalog._catalog())
    for task, name in (("detector", DETECTOR), ("embedder", EMBEDDER)):
        files = [_describe(networks / file["name"], server) for file in known[task][name]["files"]]
        known[task] = known[task] | {name: known[task][name] | {"files": files}}
    monkeypatch.setattr(catalog, "_catalog", lambda: known)
    monkeypatch.setattr(downloads, "_WAIT_S", 0.01)
    monkeypatch.setenv("REIDSEARCH_MODELS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _describe(path: Path, server: Server) -> dict[str, Any]:
    content = path.read_bytes()
    server.files[f"/{path.name}"] = content
    sha256 = hashlib.sha256(content).hexdigest()
    url = f"{server.url}/{path.name}"
    return {"name": path.name, "url": url, "sha256": sha256, "bytes": len(content)}


def test_fetched_once_and_used_by_new_databases(
    cache: Path, server: Server, sample: Path, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    shutil.copy(sample / "frame_0001.jpg", frames)
    before = run("ingest", frames, "--tiles", "off", "--db", "before", cwd=tmp_path)
    assert (before.code, before.err.count("`reidsearch models download`")) == (0, 1)
    fetched = run("models", "download", cwd=tmp_path)
    assert fetched.code == 0, fetched.err
    assert fetched.out.splitlines() == [str(cache / name) for name in NAMES]
    for word in (DETECTOR, EMBEDDER, "Apache-2.0", "127.0.0.1"):
        assert word in fetched.err
    assert run("ingest", frames, cwd=tmp_path).err.count("models download") == 0
    made_with = run("inspect", "--json", cwd=tmp_path).json["models"]
    assert made_with == {"detector": DETECTOR, "embedder": EMBEDDER}
    assert run("inspect", "frame", "frames:1", "--json", cwd=tmp_path).json["detections"]
    again = run("ingest", frames, "--tiles", "off", "--db", "before", cwd=tmp_path)
    assert (again.code, "models download" in again.err) == (0, False)
    assert run("models", "download", cwd=tmp_path).code == 0
    assert len(server.ranges) == len(NAMES)  # nothing was fetched twice
    (cache / NAMES[1]).write_bytes(b"damaged")
    again = run("ingest", frames, "--tiles", "off", "--db", "before", cwd=tmp_path)
    assert again.code == 0, again.err  # which was made with others
    shutil.copy(sample / "frame_0021.jpg", frames)
    assert_refused(run("ingest", frames, cwd=tmp_path), "damaged", "models download")


def test_what_cannot_be_fetched_may_be_carried_over(
    cache: Path, networks: Path, server: Server, tmp_path: Path
) -> None:
    server.close()
    ran = run("models", "download", cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    for name in NAMES:
        sha256 = hashlib.sha256((networks / name).read_bytes()).hexdigest()
        for word in (f"{server.url}/{name}", sha256, str(cache / name)):
            assert word in ran.err
    for name in NAMES:
        shutil.copy(networks / name, cache / name)
    verified = run("models", "verify", DETECTOR, EMBEDDER, cwd=tmp_path)
    assert (verified.code, verified.out.count("good")) == (0, len(NAMES))
    assert run("models", "download", cwd=tmp_path).code == 0
    (cache / NAMES[1]).write_bytes((networks / NAMES[1]).read_bytes()[:-1])
    cut = run("models", "verify", DETECTOR, EMBEDDER, cwd=tmp_path)
    assert (cut.code, cut.out.count("bad")) == (1, 1)


def test_download_cut_in_its_second_file_goes_on(
    cache: Path, networks: Path, server: Server, tmp_path: Path
) -> None:
    whole = server.files.pop(f"/{NAMES[1]}")
    assert run("models", "download", cwd=tmp_path).code == 1
    assert [(cache / name).exists() for name in NAMES] == [True, False, False, False]
    (cache / f"{NAMES[1]}.part").write_bytes(whole[:10])
    server.files[f"/{NAMES[1]}"] = whole
    assert run("models", "download", cwd=tmp_path).code == 0
    assert "bytes=10-" in server.ranges
    assert [(cache / name).read_bytes() for name in NAMES] == [
        (networks / name).read_bytes() for name in NAMES
    ]


def test_no_room_for_a_file(cache: Path, tmp_path: Path) -> None:
    """The kernel refuses what is longer than 100 bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        ran = run("models", "download", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_refused(ran, "cannot write", NAMES[0], "REIDSEARCH_MODELS")
    assert not any((cache / name).exists() for name in NAMES)
    assert run("models", "download", cwd=tmp_path).code == 0


def test_other_file_under_that_address_is_refused(
    cache: Path, server: Server, tmp_path: Path
) -> None:
    server.redirects[f"/{NAMES[2]}"] = f"{server.url}/elsewhere"
    server.files["/elsewhere"] = b"<another/>"
    ran = run("models", "download", cwd=tmp_path)
    assert (ran.code, "not the expected file" in ran.err) == (1, True)
    assert not (cache / NAMES[2]).exists()
    with FileLock(cache / f"{NAMES[2]}.lock"):
        assert_refused(run("models", "download", cwd=tmp_path), "another process is downloading")


def test_other_networks_are_refused(networks: Path, sample: Path, tmp_path: Path) -> None:
    detector, embedder = networks / f"{DETECTOR}.xml", networks / f"{EMBEDDER}.xml"
    other = save_embedder(tmp_path, [1, 3, 256, 128], 512)
    alone = tmp_path / "alone.xml"
    shutil.copy(embedder, alone)
    swapped = tmp_path / "swapped.xml"
    shutil.copy(detector, swapped)
    swapped.with_suffix(".bin").write_bytes(b"weights of another network")
    for option, name, path, reason in (
        ("--embedder", EMBEDDER, detector, f"is not {EMBEDDER}"),
        ("--embedder", EMBEDDER, other, "its output is"),
        ("--embedder", EMBEDDER, alone, "alone.bin"),
        ("--detector", DETECTOR, embedder, "its input is"),
        ("--detector", DETECTOR, swapped, "swapped.xml"),
        ("--detector", "person-vehicle-bike-detection-2003", detector, "its input is"),
    ):
        ran = run("ingest", sample, option, f"{name}={path}", "--max-frames", 1, cwd=tmp_path)
        assert_refused(ran, reason)
        assert not (tmp_path / "db").exists()
