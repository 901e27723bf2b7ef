"""Files and options that are text."""

import json
from dataclasses import asdict

import numpy as np
import tomli_w
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reidsearch.core.errors import DetectionsError, ModelError, ReidsearchError, UsageError
from reidsearch.core.types import Detections, Frame
from reidsearch.footage.box_files import read_boxes
from reidsearch.models.cards import EmbedderCard, WeightFile
from reidsearch.models.catalog import find_embedder
from reidsearch.research.mot import read_mot
from reidsearch.search.window import Moment, parse_start
from tests.fuzz.mutations import mutated_text, others_than
from tests.fuzz.refusals import may_refuse
from tests.unit.builders import make_info

INFO = make_info()
FRAME = Frame(np.zeros((48, 64, 3), np.uint8), 7, "/footage/gate/monday/frame_7.jpg")
MOT = "7,-1,10.5,20,8,16,0.9,-1,-1,-1\n8,3,1,2,3,4,-1,-1,-1,-1\n"
TRUTH = "7,1,10,20,8,16,1,1,0.5\n7,2,1,2,3,4,0,1,0.5\n9,1,5,6,7,8,1,7,1\n"
BOX = {"camera": "gate", "source": "monday", "frame": 7, "box_xyxy": [1, 2, 9, 30], "score": 0.5}
IMAGE = {"id": 1, "file_name": "frame_7.jpg", "camera": "gate", "source": "monday", "frame": 7}
ANNOTATION = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 28], "score": 0.5}
CATEGORY = {"id": 1, "name": "person"}
COCO = {"images": [IMAGE], "annotations": [ANNOTATION], "categories": [CATEGORY]}
CALIBRATION = {"intercept": 1.0, "slope": -2.0, "prior": 0.05, "error": 0.01, "data": "x"}
CARD = {
    "about": "of tests",
    "files": [{"name": "weights.pt", "sha256": "a" * 64, "bytes": 4}],
    "architecture": "osnet_x1_0",
    "dimension": 512,
    "input_hw": [256, 128],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.2, 0.2, 0.2],
    "calibration": CALIBRATION,
}


def require_boxes(path):
    """Boxes that can be read must be good for all that is done with them."""
    for info in (INFO, make_info("yard")):
        with may_refuse(DetectionsError, path.name):
            boxes = read_boxes(path)
            found = boxes.finder(info).find(FRAME)
            assert isinstance(found, Detections)
            assert np.isfinite(found.xyxy).all()
            assert ((found.score >= 0) & (found.score <= 1)).all()


@given(text=mutated_text([MOT, TRUTH]))
def test_mot_boxes(folder, text):
    path = folder / "boxes.txt"
    path.write_text(text, "utf-8", errors="surrogatepass")
    require_boxes(path)


@given(document=others_than(COCO))
def test_coco_boxes(folder, document):
    path = folder / "boxes.json"
    path.write_text(json.dumps(document))
    require_boxes(path)


@given(document=others_than(BOX))
@example(document=BOX | {"score": 1e300})
@example(document=BOX | {"box_xyxy": [1, 2, 1e300, 30]})
def test_boxes_in_lines(folder, document):
    path = folder / "boxes.jsonl"
    path.write_text(f"{json.dumps(document)}\n{json.dumps(BOX)}\n")
    require_boxes(path)


@given(
    text=mutated_text([json.dumps(COCO), json.dumps(BOX)]), name=st.sampled_from(["json", "jsonl"])
)
def test_boxes_that_are_no_json(folder, text, name):
    path = folder / f"boxes.{name}"
    path.write_text(text, "utf-8", errors="surrogatepass")
    require_boxes(path)


@given(text=mutated_text([MOT, TRUTH]))
@example(text="7,1,1e999,20,8,16,1,1,0.5")
def test_ground_truth(folder, text):
    path = folder / "gt.txt"
    path.write_text(text, "utf-8", errors="surrogatepass")
    with may_refuse(ReidsearchError, "gt.txt"):
        for truth in read_mot(path).frames.values():
            assert truth.xyxy.shape == (len(truth.people), 4)
            assert np.isfinite(truth.xyxy).all()


@given(document=others_than({"track_to_person": {"1": "anna", "2": "ben"}}))
def test_person_maps(folder, document):
    truth, people = folder / "gt.txt", folder / "people.json"
    truth.write_text(TRUTH)
    people.write_text(json.dumps(document))
    with may_refuse(ReidsearchError, "people.json"):
        frames = read_mot(truth, people).frames.values()
        assert all(isinstance(person, str) for frame in frames for person in frame.people)


def require_card(path):
    good = asdict(EmbedderCard(name="x", architecture="", dimension=1, input_hw=(1, 1)))
    with may_refuse(ModelError, "card.toml"):
        card = find_embedder(str(path))
        for name in good.keys() - {"calibration", "exported", "files"}:
            assert type(getattr(card, name)) is type(good[name]), name
        assert all(isinstance(file, WeightFile) for file in card.files)
        assert len(card.fingerprint) == 64
        assert min(card.dimension, *card.input_hw) > 0
        if card.calibration is not None:
            assert 0 <= card.calibration.likely_distance <= 2


@given(document=others_than({"embedder": CARD}))
@example(document={"embedder": CARD | {"mean": [10**400, 0, 0]}})
@example(document={"embedder": CARD | {"dimension": "512"}})
@example(document={"embedder": CARD | {"files": [{"name": 1}]}})
@example(document={"embedder": CARD | {"files": [{"name": "\0", "member": "x", "url": "x"}]}})
@example(document={"embedder": CARD | {"calibration": CALIBRATION | {"prior": 5e-324}}})
@example(document={"embedder": CARD | {"calibration": CALIBRATION | {"intercept": 1e300}}})
@example(document={"embedder": CARD | {"input_hw": [256]}})
def test_model_cards(folder, document):
    path = folder / "card.toml"
    try:
        path.write_text(tomli_w.dumps(document), "utf-8")
    except (TypeError, ValueError, AttributeError):
        assume(condition=False)  # TOML has no null, and no document that is no table
    require_card(path)


@given(text=mutated_text([tomli_w.dumps({"embedder": CARD})]))
def test_model_cards_that_are_no_toml(folder, text):
    path = folder / "card.toml"
    path.write_text(text, "utf-8", errors="surrogatepass")
    require_card(path)


MOMENTS = [
    "120",
    "4.8s",
    "+30s",
    "1:02:03.5",
    "+0:59",
    "2009-05-06T14:30",
    "2009-05-06T14:30:00+02:00",
]


@given(text=mutated_text(MOMENTS))
def test_moments(text):
    try:
        moment = Moment.parse(text)
    except UsageError:
        return
    assert str(moment)
    assert moment.value >= 0 or moment.kind == "date"


@given(text=mutated_text(MOMENTS[-2:]) | st.datetimes().map(str))
@example(text="9999-12-31T23:59:59")
@example(text="0001-01-01T00:00:00")
def test_starts(text):
    try:
        start_s = parse_start(text)
    except UsageError:
        return
    assert str(Moment("date", start_s))
