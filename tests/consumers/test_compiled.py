"""The Swift and Kotlin snippets, and the code on the pages of the docs, compiled and partly run.

They are compiled against stubs of the platforms' classes, which declare what the snippets use. So
this finds wrong code, but not a stub that differs from the platform, nor what happens on a device.
The compilers, kotlinc and swiftc, are on PATH or in the folder POCKETKNN_COMPILERS; tests of those
that are not there are skipped.
"""

import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT
from test_snippets import HOSTILE, SIZE, built

from pocketknn.builder.photos.pixels.crop import square
from pocketknn.export.apps import snippets
from pocketknn.export.formats.table import SNIPPETS
from pocketknn.export.manifest.artefact import load

STUBS = Path(__file__).parent / "stubs"
MODULES = [
    "CoreImage",
    "ImageIO",
    "CoreML",
    "CryptoKit",
    "Vision",
    "UIKit",
    "AVFoundation",
    "SwiftUI",
    "PhotosUI",
]
TAUGHT = ["taught 1", "taught 2", "taught 3"]
MEMORY = {"slots": 20, "width": 7, "classes": len(HOSTILE), "spare": len(TAUGHT)}
KINDS = {  # with each crop
    "classify": ("center", {}),
    "neighbors": ("fit", {"labels": []}),
    "regress": ("stretch", {"labels": [], "targets": ["size"]}),
    "bytes": ("center", {"dtype": "uint8"}),
    "growing": ("center", {"labels": [*HOSTILE, *TAUGHT], "memory": MEMORY}),
    "growing_search": ("fit", {"labels": [], "memory": MEMORY | {"classes": 0, "spare": 0}}),
}
MAIN = """
import android.content.res.AssetManager
import android.graphics.Bitmap
import java.io.File
import pocketknn.classify.references
import pocketknn.growing.Memory
import pocketknn.growing.labels
import pocketknn.growing.references as growingReferences

fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val rows = AssetManager(folder).references().map { listOf(it.index, it.id, it.label, it.path) }
    File(folder, "rows.txt").writeText(rows.joinToString("\\u0002") { it.joinToString("\\u0001") })
    for (line in File(folder, "cases.txt").readLines()) {
        val (number, width, height) = line.split(" ").map { it.toInt() }
        val bytes = File(folder, "$number.bin").readBytes().map { it.toInt() and 255 }
        val colors = bytes.chunked(3) { (r, g, b) -> (255 shl 24) or (r shl 16) or (g shl 8) or b }
        val picture = { Bitmap.createBitmap(colors.toIntArray(), width, height, ARGB) }
        val found = mapOf(
            "center" to pocketknn.classify.square(picture()),
            "fit" to pocketknn.neighbors.square(picture()),
            "stretch" to pocketknn.regress.square(picture()),
        )
        for ((crop, pixels) in found) {
            val parts = pixels.flatMap { listOf(it shr 16, it shr 8, it).map(Int::toByte) }
            File(folder, "$number.$crop").writeBytes(parts.toByteArray())
        }
    }
    teach(folder)
}

/** Does what is in verbs.txt, and writes what came of it. */
fun teach(folder: File) {
    val assets = AssetManager(folder)
    val memory = Memory(assets.labels(), assets.growingReferences())
    val said = File(folder, "verbs.txt").readLines().map { line ->
        val (verb, name, number) = line.split("\\t")
        val values = FloatArray(6) { number.toFloat() + it / 3f }
        val done = runCatching {
            when (verb) {
                "add" -> memory.add(values, name, "jvm 2026-11-29")
                "forget" -> memory.forget(name)
                else -> memory.loads(File(folder, name).readText())
            }
        }
        done.exceptionOrNull()?.message ?: ""
    }
    File(folder, "said.txt").writeText(said.joinToString("\\n"))
    File(folder, "saved.json").writeText(memory.dumps())
    File(folder, "rows.csv").writeText(memory.rows.joinToString(","))
    val counts = memory.counts().map { (name, count) -> "$name\\t$count" }
    File(folder, "counts.txt").writeText(counts.joinToString("\\n"))
}

val ARGB = Bitmap.Config.ARGB_8888
"""

FRAGMENT = """
import android.widget.TextView
import androidx.appcompat.app.AppCompatActivity
import androidx.camera.view.PreviewView
import pocketknn.Classifier
import pocketknn.startCamera

abstract class CameraActivity : AppCompatActivity() {
    abstract val previewView: PreviewView
    abstract val shown: TextView
    abstract val model: Classifier

    fun start() {
        %s
    }
}
"""


