"""pocketknn web: the page in Chromium gives the same answers as the file in Python."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from chromium import CAMERA, Page, browser, served, write_video
from PIL import Image
from profiles import P3, of_colours
from support import TESTS, drawing

from pocketknn.builder import Spec, embed, find, load_backbone
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.export import export
from pocketknn.export.apps import snippets
from pocketknn.export.apps.web import runtime
from pocketknn.export.cli.ask.pictures import Picture
from pocketknn.export.cli.ask.predict import answered, pixels_of
from pocketknn.export.formats.options import Options
from pocketknn.export.manifest.artefact import Artefact, load

# Small models that differ in everything that the page needs to know about a build.
BUILDS = {
    "classify": {"backbone": "bundled", "reject": 0.99},
    "counted": {"projection": "none", "vote": "uniform", "k": 7},
    "bytes": {"crop": "stretch", "metric": "euclidean", "reject": -0.2, "pixels": "uint8"},
    "neighbors": {"crop": "fit", "metric": "manhattan", "head": "neighbors"},
    "regress": {"head": "regress", "vote": "distance"},
    "grows": {"grow": 9, "spare": 2, "k": 4},
}


@dataclass(frozen=True)
class Built:
    out: Path
    page: Path
    artefact: Artefact

    @property
    def input(self):
        return self.artefact.metadata.manifest["input"]

    def square(self, picture):
        """The picture as the model's input, (size, size, 3)."""
        photo = Photo(name="", label="", content=picture.read_bytes)
        return pixels(photo, self.input["shape"][0], self.input["crop"])

    def says(self, picture):
        return answered(self.artefact, self.artefact.metadata.rows(), self.square(picture))


@pytest.fixture(scope="module")
def npm():
    """The runtime fetched by npm, once for all tests."""
    try:
        runtime.remembered()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def table(photos, tmp_path_factory):
    """The small pictures with a price each, for regression."""
    path = tmp_path_factory.mktemp("table") / "prices.csv"
    names = [photo.name for photo in find(photos)]
    rows = [f"{photos / name},{price}" for price, name in enumerate(names)]
    path.write_text("\n".join(["path,price", *rows]))
    return path


def build(out, photos, table, **choices):
    options = Options(pixels=choices.pop("pixels", "float32"))
    spec = Spec(**{"backbone": "pixels", **choices})
    net = load_backbone(spec)
    columns = ("price",) if spec.head == "regress" else ()
    found = find(table if columns else photos, target_columns=columns)
    references = embed(found, net, spec.crop).references(target_names=columns)
    export(spec, references, net, out, formats=["onnx"], options=options)
    return out


@pytest.fixture(scope="module")
def make(photos, table, tmp_path_factory):
    """Builds by name, each made once."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = build(folder / "out", photos, table, **BUILDS[name])
        return made[name]

    return get


def main(*arguments):
    from pocketknn.export.cli.app import main

    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def only(*names):
    """One build, for tests that do not depend on the differences between builds."""
    return pytest.mark.parametrize("built", names, indirect=True)


@pytest.fixture(scope="module", params=list(BUILDS))
def built(request, make, photos, npm):
    out = make(request.param)
    page = out.parent / "a folder" / "page"
    assert main("web", out, "--export", page, "--photos", photos) == 0
    return Built(out=out, page=page, artefact=load(out / "model.onnx"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    video = tmp_path_factory.mktemp("camera") / "camera.y4m"
    write_video(video, SCENE)
    with browser(*CAMERA, f"--use-file-for-fake-video-capture={video}") as started:
        yield started


SCENE = drawing(77, (160, 120)).convert("YCbCr")


@pytest.fixture(scope="module")
def opened(built, chromium):
    """The exported folder at a sub-path of a plain static server.

    One page for all tests of a build: each load compiles the runtime, which takes seconds.
    """
    with served(built.page.parent.parent) as url:
        shown = Page(chromium, f"{url}a%20folder/page/")
        yield shown
        shown.context.close()


@pytest.fixture
def page(opened):
    """That page; it may complain of nothing, and nothing from elsewhere may be requested."""
    yield opened
    assert opened.complaints == []
    origin = re.match(r"https?://[^/]+/", opened.url)[0]
    local = (opened.url, f"blob:{origin}")
    assert [one for one in opened.requests if not one.startswith(local)] == []


def near(built, found, outputs):
    """Check that the page's numbers are the runtime's."""
    assert outputs["indices"][0].tolist() == found["indices"]
    for name in outputs.keys() - {"indices"}:
        scale = max(1, np.abs(outputs[name]).max())
        np.testing.assert_allclose(found[name], outputs[name][0], rtol=1e-5, atol=1e-5 * scale)


def turned(path, **options):
    """A picture stored on its side, with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    drawing(300, (150, 97)).save(path, exif=exif, **options)
    return path


