import pytest

from reidsearch.core.ids import CropId


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("gate/monday:120:3", ("gate", "monday", 120, 3), id="plain"),
        pytest.param("gate/a:1:2:120:3", ("gate", "a:1:2", 120, 3), id="colons-in-a-name"),
        pytest.param("gate/north/a:1:1", ("gate", "north/a", 1, 1), id="slash-in-a-name"),
        pytest.param("tor \u00fc/\n:1:1", ("tor \u00fc", "\n", 1, 1), id="any-character"),
    ],
)
def test_reads_what_it_writes(text, parts):
    assert CropId.parse(text) == CropId(*parts)
    assert str(CropId(*parts)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "gate", "gate/monday", "gate/monday:1", "monday:1:1", "gate/:1:1", "/monday:1:1"),
        *("gate/monday:1:x", "gate/monday:-1:1", "gate/monday:01:1", "gate/monday:1:01"),
        *("gate/monday:1:\u0661", "gate/monday:1:1 ", f"gate/monday:{10**18}:1"),
    ],
)
def test_anything_else_is_not_an_id(text):
    with pytest.raises(ValueError, match="is not a valid id"):
        CropId.parse(text)
