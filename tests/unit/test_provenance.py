import json
from dataclasses import replace

import pytest

from reidsearch.core.errors import ModelMismatchError, SourceError
from reidsearch.core.provenance import (
    Provenance,
    SourceRecord,
    require_same_footage,
    require_same_options,
)
from reidsearch.models.cards import DetectorCard, EmbedderCard, WeightFile
from reidsearch.models.matching import require_detector, require_embedder
from tests.unit.builders import SETTINGS, make_info, make_source_record


def weights(digit):
    return (WeightFile(name="weights", sha256=digit * 64),)


EMBEDDER = EmbedderCard(
    name="osnet.ours", files=weights("e"), architecture="osnet", dimension=4, input_hw=(8, 4)
)
DETECTOR = DetectorCard(
    name="ssd.ours",
    files=weights("d"),
    architecture="ssd",
    person_class=1,
    min_score=0.5,
    input_hw=(300, 300),
)
GALLERY = Provenance(
    embedder=EMBEDDER.name,
    fingerprint=EMBEDDER.fingerprint,
    dimension=4,
    detector=DETECTOR.name,
    detector_sha256=DETECTOR.sha256,
    precision="f32",
    versions="openvino 1.0",
    package_version="0.0",
)
START_SAID = "without --start, and now with --start 2009-05-06T14:30:00+00:00"
EPOCH_SAID = "without --start, and now with --start 1970-01-01T00:00:00+00:00"
OPTIONS = {require_embedder: "embedder", require_detector: "detector"}
MODELS = [
    pytest.param(require_embedder, EMBEDDER, id="embedder"),
    pytest.param(require_detector, DETECTOR, id="detector"),
]


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(make_info(), id="plain"),
        pytest.param(make_info(fps=29.97), id="odd-fps"),
        pytest.param(make_info(start_s=1241620200.125), id="start"),
        pytest.param(make_info("Tür 2", 'a "b"\n\\'), id="odd-names"),
    ],
)
def test_source_comes_back_from_its_fields(info):
    record = make_source_record(info)
    assert SourceRecord.from_fields(json.loads(json.dumps(record.to_fields()))) == record


@pytest.mark.parametrize("missing", ["camera", "fps", "tiles"])
def test_other_fields_are_not_a_source(missing):
    fields = make_source_record(make_info()).to_fields()
    del fields[missing]
    with pytest.raises(ValueError, match="not a source"):
        SourceRecord.from_fields(fields)


@pytest.mark.parametrize(("require", "card"), MODELS)
def test_model_of_another_name_and_the_same_weights_is_accepted(require, card):
    require(GALLERY, card)
    require(GALLERY, replace(card, name="same.weights=/elsewhere.pt"))


@pytest.mark.parametrize(("require", "card"), MODELS)
def test_other_model_is_refused_by_both_names(require, card):
    with pytest.raises(ModelMismatchError) as caught:
        require(GALLERY, replace(card, name="another", files=weights("f")))
    assert f"{OPTIONS[require]} {card.name}" in str(caught.value)
    assert "another" in str(caught.value)
    assert f"--{OPTIONS[require]}" in caught.value.hint
    assert "--db" in caught.value.hint


@pytest.mark.parametrize(("require", "card"), MODELS)
def test_other_weights_of_the_same_name_are_refused(require, card):
    with pytest.raises(ModelMismatchError, match="weights that now have this name") as caught:
        require(GALLERY, replace(card, files=weights("f")))
    assert card.name in str(caught.value)
    assert "old weights" in caught.value.hint


def test_embedder_with_another_input_is_refused():
    with pytest.raises(ModelMismatchError):
        require_embedder(GALLERY, replace(EMBEDDER, input_hw=(16, 8)))


@pytest.mark.parametrize(
    ("known", "today"),
    [
        pytest.param({}, {"path": "/moved/elsewhere"}, id="moved"),
        pytest.param({}, {"first_number": 0, "digest": "of frame 0"}, id="earlier-frames-added"),
        pytest.param({}, {"first_number": 2, "digest": "of frame 2"}, id="first-frame-taken-away"),
        pytest.param({}, {"digest": ""}, id="first-frame-unreadable-today"),
        pytest.param({"digest": ""}, {}, id="first-frame-unreadable-before"),
    ],
)
def test_same_footage_is_accepted(known, today):
    record = make_source_record(make_info(**known), [1, 2], 3)
    require_same_footage(record, make_info(**today))


@pytest.mark.parametrize(
    "today",
    [
        pytest.param({"digest": "another", "path": "/b"}, id="elsewhere"),
        pytest.param({"first_number": 0, "digest": "another", "path": "/b"}, id="from-zero"),
    ],
)
def test_other_footage_of_the_same_name_is_refused(today):
    known = make_source_record(make_info("gate", "monday"), [1, 2], 3)
    with pytest.raises(SourceError, match="other footage named gate/monday") as caught:
        require_same_footage(known, replace(known.info, **today))
    assert known.info.path in str(caught.value)
    assert "--camera" in caught.value.hint


def test_same_options_are_accepted_for_footage_that_moved():
    known = make_source_record(make_info(), [1, 2], 3)
    require_same_options(known, replace(known.info, path="/moved/elsewhere"), SETTINGS)


@pytest.mark.parametrize(
    ("option", "info", "settings", "said"),
    [
        pytest.param(
            "--fps", {"fps": 5.0}, {}, "with --fps 10.0, and now with --fps 5.0", id="fps"
        ),
        pytest.param("--start", {"start_s": 1241620200.0}, {}, START_SAID, id="start"),
        pytest.param("--start", {"start_s": 0.0}, {}, EPOCH_SAID, id="start-of-the-epoch"),
        pytest.param(
            "--min-score",
            {},
            {"min_score": 0.5},
            "with --min-score 0.25, and now with --min-score 0.5",
            id="min-score",
        ),
        pytest.param(
            "--min-height",
            {},
            {"min_height_px": 9},
            "with --min-height 24, and now with --min-height 9",
            id="min-height",
        ),
        pytest.param(
            "--tiles",
            {},
            {"tiles": "3x2"},
            "with --tiles auto, and now with --tiles 3x2",
            id="tiles",
        ),
        pytest.param(
            "--skip-unchanged",
            {},
            {"skip_unchanged": True},
            "without --skip-unchanged, and now with --skip-unchanged",
            id="skip-unchanged",
        ),
    ],
)
def test_other_options_are_refused_with_both_values(option, info, settings, said):
    known = make_source_record(make_info("gate", "monday"), [1, 2], 3)
    with pytest.raises(SourceError, match="gate/monday") as caught:
        require_same_options(known, replace(known.info, **info), replace(SETTINGS, **settings))
    assert said in str(caught.value)
    assert option in caught.value.hint
