"""Nothing relies on behaviour that differs between systems, as far as that can be checked here."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, TESTS, input_error

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import is_within
from pocketknn.export.manifest.build_folder import check_apart, check_free

SOURCES = [
    path
    for folder in ("builder", "export")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "bundled" not in path.parts  # scripts of the training recipe, which users do not run
]


def calls(path, *names):
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in names:
            yield node, {one.arg for one in node.keywords}


# Windows and Macs --------------------------------------------------------------------------------


def test_texts_are_utf_8_and_keep_their_line_ends():
    """Windows has other defaults: a code page, and line ends of two characters."""
    wrong = []
    for path in SOURCES:
        for node, keywords in calls(path, "read_text", "write_text", "open"):
            kind = node.func.attr
            if kind == "open" and not (node.args and getattr(node.args[0], "value", "") == "w"):
                continue  # binary, or not a file
            if getattr(node.func.value, "id", "") == "formatter":
                continue  # of a help text
            wanted = {"encoding"} if kind == "read_text" else {"encoding", "newline"}
            if len(node.args) > (kind == "write_text") and kind != "open":
                wanted.discard("encoding")  # it is a positional argument
            if wanted - keywords:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {wanted - keywords}")
    assert len(SOURCES) > 100
    assert wrong == []


@pytest.mark.skipif(sys.platform != "linux", reason="its /proc says which files are open")
def test_no_file_is_moved_or_removed_while_it_is_open(photos, tmp_path):
    """Windows refuses that; `edit` in place, --force and the temporary folders used to do it."""
    build = f"build {photos} -o out --backbone pixels --size 32 --k 3 --no-report"
    lines = [build, f"{build} --force", "refs merge out out -o both.parquet"]
    for end in ("tflite", "onnx", "mlpackage", "keras"):
        lines.append(f"edit out/model.{end} --rename cherry=z --out new.{end}")
        lines.append(f"edit new.{end} --add {photos}")
    lines += [f"eval out {photos}", "cache clear"]
    script = TESTS / "held_files.py"
    environment = os.environ | {"POCKETKNN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, script, *lines],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("held: ")] == []


def test_a_file_that_is_moved_while_it_is_open_is_seen(tmp_path):
    """The check of the test above works."""
    sys.path.insert(0, str(TESTS))
    import held_files

    with (tmp_path / "a").open("w"):
        assert held_files.held(tmp_path) == {str(tmp_path / "a")}
    assert held_files.held(tmp_path) == set()


def test_a_folder_by_another_name_is_the_same_folder(tmp_path):
    """As `Photos` and `photos` are on most Macs and on Windows; here by a bind mount."""
    for name in ("photos", "alias"):
        (tmp_path / name).mkdir()
    mount = ["unshare", "--mount", "sh", "-c", 'mount --bind photos alias && exec "$@"', "-"]
    code = (
        "from pathlib import Path; from pocketknn.builder.photos.readers import is_within;"
        "print(is_within(Path('alias/new/out'), Path('photos')))"
    )
    done = subprocess.run(
        [*mount, sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no mount of our own: {done.stderr.splitlines()[0]}")
    assert done.stdout == "True\n", done.stderr


def test_what_lies_in_what(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    assert is_within(photos / "a" / "b", photos)
    assert is_within(photos, photos)
    assert not is_within(out, photos)
    with input_error("out-among-photos", photos):
        check_apart(photos / "out", photos)
    with input_error("out-among-photos", photos):
        check_apart(tmp_path, photos)
    check_apart(out, photos)


def test_a_path_that_is_too_long_is_refused_before_work_begins(tmp_path):
    """OUT itself would be short enough, but not the files in it."""
    out = tmp_path
    while len(str(out)) < os.pathconf(tmp_path, "PC_PATH_MAX") - 200:
        out /= "a" * 100
    out /= "b" * (os.pathconf(tmp_path, "PC_PATH_MAX") - 60 - len(str(out)))
    out.parent.mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be written: File name too long"):
        check_free(out, force=False)
    assert list(out.parent.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_refused_before_work_begins(tmp_path, monkeypatch):
    """Windows' permissions say little, so a write is tried."""

    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="out cannot be written: Permission denied"):
        check_free(tmp_path / "out", force=False)
