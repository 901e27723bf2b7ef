"""Names, files and footage that somebody made to do harm."""

import csv
import html
import json
import os
import re
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from reidsearch.core.text import printable
from tests.conftest import SAMPLE, assert_refused, run, run_apart
from tests.unit.small_footage import write_bomb, write_film, write_slow_bomb

pytestmark = pytest.mark.networks

EVIL = "=cmd|' /C calc'!A0\nerror: forged\x1b[31m\x9b2J\u202e<script>alert(1)<!--".replace("/", "")


def lines_of(text: str) -> list[str]:
    """The lines of an output, which must hold nothing that a terminal obeys."""
    for line in text.split("\n"):
        assert printable(line) == line
    assert not any(line.startswith("error: forged") for line in text.split("\n"))
    return text.splitlines()


@pytest.fixture(scope="module")
def evil_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures in a folder, one of them damaged, all of them with terrible names."""
    root = tmp_path_factory.mktemp("evil")
    folder = root / EVIL
    folder.mkdir()
    for number in (1, 21):
        shutil.copy(SAMPLE / f"frame_{number:04}.jpg", folder / f"{EVIL} {number}.jpg")
    (folder / f"{EVIL} 41.jpg").write_bytes(b"no picture")
    ran = run("ingest", folder, "--tiles", "off", "--camera", EVIL, cwd=root)
    assert ran.code == 0, ran.err
    said = lines_of(ran.err)
    assert sum(line.startswith("warning: cannot decode") for line in said) == 1
    assert sum("1 failed" in line for line in said) == 1
    return root / "db"


@pytest.fixture
def asked(evil_db: Path) -> tuple[str, ...]:
    return ("--frame", f"{EVIL}:1", "--db", str(evil_db))


BY_FRAME = ("--by", "frame")


def test_search_shows_names_and_obeys_none(asked: tuple[str, ...], tmp_path: Path) -> None:
    ran = run("search", *asked, *BY_FRAME, "--sheet", "a.jpg", "--report", "a.html", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert len(lines_of(ran.out)) == 1 + 1
    lines_of(ran.err)
    page = (tmp_path / "a.html").read_text()
    lines_of(page)
    assert page.count("<script") == 2
    captions = re.findall(r'"caption": "(.*?)"', page)
    assert len(captions) == 2
    assert all(json.loads(f'"{caption}"').isprintable() for caption in captions)
    assert html.escape("<script>alert(1)") in page
    ran = run("search", *asked, *BY_FRAME, "--json", cwd=tmp_path)
    lines_of(ran.out)
    [match] = ran.json["matches"]
    assert (match["camera"], match["source"]) == (EVIL, EVIL)
    assert Path(match["path"]).name == f"{EVIL} 21.jpg"
    ran = run("search", *asked, *BY_FRAME, "--csv", cwd=tmp_path)
    heading, row = csv.reader(lines_of(ran.out))
    assert row[heading.index("camera")] == f"'{printable(EVIL)}"
    ran = run("render", "video", *asked, "--max-distance", 2, "--out", "a.mp4", cwd=tmp_path)
    assert ran.code == 0, ran.err
    lines_of(ran.err)


def test_inspect_shows_names_and_obeys_none(evil_db: Path, tmp_path: Path) -> None:
    where = ("--db", evil_db)
    assert len(lines_of(run("inspect", "sources", *where, cwd=tmp_path).out)) == 1 + 1
    people = run("inspect", "frame", f"{EVIL}:1", *where, "--json", cwd=tmp_path)
    lines_of(people.out)
    crop_id = people.json["detections"][0]["id"]
    assert crop_id == f"{EVIL}/{EVIL}:1:1"
    ran = run("inspect", "crop", crop_id, *where, cwd=tmp_path)
    assert ran.code == 0, ran.err
    lines_of(ran.out)
    ran = run("inspect", "frame", "gone:1", *where, cwd=tmp_path)
    assert_refused(ran, "it has =cmd|")
    lines_of(ran.err)


def test_exported_names_are_whole_or_harmless(evil_db: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.json", "a.txt", "a.parquet"):
        ran = run("export", "detections", "--out", name, "--db", evil_db, cwd=tmp_path)
        assert ran.code == 0, ran.err
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert {row["source"] for row in table} == {EVIL}
    texts = {path.suffix: lines_of(path.read_text()) for path in tmp_path.glob("a.[cjt]*")}
    assert len(texts[".csv"]) == 1 + len(table)
    assert [json.loads(line)["source"] for line in texts[".jsonl"]] == [EVIL] * len(table)
    assert {image["source"] for image in json.loads("".join(texts[".json"]))["images"]} == {EVIL}
    assert len(texts[".txt"]) == len(table)


def test_picture_of_terrible_name_is_searched(evil_db: Path, tmp_path: Path) -> None:
    picture = shutil.copy(SAMPLE / "frame_0001.jpg", tmp_path / f"{EVIL}.jpg")
    person = ("--box", "250,218,283,309", "--db", evil_db)
    ran = run("search", picture, *person, "--report", "a.html", cwd=tmp_path)
    assert ran.code == 0, ran.err
    lines_of(ran.err)
    lines_of((tmp_path / "a.html").read_text())
    Path(picture).write_bytes(b"no picture")
    ran = run("search", picture, *person, cwd=tmp_path)
    assert_refused(ran, "cannot decode")
    assert len(lines_of(ran.err)) == 1


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A pipe, a link to itself and one to nothing, of each kind of name."""
    endings = (".jpg", ".mp4", ".txt", ".json", ".toml", "")
    for ending in endings:
        os.mkfifo(tmp_path / f"pipe{ending}")
        (tmp_path / f"loop{ending}").symlink_to(f"loop{ending}")
        (tmp_path / f"gone{ending}").symlink_to("nowhere")
    return tmp_path


