import shutil
from pathlib import Path

import cv2
import numpy as np

from reidsearch.render.video import GREEN_RGB, ORANGE_RGB
from tests.conftest import assert_refused, run


def count_pixels(frame_bgr: np.ndarray, colour_rgb: tuple[int, int, int]) -> int:
    near = np.abs(frame_bgr[..., ::-1].astype(int) - colour_rgb).max(axis=2) < 60
    return int(near.sum())


def read_video(path: Path) -> tuple[float, list[np.ndarray]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return capture.get(cv2.CAP_PROP_FPS), frames


def test_video_of_the_sample_frames(made_db: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "vidéo.mp4"
    ran = run(
        *("render", "video", sample, "--frame", "pets09-s2l1:101", "--person", 1),
        *("--out", out, "--db", made_db, "--json"),
        cwd=tmp_path,
    )
    assert ran.code == 0, ran.err
    assert ran.json == {"out": str(out), "frames": 40, "matched": 34}
    fps, frames = read_video(out)
    assert fps == 0.5  # every 20th frame of 10 a second
    assert len(frames) == 40
    assert frames[0].shape == (576, 768, 3)
    assert all(count_pixels(frame, GREEN_RGB) > 50 for frame in frames)
    orange = [count_pixels(frame, ORANGE_RGB) > 100 for frame in frames]
    assert orange == [False] * 5 + [True] * 35  # frames 1 to 81; then the query itself, and matches
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_ways_to_go_wrong(made_db: Path, sample: Path, tmp_path: Path) -> None:
    base = ("render", "video", sample, "--db", made_db, "--frame")
    ran = run(*base, "pets09-s2l1:2", cwd=tmp_path)
    assert_refused(ran, "frame 2")
    ran = run(*base, "pets09-s2l1:1", "--out", "no/such/folder.mp4", cwd=tmp_path)
    assert_refused(ran, "no folder", "folder.mp4")
    ran = run(*base, "pets09-s2l1:1", "--out", "matches.txt", cwd=tmp_path)
    assert_refused(ran, "cannot write", ".mp4")
    ran = run("render", "video", "gone", "--db", made_db, "--frame", "pets09-s2l1:1", cwd=tmp_path)
    assert_refused(ran, "no footage at gone")
    assert list(tmp_path.iterdir()) == []


def test_footage_is_not_overwritten(tmp_path: Path, pets: Path) -> None:
    film = Path(shutil.copy(pets / "vtest.avi", tmp_path / "12:30 gate.avi"))
    ran = run("ingest", film.name, "--max-frames", 1, "--tiles", "off", cwd=tmp_path)
    assert ran.code == 0, ran.err
    arguments = ("render", "video", film.name, "--frame", "12:30 gate:1", "--out", film.name)
    assert_refused(run(*arguments, cwd=tmp_path), "is the footage itself")
    assert film.read_bytes() == (pets / "vtest.avi").read_bytes()


def test_footage_that_is_not_the_ingested(made_db: Path, tmp_path: Path, sample: Path) -> None:
    other = tmp_path / "pets09-s2l1"
    other.mkdir()
    picture = cv2.imread(str(sample / "frame_0021.jpg"))
    cv2.imwrite(str(other / "frame_0001.jpg"), picture)
    ran = run("render", "video", other, "--db", made_db, "--frame", "pets09-s2l1:1", cwd=tmp_path)
    assert_refused(ran, "other footage")
