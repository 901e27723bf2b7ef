import io
import time

import pytest
from rich.console import Console

from reidsearch.render.table import (
    format_box,
    format_bytes,
    format_time,
    match_table,
    sighting_table,
    source_table,
)
from reidsearch.types import Match, Sighting
from tests.unit.builders import make_info, make_sighting, make_source_record


@pytest.fixture
def three_hours_east(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-3")
        time.tzset()
        yield
    time.tzset()


def print_lines(table):
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return [line.split() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [
        pytest.param(0, "0:00:00.0", id="zero"),
        pytest.param(0.04, "0:00:00.0", id="rounded-down"),
        pytest.param(83.4, "0:01:23.4", id="minutes"),
        pytest.param(59.94, "0:00:59.9", id="just-before-a-minute"),
        pytest.param(59.96, "0:01:00.0", id="rounded-up-to-a-minute"),
        pytest.param(3599.96, "1:00:00.0", id="rounded-up-to-an-hour"),
        pytest.param(36000, "10:00:00.0", id="ten-hours"),
        pytest.param(99_999_999, "27777:46:39.0", id="three-years"),
        pytest.param(
            -5,
            "-0:00:05.0",
            id="before-the-start",
            marks=pytest.mark.xfail(reason="it says -1:59:55.0"),
        ),
    ],
)
def test_seconds_are_written_as_a_clock(time_s, expected):
    assert format_time(time_s) == expected


@pytest.mark.usefixtures("three_hours_east")
def test_epoch_seconds_are_written_as_local_date_and_time():
    assert format_time(1241620200.25) == "2009-05-06 17:30:00.250"
    assert format_time(100_000_000) == "1973-03-03 12:46:40.000"


@pytest.mark.xfail(raises=ValueError, reason="datetime ends with the year 9999")
def test_any_number_of_seconds_can_be_written():
    assert format_time(1e13)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(0, "0 bytes", id="zero"),
        pytest.param(999, "999 bytes", id="bytes"),
        pytest.param(1000, "1.0 kB", id="one-kB"),
        pytest.param(4_700_000, "4.7 MB", id="MB"),
        pytest.param(12_345_678_901, "12.3 GB", id="GB"),
        pytest.param(2 * 10**15, "2000.0 TB", id="more-than-the-last-unit"),
        pytest.param(999_949, "999.9 kB", id="just-below-a-MB"),
        pytest.param(
            999_960,
            "1.0 MB",
            id="rounded-up-to-a-MB",
            marks=pytest.mark.xfail(reason="it says 1000.0 kB"),
        ),
    ],
)
def test_bytes_are_written_in_the_unit_that_suits(count, expected):
    assert format_bytes(count) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((0, 0, 0, 0), "0,0 0x0", id="zero"),
        pytest.param((10, 20, 40, 100), "10,20 30x80", id="whole"),
        pytest.param((10.6, 20.4, 40.1, 100.2), "11,20 30x80", id="size-is-rounded-itself"),
    ],
)
def test_box_is_written_as_corner_and_size(box, expected):
    sighting = Sighting("c/s:1:1", "c", "s", 1, 0.0, box, 0.5, "/f")
    assert format_box(sighting) == expected


@pytest.mark.parametrize("table", [match_table([]), sighting_table([]), source_table([])])
def test_empty_table_has_its_head_only(table):
    (head,) = print_lines(table)
    assert "camera" in head


def test_sighting_table_has_a_line_for_each_person():
    info = make_info("gate", "monday")
    head, *lines = print_lines(sighting_table([make_sighting(info, 12, 3), make_sighting(info, 5)]))
    assert head == ["camera", "source", "frame", "person", "time", "box", "score"]
    assert lines[0] == ["gate", "monday", "12", "3", "0:00:01.1", "30,5", "8x25", "0.70"]
    assert lines[1][2:4] == ["5", "1"]


def test_match_table_begins_with_rank_and_distance():
    sighting = make_sighting(make_info("gate", "monday"), 12)
    head, line = print_lines(match_table([Match(1, 0.123456, sighting)]))
    assert head[:3] == ["rank", "distance", "camera"]
    assert line[:4] == ["1", "0.1235", "gate", "monday"]


def test_source_table_says_from_when_to_when():
    record = make_source_record(make_info("gate", "monday", fps=12.5), [1, 26, 51], 7)
    _, line = print_lines(source_table([record]))
    expected = ["gate", "monday", "3", "7", "0:00:00.0", "0:00:04.0", "12.5", record.info.path]
    assert line == expected


@pytest.mark.xfail(reason="rich reads cells as markup")
@pytest.mark.parametrize("name", ["cut[final]", "cut[/final]"])
def test_brackets_in_names_are_shown(name):
    lines = print_lines(sighting_table([make_sighting(make_info(name, "monday"), 1)]))
    assert lines[1][0] == name
