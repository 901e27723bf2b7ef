import csv
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import PEOPLE, assert_refused, run

pytestmark = pytest.mark.networks

FRAME_1 = "pets09-s2l1:1"


def test_ranks_later_frames_by_rising_distance(made_db: Path, tmp_path: Path) -> None:
    everyone = ("--top", 1000, "--by", "detection")
    ran = run("search", "--frame", FRAME_1, "--db", made_db, "--json", *everyone, cwd=tmp_path)
    matches = ran.json["matches"]
    assert ran.code == 0
    assert ran.json["query"]["id"] == "pets09-s2l1/pets09-s2l1:1:1"
    assert [match["rank"] for match in matches] == list(range(1, len(matches) + 1))
    distances = [match["distance"] for match in matches]
    assert distances == sorted(distances)
    assert 0 < distances[0] < distances[-1] <= 2
    assert min(match["frame"] for match in matches) > 1
    assert len(matches) > 200


def test_distance_is_l2_between_the_stored_vectors(made_db: Path, tmp_path: Path) -> None:
    def vector(crop_id: str) -> np.ndarray:
        ran = run("inspect", "crop", crop_id, "--db", made_db, "--json", cwd=tmp_path)
        return np.array(ran.json["embedding"])

    search = ("search", "--frame", FRAME_1, "--by", "frame", "--top", 3)
    found = run(*search, "--db", made_db, "--json", cwd=tmp_path)
    query = vector(found.json["query"]["id"])
    for match in found.json["matches"]:
        expected = np.linalg.norm(query - vector(match["id"]))
        assert match["distance"] == pytest.approx(expected, abs=1e-5)


def test_by_id_equals_by_frame_and_person(made_db: Path, tmp_path: Path) -> None:
    crop_id = "pets09-s2l1/pets09-s2l1:21:2"
    by_id = run("search", "--id", crop_id, "--db", made_db, "--json", cwd=tmp_path)
    address = ("--frame", "pets09-s2l1/pets09-s2l1:21", "--person", 2)
    by_frame = run("search", *address, "--db", made_db, "--json", cwd=tmp_path)
    assert by_id.json | {"ms": 0} == by_frame.json | {"ms": 0}


def test_picture_with_box_finds_that_very_crop_first(
    made_db: Path, sample: Path, tmp_path: Path
) -> None:
    crop_id = "pets09-s2l1/pets09-s2l1:1:1"
    crop = run("inspect", "crop", crop_id, "--db", made_db, "--json", cwd=tmp_path).json
    box = ",".join(str(side) for side in crop["box_xyxy"])
    picture = sample / "frame_0001.jpg"
    ran = run("search", picture, "--box", box, "--db", made_db, "--json", cwd=tmp_path)
    assert ran.json["query"]["searched"] == "all frames"
    assert ran.json["matches"][0]["id"] == crop_id
    assert ran.json["matches"][0]["distance"] < 0.01


def test_crop_of_its_own_and_after(made_db: Path, sample: Path, tmp_path: Path) -> None:
    frame = cv2.imread(str(sample / "frame_0001.jpg"))
    path = tmp_path / "jemand in grün.png"
    cv2.imwrite(str(path), frame[218:309, 250:283])
    ran = run("search", path, "--after", 500, "--db", made_db, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert min(match["frame"] for match in ran.json["matches"]) > 500
    said = run("search", path, "--db", made_db, cwd=tmp_path)
    assert "all frames" in said.err


def test_after_takes_times_too(made_db: Path, tmp_path: Path) -> None:
    times = {}
    for after in ("60s", "1:00", "+60s", "+1:00"):
        ran = run(
            *("search", "--frame", "pets09-s2l1:101", "--after", after, "--db", made_db, "--json"),
            cwd=tmp_path,
        )
        times[after] = min(match["time_s"] for match in ran.json["matches"])
    assert times == {"60s": 62, "1:00": 62, "+60s": 72, "+1:00": 72}  # frame 101 is at 10 s


def test_table_and_csv_tell_the_same(made_db: Path, tmp_path: Path) -> None:
    search = ("search", "--frame", FRAME_1, "--by", "frame", "--db", made_db, "--top", 3)
    table = run(*search, cwd=tmp_path)
    assert table.code == 0
    assert table.out.splitlines()[0].split()[:2] == ["rank", "distance"]
    text = run(*search, "--csv", cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(text.out)))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    for row, line in zip(rows, table.out.splitlines()[1:], strict=True):
        assert line.split()[1] == f"{float(row['distance']):.4f}"
        assert row["frame"] in line.split()


