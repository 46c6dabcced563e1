"""What a build says at its end: the fastest file, what would make it better, what to type."""

import html
import shlex
import shutil
import subprocess
import sys
import zipfile

import pytest
from support import PLAIN, tinted

from pocketknn.export.cli import INTERRUPTED

SMALL = ("--backbone", "pixels", "--size", "8", "--formats", "tflite,onnx", *PLAIN)


def advised(said):
    """The lines below "What to do next", and the commands among them."""
    lines = said.out.partition("What to do next:\n")[2].partition("Try it:")[0].splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("    pocketknn ")]
    return [line.strip() for line in lines if line[:4] != "    "], commands


@pytest.fixture
def colours(tmp_path):
    """A folder of `each` pictures in classes that colours tell apart."""

    def make(classes=("red", "blue"), each=6):
        for c, label in enumerate(classes):
            (tmp_path / "photos" / label).mkdir(parents=True)
            for i in range(each):
                picture = tinted(10 * c + i, label, (24, 24), 0.3)
                picture.save(tmp_path / "photos" / label / f"{i}.png")
        return tmp_path / "photos"

    return make


def test_the_end_names_the_fastest_file_and_what_to_try(colours, pocketknn, tmp_path):
    said = pocketknn("build", colours(), "-o", tmp_path / "out", *SMALL)
    assert said.code == 0, said.err
    assert "its fastest file is model.tflite" in said.out
    assert f"{tmp_path / 'out' / 'report.html'}" in said.out
    assert f"  pocketknn predict {tmp_path / 'out'} PICTURE.jpg\n" in said.out
    assert f"  pocketknn web {tmp_path / 'out'} --open\n" in said.out
    assert "chance 50%" in said.out
    only = ("--formats", "keras", "--no-report")
    keras = pocketknn("build", tmp_path / "photos", "-o", tmp_path / "k", *SMALL, *only)
    assert "its file is model.keras" in keras.out
    assert "pocketknn web" not in keras.out, "the page runs ONNX"
    assert "What to do next" not in keras.out, "the report decides on it"


