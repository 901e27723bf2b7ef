"""A picture in which somebody has to be found before they can be searched for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reidsearch import open_database
from reidsearch.core.errors import SeveralPeopleError
from reidsearch.core.provenance import DetectionSettings
from reidsearch.core.types import Detections
from reidsearch.models import pair
from tests.conftest import BOXES, SAMPLE, assert_refused, run

pytestmark = pytest.mark.networks

SCENE = SAMPLE / "frame_0001.jpg"
_TABLE = np.loadtxt(BOXES, delimiter=",")
_LTWH = _TABLE[_TABLE[:, 0] == 1, 2:6] - (1, 1, 0, 0)
PEOPLE = Detections(
    np.hstack([_LTWH[:, :2], _LTWH[:, :2] + _LTWH[:, 2:]]).astype(np.float32),
    _TABLE[_TABLE[:, 0] == 1, 6].astype(np.float32),
)
"""Those of the scene's frame, as the database has them."""

Sees = Callable[[Detections], None]


class FixedDetector:
    """Finds what it is told to, in every picture."""

    def __init__(self, found: Detections) -> None:
        self.found = found

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        return [self.found for _ in images]


@pytest.fixture
def settings() -> list[DetectionSettings]:
    """With which a detector was loaded."""
    return []


@pytest.fixture
def sees(monkeypatch: pytest.MonkeyPatch, settings: list[DetectionSettings]) -> Sees:
    """Decides whom the detector finds, so that no network does."""

    def decide(found: Detections) -> None:
        def load(_card: object, given: DetectionSettings, *_: object) -> FixedDetector:
            settings.append(given)
            return FixedDetector(found)

        monkeypatch.setattr(pair, "load_detector", load)

    decide(PEOPLE)
    return decide


def audited(db: Path) -> list[dict[str, Any]]:
    return list(run("audit", "show", "--db", db, "--json", cwd=db).json["entries"])


