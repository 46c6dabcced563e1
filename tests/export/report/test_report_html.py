"""report.html: complete, true, safe and accessible."""

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from chromium import browser
from PIL import Image
from support import input_error, plain, study_of, tinted, vector_case

from pocketknn.builder import References, Spec, find
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.cli.app import main
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure
from pocketknn.export.parity.check import Parity
from pocketknn.export.report.blocks import Chart, Figure, Figures, Section, Table
from pocketknn.export.report.html import page, thumbnails
from pocketknn.export.report.write import write_report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} ${7*7} $\\alpha$",
    "שלום \u202e right to left",
    "a" * 200,
    "-- <!-- more sections come here --> -->",
]
VOID = {"meta", "link", "img", "input", "br", "image", "use", "path", "rect", "circle"}
SECTIONS = [
    "overview",
    "next",
    "accuracy",
    "calibration",
    "classes",
    "hardest",
    "mislabelled",
    "duplicates",
    "examples",
    "k",
    "scores",
    "unknown",
    "map",
    "files",
    "spec",
]


class Page(HTMLParser):
    """Parses a page; refuses badly nested elements."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data.strip())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(filter(None, self.words))

    @property
    def sections(self):
        return [attributes["id"] for attributes in self.all("section")]


def written(fitted, folder, **more):
    return Page(write_report(folder, study_of(fitted, **more)).read_text("utf-8"))


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Photos for a build and other photos, with hostile names, a copy and a broken one."""
    folder = tmp_path_factory.mktemp("report")
    for part, count in (("photos", 8), ("new", 3)):
        for c, label in enumerate(("apple <b>&", 'berry\'s "x"', "cherry")):
            (folder / part / label).mkdir(parents=True)
            for i in range(count):
                seed = 1000 * len(part) + 100 * c + i
                colour = (200 * (c == 0), 200 * (c == 1), 80 * c)
                tinted(seed, colour, (60, 48), 0.4).save(
                    folder / part / label / f"{i} <i>&amp;.png"
                )
    copied = folder / "photos/cherry/0 <i>&amp;.png"
    shutil.copy(copied, folder / "new/cherry/copy.png")
    (folder / "photos/cherry/broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def built(places):
    out = places / "out"
    choices = ["--backbone", "pixels", "--size", "8", "--reject", "auto", "--formats", "keras,onnx"]
    with pytest.raises(SystemExit) as end:
        main(["build", str(places / "photos"), "-o", str(out), *choices])
    assert end.value.code == 0
    return out


@pytest.fixture(scope="module")
def html(built):
    return (built / "report.html").read_text("utf-8")


def test_a_build_writes_every_section(html):
    assert Page(html).sections == SECTIONS


def test_it_needs_nothing_else(html):
    parsed = Page(html)
    for tag, attributes in parsed.tags:
        assert tag not in ("script", "iframe", "object", "base", "form")
        for name in attributes:
            assert not name.startswith("on")
        for name in ("src", "href", "xlink:href", "action", "data"):
            if target := attributes.get(name):
                assert target.startswith(("#", "data:")), (tag, target)
    assert not re.search(r"(?<!Content-Security-Policy\" content=\")https?://", html)
    assert "url(" not in html.replace("url(#", "")
    assert "@import" not in html
    policy = [one["content"] for one in parsed.all("meta") if "http-equiv" in one]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_everybody_can_read_it(html):
    parsed = Page(html)
    assert parsed.all("html") == [{"lang": "en"}]
    names = [tag for tag, _ in parsed.tags]
    for tag in ("h1", "main", "header", "nav", "footer"):
        assert names.count(tag) == 1
    levels = [int(tag[1]) for tag in names if re.fullmatch("h[1-6]", tag)]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    for image in parsed.all("img"):
        assert image["alt"]
    for one in parsed.tags:
        if one[1].get("role") in ("img", "region"):
            assert one[1]["aria-label"]
        if one[1].get("role") == "region":
            assert one[1]["tabindex"] == "0"
    tables = names.count("table")
    assert tables > 5
    assert names.count("caption") == tables
    assert all(cell.get("scope") in ("row", "col") for cell in parsed.all("th"))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert {f"#{one}" for one in SECTIONS} <= {link["href"] for link in parsed.all("a")}
    for use in parsed.all("use"):
        if "href" in use:
            assert use["href"][1:] in ids
    pictures = [one for one in ids if re.fullmatch(r"r\d+", one)]
    assert len(pictures) == len(set(pictures)) == 24


def test_its_numbers_are_those_of_the_manifest(built, html):
    text = Page(html).text
    manifest = json.loads((built / "manifest.json").read_text())
    parity = json.loads((built / "parity.json").read_text())
    loo = manifest["references"]["leave_one_out"]
    right = round(loo["accuracy"] * loo["queries"])
    assert f"{right} of 24 {loo['accuracy']:.1%}".replace("100.0%", "100%") in text
    assert f"{manifest['reject']['threshold']:.4g}" in text
    reject = manifest["reject"]
    rejected = round(reject["known"] * reject["known_asked"])
    assert re.search(rf"{rejected} of 24 references (is|are) rejected when held out \(95%", text)
    assert f"{reject['right_kept'] * loo['accuracy']:.1%}".replace("100.0%", "100%") in text
    assert "1 file could not be used" in text
    for name, file in (("keras", "model.keras"), ("onnx", "model.onnx")):
        row = f"{file} agrees {manifest['files'][file]['bytes'] / 1e6:.2f} MB"
        assert row in text
        assert f"{parity[name]['score_error']:.0e}" in text
    for choice in (manifest["backbone"]["sha256"], manifest["description"]):
        assert choice in text
    assert "report.html" not in manifest["files"]


def test_verify_stays_green_and_force_replaces_it(pocketknn, places, built):
    assert pocketknn("verify", built).code == 0
    again = places / "again"
    shutil.copytree(built, again)
    choices = ["--backbone", "pixels", "--size", "8", "--formats", "onnx", "--force"]
    said = pocketknn("build", places / "photos", "-o", again, *choices)
    assert said.code == 0, said.err
    assert "no “unknown”" in Page((again / "report.html").read_text("utf-8")).text
    assert not list(again.glob("*.part"))


def test_eval_adds_the_held_out_photos(pocketknn, places, built):
    copy = places / "evaluated"
    shutil.copytree(built, copy)
    said = pocketknn("eval", copy, places / "new", "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    parsed = Page((copy / "report.html").read_text("utf-8"))
    assert parsed.sections == [*SECTIONS[:2], "promise", *SECTIONS[2:]]
    for row in rows:
        right = round(row["accuracy"] * row["photos"])
        measured = f"held-out photos, {row['name']} {right} of {row['photos']}"
        assert f"{measured} {row['accuracy']:.1%}".replace("100.0%", "100%") in parsed.text
    assert "1 of 10 held-out photos is a reference itself, and counts in" in parsed.text
    assert "It is left out of “Promise and outcome”" in parsed.text
    assert "Not counted: 1 that is a reference" in parsed.text
    assert "Held-out photos and references: 1 pair" in parsed.text
    assert "copy.png" in parsed.text
    ids = {attributes.get("id") for attributes in parsed.all("image")}
    assert {f"h{i}" for i in range(6)} <= ids, "held-out photos are seen"
    assert {f"r{i}" for i in range(24)} <= ids, "references are kept from the earlier page"
    assert pocketknn("verify", copy).code == 0


def test_eval_of_one_file_or_a_damaged_folder_still_measures(pocketknn, places, built):
    said = pocketknn("eval", built / "model.onnx", places / "new")
    assert said.code == 0
    assert "report" not in said.out
    copy = places / "damaged"
    shutil.copytree(built, copy)
    (copy / "references.parquet").write_bytes(b"junk")
    said = pocketknn("eval", copy, places / "new")
    assert said.code == 0, said.err
    assert "no report was written" in said.out


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_names(tmp_path, name):
    rng = np.random.default_rng(0)
    labels = [name, "plain"] * 10
    paths = [f"{name}/{i}\n\x07.jpg" for i in range(20)]
    references = References.of(rng.standard_normal((20, 6)), labels, paths=paths)
    fitted = fit(Spec(backbone="vector", k=3), references)
    parsed = written(fitted, tmp_path)
    assert parsed.sections == SECTIONS
    assert not parsed.all("script") + parsed.all("img")
    assert all("onerror" not in attributes for _, attributes in parsed.tags)
    shown = page._shown(name)
    assert len(shown) < 70
    assert shown in parsed.text
    assert "49" not in re.findall(r"\d+", shown) or "49" in name


def test_numbers_instead_of_classes(tmp_path):
    fitted = vector_case(n=40, head="regress").fit
    parsed = written(fitted, tmp_path)
    assert parsed.sections == [
        one
        for one in SECTIONS
        if one not in ("next", "calibration", "classes", "mislabelled", "scores", "unknown")
    ]
    loo = describe(fitted, None, {}, measure(fitted)).manifest["references"]["leave_one_out"]
    for name, error in loo["rmse"].items():
        assert f"{name} {error:.4g}" in parsed.text
    assert "The largest errors" in parsed.text


def test_image_search_without_classes(tmp_path):
    rows = np.random.default_rng(0).standard_normal((20, 6))
    fitted = fit(Spec(backbone="vector"), References.of(rows))
    parsed = written(fitted, tmp_path)
    assert parsed.sections == [
        "overview",
        "search",
        "hardest",
        "duplicates",
        "map",
        "files",
        "spec",
    ]
    assert "There are no classes" in parsed.text
    assert "The pictures farthest" in parsed.text


@pytest.mark.parametrize("n", [1, 2, 7])
def test_one_class_and_very_few(tmp_path, n):
    parsed = written(vector_case(n=n, k=1, classes=1).fit, tmp_path)
    assert "There is only one class" in parsed.text
    assert ("There is only one reference" in parsed.text) == (n == 1)
    assert {"overview", "files", "spec"} <= set(parsed.sections)


def test_hundreds_of_classes_are_cut_short_and_say_so(tmp_path):
    rng = np.random.default_rng(0)
    labels = [f"class {i % 300}" for i in range(600)]
    fitted = fit(plain(backbone="vector"), References.of(rng.standard_normal((600, 8)), labels))
    path = write_report(tmp_path, study_of(fitted))
    parsed = Page(path.read_text("utf-8"))
    assert path.stat().st_size < 2_000_000
    assert "The 30 weakest of 300 classes are shown" in parsed.text
    assert "the 40 weakest of 300" in parsed.text
    assert "Confusion matrix as a picture" in parsed.all("img")[0]["alt"]
    assert "the most frequent mistakes" in parsed.text


def test_a_file_that_cannot_be_run_has_no_numbers(tmp_path):
    fitted = vector_case(n=12, k=1).fit
    study = study_of(fitted)
    failures = ("it cannot be converted: <no>",)
    parity = Parity(precision="float32", queries=0, failures=failures).as_json()
    study = replace(study, manifest=study.manifest | {"parity": {"onnx": parity}})
    parsed = Page(write_report(tmp_path, study).read_text("utf-8"))
    assert "model.onnx DIFFERS, removed float32" in parsed.text
    assert "model.onnx: it cannot be converted: <no>" in parsed.text
    assert "0 of 1" in parsed.text


def test_thumbnails_are_bounded_and_small(places, monkeypatch):
    monkeypatch.setattr(thumbnails, "MOST", 5)
    photos = find(places / "photos" / "cherry")
    made = thumbnails.make(
        (f"r{i}" for i in range(len(photos))), lambda key: photos[int(key[1:])], "center", {}
    )
    assert 4 <= len(made) <= 5
    assert all(len(uri) < 8000 for uri in made.values())
    assert thumbnails.make(["r1"], lambda key: None, "center", {"r1": "data:kept"}) == {
        "r1": "data:kept"
    }


def more(text):
    return Section(
        anchor="more",
        title="More <of> it",
        blocks=(
            text,
            Figures(figures=(Figure(name="n", value="1"),)),
            Table(caption="t", columns=("a", "b"), rows=(("<x>", "2"),)),
            Chart(caption="c", alt="a square", png=b"\x89PNG"),
        ),
    )


def test_a_section_is_appended_once(built, tmp_path):
    path = Path(shutil.copy(built / "report.html", tmp_path))
    page.append(path, more("earlier words"))
    page.append(path, more("<second>"), {"x1": "data:image/webp;base64,AA=="})
    parsed = Page(path.read_text("utf-8"))
    assert parsed.sections == [*SECTIONS, "more"]
    assert [link["href"] for link in parsed.all("a")].count("#more") == 1
    assert "<second>" in parsed.text
    assert "earlier words" not in parsed.text
    assert "x1" in [one.get("id") for one in parsed.all("image")]


def test_what_was_appended_stays_when_a_page_is_written_anew(built, tmp_path):
    refs = References.of([[1, 0], [0, 1], [1, 0.5]], labels=["a", "b", "a"])
    fitted = fit(Spec(backbone="vector", k=1), refs)
    alone = written(fitted, tmp_path).sections
    page.append(tmp_path / "report.html", more("appended words"))
    for _ in range(2):
        again = written(fitted, tmp_path)
        assert again.sections == [*alone, "more"]
        assert [link["href"] for link in again.all("a")].count("#more") == 1
        assert "appended words" in again.text


def test_nothing_is_appended_to_what_is_no_report(tmp_path):
    (tmp_path / "other.html").write_text("<p>hello")
    for name, code in (("other.html", "not-a-report"), ("no.html", "report-missing")):
        with input_error(code, name):
            page.append(tmp_path / name, more(""))


@pytest.mark.parametrize("names", [True, False])
def test_the_heading_has_the_name_and_the_day_and_eval_keeps_them(
    pocketknn, places, tmp_path, monkeypatch, names
):
    """Without the photos' names, it is the name of the build's folder."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(86400 * 365))
    out = tmp_path / "my <build>"
    choices = ["--backbone", "pixels", "--size", "8", "--formats", "onnx"]
    given = choices if names else [*choices, "--no-names"]
    assert pocketknn("build", places / "photos", "-o", out, *given).code == 0
    name = "photos" if names else "my <build>"

    def check():
        html = (out / "report.html").read_text("utf-8")
        parsed = Page(html)
        title = re.search("<title>(.*?)</title>", html)[1]
        assert title == f"Model report: {escape(name)}, 1 January 1971"
        assert f"Model report: {name} Built on 1 January 1971" in parsed.text
        assert [one["datetime"] for one in parsed.all("time")] == ["1971-01-01"]

    check()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert pocketknn("eval", out, places / "new").code == 0
    check()
    assert "1971" not in (out / "manifest.json").read_text()


def test_a_report_of_unknown_age_has_no_date(tmp_path):
    path = write_report(tmp_path, study_of(vector_case(n=12, k=1).fit))
    assert f"<title>Model report: {tmp_path.name}</title>" in path.read_text("utf-8")
    assert not Page(path.read_text("utf-8")).all("time")


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no chromium here to open the page in")
    return found


def browsed(chromium, path, folder, *more):
    """The page in a browser, and the browser's messages."""
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            *more,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_a_browser_has_nothing_to_complain_of(chromium, built, tmp_path):
    dom, complaints = browsed(chromium, built / "report.html", tmp_path)
    assert "</footer>" in dom
    assert complaints == []


MEASURE = """
const result = {};
for (const [name, [text, width]] of Object.entries(PAGES)) {
  const frame = document.createElement('iframe');
  frame.style.cssText = `width: ${width}px; height: 800px; border: 0`;
  frame.onload = () => {
    const page = frame.contentDocument, all = (name) => [...page.querySelectorAll(name)];
    all('details').forEach((one) => { one.open = true; });
    const wider = all('.scroll').filter((one) => one.scrollWidth > one.clientWidth + 1);
    result[name] = {
      width: page.documentElement.scrollWidth,
      wider: wider.length,
      unmarked: wider.filter((one) => {
        const hint = one.previousElementSibling;
        const words = hint && hint.className === 'swipe' && hint.offsetHeight;
        const picture = one.querySelector(':scope > svg, :scope > img');
        return picture ? !words : !frame.contentWindow.getComputedStyle(one).backgroundImage
          .includes('gradient');
      }).length,
      idle: all('.swipe').filter((one) => one.offsetHeight).length,
    };
    document.title = JSON.stringify(result);
  };
  frame.srcdoc = text;
  document.body.append(frame);
}
"""


def test_a_phone_scrolls_the_page_in_one_direction(chromium, built, html, tmp_path):
    """Each page in a frame, measured by a script outside it, with all details open."""
    drawn = wide_png()
    wide = Section("wide", "Wide", (Chart(caption="c", alt="a", png=drawn, wide=True),))
    path = Path(shutil.copy(built / "report.html", tmp_path))
    page.append(path, wide)
    text = path.read_text("utf-8")
    broken = html.replace("</main>", "<div style='width:2000px'>.</div></main>")
    pages = {"phone": (text, 390), "desk": (text, 1280), "broken": (broken, 390)}
    told = json.dumps(pages).replace("<", "\\u003c")
    script = f"<body><script>const PAGES = {told};{MEASURE}</script>"
    (tmp_path / "frame.html").write_text(script, "utf-8")
    dom, _ = browsed(chromium, tmp_path / "frame.html", tmp_path)
    found = json.loads(unescape(re.search("<title>(.*?)</title>", dom)[1]))
    assert found["phone"]["width"] <= 390 < found["broken"]["width"]
    assert found["desk"]["width"] <= 1280
    assert found["phone"]["wider"] > 3
    assert found["phone"]["unmarked"] == 0, "what scrolls must show it"
    assert found["phone"]["idle"] == 2
    assert found["desk"]["idle"] == 0


def test_contents_take_one_line_on_a_phone_and_nothing_is_drawn_beside_a_table(built):
    with browser() as chromium:
        tab = chromium.new_page(viewport={"width": 390, "height": 800})
        tab.goto((built / "report.html").as_uri())
        phone = tab.locator("nav").bounding_box()["height"]
        tab.set_viewport_size({"width": 1280, "height": 800})
        assert phone < 60 < tab.locator("nav").bounding_box()["height"]
        narrow = 0
        for box in tab.locator(".scroll:has(table):visible").all():
            space = box.bounding_box()
            if box.locator("table").bounding_box()["width"] < space["width"] - 20:
                edge = space | {"x": space["x"] + space["width"] - 4, "width": 4}
                shot = Image.open(io.BytesIO(tab.screenshot(clip=edge, full_page=True)))
                assert shot.convert("L").getextrema() == (255, 255), "a line beside the table"
                narrow += 1
    assert narrow >= 3


def wide_png():
    """A PNG as wide as a figure."""
    written = io.BytesIO()
    Image.new("RGB", (1600, 400)).save(written, "PNG")
    return written.getvalue()


def test_an_image_search_with_classes_says_nothing_of_a_vote(tmp_path):
    rows = np.random.default_rng(0).standard_normal((40, 6))
    fitted = fit(Spec(backbone="vector", head="neighbors"), References.of(rows, [*"abcd"] * 10))
    parsed = written(fitted, tmp_path)
    votes = {"accuracy", "calibration", "classes", "mislabelled", "examples", "k", "unknown"}
    assert not votes & {*parsed.sections}
    assert {"search", "scores", "map"} <= {*parsed.sections}
    assert "Nearest is in the same class" in parsed.text
    assert "mistaken" not in parsed.text
    assert "accuracy" not in parsed.text.lower()
