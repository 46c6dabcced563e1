"""What runs the network of the page of `teach`: a graphics card by WebGPU, or wasm.

Chromium can let a processor stand in for a card, which is slower than wasm by far. So that the page
uses it, its files are changed here in one place each.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from chromium import asked, browser, opened
from chromium import served as static
from support import drawing

from pocketknn.builder import Spec
from pocketknn.builder.system import swap
from pocketknn.builder.system.atomic_file import NEW
from pocketknn.builder.system.cache import Cache
from pocketknn.export.apps.teach import page
from pocketknn.export.apps.teach.embedder import Embedder
from pocketknn.export.apps.web import runtime
from pocketknn.export.formats.onnx.reading import session_of

SIDE = 12
# What is changed: a file, what is in it, and what takes its place.
AS_A_CARD = ("webgpu.js", "!adapter.info?.isFallbackAdapter", "true")
AS_FAST = ("webgpu.js", "fast >= slow", "true")
NO_TOLERANCE = ("webgpu.js", "TOLERANCE = 1e-3", "TOLERANCE = -1")
CARD_IN_WORKER = ("service-worker.js", "!card.info?.isFallbackAdapter", "true")
# A worker whose graphics card can be taken away.
TAKEN_AWAY = (
    "embed-worker.js",
    "let ort;",
    """
    let ort;
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...given) {
      const device = await requestDevice.apply(this, given);
      new BroadcastChannel("lose").onmessage = () => device.destroy();
      return device;
    };
    """,
)
ROUNDING = 2e-6  # of a network in float32, as for the ONNX file


@pytest.fixture(scope="module")
def chromium():
    with browser("--enable-unsafe-webgpu") as started:
        yield started


@pytest.fixture
def folder(tmp_path):
    """Write the page with some changes; yields a function."""
    try:
        runs = runtime.remembered(webgpu=True)
    except page.InputError as error:
        pytest.skip(str(error))
    if not runs.webgpu:
        pytest.skip("npm cannot fetch the runtime with WebGPU")
    place = tmp_path / "page"

    def write(*changes, models=(SIDE,)):
        place.mkdir()
        nets = [Embedder.named(Spec(backbone="pixels", size=size)) for size in models]
        page.write(place, nets, runs, title="x", served=False)
        for name, old, new in changes:
            text = (place / name).read_text("utf-8")
            assert text.count(old) == 1, f"{name} has no {old}"
            (place / name).write_text(text.replace(old, new), "utf-8")
        return place

    return write


@pytest.fixture
def shown(folder, chromium):
    """Open the page with some changes; yields a function."""
    with_ends = []

    def show(*changes, **given):
        server = static(folder(*changes, **given))
        one = opened(chromium, server.__enter__())
        with_ends.append((one, server))
        return one

    yield show
    for one, server in with_ends:
        one.context.close()
        server.__exit__(None, None, None)


def runtimes(one):
    """The files of runtimes that a page loaded."""
    return {url.partition("/runtime/")[2] for url in one.requests if "/runtime/" in url}


def embeds_right(one, tmp_path, place):
    """Whether the embedding of a new picture is that of onnxruntime."""
    picture = tmp_path / "new.png"
    drawn = drawing(3, (SIDE, SIDE))
    drawn.save(picture)
    (found,) = session_of(place / "models/0.onnx").run(
        ["embedding"], {"image": np.asarray(drawn, np.float32)[None]}
    )
    answer = asked(one, picture)
    np.testing.assert_allclose(answer["embedding"], found[0], atol=ROUNDING)


def teach(one, tmp_path):
    one.tab.fill("#name", "apple")
    one.tab.click("#add")
    drawing(1, (30, 20)).save(tmp_path / "apple.png")
    one.tab.locator("#cards input[type=file]").set_input_files(tmp_path / "apple.png")
    one.tab.locator("#adding").get_by_text("1 photo added").wait_for()


def test_a_graphics_card_answers_as_onnxruntime(shown, tmp_path):
    one = shown(AS_A_CARD, AS_FAST)
    assert "(WebGPU)" in one.tab.text_content("#network")
    assert one.text("#runs") == "Runs on this device’s graphics card (WebGPU)"
    assert not one.tab.text_content("#refused")
    assert "ort.webgpu.wasm" in runtimes(one)
    assert "ort.wasm" not in runtimes(one), "one runtime is loaded"
    teach(one, tmp_path)
    embeds_right(one, tmp_path, tmp_path / "page")
    assert one.complaints == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [((), "but wasm "), ((NO_TOLERANCE, AS_FAST), "scores are off by up to")],
    ids=["slower", "other answers"],
)
def test_a_card_that_is_no_better_is_not_used(shown, tmp_path, changes, why):
    one = shown(AS_A_CARD, *changes)
    assert "(wasm, 1 thread)" in one.tab.text_content("#network")
    assert why in one.tab.text_content("#refused")
    assert "ort.wasm" in runtimes(one)
    teach(one, tmp_path)
    embeds_right(one, tmp_path, tmp_path / "page")
    assert one.complaints == []


def test_a_processor_in_place_of_a_card_is_not_used(shown):
    one = shown()
    assert "(wasm, 1 thread)" in one.tab.text_content("#network")
    assert not one.tab.text_content("#refused"), "there is no card"
    assert runtimes(one) == {"ort.js", "ort.wasm"}
    assert one.complaints == []


def test_a_second_network_runs_on_the_card_too(shown):
    """The first is too slow, if that asks for a rate that none has."""
    never = ("embedder.js", "FAST = 5", "FAST = 1e9")
    one = shown(AS_A_CARD, AS_FAST, never, models=(SIDE, SIDE + 4))
    assert "(WebGPU)" in one.tab.text_content("#network")
    assert one.complaints == []


def test_wasm_goes_on_when_the_card_is_lost(shown, tmp_path):
    one = shown(AS_A_CARD, AS_FAST, TAKEN_AWAY)
    teach(one, tmp_path)
    assert "(WebGPU)" in one.tab.text_content("#network")
    one.tab.evaluate("new BroadcastChannel('lose').postMessage(0)")
    embeds_right(one, tmp_path, tmp_path / "page")
    one.tab.wait_for_function("() => document.getElementById('refused').textContent")
    assert one.text("#runs") == "Runs on this device (wasm)"
    assert "(wasm, 1 thread)" in one.tab.text_content("#network")
    assert one.tab.locator("#cards .thumbnail").count() == 1
    assert not one.text("#problem")


def test_wasm_goes_on_when_the_card_hangs(shown):
    soon = ("embedder.js", "PATIENCE = 30_000", "PATIENCE = 2_000")
    hangs = ("embed-worker.js", 'await create(network, "webgpu")', "await new Promise(() => {})")
    one = shown(AS_A_CARD, soon, hangs)
    assert "(wasm, 1 thread)" in one.tab.text_content("#network")
    assert "does not answer" in one.tab.text_content("#refused")
    assert one.complaints == []


def test_without_its_runtime_wasm_is_used(folder, chromium):
    place = folder(AS_A_CARD)
    for name in runtime.WEBGPU:
        (place / "runtime" / name).unlink()
    with static(place) as url:
        one = opened(chromium, url)
        assert "(wasm, 1 thread)" in one.tab.text_content("#network")
        assert "ort.webgpu.wasm cannot be loaded" in one.tab.text_content("#refused")
        one.context.close()


@pytest.mark.parametrize("changes", [(), (CARD_IN_WORKER,)], ids=["without", "with"])
def test_a_copy_for_no_network_has_webgpu_where_there_is_a_card(shown, changes):
    one = shown(*changes)
    one.tab.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    kept = one.tab.evaluate(
        """async (names) => {
            const found = await Promise.all(names.map((name) => caches.match(name)));
            return found.map(Boolean);
        }""",
        ["runtime/ort.wasm", *(f"runtime/{name}" for name in runtime.WEBGPU)],
    )
    assert kept == [True, *[bool(changes)] * 2]


def test_a_package_without_webgpu_makes_a_page_without(folder, tmp_path):
    place = folder()
    assert json.loads((place / "page.json").read_text("utf-8"))["webgpu"]
    known = runtime.remembered()
    other = runtime.Runtime(version="9.9.9", files=known.files, webgpu={})
    plain = tmp_path / "plain"
    plain.mkdir()
    net = Embedder.named(Spec(backbone="pixels", size=SIDE))
    page.write(plain, [net], other, title="x", served=False)
    assert not json.loads((plain / "page.json").read_text("utf-8"))["webgpu"]
    assert {path.name for path in (plain / "runtime").iterdir()} == {
        *runtime.FILES,
        "LICENSE.txt",
    }


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """A cache of an earlier version, without WebGPU, and an npm; yields both, and its calls."""
    place = tmp_path / f"{runtime.PACKAGE}-{runtime.VERSION}"
    calls = []

    def unpack(archive, folder, webgpu=runtime.WEBGPU):
        for name in (*runtime.FILES.values(), *webgpu.values()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(str(archive))
        facts = {"name": runtime.PACKAGE, "version": runtime.VERSION}
        (folder / "package.json").write_text(json.dumps(facts))

    unpack("old", place, {})
    monkeypatch.setattr(runtime, "_download", lambda folder: calls.append(folder) or "new")
    monkeypatch.setattr(runtime, "_unpack", unpack)
    return Cache(tmp_path), calls


def test_a_cache_of_an_earlier_version_gets_webgpu_when_it_is_wanted(earlier):
    cache, calls = earlier
    assert not runtime.remembered(cache).webgpu
    assert not calls, "the other page needs none"
    for _ in range(2):
        found = runtime.remembered(cache, webgpu=True)
        assert found.webgpu.keys() == runtime.WEBGPU.keys()
        assert {path.read_text() for path in (found.files | found.webgpu).values()} == {"new"}
    assert len(calls) == 1
    assert [path.name for path in cache.folder.iterdir()] == [
        f"{runtime.PACKAGE}-{runtime.VERSION}"
    ]


def test_without_npm_an_earlier_cache_does_without_webgpu(earlier, monkeypatch):
    def fails(folder):
        raise page.InputError("npm's registry does not answer", "npm-failed")

    cache, _ = earlier
    monkeypatch.setattr(runtime, "_download", fails)
    found = runtime.remembered(cache, webgpu=True)
    assert not found.webgpu
    assert {path.read_text() for path in found.files.values()} == {"old"}


def test_an_interrupted_exchange_loses_nothing(earlier, monkeypatch):
    move = Path.rename

    def interrupted(path, target):
        if path.name == NEW:
            raise KeyboardInterrupt
        return move(path, target)

    cache, _ = earlier
    with monkeypatch.context() as patch:
        patch.setattr(swap, "swapped", lambda one, other: False)  # as on Windows
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runtime.remembered(cache, webgpu=True)
    assert {path.read_text() for path in runtime.remembered(cache).files.values()} == {"old"}