def test_a_picture_is_answered_as_predict_does(built, page, tmp_path):
    picture = tmp_path / "wide.png"
    drawing(200, (201, 83)).save(picture)
    found = page.choose(picture)
    wanted = built.square(picture)
    np.testing.assert_array_equal(np.reshape(found["pixels"], wanted.shape), wanted)
    near(built, found["outputs"], built.artefact.run(wanted[None]))
    said = built.says(picture)
    assert found["answer"].get("winner") == said.get("label")
    listed = page.tab.locator("#neighbor-list li").all_inner_texts()
    assert len(listed) == min(5, len(said["neighbors"])), "five of those that vote are shown"
    for text, one in zip(listed, said["neighbors"][:5], strict=True):
        assert "/".join(one["path"].split("/")[-2:]) in text
        assert (one["label"] or one["id"]) in text
    for name, value in said.get("value", {}).items():
        assert f"{name} {value:.4g}" in page.text("#winner")


@only("classify")
@pytest.mark.parametrize("subsampling", [0, 2])
def test_an_upright_jpeg_is_answered_as_predict_does(built, page, subsampling, tmp_path):
    picture = turned(tmp_path / "turned.jpg", quality=90, subsampling=subsampling)
    found = page.choose(picture)
    wanted = built.square(picture)
    off = np.abs(np.reshape(found["pixels"], wanted.shape) - wanted.astype(int))
    assert off.max() <= 1  # two JPEG decoders may round differently
    given = np.reshape(np.uint8(found["pixels"]), wanted.shape)
    near(built, found["outputs"], built.artefact.run(given[None]))
    assert found["answer"].get("winner") == built.says(picture).get("label")


@only("classify")
def test_colours_of_another_profile_are_answered_as_predict_does(built, page, tmp_path):
    picture = tmp_path / "tagged.png"
    drawing(301, (150, 97)).save(picture, icc_profile=of_colours(*P3))
    found, wanted = page.choose(picture), built.square(picture).astype(int)
    assert np.abs(np.reshape(found["pixels"], wanted.shape) - wanted).max() <= 3
    drawing(301, (150, 97)).save(picture)
    assert np.abs(built.square(picture) - wanted).max() > 10


def test_the_camera_is_answered_as_the_file_does_in_python(built, page):
    found = page.answer(lambda: page.tab.click("#camera"))
    given = np.reshape(np.uint8(found["pixels"]), (1, *built.input["shape"]))
    near(built, found["outputs"], built.artefact.run(given))
    scene = square(SCENE.convert("RGB"), given.shape[1], built.input["crop"])
    assert np.abs(given[0] - scene.astype(int)).mean() < 8  # colours depend on the video encoding
    page.answer(lambda: None)
    assert re.match(r"[\d.]+ frames per second", page.text("#speed"))
    page.tab.click("#camera")
    assert page.tab.locator("#video").is_hidden()


