"""Searches of footage whose date is known, beside footage whose date is not."""

from pathlib import Path

import pytest

from tests.conftest import BOXES, SAMPLE, assert_refused, run

pytestmark = pytest.mark.networks

START = "2009-05-06T14:30"


@pytest.fixture(scope="module")
def dated_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 3 frames, which are 2 seconds apart, of three cameras; one has no date."""
    folder = tmp_path_factory.mktemp("dated")
    frames = ("ingest", SAMPLE, "--fps", 10, "--max-frames", 3, "--detections", BOXES)
    for camera, *start in (("north", "--start", START), ("south", "--start", START), ("old",)):
        ran = run(*frames, "--camera", camera, *start, cwd=folder)
        assert ran.code == 0, ran.err
    # Other cameras have a source of that name, too.
    assert ran.err.splitlines()[-1].startswith("next: reidsearch search --frame old/pets09-s2l1:1")
    return folder / "db"


def search(db: Path, *arguments: object, code: int = 0) -> list[tuple[str, str]]:
    by_frame = ("--by", "frame", "--top", 99)
    ran = run("search", *arguments, "--db", db, *by_frame, "--json", cwd=db)
    assert ran.code == code, ran.err
    return sorted((match["camera"], match["time"]) for match in ran.json["matches"])


def test_times_count_from_the_query_or_are_of_the_day(dated_db: Path) -> None:
    first = ("--frame", "north/pets09-s2l1:1")
    everything = search(dated_db, *first)
    assert [camera for camera, _ in everything] == ["north", "north", "south", "south"]
    assert {time[:23] for _, time in everything} == {f"{START}:02.000", f"{START}:04.000"}
    late = [match for match in everything if ":04." in match[1]]
    for window in (
        ("--after", "+2s"),
        ("--after", "+0:02"),
        ("--after", "14:30:02"),
        ("--between", "14:30:03", "14:31"),
        ("--after", f"{START}:02"),
        ("--after", 21),
    ):
        assert search(dated_db, *first, *window) == late
    assert search(dated_db, *first, "--after", "14:31", code=3) == []


def test_time_is_written_beside_seconds(dated_db: Path) -> None:
    for camera, is_dated in (("north", True), ("old", False)):
        address = f"{camera}/pets09-s2l1:21"
        frame = run("inspect", "frame", address, "--db", dated_db, "--json", cwd=dated_db).json
        times = [frame["time"], *(person["time"] for person in frame["detections"])]
        assert {time and time[:23] for time in times} == {f"{START}:02.000" if is_dated else None}
    sources = run("inspect", "sources", "--db", dated_db, "--json", cwd=dated_db).json
    ends = {source["camera"]: source["to_time"] for source in sources}
    assert (ends["north"][:19], ends["old"]) == (f"{START}:04", None)


def test_source_is_that_of_the_querys_camera(dated_db: Path) -> None:
    first, source = ("--frame", "south/pets09-s2l1:1"), ("--source", "pets09-s2l1")
    assert {camera for camera, _ in search(dated_db, *first, *source)} == {"south"}
    other = search(dated_db, *first, *source, "--camera", "north")
    assert {camera for camera, _ in other} == {"north"}


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        pytest.param(("--after", "30s"), ("nothing can be searched", "date"), 1, id="seconds"),
        pytest.param(("--camera", "old"), ("nothing can be searched", "--start"), 1, id="camera"),
        pytest.param(("--after", "30:00"), ("not one time of day",), 2, id="no-time-of-day"),
        pytest.param(("--before", "14:00"), ("later than the query", "--all-times"), 2, id="past"),
    ],
)
def test_what_cannot_be_compared(
    dated_db: Path, arguments: tuple[str, ...], words: tuple[str, ...], code: int
) -> None:
    first = ("search", "--frame", "north/pets09-s2l1:1", "--db", dated_db)
    assert_refused(run(*first, *arguments, cwd=dated_db), *words, code=code)
