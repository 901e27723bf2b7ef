"""Downloads from a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from reidsearch.core.errors import ModelError
from reidsearch.models import downloads
from reidsearch.models.cards import EmbedderCard, WeightFile
from reidsearch.models.downloads import download
from reidsearch.models.weights import locate, missing_files, weight_paths, weights_path
from tests.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local_server import Server

WEIGHTS = bytes(range(256)) * 2000


def pack(members: dict[str, bytes], link: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return packed.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REIDSEARCH_MODELS", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "_WAIT_S", 0.01)
    return tmp_path / "cache"


def make_card(server: Server, content: bytes = WEIGHTS, member: str = "") -> EmbedderCard:
    url_name = "model.tar.gz" if member else "model.pt"
    server.files[f"/{url_name}"] = content
    sha256 = hashlib.sha256(content).hexdigest()
    file = WeightFile(
        name="osnet.test.pb" if member else "osnet.test.pt",
        url=f"{server.url}/{url_name}",
        member=member,
        **{"archive_sha256" if member else "sha256": sha256},
    )
    return EmbedderCard(
        name="osnet.test",
        files=(file,),
        architecture="osnet_x0_25",
        dimension=512,
        input_hw=(256, 128),
    )


def test_file_is_fetched_checked_and_kept(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    [path] = download(make_card(server), on_bytes=lambda _, *counts: seen.append(counts))
    assert path == cache / "osnet.test.pt"
    assert path.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert not list(cache.glob("*.part"))


def test_cut_connection_goes_on_where_it_ended(server: Server) -> None:
    server.cuts = 3
    assert download(make_card(server))[0].read_bytes() == WEIGHTS
    half = len(WEIGHTS) // 2
    assert server.ranges[:2] == [None, f"bytes={half}-"]
    assert len(server.ranges) == 4


def test_later_call_goes_on_too(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "osnet.test.pt.part").write_bytes(WEIGHTS[:1000])
    assert download(make_card(server))[0].read_bytes() == WEIGHTS
    assert server.ranges == ["bytes=1000-"]


def test_killed_after_the_last_byte(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "osnet.test.pt.part").write_bytes(WEIGHTS)
    assert download(make_card(server))[0].read_bytes() == WEIGHTS


def test_wrong_hash_is_deleted_and_said(server: Server, cache: Path) -> None:
    card = make_card(server)
    server.files["/model.pt"] = WEIGHTS[::-1]
    with pytest.raises(ModelError, match="not the expected file") as caught:
        download(card)
    [file] = card.files
    assert file.url in caught.value.hint
    assert file.sha256 in caught.value.hint
    assert not list(cache.glob("*.pt*[!k]"))


def test_redirects_are_followed(server: Server) -> None:
    card = make_card(server)
    server.redirects["/model.pt"] = f"{server.url}/elsewhere"
    server.files["/elsewhere"] = WEIGHTS
    assert download(card)[0].read_bytes() == WEIGHTS


@pytest.mark.parametrize("fault", ["not-found", "no-server"])
def test_nothing_to_fetch_says_how_by_hand(server: Server, cache: Path, fault: str) -> None:
    card = make_card(server)
    if fault == "not-found":
        del server.files["/model.pt"]
    else:
        server.close()
    with pytest.raises(ModelError, match="cannot download") as caught:
        download(card)
    for word in (card.files[0].url, card.files[0].sha256, str(cache / "osnet.test.pt")):
        assert word in caught.value.hint


def test_only_the_wanted_member_is_unpacked(server: Server, tmp_path: Path, cache: Path) -> None:
    members = {"../evil": b"x", "/tmp/evil": b"x", "a/b.pb": WEIGHTS, "a/c.txt": b"other"}
    [path] = download(make_card(server, pack(members), "a/b.pb"))
    assert path == cache / "osnet.test.pb"
    assert path.read_bytes() == WEIGHTS
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "osnet.test.pb",
        "osnet.test.pb.lock",
        "osnet.test.pb.sha256",
    ]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(pack({"a/other": b"x"}), id="without-member"),
        pytest.param(pack({}, link="a/b.pb"), id="link"),
        pytest.param(b"no archive at all", id="no-archive"),
        pytest.param(pack({"a/b.pb": WEIGHTS})[:-50], id="cut-archive"),
    ],
)
def test_archive_that_does_not_hold_the_weights(server: Server, content: bytes) -> None:
    card = make_card(server, content, "a/b.pb")
    with pytest.raises(ModelError):
        download(card)
    assert not locate(card.files[0]).exists()


def test_two_at_once(server: Server, cache: Path) -> None:
    cache.mkdir()
    with (
        FileLock(cache / "osnet.test.pt.lock"),
        pytest.raises(ModelError, match="another process"),
    ):
        download(make_card(server))


def test_folder_that_cannot_be_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REIDSEARCH_MODELS", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot write") as caught:
        download(make_card(server))
    assert "REIDSEARCH_MODELS" in caught.value.hint


def test_commands_list_show_verify_and_refuse(tmp_path: Path, cache: Path) -> None:
    listed = run("models", "list", "--json", cwd=tmp_path).json
    names = {card["name"]: card for card in listed}
    assert names["osnet_ain_x1_0.third"]["files"][0]["path"]
    assert names["osnet_ain_x1_0.third"]["exported"]["path"]
    assert names["faster_rcnn_inception_v2_coco"]["files"][0]["path"] is None
    shown = run("models", "show", "faster_rcnn_inception_v2_coco", cwd=tmp_path)
    assert "db3295e9a52d" in shown.out
    assert "600x1024" in shown.out
    ran = run("models", "verify", "osnet_x1_0.imagenet", "osnet_ain_x1_0.third", cwd=tmp_path)
    assert (ran.code, ran.out.count("bad ")) == (1, 1)
    assert "error: missing or damaged: osnet_x1_0.imagenet" in ran.err
    assert "models download osnet_x1_0.imagenet" in ran.err
    assert run("models", "verify", cwd=tmp_path).out.count("good") >= 2
    assert "see `reidsearch models list`" in run("models", "show", "x", cwd=tmp_path).err


def test_command_downloads_through_a_proxy_and_refuses_what_is_wrong(
    server: Server, tmp_path: Path
) -> None:
    # The catalogue's own address, answered by our server.
    name = "faster_rcnn_inception_v2_coco"
    url = next(
        card["files"][0]["url"]
        for card in run("models", "list", "--json", cwd=tmp_path).json
        if card["name"] == name
    )
    server.files[url] = b"not the archive"
    variables = {"http_proxy": server.url, "no_proxy": "", "REIDSEARCH_MODELS": str(tmp_path / "m")}
    ran = run("models", "download", name, cwd=tmp_path, **variables)
    assert (ran.code, server.ranges) == (1, [None])
    for word in ("not the expected file", url, "db3295e9a52d", "frozen_inference_graph.pb"):
        assert word in ran.err


@pytest.mark.parametrize("member", [pytest.param("", id="file"), pytest.param("a/b", id="archive")])
def test_fetched_weights_are_used_by_name(
    server: Server, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reidsearch.models import catalog

    content = pack({member: WEIGHTS}) if member else WEIGHTS
    fields = {
        "architecture": "osnet_x0_25",
        "dimension": 512,
        "input_hw": [256, 128],
        "files": [asdict(make_card(server, content, member).files[0])],
    }
    known = {**catalog._catalog(), "embedder": {"osnet.test": fields}}
    monkeypatch.setattr(catalog, "_catalog", lambda: known)
    with pytest.raises(ModelError) as caught:
        weights_path(catalog.find_embedder("osnet.test"))
    assert caught.value.hint == "reidsearch models download osnet.test"
    [path] = download(catalog.find_embedder("osnet.test"))
    card = catalog.find_embedder("osnet.test")
    assert weights_path(card) == path
    assert (card.name, card.sha256) == ("osnet.test", hashlib.sha256(WEIGHTS).hexdigest())
    assert download(card) == [path]
    assert len(server.ranges) == 1
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="damaged"):
        weights_path(catalog.find_embedder("osnet.test"))


def make_pair(server: Server) -> EmbedderCard:
    """A network of two files."""
    card = make_card(server)
    [xml] = (replace(file, name="osnet.test.xml") for file in card.files)
    server.files["/model.bin"] = WEIGHTS[::-1]
    return replace(
        card,
        files=(
            xml,
            WeightFile(
                name="osnet.test.bin",
                url=f"{server.url}/model.bin",
                sha256=hashlib.sha256(WEIGHTS[::-1]).hexdigest(),
            ),
        ),
    )


def test_all_files_of_a_network_are_downloaded(server: Server, cache: Path) -> None:
    card = make_pair(server)
    assert missing_files(card) == list(card.files)
    paths = [cache / "osnet.test.xml", cache / "osnet.test.bin"]
    assert download(card) == paths
    assert (weight_paths(card), missing_files(card)) == (paths, [])


def test_only_what_is_missing_or_damaged_is_downloaded(server: Server, cache: Path) -> None:
    card = make_pair(server)
    cache.mkdir()
    (cache / "osnet.test.xml").write_bytes(WEIGHTS)  # carried over by hand
    (cache / "osnet.test.bin").write_bytes(WEIGHTS)  # another file under that name
    with pytest.raises(ModelError, match=r"osnet\.test\.bin are damaged"):
        weight_paths(card)
    download(card)
    assert len(server.ranges) == 1
    assert weight_paths(card)


def test_second_file_that_is_missing_at_the_server(server: Server, cache: Path) -> None:
    card = make_pair(server)
    del server.files["/model.bin"]
    with pytest.raises(ModelError, match="cannot download") as caught:
        download(card)
    here, missing = card.files
    for word in (missing.url, missing.sha256, str(cache / missing.name)):
        assert word in caught.value.hint
    assert here.url not in caught.value.hint
    assert missing_files(card) == [missing]