def test_the_terminal_advises_what_the_report_does(colours, pocketknn, tmp_path):
    said = pocketknn("build", colours(), "-o", tmp_path / "out", *SMALL)
    words, commands = advised(said)
    assert 1 <= len(words) == len(commands) <= 3
    report = html.unescape((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert all(line in report for line in words)
    assert ["pocketknn", "eval", str(tmp_path / "out"), "OTHER-PHOTOS"] in commands
    assert "<code>pocketknn eval out OTHER-PHOTOS</code>" in report


def test_one_class_is_told_of_a_second_and_of_unknown(colours, pocketknn, tmp_path):
    said = pocketknn("build", colours(["red"]), "-o", tmp_path / "out", *SMALL)
    assert "6 references in 1 class (6 each)" in said.out
    (line,), (command,) = advised(said)
    assert "second class" in line
    assert command[-2:] != ["-o", str(tmp_path / "out")]
    again = pocketknn(*command[1:])
    assert again.code == 0, again.err
    assert "answers unknown" in again.out
    assert (tmp_path / "out-2" / "model.tflite").exists()


def test_one_photo_of_each_class_is_told_to_take_more(colours, pocketknn, tmp_path):
    said = pocketknn("build", colours(each=1), "-o", tmp_path / "out", *SMALL)
    (line,), (command,) = advised(said)
    assert "more photos of each class" in line
    more = tmp_path / "more/red"
    more.mkdir(parents=True)
    for number in range(1, 4):
        tinted(90 + number, "red", (24, 24), 0.3).save(more / f"{number}.png")
    words = [str(tmp_path / "more") if word == "MORE-PHOTOS" else word for word in command[1:]]
    assert words[-1] == f"{tmp_path / 'out'}-2"
    again = pocketknn(*words)
    assert again.code == 0, again.err
    assert "2 references → 5, with the choices of" in again.out
    assert (tmp_path / "out-2" / "model.tflite").exists()


def test_image_search_is_told_what_to_try(colours, pocketknn, tmp_path):
    said = pocketknn("build", colours() / "red", "-o", tmp_path / "out", *SMALL)
    assert "What to do next" not in said.out
    assert "pocketknn predict" in said.out.partition("Try it:")[2]


def test_the_command_again_keeps_what_was_typed_and_its_spelling():
    import typer

    from pocketknn.export.cli.app import app
    from pocketknn.export.cli.make.again import again

    command = typer.main.get_command(app).commands["build"]
    words = [
        "my photos",
        "-o",
        "no such",
        "--exclude",
        "raw/*",
        "--exclude",
        "b",
        "--strict",
        "--no-balanced",
        "--k",
        "3",
    ]
    context = command.make_context("pocketknn build", words)
    line = shlex.split(again(context, backbone="pixels"))
    assert line[:3] == ["pocketknn", "build", "my photos"]
    assert line[line.index("-o") + 1] == "no such-2"
    assert line[line.index("--backbone") + 1] == "pixels"
    assert [line[i + 1] for i, word in enumerate(line) if word == "--exclude"] == ["raw/*", "b"]
    assert {"--strict", "--no-balanced"} < set(line)
    assert line[line.index("--k") + 1] == "3"
    assert not {"--force", "--metric", "--no-cache"} & set(line)
    replaced = shlex.split(again(context, force=True))
    assert "--force" in replaced
    assert replaced[replaced.index("-o") + 1] == "no such"


def test_the_bar_counts_the_strangers_too(colours, photos, pocketknn, tmp_path):
    words = ("--reject", "auto", "--strangers", photos, "--no-report")
    said = pocketknn("build", colours(), "-o", tmp_path / "out", *SMALL, *words)
    assert "24/24" in said.out, "twelve photos and twelve strangers"


def test_an_interruption_of_the_report_says_that_the_models_are_ready(
    colours, pocketknn, tmp_path, monkeypatch
):
    from pocketknn.export.report import write

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "report_build", interrupted)
    said = pocketknn("build", colours(), "-o", tmp_path / "out", *SMALL)
    assert said.code == INTERRUPTED
    assert f"the models in {tmp_path / 'out'} are ready" in said.err
    assert "report.html" in said.err
    assert pocketknn("verify", tmp_path / "out").code == 0
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_crop_that_was_chosen_is_compared_with_that_of_platforms(colours, pocketknn, tmp_path):
    folder, quick = colours(), (*SMALL, "--no-report", "--formats", "tflite")
    assert "MediaPipe" not in pocketknn("build", folder, "-o", tmp_path / "a", *quick).out
    said = pocketknn("build", folder, "-o", tmp_path / "b", *quick, "--crop", "fit")
    assert "the crop is fit, but by default MediaPipe Tasks uses stretch" in said.out
    assert f"  pocketknn eval {tmp_path / 'b'} PHOTOS --crop stretch\n" in said.out
    said = pocketknn("build", folder, "-o", tmp_path / "c", *quick, "--crop", "stretch")
    assert "MediaPipe" not in said.out


def test_folders_inside_class_folders_are_told_of(colours, pocketknn, tmp_path):
    folder = colours()
    shutil.copytree(folder / "red", folder / "red" / "raw")
    quick = (*SMALL, "--no-report", "--formats", "tflite")
    said = pocketknn("build", folder, "-o", tmp_path / "out", *quick)
    assert "'red/raw' beside 'red'" in said.out
    (pattern,) = [shlex.split(line)[-1] for line in said.out.splitlines() if "--exclude" in line]
    left = pocketknn("build", folder, "-o", tmp_path / "left", *quick, "--exclude", pattern)
    assert "12 references in 2 classes" in left.out
    assert "beside" not in left.out


def test_a_folder_around_all_classes_is_told_of(colours, pocketknn, tmp_path):
    folder = colours()
    (tmp_path / "around").mkdir()
    folder.rename(tmp_path / "around" / "photos")
    quick = (*SMALL, "--no-report", "--formats", "tflite")
    said = pocketknn("build", tmp_path / "around", "-o", tmp_path / "out", *quick)
    assert "all classes are inside 'photos'" in said.out
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted((tmp_path / "around").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "around"))
    said = pocketknn("build", tmp_path / "photos.zip", "-o", tmp_path / "zipped", *quick)
    assert "all of photos.zip is in the folder 'photos'" in said.err
    assert (tmp_path / "zipped/labels.txt").read_text() == "blue\nred\n"


