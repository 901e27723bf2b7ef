import pytest

from reidsearch import ModelChoice
from reidsearch.core.errors import UsageError
from reidsearch.models.backends import library_versions, require_precision


def test_f32_is_everywhere():
    for backend in ("auto", "reference"):
        assert require_precision("f32", backend) == "f32"


@pytest.mark.parametrize(
    ("name", "backend", "words"),
    [
        pytest.param("fp8", "auto", "'fp8' is not a valid precision", id="unknown"),
        pytest.param("bf16", "reference", "only OpenVINO computes in bf16", id="other-backend"),
    ],
)
def test_precision_that_there_is_not(name, backend, words):
    with pytest.raises(UsageError, match=words) as caught:
        require_precision(name, backend)
    assert caught.value.hint


def test_unknown_precision_cannot_be_chosen():
    with pytest.raises(UsageError, match="not a valid precision"):
        ModelChoice(precision="fp8")


def test_versions_are_those_of_what_computes():
    named = dict(part.split(" ") for part in library_versions().split(", "))
    assert {"openvino", "pillow", "opencv-python"} <= named.keys()