def test_known_and_unknown_are_drawn(built, page, tmp_path):
    limit = built.artefact.metadata.manifest["reject"]
    reference, strange = tmp_path / "known.png", tmp_path / "strange.png"
    drawing(0).save(reference)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(strange)
    page.choose(strange)
    assert page.tab.locator("#near").is_visible() == bool(limit)
    if limit:
        assert page.text("#winner") == built.says(strange)["label"] == "unknown"
        below = page.tab.locator("#level").bounding_box()
        mark = page.tab.locator("#threshold").bounding_box()
        assert below["x"] + below["width"] <= mark["x"] + mark["width"]
        page.choose(reference)
        assert page.text("#winner") == built.says(reference)["label"] == "apple"
        above = page.tab.locator("#level").bounding_box()
        assert above["x"] + above["width"] > mark["x"]


def test_votes_are_drawn_as_long_as_they_are(built, page, tmp_path):
    picture = tmp_path / "new.png"
    drawing(205).save(picture)
    outputs = page.choose(picture)["outputs"]
    assert page.tab.locator("#votes").is_visible() == ("probabilities" in outputs)
    shares = sorted(filter(None, outputs.get("probabilities", [])), reverse=True)
    # A soft vote gives each class a small share: up to five of at least 0.5 % are shown.
    shares = shares[:1] + [share for share in shares[1:5] if share >= 0.005]
    for row, share in zip(page.tab.locator("#vote-list li").all(), shares, strict=True):
        assert f"{share:.0%}".replace("%", " %") in row.inner_text()
        track = row.locator(".track").bounding_box()["width"]
        assert row.locator(".level").bounding_box()["width"] == pytest.approx(share * track, abs=1)


