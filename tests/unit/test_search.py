import time
from math import radians, sin

import numpy as np
import pytest

from reidsearch.core.errors import QueryError, UsageError
from reidsearch.core.types import Embeddings, Filter
from reidsearch.search import find
from reidsearch.search.grouping import Grouping
from reidsearch.search.query import (
    Query,
    find_frame,
    find_source,
    query_crop,
    query_picture,
    query_stored,
)
from reidsearch.search.window import Moment, Window, parse_start
from tests.unit.builders import (
    FINGERPRINT,
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
    make_vectors,
)
from tests.unit.memory_store import MemoryStore

GATE = make_info("gate", "monday")
YARD = make_info("yard", "monday", fps=100.0)
DATED = make_info("roof", "tuesday", start_s=1.5e9)


def fill(store, info, people, frames=()):
    """Add people as `{(frame, person): degrees}`; the given frames hold nobody."""
    detections = [make_detection(info, *key) for key in people]
    known = {frame for frame, _ in people} | set(frames)
    record = make_source_record(info)
    store.add(make_records(detections, people.values()), record, make_frames(info, *known))
    return store


def make_store(*infos, people=None):
    store = MemoryStore(PROVENANCE)
    for info in infos:
        fill(store, info, people or {(1, 1): 0, (1, 2): 90, (2, 1): 80, (3, 1): 10, (3, 2): 170})
    return store


def find_later(store, query, *, top=10, camera=None, after=None):
    """All people of a frame, not only the nearest of them."""
    window = Window(() if camera is None else (camera,), after=after)
    return find.find_later(store, query, window, Grouping(top, by="detection"))


def ids(result):
    return [match.detection.id for match in result.matches]


def outsider(degrees=0):
    return Query(make_vectors(degrees))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("0", Moment("frame", 0), id="frame-zero"),
        pytest.param("120", Moment("frame", 120), id="frame"),
        pytest.param("0s", Moment("seconds", 0.0), id="zero-seconds"),
        pytest.param("4.8s", Moment("seconds", 4.8), id="seconds"),
        pytest.param("2:03", Moment("clock", 123.0, 7380.0), id="minutes-or-hours"),
        pytest.param("90:00", Moment("clock", 5400.0), id="many-minutes"),
        pytest.param("1:02:03.5", Moment("clock", 3723.5, 3723.5), id="hours"),
        pytest.param("24:00:00", Moment("clock", 86400.0), id="more-than-a-day"),
        pytest.param("+4.8s", Moment("relative", 4.8), id="seconds-from-the-query"),
        pytest.param("+2:03", Moment("relative", 123.0), id="minutes-from-the-query"),
        pytest.param("2009-05-06T14:30:00Z", Moment("date", 1241620200.0), id="date-with-zone"),
        pytest.param(
            "2009-05-06T16:30:00.5+02:00",
            Moment("date", 1241620200.5),
            id="date-with-offset",
        ),
    ],
)
def test_after_is_a_frame_or_a_time(text, moment):
    assert Moment.parse(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "4.8", "5.s", "-3s", "1e3s", "1:2", "1:2:3", ":30", "noon", "2009-13-01"),
        *("+", "+120", "++3s", "+2009-05-06", "-1:30"),
    ],
)
def test_after_refuses_what_is_neither(text):
    with pytest.raises(UsageError, match="is not a valid frame or time") as caught:
        Moment.parse(text)
    assert repr(text) in str(caught.value)
    assert "4.8s" in caught.value.hint