def on_page(name, language):
    """The blocks of code on a platform's page."""
    text = (ROOT / f"docs/pages/platforms/{name}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def compiler(name):
    place = os.environ.get("POCKETKNN_COMPILERS")
    found = (place and shutil.which(name, path=Path(place).resolve())) or shutil.which(name)
    if not found:
        pytest.skip(f"there is no {name}, on PATH or in the folder POCKETKNN_COMPILERS")
    return found


def run(folder, *command):
    """Run a compiler; returns its exit code and output."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        timeout=600,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled") / "out"
    return built(folder, labels=HOSTILE, formats=["tflite"])


def code_of(out, kind):
    """The snippets for a kind of model, by name."""
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    crop, changes = KINDS[kind]
    dtype = changes.get("dtype", "float32")
    given = manifest["input"] | {"crop": crop, "dtype": dtype}
    manifest |= {"input": given} | {k: v for k, v in changes.items() if k != "dtype"}
    found = {name: snippets.render(name, manifest) for name in SNIPPETS}
    return {name: code for name, code in found.items() if code}


# Kotlin


def kotlin(out, folder, kinds=tuple(KINDS), change=lambda code: code):
    """Write the snippets of several kinds, each in a package of its own; returns the files."""
    files = []
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for name, code in code_of(out, kind).items():
            if name.endswith(".kt"):
                code = code.replace("package pocketknn\n", f"package pocketknn.{kind}\n", 1)
                files.append(folder / kind / name)
                files[-1].write_text(change(code), "utf-8")
    return files


@pytest.fixture(scope="module")
def program(out, tmp_path_factory):
    """A program of all kinds of Kotlin snippets, and what the compiler printed."""
    tool, folder = compiler("kotlinc"), tmp_path_factory.mktemp("kotlin")
    activity, fragment = on_page("android", "kotlin")
    (folder / "Main.kt").write_text(MAIN)
    for name, code in {"Page": activity, "Fragment": FRAGMENT % fragment}.items():
        code = code.replace("pocketknn.", "pocketknn.classify.")
        (folder / f"{name}.kt").write_text(code, "utf-8")
    own = [folder / f"{name}.kt" for name in ("Main", "Page", "Fragment")]
    files = [*STUBS.glob("kotlin/*.kt"), *own, *kotlin(out, folder)]
    code, said = run(folder, tool, *files, "-include-runtime", "-d", "program.jar")
    return folder / "program.jar", code, said


def test_kotlin_compiles_without_a_warning(program):
    jar, code, said = program
    assert code == 0, said
    assert jar.exists()
    assert "warning:" not in said


def test_a_fault_in_kotlin_is_found(out, tmp_path):
    tool = compiler("kotlinc")
    files = kotlin(out, tmp_path, ["classify"], lambda code: code.replace("upright()", "up()", 1))
    code, said = run(tmp_path, tool, *STUBS.glob("kotlin/*.kt"), *files, "-d", "program.jar")
    assert code != 0
    assert "Camera.kt" in said


@pytest.fixture(scope="module")
def ran(program, out):
    """The folder in which the program ran, and its cases."""
    jar, code, said = program
    assert code == 0, said
    if not (java := shutil.which("java")):
        pytest.skip("there is no java on PATH")
    folder, rng, cases = jar.parent, np.random.default_rng(0), []
    shapes = [(1, 1), (1, 300), (300, 1), (24, 24), (129, 192), (640, 480), (480, 640), (7, 11)]
    for number, (width, height) in enumerate(shapes):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        (folder / f"{number}.bin").write_bytes(pixels.tobytes())
        cases.append((number, pixels))
    lines = [f"{number} {pixels.shape[1]} {pixels.shape[0]}\n" for number, pixels in cases]
    (folder / "cases.txt").write_text("".join(lines))
    shutil.copy(out / "references.csv", folder)
    labels = [*HOSTILE, *TAUGHT]
    (folder / "labels.txt").write_text("".join(f"{one}\n" for one in labels), "utf-8")
    teach(out, folder)
    code, said = run(folder, java, "-Dfile.encoding=UTF-8", "-cp", jar, "MainKt", folder)
    assert code == 0, said
    return folder, cases


@pytest.mark.parametrize("crop", ["center", "fit", "stretch"])
def test_kotlin_shrinks_as_pillow_does(crop, ran):
    folder, cases = ran
    for number, pixels in cases:
        found = np.fromfile(folder / f"{number}.{crop}", np.uint8).reshape(SIZE, SIZE, 3)
        wanted = square(Image.fromarray(pixels), SIZE, crop)
        # It always starts with the width; Pillow 13 may start with the height.
        assert np.abs(found.astype(int) - wanted).max() <= 1, pixels.shape


def test_kotlin_reads_the_table_of_references(ran, out):
    text = (ran[0] / "rows.txt").read_bytes().decode("utf-8")
    found = [row.split("\1") for row in text.split("\2")]
    rows = load(out / "model.tflite").metadata.rows()
    assert found == [[str(row[key]) for key in ("index", "id", "label", "path")] for row in rows]


VERBS = [
    *[("add", "mug", i) for i in (1, 2, 1)],
    *[("add", "7", 3), ("add", HOSTILE[2], 4), ("forget", HOSTILE[1], 0), ("forget", "7", 0)],
    *[("add", HOSTILE[1], 5), ("add", "雪 \U0001f642", 6), ("add", '"q" \\ /', 7)],
    *[("save", "memory.json", 0), ("forget", HOSTILE[2], 0), ("load", "memory.json", 0)],
    *[("add", "one too many", 8), ("add", "pocketknn", 8), ("add", " ", 8), ("add", "taught 1", 8)],
    *[("forget", "nobody", 0), ("load", "broken.json", 0), ("load", "other.json", 0)],
    *[("load", "nan.json", 0), ("load", "narrow.json", 0), ("add", "mug", 9)],
    *[("add", "mug", 100 + i) for i in range(20)],  # more than there are rows
]


def teach(out, folder):
    """Do `VERBS` with memory.py, whose answers test_teaching.py checks; write what came of it."""
    path = folder / "memory.py"
    path.write_text(code_of(out, "growing")["memory.py"], "utf-8")
    spec = importlib.util.spec_from_file_location("memory", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = load(out / "model.tflite").metadata.rows()
    memory, said = module.Memory([*HOSTILE, *TAUGHT], rows), []
    for verb, name, number in VERBS:
        values = np.float32(number) + np.arange(6, dtype=np.float32) / np.float32(3)
        try:
            if verb == "add":
                memory.add(values, name, "jvm 2026-11-29")
            elif verb == "forget":
                memory.forget(name)
            elif verb == "load":
                memory.loads((folder / name).read_text("utf-8"))
            else:
                spoil(memory.dumps(), folder)
            said.append(False)
        except ValueError:
            said.append(True)
    lines = ["\t".join(map(str, verb)) for verb in VERBS if verb[0] != "save"]
    (folder / "verbs.txt").write_text("\n".join(lines), "utf-8")
    known = [failed for failed, (verb, *_) in zip(said, VERBS, strict=True) if verb != "save"]
    expected = {"failed": known, "counts": memory.counts(), "saved": json.loads(memory.dumps())}
    (folder / "expected.json").write_text(json.dumps(expected), "utf-8")
    np.save(folder / "rows.npy", memory.rows)


def spoil(text, folder):
    """A saved memory, and some that cannot be loaded."""
    nan = base64.b64encode(np.full((2, 6), np.nan, "<f4").tobytes()).decode()
    (folder / "memory.json").write_text(text, "utf-8")
    (folder / "broken.json").write_text(text[:-9], "utf-8")
    for name, change in (
        ("other", lambda content: content["pocketknn"].update(backbone="cd" * 32)),
        ("narrow", lambda content: content["mug"].update(shape=[4, 3])),
        ("nan", lambda content: content["mug"].update(data=nan)),
    ):
        content = json.loads(text)
        change(content)
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")


def test_kotlin_remembers_as_python_does(ran):
    folder, _ = ran
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    said = (folder / "said.txt").read_text("utf-8").split("\n")
    assert [bool(line) for line in said] == expected["failed"]
    assert sum(expected["failed"]) > 8
    assert any("full" in line for line in said)
    assert json.loads((folder / "saved.json").read_text("utf-8")) == expected["saved"]
    counts = [line.split("\t") for line in (folder / "counts.txt").read_text("utf-8").split("\n")]
    assert {name: int(count) for name, count in counts} == expected["counts"]
    rows = np.array((folder / "rows.csv").read_text().split(","), np.float32)
    np.testing.assert_array_equal(rows, np.load(folder / "rows.npy").ravel())


# Swift


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Compiled stubs."""
    tool, folder = compiler("swiftc"), tmp_path_factory.mktemp("swift")
    for name in MODULES:
        source, module = STUBS / f"swift/{name}.swift", f"{name}.swiftmodule"
        made = ["-emit-module", "-parse-as-library", "-module-name", name, "-o", module]
        code, said = run(folder, tool, *made, "-I", folder, source)
        assert code == 0, said
    return folder


def swift(out, folder, modules, kind, version, change=lambda code: code):
    """Type-check the Swift snippets of a kind; returns exit code and output."""
    files = []
    for name, code in code_of(out, kind).items():
        if name.endswith(".swift"):
            files.append(folder / name)
            files[-1].write_text(change(code), "utf-8")
    pages = dict(zip(("classify", "neighbors"), on_page("ios", "swift"), strict=True))
    if kind in pages:
        files.append(folder / "Page.swift")
        files[-1].write_text(pages[kind], "utf-8")
    check = ["-typecheck", "-parse-as-library", "-swift-version", version]
    return run(folder, compiler("swiftc"), *check, "-I", modules, *files)


@pytest.mark.parametrize("version", ["5", "6"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bytes"])
def test_swift_compiles_without_a_warning(kind, version, out, tmp_path, modules):
    code, said = swift(out, tmp_path, modules, kind, version)
    assert code == 0, said
    assert "warning:" not in said


@pytest.mark.parametrize("fault", ["orientation: .right", "vision = try", "thumbnail(in:"])
def test_a_fault_in_swift_is_found(fault, out, tmp_path, modules):
    def change(code):
        return code.replace(fault, fault[:-1] + "x" + fault[-1])

    code, said = swift(out, tmp_path, modules, "classify", "5", change)
    assert code != 0, said