def test_the_cache_is_shown_with_its_total(colours, pocketknn, tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETKNN_CACHE", str(tmp_path / "cache"))
    assert pocketknn("cache").out.strip().endswith("0 caches, 0 B in all")
    assert pocketknn("build", colours(), "-o", tmp_path / "out", *SMALL, "--no-report").code == 0
    first, *others = pocketknn("cache").out.splitlines()
    assert len(others) >= 2
    assert first.endswith(" MB in all")


def test_photos_none_of_which_can_be_read_are_told_why(colours, refused, pocketknn, tmp_path):
    quick = (*SMALL, "--no-report", "--formats", "onnx")
    assert pocketknn("build", colours(), "-o", tmp_path / "out", *quick).code == 0
    (tmp_path / "new/red").mkdir(parents=True)
    heic = b"\0\0\0\x18ftypheic" + b"\0" * 40
    (tmp_path / "new/red/1.heic").write_bytes(heic)
    assert "red/1.heic: " in refused("eval", tmp_path / "out", tmp_path / "new")


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_an_interruption_as_python_ends_is_silent():
    code = (
        "import atexit, os, signal, sys; from pocketknn.export.cli.entry import main\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "sys.argv = ['pocketknn', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pocketknn ")
    assert done.stderr == ""


@pytest.mark.parametrize(("k", "told"), [(5, True), (20, True), (21, False), (40, False)])
def test_neighbours_in_common_are_left_out_where_most_references_are_neighbours(k, told):
    from pocketknn.export.cli.console.summary import _projection

    without = {"accuracy": 0.45, "first_equal": 0.525, "recall": 1.0}
    projection = {"by": "classes", "size": 4, "directions": 3, "variance": 0.5, "without": without}
    lines = [*_projection({"projection": projection, "k": k, "references": {"count": 40}})]
    assert "same nearest photo for 52.5%" in lines[1]
    assert ("neighbours in common" in lines[1]) is told


def test_what_a_report_needs_is_worked_out_before_the_last_file_is_checked(
    colours, pocketknn, tmp_path, monkeypatch
):
    """Keras' process is busy then; the report takes it over and works out nothing again."""
    from pocketknn.export.pipeline.write import Writer
    from pocketknn.export.report import study
    from pocketknn.export.report.html import thumbnails

    order = []

    def recorded(place, name):
        function = getattr(place, name)

        def call(*given, **more):
            order.append(name)
            return function(*given, **more)

        monkeypatch.setattr(place, name, call)

    for place, name in (
        *((study, name) for name in ("of_references", "learning_curve", "embedding_map")),
        *((thumbnails, "_thumbnail"), (Writer, "_artefact")),
    ):
        recorded(place, name)
    assert pocketknn("build", colours(), "-o", tmp_path / "out", *SMALL).code == 0
    files = [place for place, name in enumerate(order) if name == "_artefact"]
    early = order[files[-2] + 1 : files[-1]]
    assert early.count("_thumbnail") == 12
    assert {*early} == {"of_references", "learning_curve", "embedding_map", "_thumbnail"}
    assert len(files) == 2
    assert order[files[-1] + 1 :] == []
    assert (tmp_path / "out" / "report.html").read_text("utf-8").count("<image id=") == 12