def test_frames_that_are_no_files_are_named_and_left_out(traps: Path) -> None:
    folder = traps / "footage"
    folder.mkdir()
    os.mkfifo(folder / "frame_0.jpg")  # the first frame names the footage
    shutil.copy(SAMPLE / "frame_0001.jpg", folder)
    (folder / "frame_2.jpg").symlink_to("frame_2.jpg")
    (folder / "frame_3.jpg").symlink_to("nowhere")
    (folder / "frame_4.jpg").symlink_to("/dev/zero")
    (folder / "frame_5.jpg").symlink_to(".")
    ran = run("ingest", folder, "--tiles", "off", cwd=traps)
    assert ran.code == 0, ran.err
    assert sum(line.startswith("warning:") for line in ran.err.splitlines()) == 5
    for number in (0, 2, 3, 4, 5):
        assert f"frame_{number}.jpg: " in ran.err
    assert "in 1 frame, 5 failed" in ran.err


@pytest.mark.parametrize("trap", ["pipe", "loop"])
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("ingest {trap}", id="folder"),
        pytest.param("ingest {trap}.mp4", id="video"),
        pytest.param("ingest {sample} --detections {trap}.txt", id="mot"),
        pytest.param("ingest {sample} --detections {trap}.json", id="coco"),
        pytest.param("ingest {sample} --embedder {trap}.toml --db new", id="card"),
        pytest.param("ingest {sample} --embedder osnet_x1_0={trap} --db new", id="weights"),
        pytest.param("search {trap}.jpg --db {db}", id="picture"),
        pytest.param("search {trap}.jpg --db {db} --sheet out.jpg", id="picture-to-draw"),
        pytest.param("search --frame pets09-s2l1:1 --db {trap}", id="database"),
        pytest.param("inspect --db {trap}", id="database-to-inspect"),
        pytest.param("doctor --db {trap}", id="database-to-examine"),
        pytest.param("evaluate footage {sample} {trap}.txt", id="truth"),
        pytest.param("evaluate footage {sample} gt.txt --person-map {trap}.json", id="people"),
        pytest.param("evaluate market1501 {trap}", id="crops"),
        pytest.param("evaluate market1501 {sample} --pictures {trap}", id="crops-to-draw"),
        pytest.param("train {trap} --out run", id="data-set"),
    ],
)
def test_what_is_no_file_is_refused(traps: Path, made_db: Path, command: str, trap: str) -> None:
    given = command.format(trap=trap, db=made_db, sample=SAMPLE).split()
    (traps / "gt.txt").write_text("1,1,10,10,20,40,1,1,1\n")
    assert_refused(run(*given, cwd=traps))


@pytest.mark.parametrize("trap", ["pipe", "loop", "gone"])
def test_defaults_that_are_no_file(traps: Path, trap: str) -> None:
    (traps / f"{trap}.toml").rename(traps / "reidsearch.toml")
    assert_refused(run("inspect", cwd=traps), "reidsearch.toml", code=2)


@pytest.mark.parametrize("out", ["loop.jpg", "loop/a.jpg"])
def test_output_that_leads_nowhere(traps: Path, made_db: Path, out: str) -> None:
    ran = run("search", "--frame", "pets09-s2l1:1", "--db", made_db, "--sheet", out, cwd=traps)
    assert_refused(ran, "loop")


def test_playlist_is_no_video_whatever_the_variables_say(tmp_path: Path) -> None:
    write_film(tmp_path / "other.ts", "mp4v")
    (tmp_path / "list.avi").write_bytes(b"ffconcat version 1.0\nfile other.ts\n#\0\n")
    options = "rtsp_transport;tcp|format_whitelist;concat,mpegts"
    ran = run_apart("ingest", "list.avi", cwd=tmp_path, OPENCV_FFMPEG_CAPTURE_OPTIONS=options)
    assert_refused(ran, "list.avi")
    assert len(ran.err.splitlines()) == 1


def test_bombs_are_named_and_left_out(made_db: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    shutil.copy(SAMPLE / "frame_0001.jpg", frames)
    bombs = [write_bomb(frames / "frame_0002.png"), write_slow_bomb(frames / "frame_0003.jpg")]
    ran = run("ingest", frames, "--tiles", "off", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["frames"], ran.json["frames_failed"]) == (0, 1, 2)
    for bomb in bombs:
        assert bomb.name in ran.err
        assert_refused(run("search", bomb, "--db", made_db, cwd=tmp_path), bomb.name)