@pytest.mark.usefixtures("sees")
def test_several_people_are_numbered(own_db: Path, tmp_path: Path) -> None:
    before = audited(own_db)
    ran = run("search", SCENE, "--db", own_db, "--sheet", "scene.png", cwd=tmp_path)
    assert ran.code == 2
    head, *rows = ran.out.splitlines()
    assert head.split() == ["n", "box", "score"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert rows[0].split()[1:] == ["250,218,283,309", "0.91"]
    assert "3 people were found" in ran.err
    assert "--person N" in ran.err
    assert cv2.imread(str(tmp_path / "scene.png")).shape[1] >= 768
    assert audited(own_db) == before

    drawn = run("search", SCENE, "--db", own_db, "--preview", cwd=tmp_path)
    assert (drawn.code, len(drawn.out.splitlines()) > 3 * 7) == (2, True)
    document = run("search", SCENE, "--db", own_db, "--json", cwd=tmp_path)
    assert document.code == 2
    assert [person["n"] for person in document.json["detections"]] == [1, 2, 3]
    assert "3 people were found" in document.json["error"]
    assert run("search", SCENE, "--db", own_db, "--csv", cwd=tmp_path).out == ""


@pytest.mark.usefixtures("sees")
def test_person_takes_one(own_db: Path, tmp_path: Path) -> None:
    search = ("search", SCENE, "--db", own_db, "--top", 1, "--json")
    for person in (1, 2, 3):
        ran = run(*search, "--person", person, cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert f"3 people found in {SCENE}: searching for person {person}" in ran.err
        (match,) = ran.json["matches"]
        assert match["id"] == f"pets09-s2l1/pets09-s2l1:1:{person}"
        assert match["distance"] < 0.01
        assert ran.json["query"]["box_xyxy"] == match["box_xyxy"]
        about = audited(own_db)[-1]["about"]
        assert (about["pictures"], about["box_xyxy"]) == ([str(SCENE)], match["box_xyxy"])
    ran = run("search", SCENE, "--db", own_db, "--person", 4, cwd=tmp_path)
    assert_refused(ran, "no person 4", "1 to 3")
    out = ("render", "video", SCENE, "--source", "pets09-s2l1", "--db", own_db)
    assert_refused(run(*out, cwd=tmp_path), "3 people were found", "--person N", code=2)


def test_one_person_is_taken(made_db: Path, tmp_path: Path, sees: Sees) -> None:
    sees(PEOPLE[np.array([1])])
    ran = run("search", SCENE, "--db", made_db, "--top", 1, "--json", cwd=tmp_path)
    assert f"1 person found in {SCENE}: searching for it" in ran.err
    assert ran.json["matches"][0]["id"] == "pets09-s2l1/pets09-s2l1:1:2"


def test_nobody_in_a_scene(made_db: Path, tmp_path: Path, sees: Sees) -> None:
    sees(PEOPLE[np.array([], int)])
    ran = run("search", SCENE, "--db", made_db, cwd=tmp_path)
    assert_refused(ran, "nobody was found", "--box X1,Y1,X2,Y2")


@pytest.mark.parametrize(
    ("size_wh", "boxes", "taken"),
    [
        pytest.param((60, 120), None, None, id="narrow-is-a-crop"),
        pytest.param((80, 120), [], None, id="nobody-seen-in-a-crop"),
        pytest.param((80, 120), [(5, 5, 70, 110)], None, id="close-up"),
        pytest.param((80, 120), [(5, 5, 70, 110), (70, 50, 80, 80)], None, id="others-behind"),
        pytest.param((80, 120), [(10, 20, 30, 90)], (10, 20, 30, 90), id="high-scene"),
        pytest.param((120, 110), [(5, 5, 100, 110)], (5, 5, 100, 110), id="wide"),
    ],
)
def test_crop_is_taken_as_it_is(
    made_db: Path,
    tmp_path: Path,
    sees: Sees,
    settings: list[DetectionSettings],
    size_wh: tuple[int, int],
    boxes: list[tuple[float, ...]] | None,
    taken: tuple[float, ...] | None,
) -> None:
    xyxy = np.array(boxes or [], np.float32).reshape(-1, 4)
    sees(Detections(xyxy, np.linspace(1, 0.5, len(xyxy), dtype=np.float32)))
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), np.full((*size_wh[::-1], 3), 90, np.uint8))
    ran = run("search", path, "--db", made_db, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.json["query"]["box_xyxy"] == (None if taken is None else [*taken])
    assert len(settings) == (boxes is not None)  # no detector is loaded where none is needed
    said = "as a crop of one person" if taken is None else "searching for it"
    assert (said in ran.err) == (boxes is not None)


@pytest.mark.usefixtures("sees")
def test_detector_looks_as_it_did_at_the_footage(
    made_db: Path, tmp_path: Path, settings: list[DetectionSettings]
) -> None:
    options = ("--max-frames", 1, "--tiles", "off", "--min-score", 0.4, "--skip-unchanged")
    assert run("ingest", SAMPLE, *options, "--db", "own", cwd=tmp_path).code == 0
    run("search", SCENE, "--db", "own", cwd=tmp_path)
    run("search", SCENE, "--db", made_db, cwd=tmp_path)  # whose boxes are from a file
    assert [(s.tiles, s.min_score) for s in settings] == [
        ("off", 0.4),
        ("off", 0.4),
        ("auto", 0.25),
    ]


@pytest.mark.usefixtures("sees")
def test_api_tells_who_is_there(made_db: Path) -> None:
    with open_database(made_db).read() as gallery:
        with pytest.raises(SeveralPeopleError) as caught:
            gallery.find_query(SCENE)
        boxes = caught.value.scene.boxes_xyxy
        query = gallery.find_query(SCENE, person=3)
    assert [*boxes] == [1, 2, 3]
    assert (query.box_xyxy, query.found) == (boxes[3], 3)


def test_the_real_detector_finds_them_again(made_db: Path, tmp_path: Path) -> None:
    ran = run("search", SCENE, "--person", 1, "--db", made_db, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.json["matches"][0]["frame"] == 1
    assert ran.json["matches"][0]["distance"] < 0.5