@only("classify")
def test_what_is_no_picture_is_said_to_be_none(built, page, tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    page.tab.set_input_files("#file", text)
    page.tab.locator("#problem").wait_for()
    assert page.text("#problem") == "This browser cannot read notes.png."
    picture = tmp_path / "new.png"
    drawing(205).save(picture)
    page.choose(picture)
    assert page.tab.locator("#problem").is_hidden()


@only("classify")
@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_that_is_brought(built, page, event, tmp_path):
    picture = tmp_path / "new.png"
    drawing(205).save(picture)
    bring = """([event, text]) => {
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
        data.items.add(new File([bytes], "new.png", { type: "image/png" }));
        const brought = event === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.body.dispatchEvent(brought);
    }"""
    content = base64.b64encode(picture.read_bytes()).decode()
    found = page.answer(lambda: page.tab.evaluate(bring, [event, content]))
    near(built, found["outputs"], built.artefact.run(built.square(picture)[None]))


CAMERAS = {
    "The live camera needs https": """() => Object.defineProperty(
        navigator, "mediaDevices", { value: undefined, configurable: true })""",
    "There is no camera": """() => {
        const error = new DOMException("", "NotFoundError");
        navigator.mediaDevices.getUserMedia = () => Promise.reject(error);
    }""",
}


@only("classify")
@pytest.mark.parametrize("reason", CAMERAS)
def test_why_there_is_no_camera_is_said(built, page, reason):
    page.tab.evaluate(CAMERAS[reason])
    page.tab.click("#camera")
    page.tab.locator("#problem").wait_for()
    assert page.text("#problem").startswith(reason)
    assert page.text("#camera") == "Use the camera"
    page.tab.evaluate(
        "() => (delete navigator.mediaDevices, delete navigator.mediaDevices.getUserMedia)"
    )
    page.answer(lambda: page.tab.click("#camera"))
    page.tab.click("#camera")


@only("classify")
@pytest.mark.parametrize("name", ["model.onnx", "page.json", "runtime/ort.wasm"])
def test_a_file_that_is_missing_is_named(built, chromium, name):
    with served(built.page) as url:
        shown = Page(chromium, url, missing=name)
        shown.tab.locator("#problem").wait_for()
        assert name in shown.text("#problem")
        assert shown.tab.locator("#loading").is_hidden()
        expected = re.compile("Failed to load resource.*|.* net::ERR_ABORTED")
        assert [one for one in shown.complaints if not expected.fullmatch(one)] == []
        shown.context.close()


@only("classify")
def test_the_keyboard_reaches_every_control(built, page):
    reached = []
    for _ in range(8):
        page.tab.keyboard.press("Tab")
        reached.append(page.tab.evaluate("document.activeElement.id"))
    shown = page.tab.locator("input, button, select, a").all()
    controls = {one.get_attribute("id") for one in shown if one.is_visible()}
    assert controls == set(filter(None, reached)) == {"file", "camera"}
    page.tab.focus("#camera")
    page.answer(lambda: page.tab.keyboard.press("Enter"))
    assert page.text("#camera") == "Stop the camera"
    page.tab.click("#camera")


@only("classify")
def test_screen_readers_are_told(built, page, tmp_path):
    picture = tmp_path / "new.png"
    drawing(205).save(picture)
    page.choose(picture)
    status = page.tab.locator("#said[role=status]")
    assert page.text("#winner") in status.text_content()
    nameless = page.tab.evaluate("""() => Array.from(document.querySelectorAll(
        "section, canvas, video, [role=meter], progress")).filter((one) =>
        !one.getAttribute("aria-label") && !one.getAttribute("aria-labelledby")).map(String)""")
    assert nameless == []


@only("classify")
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(page, width, tmp_path):
    picture = tmp_path / "new.png"
    drawing(205, (900, 300)).save(picture)
    usual = page.tab.viewport_size
    page.tab.set_viewport_size({"width": width, "height": 800})
    page.choose(picture)
    assert page.tab.evaluate("innerWidth") == width
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
    page.tab.set_viewport_size(usual)


@only("classify")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page, scheme):
    """By the contrast that WCAG requires for text, 4.5 to 1."""
    page.tab.emulate_media(color_scheme=scheme)
    read = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name)"
    colour = {
        name: luminance(page.tab.evaluate(read, f"--{name}"))
        for name in ("paper", "card", "track", "ink", "quiet", "accent", "on-accent", "unknown")
    }
    page.tab.emulate_media(color_scheme=None)
    assert (colour["ink"] < colour["paper"]) == (scheme == "light")
    pairs = [(text, on) for text in ("ink", "quiet") for on in ("paper", "card", "track")]
    for text, on in [*pairs, ("accent", "card"), ("on-accent", "accent"), ("unknown", "card")]:
        low, high = sorted((colour[text], colour[on]))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, on)


def luminance(colour):
    red, green, blue = (int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


@only("classify", "bytes", "neighbors")
def test_the_browser_shrinks_as_pillow_does(built, page):
    crop = built.input["crop"]
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (40, 1), (1, 40), (32, 32), (129, 192), (320, 240)]
    for width, height in [*shapes, *rng.integers(1, 200, (6, 2)).tolist()]:
        size = int(rng.choice([7, 24, 96]))
        data = rng.integers(0, 256, (height, width, 3), np.uint8)
        found = page.tab.evaluate(
            """async ([width, height, size, text]) => {
                const { square } = await import("./square.js");
                const data = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
                return btoa(String.fromCharCode(...square({ width, height, data }, size)));
            }""",
            [width, height, size, base64.b64encode(data.tobytes()).decode()],
        )
        wanted = square(Image.fromarray(data), size, crop)
        shrunk = np.frombuffer(base64.b64decode(found), np.uint8).reshape(wanted.shape)
        np.testing.assert_array_equal(shrunk, wanted)