def test_start_without_zone_is_local_time(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-3")
        time.tzset()
        assert parse_start("2009-05-06T17:30:00") == 1241620200.0
        assert parse_start("2009-05-06T14:30:00Z") == 1241620200.0
    time.tzset()


@pytest.mark.parametrize(
    "text", ["", "120", "yesterday", "2009-05-06T25:00:00", "9999-12-31T23:59:59-12:00"]
)
def test_start_refuses_what_is_no_time(text):
    with pytest.raises(UsageError, match="is not a valid time"):
        parse_start(text)


@pytest.mark.parametrize(
    "text",
    ["", "gate", "12:3", "gate/monday:12", "gate/monday:-1:1", f"gate/monday:1:{'9' * 5000}"],
)
def test_other_text_is_no_crop_id(text):
    with pytest.raises(UsageError, match="not a valid crop id") as caught:
        query_crop(make_store(GATE), text)
    assert "CAMERA/]SOURCE:FRAME:N" in caught.value.hint


@pytest.mark.parametrize("name", ["tuesday", "roof/tuesday", "gate/monday", "yard/monday"])
def test_source_is_found_by_its_name_when_that_is_enough(name):
    assert str(find_source(make_store(GATE, YARD, DATED), name).info).endswith(name)


def test_source_of_two_cameras_must_be_told_apart():
    with pytest.raises(QueryError, match="2 cameras have a source monday") as caught:
        find_source(make_store(GATE, YARD, DATED), "monday")
    assert caught.value.hint == "name one: gate/monday, yard/monday"


@pytest.mark.parametrize("name", ["", "sunday", "roof/monday", "gate/tuesday", "gate/"])
def test_unknown_source_lists_the_known(name):
    with pytest.raises(QueryError, match="has no source") as caught:
        find_source(make_store(GATE, DATED), name)
    assert "gate/monday, roof/tuesday" in caught.value.hint


def test_empty_database_has_no_source():
    with pytest.raises(QueryError, match="has no source monday") as caught:
        find_source(make_store(), "monday")
    assert "none at all" in caught.value.hint


@pytest.mark.parametrize(
    "address", ["", "monday", ":3", "monday:", "monday:x", "monday:-1", "a:1.5"]
)
def test_other_text_is_no_frame(address):
    with pytest.raises(UsageError, match="is not a valid frame") as caught:
        find_frame(make_store(GATE), address)
    assert "SOURCE:NUMBER" in caught.value.hint


def test_frame_that_was_not_ingested_has_a_nearest():
    store = fill(make_store(), GATE, {(10, 1): 0, (30, 1): 0})
    with pytest.raises(QueryError, match="frame 27 of gate/monday is not") as caught:
        find_frame(store, "monday:27")
    assert "2 frames from 10 to 30" in caught.value.hint
    assert "nearest is 30" in caught.value.hint


@pytest.mark.parametrize("address", ["monday:4", "gate/monday:4", "monday:0004"])
def test_frame_without_people_is_found(address):
    record, frame = find_frame(fill(make_store(), GATE, {(1, 1): 0}, frames=[4]), address)
    assert (record.info, frame) == (GATE, 4)


@pytest.mark.parametrize(("person", "degrees"), [(1, 0), (2, 90)])
def test_stored_person_is_the_nth_of_the_frame(person, degrees):
    query = query_stored(make_store(GATE, YARD), "gate/monday:1", person)
    assert query.detection == make_detection(GATE, 1, person)
    np.testing.assert_array_equal(query.vectors, make_vectors(degrees))


@pytest.mark.parametrize(
    ("frame", "person", "has"),
    [
        pytest.param(4, 1, "none", id="nobody-there"),
        pytest.param(1, 3, "1, 2", id="one-too-many"),
        pytest.param(1, 0, "1, 2", id="zero"),
    ],
)
def test_person_who_is_not_in_the_frame_is_missed(frame, person, has):
    store = fill(make_store(), GATE, {(1, 1): 0, (1, 2): 90}, frames=[4])
    with pytest.raises(QueryError, match=f"{frame} has no detection {person}") as caught:
        query_stored(store, f"monday:{frame}", person)
    assert caught.value.hint == f"it has {has}"


def test_every_stored_person_is_found_by_id():
    store = make_store(GATE, YARD, DATED)
    stored = store.detections(Filter())
    assert len(stored) == 15
    assert [query_crop(store, detection.id).detection for detection in stored] == stored


@pytest.mark.parametrize("info", [make_info("gate:a", "mon:day"), make_info("a b", "été 1")])
def test_names_may_hold_colons_blanks_and_accents(info):
    query = query_crop(make_store(info), f"{info}:3:2")
    assert (query.detection.camera, query.detection.source) == info.key
    assert query_crop(make_store(info), f"{info.name}:3:2").detection == query.detection


@pytest.mark.parametrize("crop_id", ["gate/sunday:1:1", "gate/monday:9:1", "gate/monday:1:9"])
def test_id_that_is_not_stored_is_missed(crop_id):
    with pytest.raises(QueryError):
        query_crop(make_store(GATE), crop_id)


class OneCropEmbedder:
    """Remembers the crop that it is given."""

    def embed(self, images):
        (self.crop,) = images
        return Embeddings(make_vectors(30), FINGERPRINT)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        pytest.param(None, (0, 60), (0, 40), id="no-box"),
        pytest.param((0, 0, 40, 60), (0, 60), (0, 40), id="box-of-all"),
        pytest.param((5, 10, 20, 30), (10, 30), (5, 20), id="box"),
        pytest.param((5.5, 10, 19.2, 30), (10, 30), (5, 20), id="parts-of-pixels"),
        pytest.param((39.5, 59.5, 40, 60), (59, 60), (39, 40), id="half-a-pixel-in-the-corner"),
    ],
)
def test_person_is_taken_out_of_a_picture(box, rows, columns):
    picture = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    embedder = OneCropEmbedder()
    query = query_picture(picture, embedder, box)
    np.testing.assert_array_equal(embedder.crop, picture[slice(*rows), slice(*columns)])
    np.testing.assert_array_equal(query.vectors, make_vectors(30))
    assert query.detection is None


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((5, 10, 5, 30), id="no-width"),
        pytest.param((5, 30, 20, 10), id="upside-down"),
        pytest.param((-1, 10, 20, 30), id="left-of-the-picture"),
        pytest.param((5, 10, 61, 30), id="right-of-the-picture"),
        pytest.param((5, 10, 20, 41), id="below-the-picture"),
        pytest.param((float("nan"), 10, 20, 30), id="nan"),
    ],
)
def test_box_must_fit_the_picture(box):
    with pytest.raises(QueryError, match="does not fit") as caught:
        query_picture(np.zeros((40, 60, 3), np.uint8), OneCropEmbedder(), box)
    assert "60 x 40" in caught.value.hint


