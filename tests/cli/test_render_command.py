import shutil
from pathlib import Path

import cv2
import numpy as np

from reidsearch.footage.images import read_image
from reidsearch.render.crops import GREEN, ORANGE
from tests.conftest import assert_refused, run

FRAME = ("--frame", "pets09-s2l1:101")


def count_pixels(frame_bgr: np.ndarray, colour_rgb: tuple[int, int, int]) -> int:
    near = np.abs(frame_bgr[..., ::-1].astype(int) - colour_rgb).max(axis=2) < 60
    return int(near.sum())


def read_video(path: Path) -> tuple[float, list[np.ndarray]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return capture.get(cv2.CAP_PROP_FPS), frames


def test_video_of_the_sample_frames(made_db: Path, tmp_path: Path) -> None:
    out = tmp_path / "vidéo.mp4"
    ran = run(
        *("render", "video", *FRAME, "--person", 1, "--max-distance", 2),
        *("--out", out, "--db", made_db, "--json"),
        cwd=tmp_path,
    )
    assert ran.code == 0, ran.err
    assert ran.json == {"out": str(out), "frames": 40, "matched": 34}
    fps, frames = read_video(out)
    assert fps == 0.5  # every 20th frame of 10 a second
    assert len(frames) == 40
    assert frames[0].shape == (576, 768, 3)
    assert all(count_pixels(frame, GREEN) > 50 for frame in frames)
    # The corner with the person's picture is framed in every frame.
    orange = [count_pixels(frame[160:], ORANGE) > 80 for frame in frames]
    assert orange == [False] * 5 + [True] * 35  # frames 1 to 81; then the query itself, and matches
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_browsers_play_it(made_db: Path, tmp_path: Path) -> None:
    ran = run("render", "video", *FRAME, "--db", made_db, cwd=tmp_path)
    assert ran.code == 0, ran.err
    capture = cv2.VideoCapture(str(tmp_path / "matches.mp4"))
    code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert code in {b"avc1", b"h264"}
    data = (tmp_path / "matches.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before all of it has arrived


def test_only_frames_with_a_likely_match(made_db: Path, tmp_path: Path) -> None:
    base = ("render", "video", *FRAME, "--db", made_db, "--only-matches", "--json")
    search = ("search", *FRAME, "--by", "frame", "--top", 99, "--db", made_db, "--json")
    matches = run(*search, cwd=tmp_path).json["matches"]
    likely = run(*base, cwd=tmp_path).json
    assert likely["matched"] == sum(match["probability"] >= 0.5 for match in matches)
    assert likely["frames"] == likely["matched"] + 1  # and that of the query


def test_picture_from_outside(made_db: Path, sample: Path, tmp_path: Path) -> None:
    base = ("render", "video", sample / "frame_0001.jpg", "--box", "250,218,283,309")
    base = (*base, "--db", made_db, "--only-matches")
    assert_refused(run(*base, cwd=tmp_path), "--source is required", "--source", code=2)
    ran = run(*base, "--source", "pets09-s2l1", "--max-distance", 0.4, "--json", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["matched"]) == (1, 1)


def test_footage_that_was_moved(own_db: Path, sample: Path, tmp_path: Path) -> None:
    footage = Path(shutil.copytree(sample, tmp_path / "gate"))
    db = ("--db", tmp_path / "gate-db")
    frames = ("--max-frames", 2, "--tiles", "off")
    assert run("ingest", footage, *frames, *db, cwd=tmp_path).code == 0
    (tmp_path / "archive").mkdir()
    shutil.move(footage, tmp_path / "archive" / "gate")
    video = ("render", "video", "--frame", "gate:1", "--max-distance", 2, *db)
    assert_refused(run(*video, cwd=tmp_path), str(footage), "--root")
    ran = run(*video, "--root", tmp_path / "archive", cwd=tmp_path)
    assert ran.code == 0, ran.err
    sheet = ("search", "--frame", "gate:1", *db, "--sheet", "sheet.jpg")
    ran = run(*sheet, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "does not exist any more" in ran.err
    ran = run(*sheet, "--root", tmp_path / "archive", "--force", cwd=tmp_path)
    assert "warning" not in ran.err


def test_sheet_shows_the_query_and_each_match(made_db: Path, tmp_path: Path) -> None:
    sheet = ("search", *FRAME, "--db", made_db, "--top", 8, "--sheet")
    ran = run(*sheet, "s.jpg", cwd=tmp_path)
    assert ran.code == 0, ran.err
    picture = read_image(tmp_path / "s.jpg")
    cells = [
        picture[16 + row * 328 :, 16 + column * 176 :][:240, :160]
        for row, columns in ((0, 6), (1, 3))
        for column in range(columns)
    ]
    assert all(cell.shape == (240, 160, 3) and cell.std() > 15 for cell in cells)
    assert picture[16 + 328 :, 16 + 3 * 176 :].std() < 3  # nothing beyond the last
    ran = run(*sheet, "s.png", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert read_image(tmp_path / "s.png").shape == picture.shape


def test_ways_to_go_wrong(made_db: Path, tmp_path: Path) -> None:
    base = ("render", "video", "--db", made_db, "--frame")
    ran = run(*base, "pets09-s2l1:2", cwd=tmp_path)
    assert_refused(ran, "frame 2")
    ran = run(*base, "pets09-s2l1:1", "--out", "no/such/folder.mp4", cwd=tmp_path)
    assert_refused(ran, "no folder", "folder.mp4")
    ran = run(*base, "pets09-s2l1:1", "--out", "matches.avi", cwd=tmp_path)
    assert_refused(ran, "cannot write", ".mp4")
    ran = run(*base, "pets09-s2l1:1", "--source", "gone", cwd=tmp_path)
    assert_refused(ran, "no source gone")
    ran = run(*base, "pets09-s2l1:1", "--only-matches", "--source", "x", cwd=tmp_path)
    assert_refused(ran, "no source x")
    sheet = ("search", "--db", made_db, "--frame", "pets09-s2l1:1", "--sheet")
    assert_refused(run(*sheet, "sheet.xyz", cwd=tmp_path), "sheet.xyz", ".jpg")
    assert_refused(run(*sheet, "gone/sheet.jpg", cwd=tmp_path), "no folder")
    assert list(tmp_path.iterdir()) == []


def test_footage_is_not_overwritten(tmp_path: Path, pets: Path) -> None:
    film = Path(shutil.copy(pets / "vtest.avi", tmp_path / "12:30 gate.mp4"))
    ran = run("ingest", film.name, "--max-frames", 1, "--tiles", "off", cwd=tmp_path)
    assert ran.code == 0, ran.err
    arguments = ("render", "video", "--frame", "12:30 gate:1", "--out", film.name)
    assert_refused(run(*arguments, cwd=tmp_path), "is footage")
    assert film.read_bytes() == (pets / "vtest.avi").read_bytes()


def test_footage_that_is_not_the_ingested(sample: Path, tmp_path: Path) -> None:
    footage = Path(shutil.copytree(sample, tmp_path / "gate"))
    ran = run("ingest", footage, "--max-frames", 2, "--tiles", "off", cwd=tmp_path)
    assert ran.code == 0, ran.err
    shutil.copy(sample / "frame_0021.jpg", footage / "frame_0001.jpg")
    ran = run("render", "video", "--frame", "gate:1", "--max-distance", 2, cwd=tmp_path)
    assert_refused(ran, "is not what it was")
    ran = run("search", "--frame", "gate:1", "--sheet", "s.jpg", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "frame_0001.jpg has changed since it was ingested" in ran.err
