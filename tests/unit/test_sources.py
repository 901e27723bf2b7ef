import pytest

from reidsearch.core.errors import SourceError, UsageError
from reidsearch.footage import SourceOptions, open_source


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"every": 0}, id="every-zeroth"),
        pytest.param({"max_frames": 0}, id="no-frames"),
        pytest.param({"fps": 0.0}, id="standstill"),
        pytest.param({"fps": -1.0}, id="backwards"),
        pytest.param({"fps": float("nan")}, id="nan-fps"),
        pytest.param({"fps": float("inf")}, id="endless-fps"),
        pytest.param({"fps": 1e-320}, id="a-frame-in-an-age"),
        pytest.param({"camera": ""}, id="camera-without-name"),
        pytest.param({"camera": "north/gate"}, id="camera-with-a-slash"),
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    reasons = r"at least 1|not a valid (frame rate|camera name)|camera is empty"
    with pytest.raises(UsageError, match=reasons):
        SourceOptions(**options)


def test_least_options_are_accepted():
    assert SourceOptions(every=1, max_frames=1, fps=1e-3).camera is None


def test_nothing_at_the_path_is_said(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder") as caught:
        open_source(tmp_path / "none")
    assert str(tmp_path / "none") in str(caught.value)
