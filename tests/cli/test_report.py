"""The page that `search --report` writes, in a real browser."""

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidsearch.core.text import count, format_time
from tests.conftest import assert_refused, run

pytestmark = pytest.mark.networks

MATCHES = 12
PHONE, DESKTOP = {"width": 390, "height": 780}, {"width": 1280, "height": 900}
TABLET = {"width": 768, "height": 1024}


@pytest.fixture(scope="module")
def report(made_db: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    ran = run(
        *("search", "--frame", "pets09-s2l1:1", "--db", made_db, "--top", MATCHES),
        *("--report", "case <7>.html"),
        cwd=folder,
    )
    assert ran.code == 0, ran.err
    return folder / "case <7>.html"


@pytest.fixture(scope="module")
def odd_report(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras with dates and long names; a frame has changed, and one is gone."""
    folder = tmp_path_factory.mktemp("odd")
    for name, start in (("a_camera_with_a_very_long_name", "13:00"), ("Zürich Süd", "13:03")):
        shutil.copytree(sample, folder / name)
        ingest = ("ingest", folder / name, "--start", f"2026-11-24T{start}:00+00:00", "--fps", 10)
        ran = run(*ingest, "--detections", sample / "det.txt", cwd=folder)
        assert ran.code == 0, ran.err
    (folder / "Zürich Süd" / "frame_0261.jpg").unlink()
    shutil.copy(sample / "frame_0001.jpg", folder / "Zürich Süd" / "frame_0541.jpg")
    search = ("search", "--frame", "a_camera_with_a_very_long_name:1", "--top", MATCHES)
    ran = run(*search, "--by", "frame", "--report", "r.html", cwd=folder)
    assert ran.code == 0, ran.err
    assert "frame_0261.jpg does not exist any more" in ran.err
    assert "frame_0541.jpg has changed since it was ingested" in ran.err
    return folder / "r.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium on the path")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page, and everything it complained of or asked for."""

    def __init__(self, browser: Any, report: Path, **context: Any) -> None:
        self.page = browser.new_context(**context).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state()

    def is_wider_than_its_window(self) -> bool:
        return bool(
            self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )


@pytest.mark.parametrize("window", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_works_and_asks_for_nothing(
    browser: Any, report: Path, window: dict[str, int], scheme: str
) -> None:
    visit = Visit(browser, report, viewport=window, color_scheme=scheme)
    page = visit.page
    assert page.locator(".card img").count() == MATCHES
    assert page.evaluate(
        "[...document.querySelectorAll('.card img, .head img, .view img')]"
        ".every((i) => i.complete && i.naturalWidth > 0)"
    )
    assert page.locator(".dot").count() == MATCHES
    assert page.locator(".mark").count() == MATCHES

    page.locator(".card").nth(2).click()
    dialog = page.locator("dialog[open]")
    assert dialog.locator("p").inner_text().startswith("3.")
    assert dialog.locator("img").bounding_box()["width"] <= window["width"]
    page.wait_for_function("document.querySelector('.stage i').clientWidth > 0")
    page.keyboard.press("ArrowRight")
    assert dialog.locator("p").inner_text().startswith("4.")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert dialog.locator("p").inner_text().startswith("2.")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0

    assert visit.complaints == []
    from_outside = [url for url in visit.requests if not url.startswith("data:")]
    assert from_outside == [report.as_uri()]


@pytest.mark.parametrize("window", [PHONE, TABLET, DESKTOP], ids=["phone", "tablet", "desktop"])
def test_everything_has_room(browser: Any, odd_report: Path, window: dict[str, int]) -> None:
    visit = Visit(browser, odd_report, viewport=window)
    assert not visit.is_wider_than_its_window()
    boxes = [one.bounding_box() for one in visit.page.locator(".times span").all()]
    shown = [box for box in boxes if box]
    assert len(shown) >= 3
    for before, after in itertools.pairwise(shown):
        assert before["x"] + before["width"] < after["x"]
    overflowing = """[...document.querySelectorAll(".absent, .text, .text > *")]
        .filter((e) => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)
        .map((e) => e.textContent)"""
    assert visit.page.evaluate(overflowing) == []
    lines = (
        """[...document.querySelectorAll(".text .whole")].map((e) => e.getClientRects().length)"""
    )
    assert set(visit.page.evaluate(lines)) == {1}
    for card in visit.page.locator(".card").all():
        top = card.locator("img, .absent").bounding_box()["y"]
        assert top - card.bounding_box()["y"] < 2  # also beside a taller one


def test_what_is_gone_or_has_changed_is_told_from_what_is_right(odd_report: Path) -> None:
    page = odd_report.read_text()
    assert page.count(">no picture<") == page.count(">footage not found<") == 1
    assert page.count(">changed since it was ingested<") == 1
    assert "frame_0261.jpg does not exist any more</p>" in page
    percents = re.findall(r'<span class="whole">([^<]*)</span></span>', page)
    assert len(percents) == MATCHES
    assert not {"0 %", "100 %"} & {*percents}


def test_page_works_by_keyboard_alone(browser: Any, report: Path) -> None:
    page = Visit(browser, report, viewport=DESKTOP).page
    page.keyboard.press("Tab")  # who is looked for
    page.keyboard.press("Tab")  # the first match
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] p").inner_text().startswith("1.")


def test_box_is_where_the_person_is(browser: Any, report: Path) -> None:
    page = Visit(browser, report, viewport=DESKTOP).page
    page.locator(".card").first.click()
    page.wait_for_function("document.querySelector('.stage i').clientWidth > 0")
    image, box = (page.locator(part).bounding_box() for part in (".stage img", ".stage i"))
    card = page.evaluate("JSON.parse(document.getElementById('frames').textContent).shown[1].box")
    assert box["x"] == pytest.approx(image["x"] + card["left"] * image["width"] / 100, abs=1.5)
    assert box["y"] == pytest.approx(image["y"] + card["top"] * image["height"] / 100, abs=1.5)
    assert box["height"] == pytest.approx(card["height"] * image["height"] / 100, abs=1.5)


def test_it_prints(browser: Any, report: Path) -> None:
    pdf = Visit(browser, report, viewport=DESKTOP).page.pdf()
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 4


def test_page_tells_where_it_comes_from(report: Path, made_db: Path) -> None:
    text = report.read_text()
    assert "case &lt;7&gt;.html" in text  # the command
    assert str(made_db) in text
    for words in (
        "osnet_ain_x1_0",
        "fingerprint",
        "sha256",
        "boxes from a file",
        "f32; libraries: openvino",
        "fitted on",
    ):
        assert words in text
    assert "http" not in re.sub(r"data:[^\"]*", "", text).replace("http-equiv", "")


def test_passages_are_told(made_db: Path, tmp_path: Path) -> None:
    search = ("search", "--frame", "pets09-s2l1:1", "--db", made_db, "--top", 3)
    ran = run(*search, "--report", "r.html", "--json", cwd=tmp_path)
    text = (tmp_path / "r.html").read_text()
    for match in ran.json["matches"]:
        first, last = (format_time(match[key]).partition(".")[0] for key in ("first_s", "last_s"))
        assert f">{first} to {last}<" in text
        assert f">{count(match['detections'], 'detection')}<" in text


def test_names_are_text_and_no_markup(sample: Path, tmp_path: Path) -> None:
    camera = "<img src=x onerror=alert(1)>"
    name = "</script><script>alert(2)<"
    folder = tmp_path / name.replace("/", "_")
    folder.mkdir()
    shutil.copy(sample / "frame_0001.jpg", folder)
    shutil.copy(sample / "frame_0021.jpg", folder)
    ran = run("ingest", folder, "--camera", camera, "--tiles", "off", cwd=tmp_path)
    assert ran.code == 0, ran.err
    address = f"{folder.name}:1"
    ran = run("search", "--frame", address, "--report", "r.html", "--top", 3, cwd=tmp_path)
    assert ran.code == 0, ran.err
    text = (tmp_path / "r.html").read_text()
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    assert text.count("</script>") == 2
    assert "ssdlite" in text


def test_where_no_page_can_be_written(made_db: Path, tmp_path: Path) -> None:
    search = ("search", "--frame", "pets09-s2l1:1", "--db", made_db, "--report")
    assert_refused(run(*search, "r.pdf", cwd=tmp_path), "r.pdf", ".html")
    assert_refused(run(*search, "gone/r.html", cwd=tmp_path), "no folder")