def found(db: Path, cwd: Path, *arguments: object) -> list[dict[str, Any]]:
    ran = run("search", *arguments, "--db", db, "--json", cwd=cwd)
    assert ran.code in (0, 3), ran.err
    return list(ran.json["matches"])


def test_the_nearest_of_each_frame(made_db: Path, tmp_path: Path) -> None:
    base = ("--frame", FRAME_1, "--top", 1000)
    one = found(made_db, tmp_path, *base, "--by", "frame")
    frames = [match["frame"] for match in one]
    assert len(frames) == len(set(frames)) == 39
    nearest: dict[int, str] = {}
    for match in found(made_db, tmp_path, *base, "--by", "detection"):
        nearest.setdefault(match["frame"], match["id"])
    assert sorted(nearest.values()) == sorted(match["id"] for match in one)


def test_windows(made_db: Path, tmp_path: Path) -> None:
    def frames(*window: object) -> list[int]:
        return sorted(m["frame"] for m in found(made_db, tmp_path, *base, *window))

    base = ("--frame", FRAME_1, "--top", 1000, "--by", "frame")
    assert frames("--before", 100) == [21, 41, 61, 81]
    assert frames("--before", "8s") == [21, 41, 61]  # frame 81 is at 8.0 s
    assert frames("--after", 41, "--before", "0:09") == [61, 81]
    assert frames("--between", 41, 101) == [61, 81]
    assert frames("--camera", "pets09-s2l1", "--before", 50) == [21, 41]
    assert frames("--source", "pets09-s2l1", "--before", 50) == [21, 41]
    sure = found(made_db, tmp_path, *base, "--min-score", 0.95)
    assert min(match["score"] for match in sure) >= 0.95
    fifth, sixth = (m["distance"] for m in found(made_db, tmp_path, *base)[4:6])
    near = found(made_db, tmp_path, *base, "--max-distance", (fifth + sixth) / 2)
    assert len(near) == 5
    assert len(found(made_db, tmp_path, *base, "--per-source", 4)) == 4


def test_each_passage_is_one_match(made_db: Path, tmp_path: Path) -> None:
    search = ("search", "--frame", FRAME_1, "--top", 1000, "--db", made_db, "--json")
    document = run(*search, cwd=tmp_path).json
    own, passages = document["query"]["passage"], document["matches"]
    each = found(made_db, tmp_path, *search[1:5], "--by", "detection")
    assert len(passages) < len(each) / 2
    assert own["first_frame"] == 1
    mine = own["detections"] - 1  # which are no match
    assert sum(passage["detections"] for passage in passages) + mine == len(each)
    distance = {match["id"]: match["distance"] for match in each}
    for passage in passages:
        assert passage["first_frame"] <= passage["frame"] <= passage["last_frame"]
        assert passage["distance"] <= distance[passage["id"]] + 1e-6  # more pictures were compared
    few = found(made_db, tmp_path, *search[1:5], "--before", "20s")
    assert max(passage["last_s"] for passage in few) < 20
    assert sum(passage["detections"] for passage in few) < len(each)


def test_passages_in_tables_and_files(made_db: Path, sample: Path, tmp_path: Path) -> None:
    frame = cv2.imread(str(sample / "frame_0001.jpg"))
    cv2.imwrite(str(tmp_path / "he.png"), frame[218:309, 250:283])
    base = ("he.png", "--db", made_db)
    passages = run("search", *base, "--json", cwd=tmp_path).json["matches"]
    each = found(made_db, tmp_path, "he.png", "--by", "detection", "--top", 1000)
    distance = {match["id"]: match["distance"] for match in each}
    assert [one["distance"] for one in passages] == [distance[one["id"]] for one in passages]
    head, *lines = run("search", *base, cwd=tmp_path).out.splitlines()
    assert head.split()[-4:] == ["from", "to", "detections", "nearest"]
    csv_text = run("search", *base, "--csv", cwd=tmp_path).out
    rows = list(csv.DictReader(io.StringIO(csv_text)))
    file = tmp_path / "passages.csv"
    assert run("export", "matches", *base, "--out", file, cwd=tmp_path).code == 0
    assert file.read_text() == csv_text
    for row, line, passage in zip(rows, lines, passages, strict=True):
        assert int(row["detections"]) == int(line.split()[-2]) == passage["detections"]
        assert float(row["last_s"]) == passage["last_s"] >= passage["first_s"]
        assert passage["id"].endswith(f":{line.split()[-1]}")


