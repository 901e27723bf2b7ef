import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import chromadb
import cv2
import numpy as np
import openvino
import pytest
import torch

from reidsearch.database.checksum import checksum_fields
from reidsearch.database.ledger_schema import (
    connected,
    provenance_of,
    read_state,
    write_provenance,
)
from reidsearch.database.lock import writing
from tests.conftest import COMMAND, INGEST, SAMPLE, assert_refused, run, run_apart

pytestmark = pytest.mark.networks


def copy_frames(folder: Path, *numbers: int) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        shutil.copy(SAMPLE / f"frame_{number:04}.jpg", folder)
    return folder


def ids(db: Path, cwd: Path) -> dict[str, list[float]]:
    """Every stored id with its vector's first numbers, through plain chromadb."""
    with chromadb.PersistentClient(db) as client:
        rows = client.get_collection("people", embedding_function=None).get(include=["embeddings"])
    return {i: v[:8].tolist() for i, v in zip(rows["ids"], rows["embeddings"], strict=True)}


def test_same_source_twice_changes_nothing(own_db: Path, tmp_path: Path) -> None:
    before = ids(own_db, tmp_path)
    ran = run(*INGEST, "--json", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["frames_skipped"], ran.json["detections"]) == (0, 40, 0)
    assert ids(own_db, tmp_path) == before