def test_later_people_are_ranked_by_distance():
    store = make_store(GATE)
    result = find_later(store, query_stored(store, "monday:1", 1))
    assert ids(result) == ["gate/monday:3:1", "gate/monday:2:1", "gate/monday:3:2"]
    assert [match.rank for match in result.matches] == [1, 2, 3]
    expected = [2 * sin(radians(degrees / 2)) for degrees in (10, 80, 170)]
    np.testing.assert_allclose([match.distance for match in result.matches], expected, rtol=1e-5)
    assert result.left_out == ()


@pytest.mark.parametrize(
    ("frame", "later"),
    [
        pytest.param(1, ["gate/monday:3:1", "gate/monday:2:1", "gate/monday:3:2"], id="first"),
        pytest.param(2, ["gate/monday:3:1", "gate/monday:3:2"], id="middle"),
        pytest.param(3, [], id="last"),
    ],
)
def test_own_and_earlier_frames_never_come_back(frame, later):
    people = {(1, 1): 0, (1, 2): 1, (2, 1): 2, (3, 1): 3, (3, 2): 50}
    if frame == 1:
        people |= {(2, 1): 9}
    store = make_store(GATE, people=people)
    assert ids(find_later(store, query_stored(store, f"monday:{frame}"))) == later


def test_other_cameras_are_compared_by_time():
    slow, fast = {(1, 1): 0, (2, 1): 10}, {(10, 1): 1, (11, 1): 2, (12, 1): 3, (99, 1): 4}
    store = fill(fill(make_store(), GATE, slow), YARD, fast)
    result = find_later(store, query_stored(store, "gate/monday:2"))
    assert make_detection(YARD, 11).time_s == make_detection(GATE, 2).time_s
    assert ids(result) == ["yard/monday:99:1", "yard/monday:12:1"]


@pytest.mark.parametrize(
    ("own", "searched", "left_out"),
    [
        pytest.param(GATE, {"gate", "yard"}, ("roof/tuesday",), id="no-start"),
        pytest.param(DATED, {"roof"}, ("gate/monday", "yard/monday"), id="start"),
    ],
)
def test_sources_of_another_clock_are_left_out(own, searched, left_out):
    store = make_store(GATE, YARD, DATED)
    result = find_later(store, query_stored(store, f"{own}:1"), top=99)
    assert {match.detection.camera for match in result.matches} <= searched
    assert f"{own}:3:1" in ids(result)
    assert result.left_out == left_out