def test_several_pictures_of_one_person(made_db: Path, sample: Path, tmp_path: Path) -> None:
    folder = tmp_path / "her"
    folder.mkdir()
    for number, (frame, person) in enumerate(((1, 1), (261, 1), (541, 5))):
        address = f"pets09-s2l1:{frame}"
        people = run("inspect", "frame", address, "--db", made_db, "--json", cwd=tmp_path).json
        x1, y1, x2, y2 = (round(edge) for edge in people["detections"][person - 1]["box_xyxy"])
        picture = cv2.imread(str(sample / f"frame_{frame:04}.jpg"))[y1:y2, x1:x2]
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    pictures = sorted(folder.iterdir())
    each = run(
        *("search", *pictures, "--each", "--top", 50, "--db", made_db, "--json"), cwd=tmp_path
    ).json["results"]
    table = run("search", *pictures, "--each", "--top", 2, "--db", made_db, cwd=tmp_path)
    captions = [line for line in table.out.splitlines() if line.endswith(" in all frames")]
    assert captions == [f"{picture} in all frames" for picture in pictures]
    alone = [found(made_db, tmp_path, picture, "--top", 50) for picture in pictures]
    assert [result["matches"] for result in each] == alone
    everybody = ("--by", "detection", "--top", 500)
    for fuse, combine in (("min", min), ("mean", np.mean)):
        together = found(made_db, tmp_path, folder, "--fuse", fuse, *everybody)
        assert [m["distance"] for m in together] == sorted(m["distance"] for m in together)
        everyone = [
            {m["id"]: m["distance"] for m in found(made_db, tmp_path, picture, *everybody)}
            for picture in pictures
        ]
        for match in together:
            distances = [distance[match["id"]] for distance in everyone]
            assert match["distance"] == pytest.approx(combine(distances), abs=2e-6)


def test_all_times_find_earlier_frames(made_db: Path, tmp_path: Path) -> None:
    last = ("--frame", "pets09-s2l1:781", "--top", 1000, "--by", "frame")
    assert found(made_db, tmp_path, *last) == []
    matches = found(made_db, tmp_path, *last, "--all-times")
    assert len(matches) == 39
    assert 781 not in {match["frame"] for match in matches}
    assert len(found(made_db, tmp_path, *last, "--all-times", "--before", "8s")) == 4


def test_pictures_of_two_people_are_said(made_db: Path, sample: Path, tmp_path: Path) -> None:
    frame = cv2.imread(str(sample / "frame_0001.jpg"))
    for name, (x1, y1, x2, y2) in (
        ("he.png", (250, 218, 283, 309)),
        ("again.png", (251, 219, 284, 310)),
        ("she.png", (500, 159, 531, 235)),
    ):
        cv2.imwrite(str(tmp_path / name), frame[y1:y2, x1:x2])
    search = ("search", "he.png", "again.png", "--db", made_db, "--fuse", "mean")
    assert "two people" not in run(*search, cwd=tmp_path).err
    warned = run(*search, "she.png", cwd=tmp_path)
    assert "she.png rather show two people than one" in warned.err
    document = run(*search, "she.png", "--json", cwd=tmp_path).json
    assert "she.png" in document["query"]["disagreeing"]


def test_preview_draws_each_match_beside_its_row(made_db: Path, tmp_path: Path) -> None:
    base = ("search", "--frame", FRAME_1, "--db", made_db, "--top", 3)
    plain, drawn = run(*base, cwd=tmp_path), run(*base, "--preview", cwd=tmp_path)
    assert drawn.code == 0, drawn.err
    rows = [line for line in drawn.out.splitlines() if "pets09-s2l1" in line]
    assert len(rows) == 3
    assert len(drawn.out.splitlines()) == 1 + 3 * 7
    for row, line in zip(rows, plain.out.splitlines()[1:], strict=True):
        assert row.split()[-8:] == line.split()[-8:]
        assert set("░▒▓█") & set(row)


