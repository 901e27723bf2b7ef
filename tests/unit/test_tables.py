import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from reidsearch.cli.folding import fold_rows
from reidsearch.cli.tables import detection_table, format_box, match_table, source_table
from reidsearch.core.text import format_bytes, format_probability, format_time
from reidsearch.core.types import Match
from tests.unit.builders import make_detection, make_info, make_source_record


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
        pytest.param(83.4, "0:01:23.4", id="minutes"),
        pytest.param(3599.96, "1:00:00.0", id="rounded-up-to-an-hour"),
        pytest.param(99_999_999, "27777:46:39.0", id="three-years"),
        pytest.param(1e13, "2777777777:46:40.0", id="beyond-the-year-9999"),
        pytest.param(-3661.26, "-1:01:01.3", id="before-the-start"),
        pytest.param(-0.04, "0:00:00.0", id="no-minus-before-zero"),
    ],
)
def test_seconds_are_written_as_a_clock(time_s, expected):
    assert format_time(time_s) == expected


@pytest.mark.usefixtures("three_hours_east")
def test_epoch_seconds_are_written_as_local_date_and_time():
    assert format_time(1241620200.25) == "2009-05-06 17:30:00.250+03:00"
    assert format_time(100_000_000) == "1973-03-03 12:46:40.000+03:00"


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(999, "999 bytes", id="bytes"),
        pytest.param(1000, "1.0 kB", id="one-kB"),
        pytest.param(999_949, "999.9 kB", id="just-below-a-MB"),
        pytest.param(999_960, "1.0 MB", id="rounded-up-to-a-MB"),
        pytest.param(2 * 10**15, "2000.0 TB", id="more-than-the-last-unit"),
    ],
)
def test_bytes_are_written_in_the_unit_that_suits(count, expected):
    assert format_bytes(count) == expected


def test_box_is_written_as_the_option_takes_it():
    assert format_box((10.6, 20.4, 40.1, 100.2)) == "11,20,40,100"


def test_empty_tables_have_their_heads_only():
    for table in (match_table([]), detection_table([]), source_table([])):
        (head,) = print_lines(table)
        assert "camera" in head


def test_detection_table_has_a_line_for_each_person():
    info = make_info("gate", "monday")
    head, *lines = print_lines(
        detection_table([make_detection(info, 12, 3), make_detection(info, 5)])
    )
    assert head == ["camera", "source", "frame", "n", "time", "box", "score"]
    assert lines[0] == ["gate", "monday", "12", "3", "0:00:01.1", "30,5,38,30", "0.70"]
    assert lines[1][2:4] == ["5", "1"]


def test_match_table_begins_with_rank_and_distance():
    detection = make_detection(make_info("gate", "monday"), 12)
    head, line = print_lines(match_table([Match(1, 0.123456, detection)]))
    assert head[:3] == ["rank", "distance", "camera"]
    assert line[:4] == ["1", "0.1235", "gate", "monday"]


def test_source_table_says_from_when_to_when():
    record = make_source_record(make_info("gate", "monday", fps=12.5), [1, 26, 51], 7)
    _, line = print_lines(source_table([record]))
    expected = ["gate", "monday", "3", "7", "0:00:00.0", "0:00:04.0", "12.5", record.info.path]
    assert line == expected


def test_narrow_terminals_split_rows_but_no_cell():
    info = replace(make_info("gate-at-the-north", "monday-morning"), start_s=1241620200.0)
    table = source_table([make_source_record(info, [1, 26], 7)] * 2)
    console = Console(file=io.StringIO(), width=60)
    for part in fold_rows(table, console):
        console.print(part)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 60
    whole = [line.split("  ") for line in lines]
    for cell in ("gate-at-the-north", "monday-morning", format_time(info.start_s, zone=False)):
        assert sum(cell in map(str.strip, line) for line in whole) == 2
    assert len({line.index("monday") for line in lines if line.startswith("gate")}) == 1
    [as_it_is] = fold_rows(table, Console(file=io.StringIO(), width=200))
    assert as_it_is is table


@pytest.mark.parametrize("name", ["cut[final]", "cut[/final]"])
def test_brackets_in_names_are_shown(name):
    lines = print_lines(detection_table([make_detection(make_info(name, "monday"), 1)]))
    assert lines[1][0] == name


def test_no_terminal_obeys_a_name():
    info = make_info(camera="\x1b]0;owned\x07[bold]", name="a\nb\x9b31m")
    table = detection_table([make_detection(info, 1)])
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(table)
    text = console.file.getvalue()
    assert not {"\x1b", "\x07", "\x9b"} & set(text)
    assert "]0;owned" in text
    assert "[bold]" in text


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        *((0.0, "< 1 %"), (0.004, "< 1 %"), (0.01, "1 %"), (0.97, "97 %"), (0.994, "99 %")),
        *((0.996, "> 99 %"), (1.0, "> 99 %")),
    ],
)
def test_nothing_is_certain(probability, expected):
    assert format_probability(probability) == expected
