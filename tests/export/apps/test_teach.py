"""pocketknn teach: what its server answers and builds, and what its page is made of."""

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from chromium import CAMERA, Page, asked, browser, opened, write_video
from chromium import served as static
from support import drawing, input_error, tinted

from pocketknn.builder import References, Spec, find
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.builder.references import memory_json
from pocketknn.export.apps.teach import building, page, server, upload
from pocketknn.export.apps.teach.building import Builds
from pocketknn.export.apps.teach.embedder import Embedder
from pocketknn.export.apps.web import runtime
from pocketknn.export.cli.ask.predict import answered
from pocketknn.export.formats.onnx.reading import session_of
from pocketknn.export.manifest.artefact import load
from pocketknn.export.manifest.metadata import manifest_of

TOKEN = "a-token-of-the-tests"
COLOURS = {"apple": "red", "lemon": "yellow"}
# With k = 5, a dozen photos suffice for a graph that the next build takes from the cache.
QUICK = ("--formats", "onnx", "--no-report", "--k", "5")
WAITS = "import time; print('begun'); time.sleep(60)"
# A build that writes a file and a report as soon as a file `go` is there; `fail` makes it fail, and
# `differs` leaves a file out.
STAND_IN = """
import json, sys, time
from pathlib import Path
out = Path(sys.argv[sys.argv.index("-o") + 1])
print(*(f"step {i}" for i in range(60)), sep="\\n")
while not any((found := out.with_name(name)).exists() for name in ("go", "fail", "differs")):
    time.sleep(0.02)
if found.name == "fail":
    raise SystemExit(2)
out.mkdir(exist_ok=True)
(out / "model.onnx").write_bytes(b"x")
(out / "report.html").write_text("good")
if found.name == "differs":
    wrong = {"agrees": False, "failures": ["score error 3e-02 exceeds the tolerance 1e-02"]}
    (out / "parity.json").write_text(json.dumps({"onnx": {"agrees": True}, "coreml": wrong}))
    raise SystemExit(1)
"""
SERVER = """
import json, sys, time
from pathlib import Path
from pocketknn.builder import Spec
from pocketknn.export.apps.teach import building
from pocketknn.export.apps.teach.embedder import Embedder
building._CODE = "import os, time; print(os.getpid()); time.sleep(60)"
work, sent = Path(sys.argv[1]), Path(sys.argv[2])
one = Embedder.named(Spec(backbone="pixels", size=12))
builds = building.Builds(work / "taught", {"pixels": one}, work)
assert builds.reserve()
builds.start(sent, "")
while not builds.state()["lines"]:
    time.sleep(0.02)
print(builds.state()["lines"][0], flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def embedder():
    return Embedder.named(Spec(backbone="pixels", size=12))


def jpeg(seed, colour):
    content = io.BytesIO()
    tinted(seed, colour, (24, 20), 0.6).save(content, "JPEG")
    return content.getvalue()


def photos(recordings=2, classes=COLOURS):
    """Photos by their names in a zip, three in each recording."""
    return {
        f"{label}/{recording}/{i}.jpg": jpeg(100 * c + 10 * recording + i, colour)
        for c, (label, colour) in enumerate(classes.items())
        for recording in range(recordings)
        for i in range(3)
    }


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


class Served:
    """A served page, asked as its own scripts do."""

    def __init__(self, folder, out, embedder, with_page=None):
        self.folder, self.work = folder / "page", folder / "work"
        self.folder.mkdir(parents=True)
        self.work.mkdir()
        (self.folder / "index.html").write_text("the page")
        if with_page:
            page.write(self.folder, [embedder], with_page, title="x", served=True)
        self.builds = Builds(out, {"pixels": embedder}, self.work, QUICK)
        self.server = server.listen(self.folder, self.builds, TOKEN, 0)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def ask(self, method, path, body=None, **headers):
        """Status and text; headers that are None are left out."""
        origin = f"http://127.0.0.1:{self.port}"
        given = {"Origin": origin, "Content-Type": "application/zip"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        one = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        one.request(method, path, body, {k: v for k, v in given.items() if v is not None})
        answer = one.getresponse()
        content = answer.read()
        one.close()
        return answer.status, content

    def post(self, what, body=b"", **headers):
        status, content = self.ask("POST", f"/{TOKEN}/{what}", body, **headers)
        return status, json.loads(content)

    def state(self):
        return json.loads(self.ask("GET", f"/{TOKEN}/state")[1])

    def until(self, is_so):
        end = time.monotonic() + 120
        while not is_so(state := self.state()):
            assert time.monotonic() < end, state
            time.sleep(0.02)
        return state

    def build(self, files):
        """What became of a build."""
        assert self.post("build", zipped(files)) == (202, {"ok": True})
        return self.until(lambda state: not state["building"])

    def close(self):
        self.builds.close()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def served(embedder, tmp_path):
    """Start servers that build into a folder; yields a function."""
    running = []

    def start():
        one = Served(tmp_path / f"page {len(running)}", tmp_path / "taught", embedder)
        running.append(one)
        return one

    yield start
    for one in running:
        one.close()


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# Who is answered


def test_an_address_without_the_token_is_not_answered(served):
    shown = served()
    assert shown.ask("GET", f"/{TOKEN}/index.html") == (200, b"the page")
    wrong = ["/", "/index.html", "/state", f"/{TOKEN}", f"/{TOKEN}x/", "/%c3%a9/"]
    wrong += [f"/x/{TOKEN}/", f"/{TOKEN[:-1]}/state", f"/x{TOKEN}/state"]
    for path in wrong:
        status, content = shown.ask("GET", path)
        assert status == 404, path
        assert b"the page" not in content
    for path in ("/build", "/stop"):
        assert shown.ask("POST", path, b"")[0] == 404


def test_other_hosts_and_pages_of_other_sites_are_refused(served):
    shown = served()
    assert shown.ask("GET", f"/{TOKEN}/", Host="evil.example")[0] == 421
    sent = zipped(photos())
    own = f"http://127.0.0.1:{shown.port}"
    for origin in (None, "null", "http://evil.example", f"{own}0", "http://127.0.0.1", own + "/"):
        for what in ("build", "stop"):
            assert shown.post(what, sent, Origin=origin)[0] == 403, origin
    assert shown.state() == {"building": False, "lines": [], "done": None, "lesson": ""}
    # The origin is the address that was typed.
    named = f"localhost:{shown.port}"
    assert shown.post("stop", Host=named, Origin=f"http://{named}")[0] == 200
    assert shown.post("stop", Host=named, Origin=own)[0] == 403


def test_nothing_beside_the_page_is_served(served, tmp_path):
    shown = served()
    (tmp_path / "secret.txt").write_text("secret")
    (shown.work / "secret.zip").write_text("secret")
    for way in ("../../secret.txt", "..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/secret.txt"):
        for path in (way, f"model/{way}", f"model/../{way}"):
            assert shown.ask("GET", f"/{TOKEN}/{path}")[0] == 404, path
    for path in ("model/secret.zip", "model/../secret.zip", "model/", "model/model.onnx"):
        assert shown.ask("GET", f"/{TOKEN}/{path}")[0] == 404, path


# What is sent


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "9" * 5000, None])
def test_what_is_sent_has_a_length(served, length):
    shown = served()
    one = http.client.HTTPConnection("127.0.0.1", shown.port, timeout=10)
    one.putrequest("POST", f"/{TOKEN}/build")
    one.putheader("Origin", f"http://127.0.0.1:{shown.port}")
    one.putheader("Content-Type", "application/zip")
    if length is not None:
        one.putheader("Content-Length", length)
    one.endheaders()
    assert one.getresponse().status == 400
    one.close()


def test_what_is_not_sent_completely_is_forgotten(served):
    shown = served()
    with socket.create_connection(("127.0.0.1", shown.port), timeout=10) as one:
        own = f"127.0.0.1:{shown.port}"
        one.sendall(
            f"POST /{TOKEN}/build HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}\r\n"
            "Content-Type: application/zip\r\nContent-Length: 1000\r\n\r\nPK".encode()
        )
        assert shown.until(lambda state: state["building"])
        one.shutdown(socket.SHUT_WR)
        assert b"incomplete" in one.makefile("rb").read()
    assert not shown.state()["building"]
    assert everything(shown.work) == {"packed"}


def test_what_is_too_large_or_of_another_kind_is_refused(served):
    shown = served()
    assert shown.post("build", Content_Length=str(upload.MOST_BYTES + 1))[0] == 413
    for kind in ("text/plain", "multipart/form-data", None):  # what a form could send
        assert shown.post("build", zipped(photos()), Content_Type=kind)[0] == 400
    for sent in (b"", b"no zip", zipped(photos())[:-30]):
        status, said = shown.post("build", sent)
        assert status == 400
        assert "zip" in said["error"]
    assert "no model 'other'" in shown.post("build?model=other", zipped(photos()))[1]["error"]
    assert not shown.state()["building"], "others may build"
    assert everything(shown.work) == {"packed"}


NAMES = {
    "above": "../../evil/1.jpg",
    "from the root": "/etc/1.jpg",
    "flat": "1.jpg",
    "two dots": "apple/../1.jpg",
    "a hidden class": ".apple/1/1.jpg",
    "a backslash": "apple\\..\\evil/1/1.jpg",
    "an empty name": "apple//1.jpg",
    "a control character": "app\nle/1/1.jpg",
    "a long name": "a" * 201 + "/1/1.jpg",
    "a folder": "apple/1/",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_refused(embedder, tmp_path, name):
    folder = tmp_path / "above" / "work"
    folder.mkdir(parents=True)
    sent = folder / "sent.zip"
    sent.write_bytes(zipped(photos() | {NAMES[name]: jpeg(1, "red")}))
    with pytest.raises(upload.InputError) as refused:
        upload.unpack(sent, folder, embedder.stand_in())
    assert refused.value.code in ("bad-name", "bad-class-name")
    assert everything(tmp_path) <= {"above", "above/work", "above/work/sent.zip"}


def test_a_compression_that_takes_more_memory_than_it_says_is_refused(embedder, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in photos().items():
            archive.writestr(name, data)
    (tmp_path / "sent.zip").write_bytes(content.getvalue())
    with input_error("unreadable-archive", "compression"):
        upload.unpack(tmp_path / "sent.zip", tmp_path, embedder.stand_in())


def test_long_names_of_class_and_recording_fit_into_one_folder(embedder, tmp_path):
    name = "x" * 150
    files = {f"{label}/{name}/1.jpg": jpeg(1, "red") for label in (name, "apple")}
    files |= {f"apple/{i}/1.jpg": jpeg(i, "red") for i in range(2)}
    (tmp_path / "sent.zip").write_bytes(zipped(files))
    upload.unpack(tmp_path / "sent.zip", tmp_path, embedder.stand_in())
    read = find(tmp_path / upload.PHOTOS, occasions="folders")
    assert sorted(photo.label for photo in read) == ["apple"] * 3 + [name]
    assert len({photo.occasion for photo in read}) == 4


def test_an_error_in_a_memory_names_no_private_folder(embedder, tmp_path):
    (tmp_path / "sent.zip").write_bytes(zipped({"memory.json": b"[1, 2"}))
    with pytest.raises(upload.InputError) as refused:
        upload.unpack(tmp_path / "sent.zip", tmp_path, embedder.stand_in())
    assert str(tmp_path) not in str(refused.value)
    assert "memory.json" in str(refused.value)


def test_limits_on_what_is_unpacked(embedder, tmp_path, monkeypatch):
    sent = tmp_path / "sent.zip"
    sent.write_bytes(zipped(photos()))
    monkeypatch.setattr(upload, "_MOST_FILES", 11)
    with input_error("too-many-files"):
        upload.unpack(sent, tmp_path, embedder.stand_in())
    monkeypatch.undo()
    monkeypatch.setattr(upload, "_MOST_UNPACKED", 1000)
    with input_error("too-large"):
        upload.unpack(sent, tmp_path, embedder.stand_in())
    monkeypatch.undo()
    sent.write_bytes(zipped(photos(classes={"apple": "red"})))
    with input_error("too-few-classes"):
        upload.unpack(sent, tmp_path, embedder.stand_in())
    assert everything(tmp_path) == {"sent.zip"}


def test_recordings_become_occasions_where_one_can_be_held_out(embedder, tmp_path):
    sent = tmp_path / "sent.zip"
    for recordings in (1, 2):
        folder = tmp_path / str(recordings)
        folder.mkdir()
        sent.write_bytes(zipped(photos(recordings)))
        found = upload.unpack(sent, folder, embedder.stand_in())
        assert found.occasions == (recordings == 2)
        assert not found.taught
        read = find(folder / upload.PHOTOS, occasions="folders" if found.occasions else None)
        assert {photo.label for photo in read} == set(COLOURS)
        named = {f"{label} {i}" for label in COLOURS for i in range(2)}
        assert {photo.occasion for photo in read} == (named if found.occasions else {""})


def test_photos_of_a_class_with_a_slash_are_refused_with_the_way_out(embedder, tmp_path):
    """Such a class comes from a build whose photos were in nested folders."""
    sent = tmp_path / "sent.zip"
    sent.write_bytes(zipped(photos(2, {"berries/red": "red", "apple": "blue"})))
    with input_error("bad-name", "berries/red", "rename it"):
        upload.unpack(sent, tmp_path, embedder.stand_in())


# Builds


def test_one_build_at_a_time_which_can_be_stopped(served, monkeypatch):
    monkeypatch.setattr(building, "_CODE", WAITS)
    shown = served()
    for _ in range(2):  # also after another one was stopped
        assert shown.post("build", zipped(photos()))[0] == 202
        state = shown.until(lambda state: state["lines"])
        assert (state["building"], state["lines"], state["done"]) == (True, ["begun"], None)
        assert shown.post("build", zipped(photos()))[0] == 409
        assert shown.post("stop")[0] == 200
        done = shown.until(lambda state: not state["building"])["done"]
        assert (done["ok"], done["error"]) == (False, "the build was stopped")
    assert everything(shown.work) == {"packed"}, "no photo stays behind"
    assert not shown.builds.folder.exists()


def test_a_build_tells_the_lesson_that_it_is_of(served, monkeypatch):
    monkeypatch.setattr(building, "_CODE", WAITS)
    shown = served()
    assert shown.post("build?lesson=one", zipped(photos()))[0] == 202
    assert shown.post("build?lesson=two", zipped(photos()))[0] == 409
    assert shown.state()["lesson"] == "one"
    shown.post("stop")
    assert shown.until(lambda state: not state["building"])["lesson"] == "one"
    assert shown.post("build?lesson=" + "x" * 5000, zipped(photos()))[0] == 202
    assert shown.state()["lesson"] == "x" * 64


def test_a_build_ends_with_the_server(served, monkeypatch):
    monkeypatch.setattr(building, "_CODE", f"import os; print(os.getpid()); {WAITS}")
    shown = served()
    shown.post("build", zipped(photos()))
    process = int(shown.until(lambda state: state["lines"])["lines"][0])
    os.kill(process, 0)
    shown.builds.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_a_build_ends_with_a_server_that_was_killed(tmp_path):
    sent = tmp_path / "sent.zip"
    sent.write_bytes(zipped(photos()))
    command = [sys.executable, "-c", SERVER, tmp_path, sent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        process = int(killed.stdout.readline())
        os.kill(process, 0)
        killed.kill()
    end = time.monotonic() + 20
    while is_running(process):
        assert time.monotonic() < end, "the build goes on"
        time.sleep(0.05)


def is_running(process):
    """Whether a process is there, and no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_build_that_takes_too_long_ends(served, monkeypatch):
    monkeypatch.setattr(building, "_CODE", WAITS)
    monkeypatch.setattr(building, "_SECONDS", 0.3)
    assert "more than an hour" in served().build(photos())["done"]["error"]