def test_sources_that_all_have_a_start_are_compared():
    early, late = (make_info(c, "x", start_s=s) for c, s in (("a", 1e9), ("b", 1e9 + 60)))
    store = make_store(early, late)
    result = find_later(store, query_stored(store, "a/x:3"), top=99)
    assert {match.detection.camera for match in result.matches} == {"b"}
    assert len(result.matches) == 5
    assert find_later(store, query_stored(store, "b/x:3")).matches == []


def test_camera_restricts_the_search():
    store = make_store(GATE, YARD, make_info("gate", "sunday"))
    result = find_later(store, outsider(), top=99, camera="gate")
    assert {(m.detection.camera, m.detection.source) for m in result.matches} == {
        ("gate", "monday"),
        ("gate", "sunday"),
    }
    assert "of camera gate" in result.scope


def test_camera_of_another_clock_cannot_be_searched():
    store = make_store(GATE, DATED)
    with pytest.raises(QueryError, match="of camera roof: times with and without --start"):
        find_later(store, query_stored(store, "monday:1"), camera="roof")


def test_unknown_camera_lists_the_known():
    with pytest.raises(QueryError, match="no camera attic") as caught:
        find_later(make_store(GATE, YARD, DATED), outsider(), camera="attic")
    assert caught.value.hint == "it has gate, roof, yard"


def test_nobody_is_found_in_an_empty_database():
    assert find_later(make_store(), outsider()).matches == []


@pytest.mark.parametrize(
    ("query_frame", "after", "frames"),
    [
        pytest.param(None, None, [1, 1, 2, 3, 3], id="outside-picture"),
        pytest.param(None, Moment("frame", 1), [2, 3, 3], id="outside-picture-after-frame"),
        pytest.param(None, Moment("frame", 0), [1, 1, 2, 3, 3], id="outside-picture-after-zero"),
        pytest.param(None, Moment("seconds", 0.1), [3, 3], id="outside-picture-after-time"),
        pytest.param(1, Moment("frame", 2), [3, 3], id="frame-later-than-the-query"),
        pytest.param(2, Moment("frame", 1), [3, 3], id="frame-earlier-than-the-query"),
        pytest.param(1, Moment("seconds", 0.1), [3, 3], id="time-later-than-the-query"),
        pytest.param(2, Moment("seconds", 0.0), [3, 3], id="time-earlier-than-the-query"),
        pytest.param(1, Moment("frame", 3), [], id="after-the-end"),
    ],
)
def test_matches_lie_after_the_given_moment_too(query_frame, after, frames):
    store = make_store(GATE)
    query = outsider() if query_frame is None else query_stored(store, f"monday:{query_frame}")
    result = find_later(store, query, after=after)
    assert sorted(match.detection.frame for match in result.matches) == frames


def test_outside_picture_is_sought_everywhere():
    store = make_store(GATE, YARD, DATED)
    result = find_later(store, outsider(), top=99)
    assert set(ids(result)) == {detection.id for detection in store.detections(Filter())}
    assert result.left_out == ()
    assert result.scope == "all frames"


@pytest.mark.parametrize("top", [1, 2, 99])
def test_no_more_than_top_come_and_they_are_the_nearest(top):
    result = find_later(make_store(GATE), outsider(), top=top)
    nearest = ["monday:1:1", "monday:3:1", "monday:2:1", "monday:1:2", "monday:3:2"]
    assert ids(result) == [f"gate/{name}" for name in nearest[:top]]


@pytest.mark.parametrize(
    ("camera", "after", "scope"),
    [
        pytest.param(None, None, "later frames", id="plain"),
        pytest.param("gate", None, "later frames of camera gate", id="camera"),
        pytest.param(None, Moment("frame", 2), "later frames after frame 2", id="frame"),
        pytest.param(
            "gate", Moment("seconds", 4.8), "later frames of camera gate after 0:00:04.8", id="all"
        ),
    ],
)
def test_result_says_which_frames_were_searched(camera, after, scope):
    store = make_store(GATE)
    query = query_stored(store, "monday:1")
    assert find_later(store, query, camera=camera, after=after).scope == scope