@only("classify")
def test_real_photos_are_answered_as_predict_does(built, page, data):
    for flower in sorted((data / "flowers").glob("*/*.jpg"))[::40]:
        found, said = page.choose(flower), built.says(flower)
        assert found["answer"]["winner"] == said["label"]
        assert found["outputs"]["indices"] == [one["index"] for one in said["neighbors"]]
        scores = [one["score"] for one in said["neighbors"]]
        # Chromium's and Pillow's decoders may differ by 1 of 255.
        np.testing.assert_allclose(found["outputs"]["scores"], scores, atol=1e-3)


# The folder


def test_the_folder_says_what_the_build_is(built):
    data = json.loads((built.page / "page.json").read_text("utf-8"))
    manifest = built.artefact.metadata.manifest
    given = {"size": built.input["shape"][0]}
    given |= {key: built.input[key] for key in ("crop", "dtype")}
    assert data["input"] == given
    assert data["labels"] == manifest["labels"]
    assert data["threshold"] == (manifest["reject"] and manifest["reject"]["threshold"])
    assert (built.page / "model.onnx").read_bytes() == (built.out / "model.onnx").read_bytes()
    shared = snippets.render("square.mjs", manifest)
    assert (built.page / "square.js").read_text("utf-8") == shared


def test_thumbnails_are_of_their_references(built, photos):
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in photos.rglob("*.*")}
    for one in json.loads((built.page / "page.json").read_text("utf-8"))["references"]:
        (path,) = (path for path, digest in hashes.items() if digest.startswith(one["id"]))
        small = Image.open(built.page / one["thumbnail"]).convert("RGB").resize((40, 40))
        photo = Image.open(path).convert("RGB")
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        middle = photo.crop((left, top, left + side, top + side)).resize((40, 40))
        assert np.abs(np.asarray(small, int) - np.asarray(middle, int)).mean() < 8


@pytest.mark.parametrize("limit", ["20KB", "9KB", "3KB", "0"])
def test_thumbnails_keep_to_their_bytes(make, photos, npm, limit, tmp_path):
    out = make("classify")
    options = ("--export", tmp_path / "page", "--photos", photos, "--thumbnails", limit)
    assert main("web", out, *options) == 0
    small = list((tmp_path / "page" / "thumbnails").glob("*"))
    bytes_ = {"20KB": 20000, "9KB": 9000}.get(limit, 0)
    assert sum(path.stat().st_size for path in small) <= bytes_
    assert len(small) == (12 if bytes_ else 0)


# What cannot be done


def test_without_an_onnx_file(make, pocketknn, tmp_path):
    said = pocketknn("web", tmp_path)
    assert said.code == 2
    assert "holds no model.onnx" in said.err
    assert "does not exist" in pocketknn("web", tmp_path / "nothing").err
    shutil.copytree(make("classify"), tmp_path / "broken")
    (tmp_path / "broken" / "model.onnx").write_bytes(b"no model")
    said = pocketknn("web", tmp_path / "broken", "--export", tmp_path / "page")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert not (tmp_path / "page").exists()


def test_a_model_of_features_has_no_page(pocketknn, tmp_path):
    from pocketknn.builder import References

    references = References.of(np.eye(4), list("aabb"))
    export(Spec(backbone="vector"), references, None, tmp_path / "out", formats=["onnx"])
    said = pocketknn("web", tmp_path / "out")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "vectors of 4 features" in said.err