def test_a_build_of_recordings(served, tmp_path):
    first, other = served(), served()
    (tmp_path / "taught").mkdir()
    (tmp_path / "taught" / "mine.txt").write_text("mine")
    before = everything(tmp_path)
    state = first.build(photos())
    done = state["done"]
    assert done["ok"], state["lines"]
    assert any("writing and running" in line for line in state["lines"])
    out = tmp_path / "taught" / "model"
    assert done["folder"] == str(out)
    assert done["report"] is None
    new = everything(tmp_path) - before
    assert {name for name in new if not name.startswith("taught/model")} == set()
    (file,) = done["files"]
    assert (file["name"], file["url"]) == ("model.onnx", "model/model.onnx")
    content = (out / "model.onnx").read_bytes()
    assert file["bytes"] == len(content)
    assert first.ask("GET", f"/{TOKEN}/model/model.onnx") == (200, content)
    manifest = manifest_of(out)
    assert manifest["memory"]["slots"] == 256
    assert manifest["backbone"]["name"] == "pixels"
    assert manifest["input"]["shape"][0] == 12
    table = References.load(out / "references.parquet")
    assert set(table.occasions) == {"apple 0", "apple 1", "lemon 0", "lemon 1"}
    # A second build replaces the first, but that of another page goes elsewhere.
    more = photos(classes=COLOURS | {"pear": "green"})
    assert first.build(more)["done"]["folder"] == str(out)
    assert manifest_of(out)["labels"][:3] == ["apple", "lemon", "pear"]
    assert other.build(photos())["done"]["folder"] == str(out.with_name("model-2"))
    assert served().builds.folder == tmp_path / "taught" / "model-3"
    assert (tmp_path / "taught" / "mine.txt").read_text() == "mine"


