import json

import pytest

from reidsearch.core.text import printable, to_json

UNSHOWN = [
    pytest.param("\n", id="newline"),
    pytest.param("\x1b", id="escape"),
    pytest.param("\x9b", id="escape-of-one-character"),
    pytest.param("\x7f", id="delete"),
    pytest.param("\u2028", id="line-separator"),
    pytest.param("\u202e", id="right-to-left"),
    pytest.param("\udcff", id="no-utf8"),
    pytest.param("\U000e0041", id="invisible"),
]
SHOWN = "Łódź ='\"[b] été\u00a0日本 \N{GRINNING FACE}"


@pytest.mark.parametrize("character", UNSHOWN)
def test_what_would_be_obeyed_is_replaced(character):
    assert printable(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("character", UNSHOWN)
def test_json_says_everything_and_shows_nothing_else(character):
    text = to_json({character: [1, character]})
    assert text.isprintable()
    assert json.loads(text) == {character: [1, character]}


def test_what_can_be_shown_stays():
    assert printable(SHOWN) == SHOWN
    assert SHOWN.replace('"', '\\"') in to_json([SHOWN])


def test_lines_of_json_end_where_they_should():
    assert to_json({"a": 1, "b": "\n"}, indent=2) == '{\n  "a": 1,\n  "b": "\\n"\n}'