def test_a_folder_that_exists_is_left_alone(make, pocketknn, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    said = pocketknn("web", make("classify"), "--export", tmp_path)
    assert said.code == 2
    assert "exists; choose another folder" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_photos_of_another_build(make, npm, pocketknn, tmp_path):
    (tmp_path / "others").mkdir()
    drawing(999).save(tmp_path / "others" / "1.png")
    options = ("--export", tmp_path / "page", "--photos", tmp_path / "others")
    said = pocketknn("web", make("classify"), *options)
    assert said.code == 2
    assert "none of the photos" in said.err
    assert not (tmp_path / "page").exists()


def test_without_npm(make, pocketknn, tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    said = pocketknn("web", make("classify"), "--export", tmp_path / "page")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "npm" in said.err
    assert "--runtime" in said.err
    assert not (tmp_path / "page").exists()
    assert list((tmp_path / "cache").iterdir()) == []


NPM = {
    "fails": 'echo "npm error code ENOTFOUND" >&2; exit 1',
    "brings another file": "echo other > onnxruntime-web-1.30.0.tgz",
}


@pytest.mark.parametrize("name", NPM)
def test_an_npm_that(name, make, pocketknn, tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{NPM[name]}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    said = pocketknn("web", make("classify"), "--export", tmp_path / "page")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert ("ENOTFOUND" in said.err) == (name == "fails")
    assert "--runtime" in said.err
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_runtime_that_was_unpacked_by_hand(make, npm, pocketknn, tmp_path):
    out, package = make("classify"), tmp_path / "package"
    options = ("--export", tmp_path / "page", "--runtime", package)
    assert "is not an npm package" in pocketknn("web", out, *options).err
    package.mkdir()
    (package / "package.json").write_text('{"name": "left-pad", "version": "1.0.0"}')
    assert "is left-pad, not onnxruntime-web" in pocketknn("web", out, *options).err
    (package / "package.json").write_text('{"name": "onnxruntime-web", "version": "9.9.9"}')
    assert "has no dist/" in pocketknn("web", out, *options).err
    (package / "dist").mkdir()
    for name, path in runtime.remembered().files.items():
        shutil.copy(path, package / runtime.FILES[name])
    said = pocketknn("web", out, *options)
    assert said.code == 0
    assert "onnxruntime-web 9.9.9" in said.out


def test_the_runtime_is_the_one_that_node_is_tested_with():
    lock = json.loads((TESTS / "ortweb" / "package-lock.json").read_text())
    pinned = lock["packages"][f"node_modules/{runtime.PACKAGE}"]
    assert (pinned["version"], pinned["integrity"]) == (runtime.VERSION, f"sha512-{runtime.SHA512}")


# The server


@pytest.fixture
def started(make, npm):
    """Start `pocketknn web` as users do; yields its address."""
    code = "from pocketknn.export.cli.app import main; main()"
    running = []

    def start(*options):
        words = [sys.executable, "-u", "-c", code, "web", str(make("classify")), *options]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        line = next((line for line in process.stdout if "until Ctrl-C" in line), None)
        assert line, process.stderr.read()
        return process, re.search(r"http://\S+", line)[0]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_it_serves_until_it_is_told_to_end(started, make, chromium, tmp_path):
    process, url = started("--port", "0", "--no-open")
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    picture = tmp_path / "new.png"
    drawing(205).save(picture)
    shown = Page(chromium, url)
    assert shown.tab.evaluate("crossOriginIsolated")  # the model may use threads
    found = shown.choose(picture)
    artefact = load(make("classify") / "model.onnx")
    image = Picture(name=picture.name, content=picture.read_bytes)
    square = pixels_of(image, artefact.metadata.manifest["input"])
    said = answered(artefact, artefact.metadata.rows(), square)
    assert found["answer"]["winner"] == said["label"]
    assert found["outputs"]["indices"] == [one["index"] for one in said["neighbors"]]
    assert shown.complaints == []
    shown.context.close()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}runtime/")
    # Background jobs of a shell ignore Ctrl-C, and so would this process.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "stopped" in said


def test_a_port_that_is_taken(started, make, pocketknn):
    _, url = started("--port", "0")
    port = url.rstrip("/").rpartition(":")[2]
    said = pocketknn("web", make("classify"), "--port", port)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert f"port {port}" in said.err
    for wrong in (("--port", "70000"), ("--host", "192.0.2.1")):
        said = pocketknn("web", make("classify"), *wrong)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "cannot listen on" in said.err


def test_the_next_port_is_taken_where_none_was_named(started):
    first, second = started()[1], started()[1]
    assert first != second