def test_a_build_that_fails_says_why_in_one_line(served):
    state = served().build(dict.fromkeys(photos(), b"no picture"))
    assert not state["building"]
    assert not state["done"]["ok"]
    assert "no usable picture" in state["done"]["error"]
    assert not state["done"]["error"].startswith(("pocketknn", "["))


def test_a_build_that_crashes_offers_no_files_of_the_one_before(served, monkeypatch):
    """Python ends with the code 1 then, as a build does of which a file was left out."""
    crashes = """
import json, sys
from pathlib import Path
out = Path(sys.argv[sys.argv.index("-o") + 1])
assert not out.exists()
out.mkdir()
(out / "model.onnx").touch()
(out / "parity.json").write_text(json.dumps({"onnx": {"agrees": True, "failures": []}}))
"""
    monkeypatch.setattr(building, "_CODE", crashes)
    one = served()
    one.builds._out.mkdir()
    assert one.build(photos())["done"]["ok"]
    done = one.build(photos())["done"]
    assert (done["ok"], done["files"]) == (False, [])
    assert "exit code 1" in done["error"]


@pytest.mark.parametrize("with_photos", [True, False])
def test_examples_without_photos_are_built_too(served, embedder, tmp_path, with_photos):
    shown = served()
    rng = np.random.default_rng(0)
    origin = embedder.backbone.provenance("center")
    rows = rng.random((6, embedder.backbone.dim), np.float32)
    names = ["pear", "plum"] * 3
    memory_json.write(References.of(rows, names, provenance=origin), tmp_path / "memory.json")
    sent = (photos() if with_photos else {}) | {
        "memory.json": (tmp_path / "memory.json").read_bytes()
    }
    state = shown.build(sent)
    assert state["done"]["ok"], state["lines"]
    table = References.load(tmp_path / "taught" / "model" / "references.parquet")
    wanted = {"pear": 3, "plum": 3} | (dict.fromkeys(COLOURS, 6) if with_photos else {})
    assert table.counts == wanted
    pears = table.select([row for row in range(len(table)) if table.label_of(row) == "pear"])
    np.testing.assert_array_equal(np.sort(pears.vectors, 0), np.sort(rows[::2], 0))