def test_nothing_later_is_exit_code_3_and_a_sentence(made_db: Path, tmp_path: Path) -> None:
    last = ("search", "--frame", "pets09-s2l1:781", "--db", made_db)
    ran = run(*last, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert "no matches in later frames" in ran.err
    near = ("search", "--frame", FRAME_1, "--max-distance", 0.001, "--db", made_db)
    ran = run(*near, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert f"none of {PEOPLE - 3} detections in later frames is within" in ran.err
    assert run(*last, "--json", cwd=tmp_path).json["matches"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--frame", "pets09-s2l1:2"), ("frame 2", "nearest is 1"), id="no-such-frame"),
        pytest.param(("--frame", "elsewhere:1"), ("elsewhere", "pets09-s2l1"), id="no-such-source"),
        pytest.param(
            ("--frame", FRAME_1, "--person", "99"), ("no detection 99",), id="no-such-person"
        ),
        pytest.param(("--id", "pets09-s2l1/pets09-s2l1:1:99"), ("99",), id="no-such-crop"),
        pytest.param(("--frame", FRAME_1, "--camera", "x"), ("no camera x",), id="no-such-camera"),
        pytest.param(("absent.jpg",), ("absent.jpg", "No such file"), id="no-such-picture"),
        pytest.param(
            ("--frame", FRAME_1, "--after", "2009-05-06"), ("without --start",), id="after-a-date"
        ),
    ],
)
def test_what_is_not_there(
    made_db: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(run("search", *arguments, "--db", made_db, cwd=tmp_path), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), ("no query was given",), id="nobody-named"),
        pytest.param(("a.jpg", "--frame", FRAME_1), ("several queries",), id="two-people-named"),
        pytest.param(("--frame", "1"), ("is not a valid frame",), id="frame-without-source"),
        pytest.param(("--id", "pets:1"), ("is not a valid crop id",), id="short-id"),
        pytest.param(("--frame", FRAME_1, "--after", "soon"), ("'soon'",), id="after-is-no-time"),
        pytest.param(("a.jpg", "--box", "1,2,3"), ("is not a valid box",), id="box-of-three"),
        pytest.param(
            ("--frame", FRAME_1, "--box", "1,2,3,4"), ("needs a picture",), id="box-without-picture"
        ),
        pytest.param(
            ("--id", "a/b:1:1", "--person", "2"), ("--person needs",), id="person-without-frame"
        ),
        pytest.param(("--frame", FRAME_1, "--json", "--csv"), ("exclude",), id="json-and-csv"),
        pytest.param(("--frame", FRAME_1, "--top", "0"), ("--top",), id="top-zero"),
        pytest.param(
            ("--frame", FRAME_1, "--after", "200", "--before", "100"),
            ("nothing is after frame 200 and before frame 100",),
            id="no-window",
        ),
        pytest.param(
            ("--frame", FRAME_1, "--between", "5s", "1", "--after", "3"),
            ("--between excludes",),
            id="between-and-after",
        ),
        pytest.param(("--frame", FRAME_1, "--each", "--csv"), ("--each",), id="each-as-csv"),
        pytest.param(("--frame", FRAME_1, "--each"), ("with pictures",), id="each-of-stored"),
        pytest.param(("a", "b", "--each", "--fuse", "mean"), ("--fuse",), id="each-and-fuse"),
        pytest.param(("--frame", FRAME_1, "--fuse", "mean"), ("--fuse",), id="fuse-of-stored"),
        pytest.param(("--frame", FRAME_1, "--root", "gone"), ("gone",), id="root-that-is-not"),
        pytest.param(("a.jpg", "b.jpg", "--box", "1,2,3,4"), ("one picture",), id="box-of-two"),
        pytest.param(("a.jpg", "b.jpg", "--person", "1"), ("one picture",), id="person-of-two"),
        pytest.param(
            ("a.jpg", "--box", "1,2,3,4", "--person", "1"), ("--person needs",), id="person-in-box"
        ),
    ],
)
def test_what_cannot_be_read(
    made_db: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(run("search", *arguments, "--db", made_db, cwd=tmp_path), *words, code=2)


@pytest.mark.parametrize(
    "box", ["700,500,800,570", "-5,0,20,20", "30,30,30,60", "50,50,20,80", "0,0,nan,10"]
)
def test_box_outside_the_picture(made_db: Path, sample: Path, tmp_path: Path, box: str) -> None:
    arguments = ("search", sample / "frame_0001.jpg", f"--box={box}", "--db", made_db)
    assert_refused(run(*arguments, cwd=tmp_path), "does not fit", "768 x 576")


def test_picture_that_does_not_decode(made_db: Path, tmp_path: Path) -> None:
    text = tmp_path / "query.jpg"
    text.write_text("this is no picture")
    assert_refused(run("search", text, "--db", made_db, cwd=tmp_path), "query.jpg")


def test_folder_without_pictures(made_db: Path, tmp_path: Path) -> None:
    assert_refused(run("search", ".", "--db", made_db, cwd=tmp_path), "no picture in .")


def test_no_database_is_not_made_by_a_search(tmp_path: Path) -> None:
    assert_refused(run("search", "--frame", FRAME_1, cwd=tmp_path), "no database", "ingest")
    assert not (tmp_path / "db").exists()


def test_wrong_embedder_shows_where_none_is_needed(made_db: Path, tmp_path: Path) -> None:
    search = ("search", "--frame", "pets09-s2l1:1", "--db", made_db, "--embedder")
    assert_refused(run(*search, "nothing", cwd=tmp_path), "unknown embedder 'nothing'")
    other = "osnet_ain_x0_25.ms_d_c"  # known, but not on this machine
    assert_refused(run(*search, other, cwd=tmp_path), other)