def test_new_source_touches_only_itself(own_db: Path, tmp_path: Path) -> None:
    before = ids(own_db, tmp_path)
    other = copy_frames(tmp_path / "zweite Kamera", 21, 41)
    ran = run("ingest", other, "--fps", 10, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    after = ids(own_db, tmp_path)
    assert before.items() <= after.items()
    new = after.keys() - before.keys()
    assert len(new) == ran.json["detections"] > 0
    assert all(crop_id.startswith("zweite Kamera/zweite Kamera:") for crop_id in new)
    found = run(
        "search", "--frame", "pets09-s2l1:1", "--camera", "zweite Kamera", "--json", cwd=tmp_path
    )
    # Frame 41 lies 2 s into this source and after frame 1 of the other; frame 21 is its start.
    assert found.code == 0, found.err
    assert {match["frame"] for match in found.json["matches"]} == {41}


def test_several_sources_one_camera_every_and_limits(tmp_path: Path) -> None:
    first = copy_frames(tmp_path / "a", 1, 21, 41, 61)
    second = copy_frames(tmp_path / "b", 1, 21, 41)
    options = ("--camera", "yard", "--every", 2, "--max-frames", 1, "--fps", 2, "--json")
    start = ("--start", "2009-05-06T14:30:00+00:00")
    ran = run("ingest", first, second, *options, *start, cwd=tmp_path)
    assert ran.code == 2
    assert f"{first} and {second} are of one camera, yard, and would both start at" in ran.err
    assert not (tmp_path / "db").exists()
    assert run("ingest", first, *options, *start, cwd=tmp_path).json["frames"] == 1
    assert run("ingest", second, *options, cwd=tmp_path).json["frames"] == 1
    sources = run("inspect", "sources", "--json", cwd=tmp_path).json
    assert [(s["camera"], s["source"], s["frames"]) for s in sources] == [
        ("yard", "a", 1),
        ("yard", "b", 1),
    ]
    assert sources[0]["from_s"] == 1241620200.0


def test_profile_adds_up_the_stages_of_all_sources(tmp_path: Path) -> None:
    first, second = copy_frames(tmp_path / "a", 1), copy_frames(tmp_path / "b", 1)
    ran = run("ingest", first, second, "--profile", "--json", cwd=tmp_path).json
    assert [stage["name"] for stage in ran["stages"]] == ["read", "detect", "embed", "store"]
    for stage in ran["stages"]:
        spent = stage["busy_s"] + stage["input_wait_s"] + stage["output_wait_s"]
        assert 0 < stage["busy_s"] <= spent <= ran["seconds"]
    assert spent > ran["seconds"] / 2  # of the last, which ends last
    assert 0 < ran["cores_busy"] <= (os.cpu_count() or 1)
    shown = run("ingest", copy_frames(tmp_path / "c", 1), "--profile", cwd=tmp_path)
    assert "waited for input" in shown.out
    assert "cores were busy" in shown.err


def test_skip_unchanged_finds_people_where_they_were(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, original in enumerate((1, 1, 1, 61), start=1):
        shutil.copy(SAMPLE / f"frame_{original:04}.jpg", frames / f"{number}.jpg")
    assert run("ingest", frames, "--skip-unchanged", cwd=tmp_path).code == 0
    first, second, third, other = (
        run("inspect", "frame", f"frames:{n}", "--json", cwd=tmp_path).json["detections"]
        for n in range(1, 5)
    )
    boxes = [[person["box_xyxy"] for person in people] for people in (first, second, third)]
    assert boxes[0] == boxes[1] == boxes[2]
    assert boxes[0] != [person["box_xyxy"] for person in other]
    assert_refused(run("ingest", frames, cwd=tmp_path), "--skip-unchanged")


def test_later_call_goes_on_with_the_frames_that_are_missing(tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", 1, 21)
    assert run("ingest", frames, cwd=tmp_path).code == 0
    shutil.copy(SAMPLE / "frame_0041.jpg", frames)
    ran = run("ingest", frames, "--json", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["frames_skipped"]) == (1, 2)


def test_bad_frames_are_named_skipped_and_counted(tmp_path: Path) -> None:
    good_frames = copy_frames(tmp_path / "good", 1, 21, 41, 61)
    assert run("ingest", good_frames, "--db", "good-db", cwd=tmp_path).code == 0
    frames = copy_frames(tmp_path / "gemischt ä", 1, 21, 41, 61)
    (frames / "frame_0002.jpg").write_bytes((frames / "frame_0021.jpg").read_bytes()[:20_000])
    (frames / "frame_0003.jpg").write_bytes(b"")
    (frames / "frame_0004.jpg").write_text("this is no picture")
    grey = cv2.imread(str(frames / "frame_0061.jpg"), cv2.IMREAD_GRAYSCALE)
    colour = cv2.imread(str(frames / "frame_0061.jpg"))
    cv2.imwrite(str(frames / "frame_0101.png"), grey)
    cv2.imwrite(str(frames / "frame_0102.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(frames / "frame_0103.png"), np.dstack([colour, grey]))
    cv2.imwrite(str(frames / "frame_0104.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(frames / "frame_0105.jpg"), np.full((700, 12_000, 3), 90, np.uint8))
    ran = run("ingest", frames, "--fps", 10, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert (ran.json["frames"], ran.json["frames_failed"]) == (9, 3)
    named = [line for line in ran.err.splitlines() if line.startswith("warning:")]
    assert [line[line.index("frame_") :][:10] for line in named] == [
        "frame_0002",
        "frame_0003",
        "frame_0004",
    ]
    # The rows around the bad frames are those of the good run, picture by picture.
    good, mixed = ids(tmp_path / "good-db", tmp_path), ids(tmp_path / "db", tmp_path)
    assert {int(crop_id.split(":")[1]) for crop_id in good} == {1, 21, 41, 61}
    for crop_id, vector in good.items():
        other = crop_id.replace("good", "gemischt ä")
        assert mixed[other] == pytest.approx(vector, abs=1e-3)
    for number in ("101", "102", "103"):
        assert any(crop_id.split(":")[1] == number for crop_id in mixed)


def test_nothing_but_bad_frames(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "1.jpg").write_text("no picture")
    assert_refused(run("ingest", folder, cwd=tmp_path), "1.jpg", "no frame could be decoded")
    assert not (tmp_path / "db").exists()


def test_a_failed_first_ingest_leaves_no_database(own_db: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.jpg").write_text("no picture")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "README.md").write_text("mine")
    for db, left in (("new", ["README.md"]), (own_db, sorted(p.name for p in own_db.iterdir()))):
        ran = run("ingest", "frames", "--tiles", "off", "--db", db, cwd=tmp_path)
        assert_refused(ran, "no frame could be decoded")
        assert sorted(path.name for path in (tmp_path / db).iterdir()) == left
    assert (tmp_path / "new" / "README.md").read_text() == "mine"


def bad_folder(tmp_path: Path, kind: str) -> Path:
    folder = tmp_path / "frames"
    if kind == "missing":
        return folder
    folder.mkdir()
    if kind == "folders":
        (folder / "b").mkdir()
        (folder / "a").mkdir()
    if kind == "no-pictures":
        (folder / "notes.txt").write_text("no frames here")
    if kind == "same-number":
        for name in ("a_5.jpg", "b_05.jpg"):
            shutil.copy(SAMPLE / "frame_0001.jpg", folder / name)
    if kind == "broken-video":
        (folder / "clip.avi").write_bytes(b"RIFF" + bytes(5_000))
        return folder / "clip.avi"
    if kind == "single-picture":
        shutil.copy(SAMPLE / "frame_0001.jpg", folder)
        return folder / "frame_0001.jpg"
    return folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("missing", ("no footage at",), id="missing-folder"),
        pytest.param("empty", ("is empty",), id="empty-folder"),
        pytest.param("folders", ("no picture", "folders in it: a, b"), id="folders-only"),
        pytest.param("no-pictures", ("contains no picture", ".jpg"), id="no-pictures"),
        pytest.param("same-number", ("a_5.jpg", "b_05.jpg", "frame 5"), id="same-number"),
        pytest.param("broken-video", ("cannot decode", "clip.avi"), id="broken-video"),
        pytest.param("single-picture", ("single picture", "search"), id="single-picture"),
    ],
)
def test_footage_that_cannot_be_opened(
    tmp_path: Path, sample: Path, kind: str, words: tuple[str, ...]
) -> None:
    bad = bad_folder(tmp_path, kind)
    assert_refused(run("ingest", bad, cwd=tmp_path), *words)
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("address", ["rtsp://host/stream", "https://host/film.mp4"])
def test_addresses_are_no_footage(tmp_path: Path, address: str) -> None:
    ran = run("ingest", address, cwd=tmp_path)
    assert_refused(ran, f"{address} is an address", "download it", "--watch")


def test_one_bad_source_leaves_the_others_to_be_ingested(tmp_path: Path) -> None:
    copy_frames(tmp_path / "good", 1)
    (tmp_path / "empty").mkdir()
    sources = ("--tiles", "off", "empty", "good", "gone.mp4")
    ran = run("ingest", *sources, "--json", cwd=tmp_path)
    assert (ran.code, ran.json["frames"]) == (1, 1)
    assert [one["path"] for one in ran.json["sources_failed"]] == ["empty", "gone.mp4"]
    assert "is empty" in ran.json["sources_failed"][0]["error"]
    assert ran.err.count("warning:") == 2
    assert ran.err.splitlines()[-1] == "error: 2 of 3 sources could not be read"
    ran = run("ingest", "empty", "gone.mp4", "--json", "--db", "new", cwd=tmp_path)
    assert "gone.mp4" in ran.err
    assert not (tmp_path / "new").exists()


def test_unreadable_folder(tmp_path: Path, as_plain_user: tuple[str, ...]) -> None:
    folder = copy_frames(tmp_path / "frames", 1)
    folder.chmod(0)
    ran = run_apart("ingest", folder, cwd=tmp_path, prefix=as_plain_user)
    folder.chmod(0o700)
    assert_refused(ran, "cannot read folder", "Permission denied")


@pytest.mark.parametrize(
    ("option", "word"),
    [
        pytest.param(("--every", "0"), "--every", id="every-zero"),
        pytest.param(("--max-frames", "0"), "--max-frames", id="max-frames-zero"),
        pytest.param(("--fps", "0"), "frame rate", id="fps-zero"),
        pytest.param(("--fps", "nan"), "frame rate", id="fps-nan"),
        pytest.param(("--camera", ""), "name it, or drop --camera", id="camera-without-name"),
        pytest.param(("--camera", "a/b"), "is not a valid camera name", id="camera-with-slash"),
        pytest.param(("--min-score", "2"), "--min-score", id="score-above-one"),
        pytest.param(("--tiles", "0x3"), "is not a valid tile grid", id="no-columns"),
        pytest.param(("--start", "yesterday"), "is not a valid time", id="start-is-no-time"),
        pytest.param(("--precision", "fp8"), "--precision", id="unknown-precision"),
        pytest.param(
            ("--precision", "bf16", "--backend", "reference"),
            "only OpenVINO",
            id="precision-of-another-backend",
        ),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, option: tuple[str, ...], word: str) -> None:
    assert_refused(run("ingest", SAMPLE, *option, cwd=tmp_path), word, code=2)
    assert not (tmp_path / "db").exists()


def test_two_folders_of_one_name(tmp_path: Path) -> None:
    one, two = (copy_frames(tmp_path / camera / "img1", 1) for camera in "ab")
    assert_refused(run("ingest", one, two, cwd=tmp_path), "img1/img1", "--camera")
    assert run("ingest", one, cwd=tmp_path).code == 0
    shutil.copy(SAMPLE / "frame_0021.jpg", two / "frame_0001.jpg")
    assert_refused(run("ingest", two, cwd=tmp_path), "other footage", "--camera")


def test_same_source_with_other_options(tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", 1)
    assert run("ingest", frames, "--fps", 10, "--tiles", "off", cwd=tmp_path).code == 0
    for option, value in (("--fps", "7"), ("--tiles", "3x2"), ("--min-height", "50")):
        options = {"--fps": "10", "--tiles": "off", option: value}
        words = [word for pair in options.items() for word in pair]
        ran = run("ingest", frames, *words, cwd=tmp_path)
        assert_refused(ran, option, value, "`reidsearch erase --source frames/frames` first")


@pytest.mark.skipif(
    "ONEDNN_MAX_CPU_ISA" in os.environ,
    reason="OpenVINO reports what the processor supports, not the imitated one",
)
def test_bf16_where_the_processor_has_it(tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", 1)
    ingest = ("ingest", frames, "--tiles", "off", "--precision", "bf16")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        ran = run(*ingest, cwd=tmp_path)
        assert_refused(ran, "this processor does not support bf16", "drop --precision", code=2)
        assert not (tmp_path / "db").exists()
        return
    assert run(*ingest, cwd=tmp_path).code == 0
    assert run("inspect", "--json", cwd=tmp_path).json["precision"] == "bf16"
    state = {f["check"]: f["state"] for f in run("doctor", "--json", cwd=tmp_path).json["findings"]}
    assert state["precision"] == "warning"


def test_database_of_another_precision_opens_and_says_so(
    own_db: Path, sample: Path, tmp_path: Path
) -> None:
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.modify(metadata={**people.metadata, "precision": "f16"})
    with connected(own_db) as ledger, ledger:
        write_provenance(ledger, replace(provenance_of(ledger), precision="f16"))
    shutil.rmtree(own_db / "index")
    said = "was made in f16, and 'f16' is not a valid precision: new vectors are computed in f32"
    stored = run("search", "--frame", "pets09-s2l1:1", cwd=tmp_path)
    assert (stored.code, stored.err.count(said)) == (0, 0)  # nothing is computed
    picture = ("search", sample / "frame_0001.jpg", "--box", "250,218,283,309")
    asked = run(*picture, cwd=tmp_path)
    assert (asked.code, asked.err.count(said)) == (0, 1), asked.err
    more = copy_frames(tmp_path / "frames", 1)
    assert_refused(run("ingest", more, "--precision", "f32", cwd=tmp_path), "f16", code=2)
    added = run("ingest", more, "--tiles", "off", cwd=tmp_path)
    assert (added.code, added.err.count(said)) == (0, 1), added.err
    assert run("inspect", "--json", cwd=tmp_path).json["precision"] == "f16"
    runs = run("inspect", "runs", "--json", cwd=tmp_path).json
    assert [one["precision"] for one in runs] == ["f32", "f32"]
    assert all("openvino" in one["versions"] for one in runs)
    found = {f["check"]: f for f in run("doctor", "--json", cwd=tmp_path).json["findings"]}
    assert found["precision"]["state"] == "warning"
    assert "made in f16, but 2 runs in f32" in found["precision"]["found"]


def test_unknown_models_list_the_known(tmp_path: Path) -> None:
    ran = run("ingest", SAMPLE, "--detector", "yolo", cwd=tmp_path)
    assert_refused(ran, "yolo", "ssdlite_mobilenet_v2_pedestrian", "faster_rcnn_inception_v2_coco")
    ran = run("ingest", SAMPLE, "--embedder", "vit", cwd=tmp_path)
    assert_refused(ran, "vit", "osnet_ain_x1_0.third", "osnet_ain_x1_0=PATH")


def test_model_that_must_be_fetched_says_how(tmp_path: Path) -> None:
    ran = run("ingest", SAMPLE, "--detector", "faster_rcnn_inception_v2_coco", cwd=tmp_path)
    assert_refused(ran, "not on this machine", "models download faster_rcnn_inception_v2_coco")
    assert not (tmp_path / "db").exists()


def test_weights_of_the_wrong_kind(tmp_path: Path) -> None:
    text = tmp_path / "weights.pth"
    text.write_text("no weights")
    frames = copy_frames(tmp_path / "frames", 1)
    ran = run("ingest", frames, "--embedder", f"osnet_ain_x1_0={text}", cwd=tmp_path)
    assert_refused(ran, "weights.pth", "not a valid torch checkpoint")
    onnx = tmp_path / "network.onnx"
    onnx.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.1.0")
    ran = run("ingest", frames, "--embedder", f"osnet_ain_x1_0={onnx}", cwd=tmp_path)
    assert_refused(ran, "network.onnx is not a valid torch checkpoint", "torch.save")
    assert "weights_only" not in ran.err
    built_in = Path(__file__).parents[2] / "models" / "osnet_ain_x1_0.third.pt"
    ran = run(
        *("ingest", frames, "--db", "other"),
        *("--embedder", f"osnet_ain_x0_5={built_in}"),
        cwd=tmp_path,
    )
    assert_refused(ran, "do not fit the architecture osnet_ain_x0_5", "size mismatch")
    ran = run(
        *("ingest", frames, "--db", "third"),
        *("--detector", f"faster_rcnn_inception_v2_coco={text}"),
        cwd=tmp_path,
    )
    assert_refused(ran, "weights.pth", "frozen graph")
    # Nothing was stored, so the database is not bound to what could not be loaded.
    assert run("ingest", frames, "--db", "third", cwd=tmp_path).code == 0


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", 1, 21)
    (frames / "frame_0021.jpg").rename(os.fsdecode(bytes(frames) + b"/\xe9_21.jpg"))
    ran = run("ingest", frames, "--json", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["frames_failed"]) == (1, 1), ran.err
    assert "not valid UTF-8" in ran.err


def test_options_differ_for_one_of_two_sources(own_db: Path, tmp_path: Path) -> None:
    new = copy_frames(tmp_path / "new", 1)
    ran = run("ingest", new, SAMPLE, "--fps", "7", cwd=tmp_path)
    assert_refused(ran, "--fps")
    assert len(run("inspect", "sources", "--json", cwd=tmp_path).json) == 1


def test_database_of_another_model(own_db: Path, sample: Path, tmp_path: Path) -> None:
    weights = tmp_path / "own.pt"
    built_in = Path(__file__).parents[2] / "models" / "osnet_ain_x1_0.third.pt"
    state = torch.load(built_in, weights_only=True)
    torch.save({name: tensor * 1 for name, tensor in reversed(state.items())}, weights)
    own = f"osnet_ain_x1_0={weights}"
    for arguments in (
        ("ingest", sample, "--fps", 10),
        ("search", sample / "frame_0001.jpg"),
    ):
        ran = run(*arguments, "--embedder", own, cwd=tmp_path)
        assert_refused(ran, "osnet_ain_x1_0.third", str(weights), "drop --embedder")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param(99, ("a newer reidsearch", "99", "--upgrade"), id="newer"),
        pytest.param(4, ("an older reidsearch", "4", "ingest the footage again"), id="older"),
    ],
)
def test_database_of_another_schema(
    own_db: Path, sample: Path, tmp_path: Path, schema: int, words: tuple[str, ...]
) -> None:
    with sqlite3.connect(own_db / "chroma.sqlite3") as database:
        changed = database.execute(
            "UPDATE collection_metadata SET int_value = ? WHERE key = 'schema'", (schema,)
        )
        assert changed.rowcount == 1
    database.close()
    assert_refused(run("ingest", sample, cwd=tmp_path), *words)
    state = read_state(own_db)
    with sqlite3.connect(own_db / "reidsearch.sqlite3") as ledger:
        crc32 = checksum_fields(schema, state.collection, state.generation)
        ledger.execute("UPDATE about SET crc32 = ?", (crc32,))
        ledger.execute(f"PRAGMA user_version = {schema}")
    ledger.close()
    for command in (("inspect",), ("doctor",), ("doctor", "--repair"), ("backup", "b.zip")):
        assert_refused(run(*command, cwd=tmp_path), *words)


def test_folder_that_is_no_database(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "thesis.tex").write_text("precious")
    assert_refused(run("ingest", sample, cwd=tmp_path), "not a Chroma database", "thesis.tex")
    assert [path.name for path in (tmp_path / "db").iterdir()] == ["thesis.tex"]
    (tmp_path / "db" / "chroma.sqlite3").write_bytes(b"not sqlite" * 500)
    for arguments in (("ingest", sample), ("inspect",), ("search", "--frame", "a:1")):
        assert_refused(run(*arguments, cwd=tmp_path), "db", "not a database")


def test_chroma_database_of_somebody_else(tmp_path: Path) -> None:
    with chromadb.PersistentClient(tmp_path / "db") as client:
        client.create_collection("recipes", embedding_function=None)
    commands = ("inspect", "doctor", "doctor --repair", "backup b.zip", "audit show", "erase")
    options = {"erase": "--camera gate --yes"}
    said = set()
    for command in (*commands, f"ingest {SAMPLE}"):
        ran = run(*command.split(), *options.get(command, "").split(), cwd=tmp_path)
        assert_refused(ran, "created by another program", "people")
        said.add(ran.err)
    assert len(said) == 1


def test_read_only_database(
    own_db: Path, sample: Path, tmp_path: Path, as_plain_user: tuple[str, ...]
) -> None:
    for path in (own_db, *own_db.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    ingest, search = ("ingest", sample, "--fps", "10"), ("search", "--frame", "pets09-s2l1:1")
    assert_refused(run_apart(*ingest, cwd=tmp_path, prefix=as_plain_user), "read-only")
    ran = run_apart(*search, cwd=tmp_path, prefix=as_plain_user)
    assert ran.code == 0, ran.err
    for path in (own_db, *own_db.rglob("*")):
        path.chmod(0o755)


def test_second_process_is_told_to_wait(own_db: Path, tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", *range(1, 800, 20))
    slowly = [COMMAND, "ingest", frames, "--tiles", "8x8", "--wait"]
    with subprocess.Popen(slowly, cwd=tmp_path, stderr=subprocess.PIPE) as writer:
        other = ("ingest", frames, "--camera", "b", "--max-frames", 1, "--tiles", "off")
        ran = run(*other, cwd=tmp_path)
        while ran.code == 0:  # it was first
            assert writer.poll() is None
            ran = run(*other, cwd=tmp_path)
        searched = run("search", "--frame", "pets09-s2l1/pets09-s2l1:1", cwd=tmp_path)
        assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
    who = f"reidsearch ingest (process {writer.pid} on "
    assert_refused(ran, "another reidsearch", who, "--wait")
    assert searched.code == 0, searched.err  # readers need not wait
    taken_over = run(*other, cwd=tmp_path)
    assert taken_over.code == 0
    assert who in taken_over.err
    assert "died while writing" in taken_over.err
    assert "did not finish" not in run(*other, cwd=tmp_path).err


def test_writer_that_watches_is_not_waited_for(
    own_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["reidsearch", "ingest", "gate", "--watch"])
    with writing(own_db):
        ran = run(*INGEST, cwd=tmp_path)
    assert_refused(ran, "reidsearch ingest --watch (process", "does not end by itself")


@pytest.mark.slow
def test_second_process_waits_if_told_to(own_db: Path, tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", 1)
    arguments = [COMMAND, "ingest", frames, "--tiles", "off", "--wait"]
    with writing(own_db):
        waiting = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(6)
    _, err = waiting.communicate(timeout=300)
    assert waiting.returncode == 0, err


def test_json_is_one_document(tmp_path: Path) -> None:
    frames = copy_frames(tmp_path / "frames", 1)
    ran = run("ingest", frames, "--json", cwd=tmp_path)
    assert set(json.loads(ran.out)) == {
        *("frames", "frames_failed", "frames_skipped", "frames_changed", "detections"),
        *("seconds", "frames_per_s", "db", "sources_failed", "interrupted"),
    }