def test_a_memory_of_another_backbone_is_refused(served, tmp_path):
    other = Embedder.named(Spec(backbone="pixels", size=12, crop="stretch"))
    rows = References.of(
        np.eye(4, 432), list("aabb"), provenance=other.backbone.provenance("stretch")
    )
    memory_json.write(rows, tmp_path / "memory.json")
    sent = zipped({"memory.json": (tmp_path / "memory.json").read_bytes()})
    status, said = served().post("build", sent)
    assert status == 400
    assert "crop" in said["error"]


# The page


@pytest.fixture(scope="module")
def npm():
    """The runtime fetched by npm, once for all tests."""
    try:
        return runtime.remembered()
    except upload.InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("backbone", "size"), [("pixels", 12), ("bundled", None)])
def test_the_file_embeds_as_the_backbone_does(backbone, size, tmp_path):
    one = Embedder.named(Spec(backbone=backbone, size=size))
    manifest = one.write(tmp_path / "0.onnx")
    side = manifest["input"]["shape"][0]
    pictures = np.stack([np.asarray(drawing(i, (side, side))) for i in range(3)])
    session = session_of(tmp_path / "0.onnx")
    assert [output.name for output in session.get_outputs()] == ["embedding"]
    (found,) = session.run(["embedding"], {"image": pictures.astype(np.float32)})
    wanted = one.backbone.model(pictures.astype(np.float32)).numpy().astype(np.float64)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_the_page_of_nothing(npm, tmp_path, pocketknn):
    words = ("--backbone", "pixels", "--size", "12", "--crop", "stretch")
    said = pocketknn("teach", "--export", tmp_path / "page", *words)
    assert said.code == 0, said.err
    folder = tmp_path / "page"
    data = json.loads((folder / "page.json").read_text("utf-8"))
    model = data["models"][0]
    assert {key: data[key] for key in ("served", "slots", "examples")} == {
        "served": False,
        "slots": page.SLOTS,
        "examples": None,
    }
    assert {key: model[key] for key in ("name", "size", "crop", "dtype", "dim")} == {
        **{"name": "pixels", "size": 12, "crop": "stretch"},
        **{"dtype": "float32", "dim": 432},
    }
    assert "export function square(" in (folder / model["square"]).read_text("utf-8")
    session_of(folder / model["file"])
    names = everything(folder)
    assert {"index.html", "camera.js", "style.css", "runtime/ort.wasm", "icon.svg"} <= names
    assert {"app.js", "worker.js", "model.onnx"}.isdisjoint(names)


def test_the_page_of_a_build(npm, pixels_build, tmp_path, pocketknn):
    for number, words in enumerate((("teach", pixels_build), ("web", pixels_build, "--teach"))):
        folder = tmp_path / str(number)
        said = pocketknn(*words, "--export", folder)
        assert said.code == 0, said.err
        data = json.loads((folder / "page.json").read_text("utf-8"))
        assert [(one["name"], one["size"]) for one in data["models"]] == [("pixels", 8)]
        memory = memory_json.read(folder / data["examples"])
        table = References.load(pixels_build / "references.parquet")
        assert memory.references.counts == table.counts
        assert memory.backbone == data["models"][0]["sha256"] == table.provenance.sha256