def frames_found(store, query, **window):
    parsed = {name: Moment.parse(window.pop(name)) for name in ("after", "before") & window.keys()}
    result = find.find_later(store, query, Window(**window, **parsed), Grouping(99, by="frame"))
    return sorted(f"{match.detection.camera}:{match.detection.frame}" for match in result.matches)


@pytest.mark.parametrize("info", [GATE, DATED], ids=["seconds", "dates"])
def test_plus_counts_from_the_query(info):
    """Frames are a tenth of a second apart."""
    store = make_store(info, people={(frame, 1): 0 for frame in range(1, 9)})
    query = query_stored(store, f"{info}:3")
    assert frames_found(store, query, after="+0.1s") == [f"{info.camera}:{n}" for n in (5, 6, 7, 8)]
    found = frames_found(store, query, after="+0.1s", before="+0:00.35")
    assert found == [f"{info.camera}:{n}" for n in (5, 6)]
    with pytest.raises(UsageError, match="a picture has no time"):
        frames_found(store, outsider(), after="+0.1s")


def test_all_times_are_all_other_frames_of_every_clock():
    store = make_store(GATE, DATED)
    query = query_stored(store, "monday:2")
    found = frames_found(store, query, all_times=True)
    assert found == ["gate:1", "gate:3", "roof:1", "roof:2", "roof:3"]
    assert frames_found(store, query, all_times=True, before="+0s") == ["gate:1"]
    assert frames_found(store, query, all_times=True, before="0.1s") == ["gate:1"]


@pytest.fixture
def utc(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_clock_is_the_time_of_day_where_dates_are_known():
    day, minute = parse_start("2009-05-06"), {(n, 1): 0 for n in (1, 2, 3)}  # 30 s apart
    first = make_info("gate", "first", start_s=day + 52200, fps=1 / 30)  # 14:30
    store = make_store(first, people=minute)
    assert frames_found(store, outsider(), after="14:30", before="14:31") == ["gate:2"]
    assert frames_found(store, outsider(), after="14:30:30") == ["gate:3"]
    with pytest.raises(UsageError, match="not one time of day"):
        frames_found(store, outsider(), after="90:00")

    fill(store, make_info("yard", "next", start_s=day + 138600, fps=1 / 30), minute)
    with pytest.raises(UsageError, match="not one time of day") as caught:
        frames_found(store, outsider(), after="14:30")
    assert "2009-05-06T14:30" in caught.value.hint
    query = query_stored(store, "next:1")
    assert frames_found(store, query, after="14:30:30") == ["yard:3"]

    fill(store, GATE, {(1, 1): 0, (9000, 1): 0})  # 0:00 to 14:59
    assert frames_found(store, query_stored(store, "monday:1"), after="14:30") == ["gate:9000"]
    with pytest.raises(UsageError, match="not one time of day"):
        frames_found(store, outsider(), after="14:30")


@pytest.mark.parametrize(
    ("frame", "window", "words"),
    [
        pytest.param(1, {"after": "5", "before": "5"}, "after frame 5 and before", id="frames"),
        pytest.param(1, {"after": "5s", "before": "4s"}, "0:00:05.0 and before", id="times"),
        pytest.param(3, {"before": "0.1s"}, "later than the query, 0:00:00.2", id="query"),
    ],
)
def test_nothing_can_lie_in_the_window(frame, window, words):
    store = make_store(GATE)
    with pytest.raises(UsageError, match=words):
        frames_found(store, query_stored(store, f"monday:{frame}"), **window)


def test_seconds_of_footage_suit_no_query_with_a_date():
    """Nothing would be searched, so to find nobody would be no answer."""
    store = make_store(GATE, DATED)
    with pytest.raises(QueryError, match=r"nothing can be searched after 0:00:30\.0"):
        frames_found(store, query_stored(store, "tuesday:1"), after="30s")


def test_source_of_the_cameras_that_are_meant():
    store = make_store(GATE, YARD)
    assert find_source(store, "monday", ["yard"]).info == YARD
    assert find_source(store, "gate/monday", ["yard"]).info == GATE
