"""Folders that grow: what comes is opened, and what was there is not looked at again."""

import os
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from reidsearch.core.types import BadFrame
from reidsearch.footage import SourceOptions
from reidsearch.footage.folder import FolderSource
from reidsearch.ingest.growing import follow

OPTIONS = SourceOptions(growing=True)


def put(folder: Path, *numbers: int, data: bytes | None = None, time_s: float = 1e9) -> None:
    """Pictures that nobody has touched for a while."""
    picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    for number in numbers:
        path = folder / f"frame_{number}.png"
        path.write_bytes(picture if data is None else data)
        os.utime(path, (time_s, time_s))


def read(source: FolderSource) -> list[int | str]:
    """Numbers of the frames, and reasons of bad ones."""
    frames = [*source.frames()]
    assert len(frames) == len(source)
    return [f.reason if isinstance(f, BadFrame) else f.number for f in frames]


def test_only_what_comes_is_opened(tmp_path: Path) -> None:
    put(tmp_path, 1, 2, 3)
    source = FolderSource(tmp_path, OPTIONS)
    info = source.info
    assert (read(source), source.span, source.grow()) == ([1, 2, 3], (1, 3), False)
    put(tmp_path, 5, 10)
    assert (source.grow(), read(source), source.span) == (True, [5, 10], (5, 10))
    assert not source.grow()
    put(tmp_path, 11)
    assert (source.grow(), read(source), source.info) == (True, [11], info)


def test_unfinished_files_wait(tmp_path: Path) -> None:
    put(tmp_path, 1)
    source = FolderSource(tmp_path, OPTIONS)
    put(tmp_path, 2)
    os.utime(tmp_path / "frame_2.png")
    assert not source.grow()
    os.utime(tmp_path / "frame_2.png", (1e9, 1e9))
    assert (source.grow(), read(source)) == (True, [2])


def test_what_could_not_be_read_is_tried_again_once_it_changes(tmp_path: Path) -> None:
    put(tmp_path, 1, 3)
    put(tmp_path, 2, data=b"no picture")
    source = FolderSource(tmp_path, OPTIONS)
    assert [frame for frame in read(source) if isinstance(frame, int)] == [1, 3]
    assert not source.grow()
    put(tmp_path, 4)
    assert (source.grow(), read(source)) == (True, [4])
    put(tmp_path, 2, time_s=1.5e9)
    assert (source.grow(), read(source), source.span) == (True, [2], (2, 2))
    assert not source.grow()


def test_earlier_frames_open_all_of_the_folder_again(tmp_path: Path) -> None:
    put(tmp_path, 3, 4)
    source = FolderSource(tmp_path, OPTIONS)
    put(tmp_path, 1, 5)
    assert (source.grow(), read(source)) == (True, [1, 3, 4, 5])


def test_every_nth_frame_is_counted_from_the_first_of_all(tmp_path: Path) -> None:
    options = SourceOptions(growing=True, every=3)
    put(tmp_path, *range(1, 6))
    source = FolderSource(tmp_path, options)
    assert read(source) == [1, 4]
    put(tmp_path, 6)
    assert (source.grow(), read(source), source.span) == (True, [], (1, 0))
    put(tmp_path, *range(7, 12))
    assert (source.grow(), read(source)) == (True, [7, 10])
    (tmp_path / "frame_1.png").unlink()
    put(tmp_path, 12)
    assert (source.grow(), read(source)) == (True, read(FolderSource(tmp_path, options)))


def test_names_without_numbers_are_named_once(tmp_path: Path) -> None:
    put(tmp_path, 1)
    source = FolderSource(tmp_path, OPTIONS)
    (tmp_path / "frame_1.png").rename(tmp_path / "face.png")
    assert source.grow()
    [reason] = read(source)
    assert "face.png has no number" in str(reason)


@pytest.mark.parametrize("refresh", [False, True])
def test_folders_are_followed(tmp_path: Path, refresh: bool) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    steps = iter(
        [
            lambda: None,
            lambda: put(tmp_path / "a", 1, 2),
            lambda: put(tmp_path / "b", 7),
            lambda: put(tmp_path / "a", 3),
            lambda: put(tmp_path / "a", 2, time_s=1.5e9),
        ]
    )

    def wait(_seconds: float) -> bool:
        step = next(steps, None)
        if step:
            step()
        return step is None

    folders = [tmp_path / "a", tmp_path / "b"]
    rounds = [
        (source.info.name, read(source))
        for source in islice(follow(folders, OPTIONS, wait, refresh=refresh), 9)
    ]
    whole = [("a", [1, 2]), ("b", [7])]
    if refresh:
        assert rounds == [*whole, ("a", [1, 2, 3]), ("a", [1, 2, 3])]
    else:
        assert rounds == [*whole, ("a", [3])]