def test_what_cannot_be_taught(refused, pixels_build, embedder, tmp_path):
    start = ("teach", pixels_build)
    assert "cannot be changed" in refused(*start, "--backbone", "bundled")
    assert "--port is for serving" in refused("teach", "--export", tmp_path / "new", "--port", "1")
    assert "exists" in refused(*start, "--export", tmp_path)
    assert "does not exist" in refused("teach", tmp_path / "nothing")
    assert "unknown backbone" in refused("teach", "--backbone", "nonsense")
    (tmp_path / "file").write_text("")
    assert "not a folder" in refused("teach", "-o", tmp_path / "file")
    assert "does not apply to --teach" in refused("web", pixels_build, "--teach", "--phone")
    flat = References.of(np.eye(3, 432), provenance=embedder.backbone.provenance("center"))
    flat.save(tmp_path / "flat.parquet")
    assert "none" in refused("teach", tmp_path / "flat.parquet")
    with input_error("too-many-rows", "5,000"):
        page.check(References.of(np.ones((page.SLOTS + 1, 2)), ["a"] * (page.SLOTS + 1)))


# The page in a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    video = tmp_path_factory.mktemp("camera") / "camera.y4m"
    write_video(video, tinted(77, "blue", (160, 120), 0.6))
    with browser(*CAMERA, f"--use-file-for-fake-video-capture={video}") as started:
        yield started


@pytest.fixture
def live(npm, embedder, chromium, tmp_path):
    """A served page, and its address."""
    one = Served(tmp_path / "page", tmp_path / "taught", embedder, with_page=npm)
    yield one, f"http://127.0.0.1:{one.port}/{TOKEN}/"
    one.close()


def counts(shown):
    """The texts below the names of the classes."""
    return {
        card.locator("input.name").input_value(): card.locator(".count").inner_text()
        for card in shown.tab.locator("#cards > li").all()
    }


def teach(tab, tmp_path, each=6):
    """Teach the two colours by photos."""
    for c, (label, colour) in enumerate(COLOURS.items()):
        tab.fill("#name", label)
        tab.click("#add")
        files = [tmp_path / f"{label} {i}.jpg" for i in range(each)]
        for i, path in enumerate(files):
            path.write_bytes(jpeg(100 * c + i, colour))
        tab.locator("#cards > li").nth(c).locator("input[type=file]").set_input_files(files)
        tab.locator("#adding").get_by_text(f"{each} photos added").wait_for()
        tab.evaluate("document.getElementById('adding').textContent = ''")


def test_taught_asked_kept_and_built(live, chromium, tmp_path):
    """A newcomer's way: photos, the camera, an answer, a mistake taken back, and the files."""
    served, url = live
    shown = opened(chromium, url)
    tab = shown.tab
    teach(tab, tmp_path)
    tab.fill("#name", "sky")
    tab.click("#add")
    tab.click("#camera")
    tab.get_by_text("frames per second").wait_for()
    hold = tab.locator("#cards > li").nth(2).locator("button.hold")
    for recordings in range(1, 4):
        hold.hover()
        tab.mouse.down()
        tab.wait_for_timeout(500)
        tab.mouse.up()
        tab.get_by_text(f"in {recordings} recording").wait_for()
    tab.click("#camera")
    tab.click("#back")  # the last recording was a mistake
    tab.get_by_text("in 2 recordings").wait_for()
    before = counts(shown)
    assert before["apple"].startswith("6 examples")
    # A new start knows what was taught.
    tab.reload()
    tab.locator("body[data-ready=yes]").wait_for()
    assert {name: text.partition(";")[0] for name, text in counts(shown).items()} == {
        name: text.partition(";")[0] for name, text in before.items()
    }
    with tab.expect_download() as saved:
        tab.click("#save")
    memory = memory_json.read(saved.value.path())
    assert memory.references.labels == ("apple", "lemon", "sky")
    tab.click("#build")
    tab.locator("#files li").first.wait_for(timeout=120_000)
    assert str(served.builds.folder) in shown.text("#folder")
    artefact = load(served.builds.folder / "model.onnx")
    rows = artefact.metadata.rows()
    assert len(rows) == len(memory.references)
    pictures = {"apple": jpeg(901, "red"), "lemon": jpeg(902, "yellow"), "sky": jpeg(903, "blue")}
    for label, content in pictures.items():
        picture = tmp_path / "new.jpg"
        picture.write_bytes(content)
        found = asked(shown, picture)
        photo = Photo(name="", label="", content=picture.read_bytes)
        said = answered(artefact, rows, pixels(photo, 12, "center"))
        assert found["winner"] == label
        assert said["label"] in (label, "unknown")
        near, wanted = found["neighbors"][:5], said["neighbors"][:5]
        assert [one["label"] for one in near] == [one["label"] for one in wanted]
        scores = [one["score"] for one in wanted]
        # Chromium's and Pillow's decoders may differ by 1 of 255.
        np.testing.assert_allclose([one["score"] for one in near], scores, atol=1e-3)
    assert shown.complaints == []
    assert [one for one in shown.requests if not one.startswith((url, f"blob:{url[:17]}"))] == []
    shown.context.close()


def slowly_building(chromium, url, tmp_path, monkeypatch):
    """A page whose stand-in for a build runs, and the folder where a file `go` lets it end."""
    monkeypatch.setattr(building, "_CODE", STAND_IN)
    (out := tmp_path / "taught").mkdir()
    shown = opened(chromium, url)
    teach(shown.tab, tmp_path, each=2)
    assert not shown.text("#other")
    shown.tab.click("#build")
    shown.tab.get_by_text("step 59").wait_for()
    return shown, out


def test_what_was_built_stands_above_what_the_build_said(live, chromium, tmp_path, monkeypatch):
    """Its lines are open while it runs and when it fails, and closed once it is done."""
    shown, out = slowly_building(chromium, live[1], tmp_path, monkeypatch)
    tab = shown.tab
    assert tab.locator("#log").evaluate("log => log.open")
    tab.click("#log summary")
    tab.wait_for_timeout(1500)
    assert not tab.locator("#log").evaluate("log => log.open"), "who closes it is not overruled"
    tab.click("#log summary")
    (out / "go").touch()
    tab.locator("#files li").nth(1).wait_for()
    assert not tab.locator("#lines").is_visible()
    result, log = (tab.locator(name).bounding_box() for name in ("#files", "#log"))
    assert result["y"] + result["height"] <= log["y"]
    tab.reload()
    tab.locator("#files li").nth(1).wait_for()
    assert not tab.locator("#lines").is_visible()
    (out / "go").rename(out / "fail")
    tab.click("#build")
    tab.get_by_text("ended with the exit code 2").wait_for()
    assert focused(tab) == "Build the files", "the button to stop it had the focus, and is gone"
    assert tab.get_by_text("step 59").is_visible()
    assert tab.locator("#files li").count() == 0
    assert shown.complaints == []
    shown.context.close()


def focused(tab):
    """The name of what has the focus."""
    return tab.evaluate("""() => {
        const { ariaLabel, labels, textContent } = document.activeElement;
        return ariaLabel ?? labels?.[0]?.textContent ?? textContent;
    }""")


def test_a_file_that_was_left_out_is_named_with_the_reason(live, chromium, tmp_path, monkeypatch):
    shown, out = slowly_building(chromium, live[1], tmp_path, monkeypatch)
    (out / "differs").touch()
    shown.tab.locator("#files li").nth(1).wait_for()
    for _ in range(2):
        said = shown.text("#left-out")
        for words in ("model.mlpackage", "3e-02", "other files are right", "Build again"):
            assert words in said
        shown.tab.reload()
        shown.tab.locator("#files li").nth(1).wait_for()
    (out / "differs").rename(out / "go")
    shown.tab.click("#build")
    shown.tab.wait_for_function("() => document.getElementById('left-out').textContent === ''")
    assert shown.complaints == []
    shown.context.close()


def test_a_lesson_of_an_earlier_version_gets_an_id(live, chromium, tmp_path, monkeypatch):
    """So that its build is known as its own after a reload."""
    shown = opened(chromium, live[1])
    teach(shown.tab, tmp_path, each=2)
    facts = """(change) => new Promise((resolve) => {
        indexedDB.open("pocketknn teach").onsuccess = ({ target }) => {
            const store = target.result.transaction("facts", "readwrite").objectStore("facts");
            if (change) store.put(undefined, "lesson").onsuccess = () => resolve();
            else store.get("lesson").onsuccess = (event) => resolve(event.target.result);
        };
    })"""
    shown.tab.evaluate(facts, True)
    shown.tab.reload()
    shown.tab.locator("body[data-ready=yes]").wait_for()
    one = shown.tab.evaluate(facts, False)
    assert one
    shown.tab.reload()
    shown.tab.locator("body[data-ready=yes]").wait_for()
    assert shown.tab.evaluate(facts, False) == one
    assert list(counts(shown)) == ["apple", "lemon"]
    shown.context.close()


def test_the_page_of_a_server_that_was_started_again_says_so(live, chromium, tmp_path, monkeypatch):
    """It has another token."""
    shown = opened(chromium, live[1])
    teach(shown.tab, tmp_path, each=2)
    monkeypatch.setattr(server.secrets, "compare_digest", lambda one, other: False)
    shown.tab.click("#build")
    shown.tab.get_by_text("was restarted").wait_for()
    assert shown.tab.locator("#build").is_enabled()
    for one in ("problem", "build"):  # the button is far down the page
        assert shown.tab.evaluate(
            """(id) => {
                const { top, bottom } = document.getElementById(id).getBoundingClientRect();
                return top >= 0 && bottom <= innerHeight;
            }""",
            one,
        )
    shown.tab.goto(live[1])
    assert "the one it printed last" in shown.text("body")
    shown.context.close()


def test_a_frame_that_is_answered_late_does_not_answer_for_a_photo(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    tab = shown.tab
    teach(tab, tmp_path)
    # A frame becomes a file, which takes long here.
    tab.evaluate("""() => {
        const { convertToBlob } = OffscreenCanvas.prototype;
        OffscreenCanvas.prototype.convertToBlob = async function (...given) {
            document.body.dataset.begun = "yes";
            await new Promise((resolve) => setTimeout(resolve, 1500));
            return convertToBlob.apply(this, given);
        };
    }""")
    tab.click("#camera")
    tab.locator("body[data-begun=yes]").wait_for()
    picture = tmp_path / "new.jpg"
    picture.write_bytes(jpeg(901, "red"))
    found = asked(shown, picture)
    assert found["winner"] == "apple"
    said = shown.text("#verdict")
    tab.wait_for_timeout(2000)
    assert shown.text("#verdict") == said
    assert shown.complaints == []
    shown.context.close()


def test_a_photo_that_is_answered_late_does_not_cover_the_camera(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    tab = shown.tab
    teach(tab, tmp_path)
    # The photo reaches the network late.
    tab.evaluate("""() => {
        const { postMessage } = Worker.prototype;
        Worker.prototype.postMessage = function (...given) {
            Worker.prototype.postMessage = postMessage;
            setTimeout(() => postMessage.apply(this, given), 1500);
        };
    }""")
    picture = tmp_path / "new.jpg"
    picture.write_bytes(jpeg(901, "red"))
    tab.set_input_files("#ask", picture)
    tab.click("#camera")
    tab.get_by_text("frames per second").wait_for()
    tab.wait_for_timeout(2000)
    assert tab.locator("#video").is_visible()
    assert not tab.locator("#picture").is_visible()
    assert shown.complaints == []
    shown.context.close()


def test_it_says_what_it_does_while_it_loads(live, chromium):
    shown = opened(chromium, live[1])
    shown.tab.add_init_script("""
        window.said = [];
        document.addEventListener("DOMContentLoaded", () => {
            const [what, bar] = ["loading-what", "progress"].map((id) =>
                document.getElementById(id));
            new MutationObserver(() => said.push([what.textContent, bar.hasAttribute("value")]))
                .observe(what, { childList: true });
        });
    """)
    shown.tab.reload()
    shown.tab.locator("body[data-ready=yes]").wait_for()
    said = shown.tab.evaluate("said")
    measuring = [moves for what, moves in said if what.startswith("Measuring")]
    assert measuring == [False], "a full bar looks as if it hung"
    assert all("as a file" not in what for what, _ in said), "it was opened through a server"
    assert shown.complaints == []
    shown.context.close()


def test_a_tab_that_keeps_nothing_says_so_at_its_top(live, chromium):
    shown = opened(chromium, live[1])
    assert not shown.tab.locator("#unkept").is_visible()
    second = shown.context.new_page()
    second.goto(live[1])
    second.locator("body[data-ready=yes]").wait_for()
    second.fill("#name", "apple")
    second.click("#add")
    second.locator("#cards > li").wait_for()
    assert "another tab" in second.inner_text("#unkept")
    assert second.locator("#unkept[role=alert]").is_visible()
    shown.context.close()


def test_files_that_cannot_be_read_are_named_and_announced(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    shown.tab.fill("#name", "apple")
    shown.tab.click("#add")
    files = [tmp_path / f"{number}.jpg" for number in range(5)]
    for path in files:
        path.write_bytes(b"no picture")
    shown.tab.locator("#cards input[type=file]").set_input_files(files)
    shown.tab.locator("#adding").get_by_text("0 photos added").wait_for()
    wanted = "cannot read 0.jpg, 1.jpg and 2.jpg, and 2 more files"
    for place in ("#adding", "#said"):
        assert wanted in shown.text(place)
    shown.context.close()


def test_the_answer_is_seen_while_a_button_is_held_on_a_phone(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    tab = shown.tab
    tab.set_viewport_size({"width": 390, "height": 844})
    teach(tab, tmp_path, each=2)
    assert not tab.locator("#caption").is_visible()
    tab.click("#camera")
    tab.get_by_text("frames per second").wait_for()
    hold = tab.locator("#cards button.hold").last
    hold.focus()
    tab.keyboard.down(" ")
    tab.locator("#cards button.hold[aria-pressed=true]").wait_for()
    tab.keyboard.up(" ")
    tab.locator("#cards button.hold[aria-pressed=false]").wait_for()
    covered = "document.getElementById('source').getBoundingClientRect().bottom"
    assert hold.bounding_box()["y"] >= tab.evaluate(covered), "the button is below the picture"
    tab.locator("#caption:not(:empty)").wait_for()
    assert 0 <= tab.locator("#caption").bounding_box()["y"] < 844
    assert shown.text("#caption") == tab.locator("#winner").text_content()
    # Which other answer a test round got most often.
    tab.select_option("#round-class", "apple")
    tab.locator("#round").focus()
    tab.keyboard.down(" ")
    tab.locator("#rounds li").wait_for()
    tab.keyboard.up(" ")
    tab.locator("#rounds").get_by_text("else mostly lemon").wait_for()
    # With letters twice as large, nothing covers the page.
    tab.set_viewport_size({"width": 640, "height": 400})
    assert tab.locator("#source").evaluate("one => getComputedStyle(one).position") == "static"
    assert shown.complaints == []
    shown.context.close()


def press(tab, label, times=1):
    """Press what has the focus, and wait until something else has it."""
    for time_ in range(times):
        if time_:
            tab.wait_for_timeout(1100)  # sooner, it is a double click
        tab.keyboard.press("Enter")
    tab.wait_for_function(
        """(label) => {
            const { ariaLabel, labels } = document.activeElement;
            return label === (ariaLabel ?? labels?.[0]?.textContent);
        }""",
        arg=label,
    )


def test_the_focus_stays_near_what_was_removed(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    tab = shown.tab
    teach(tab, tmp_path, each=3)
    tab.locator(".thumbnail").nth(1).focus()
    assert focused(tab) == "Remove example 2 of apple"
    press(tab, "Remove example 1 of apple")  # the next, which was number 1 before
    assert tab.locator(".thumbnail:focus").evaluate("one => !one.closest('li').nextSibling")
    press(tab, "Remove example 1 of apple")  # the one before, as there is no next
    tab.get_by_text("1 example in").wait_for()
    press(tab, "Name of class 1")
    assert tab.locator(".name:focus").input_value() == "apple"
    tab.locator("#cards button").get_by_text("Remove").first.focus()
    press(tab, "Name of class 1", times=2)
    assert tab.locator(".name:focus").input_value() == "lemon"
    tab.locator("#cards button").get_by_text("Remove").first.focus()
    press(tab, "Name of a new class", times=2)
    assert tab.locator("#cards > li").count() == 0
    assert shown.complaints == []
    shown.context.close()


def test_of_a_recording_the_ends_are_shown(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    for number in range(5):
        for recording in ("one", "two"):
            path = tmp_path / "photos" / "apple" / recording / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(number + 10 * len(recording) * ord(recording[0]), "red"))
    shown.tab.set_input_files("#photos", tmp_path / "photos")
    shown.tab.locator("#adding").get_by_text("10 photos added").wait_for()
    pictures = shown.tab.locator("#cards .thumbnail")

    def numbers():
        return [int(one.get_attribute("aria-label").split()[2]) for one in pictures.all()]

    times = shown.tab.locator("#cards li[data-times='× 5']")
    assert (numbers(), times.count()) == ([10, 6, 5, 1], 2)
    pictures.nth(0).click()
    shown.tab.get_by_text("Removed 1 example of apple; 9 are left.").wait_for()
    assert numbers() == [9, 6, 5, 1]
    shown.tab.get_by_text("Show all 9").click()
    assert (numbers(), times.count()) == ([9, 8, 7, 6, 5, 4, 3, 2, 1], 0)
    assert shown.complaints == []
    shown.context.close()


def test_a_removal_is_undone(live, chromium, tmp_path):
    shown = opened(chromium, live[1])
    tab = shown.tab
    teach(tab, tmp_path, each=3)

    def classes():
        examples = [
            [one.get_attribute("aria-label") for one in card.locator(".thumbnail").all()]
            for card in tab.locator("#cards > li").all()
        ]
        return list(counts(shown)), examples

    before = classes()
    assert not tab.locator("#undo").is_visible()
    tab.locator(".thumbnail").nth(1).focus()
    tab.keyboard.press("Enter")
    tab.get_by_text("Removed 1 example of apple; 2 are left.").wait_for()
    assert tab.locator("#removed[role=status]").is_visible()
    tab.locator(".thumbnail").nth(0).click()
    tab.get_by_text("Removed 1 example of apple; 1 is left.").wait_for()
    tab.locator("#undo").focus()
    press(tab, "Remove example 2 of apple")
    tab.get_by_text("Put back.").wait_for()
    assert not tab.locator("#undo").is_visible(), "there is one step"
    tab.locator("#cards button").get_by_text("Remove").first.focus()
    press(tab, "Name of class 1", times=2)
    tab.get_by_text("Removed the class apple with 2 examples.").wait_for()
    tab.locator("#undo").focus()
    tab.keyboard.press("Enter")
    tab.get_by_text("Put back.").wait_for()
    assert tab.locator(".name:focus").input_value() == "apple"
    after = classes()
    assert after[0] == before[0]
    assert after[1] == [before[1][0][1:], before[1][1]]
    labels = [one.get_attribute("aria-label") for one in tab.locator("#cards .hold").all()]
    assert labels == ["Hold to record apple (key 1)", "Hold to record lemon (key 2)"]
    tab.locator("#back").click()  # the last recording: a photo of lemon
    tab.get_by_text("Removed 1 example of lemon").wait_for()
    tab.click("#undo")
    tab.get_by_text("Put back.").wait_for()
    images = "() => [...document.querySelectorAll('.thumbnail img')].every((one) => one.complete)"
    tab.wait_for_function(images)  # else their loading is given up, and counts as an error
    tab.reload()
    tab.locator("body[data-ready=yes]").wait_for()
    assert classes() == after, "it is kept again"
    assert not tab.locator("#undo").is_visible()
    tab.wait_for_function(images)
    assert shown.complaints == []
    shown.context.close()


def test_the_build_of_another_lesson_is_only_named(live, chromium, tmp_path, monkeypatch):
    """Of another browser, or of what was taught before the page was cleared."""
    shown, out = slowly_building(chromium, live[1], tmp_path, monkeypatch)
    tab = shown.tab
    assert not shown.text("#other")

    def only_named(shown, line):
        shown.tab.get_by_text(line).wait_for()
        assert line in shown.text("#other")
        assert not shown.tab.locator("#log").is_visible()
        assert shown.tab.locator("#files li").count() == 0
        assert not shown.text("#folder")
        assert shown.tab.locator("#stop").is_visible() == ("being built" in line)

    stranger = opened(chromium, live[1])
    only_named(stranger, "Another lesson is being built")
    (out / "go").touch()
    only_named(stranger, str(out / "model"))
    assert stranger.text("#said") == ""
    tab.locator("#files li").nth(1).wait_for()
    tab.reload()
    tab.locator("#files li").nth(1).wait_for()
    assert not shown.text("#other")
    tab.click("#restart")
    tab.wait_for_timeout(500)  # the usual limit of a double click
    tab.click("#restart")
    tab.get_by_text("Delete 4 examples?").wait_for()
    for _ in range(3):
        tab.wait_for_timeout(500)
        tab.click("#restart")
    for _ in range(15):
        tab.keyboard.down("Enter")  # the button has the focus
        tab.wait_for_timeout(100)
    tab.keyboard.up("Enter")
    assert tab.locator(".thumbnail").count() == 4, "nor do many clicks, nor a key that is held"
    tab.get_by_text("Start again").wait_for()
    tab.click("#restart")
    tab.wait_for_timeout(1100)
    tab.click("#restart")
    tab.locator("body:not([data-ready])").wait_for()
    tab.locator("body[data-ready=yes]").wait_for()
    only_named(shown, str(out / "model"))
    teach(tab, tmp_path, each=2)
    tab.click("#build")
    tab.locator("#files li").nth(1).wait_for()
    assert not shown.text("#other")
    for one in (shown, stranger):
        assert one.complaints == []
        one.context.close()


def test_the_folder_opens_without_a_network(npm, embedder, chromium, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    page.write(folder, [embedder], npm, title="x", served=False)
    with static(folder) as url:
        shown = opened(chromium, url)
        shown.tab.evaluate("navigator.serviceWorker.ready.then(() => 0)")
        shown.tab.reload()
        shown.tab.locator("body[data-ready=yes]").wait_for()
        assert shown.tab.evaluate("crossOriginIsolated"), "the model may use threads"
    shown.tab.reload()  # the server is gone
    shown.tab.locator("body[data-ready=yes]").wait_for()
    assert not shown.tab.locator("#build-section").is_visible()
    assert shown.complaints == []
    shown.context.close()


@pytest.mark.parametrize("name", ["page.json", "models/0.onnx", "runtime/ort.wasm"])
def test_a_file_that_is_missing_is_named(live, chromium, name):
    shown = Page(chromium, live[1], missing=name)
    shown.tab.locator("#problem").wait_for()
    assert name in shown.text("#problem")
    shown.context.close()
