"""`edit` of single files, compared with builds from the same references; and `diff`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import PLAIN, blobs, drawing, input_error, plain

from pocketknn.builder import InputError, References, Spec, load_backbone
from pocketknn.builder.system import atomic_file, swap
from pocketknn.builder.system.cache import USUAL
from pocketknn.export import FORMATS, export, load
from pocketknn.export.editing import changes as changing
from pocketknn.export.editing import edit as editing
from pocketknn.export.editing.edit import rewrite, with_references
from pocketknn.export.manifest.read_back import open_artefact
from pocketknn.export.output.checksums import digest
from pocketknn.export.sizes.estimate import check_size
from pocketknn.export.templates.content import content_of

SUFFIXES = {name: target.SUFFIX for name, target in FORMATS.items()}


@pytest.fixture(scope="module")
def folders(photos, tmp_path_factory):
    """The photos, the same without two of them, and those two."""
    base = tmp_path_factory.mktemp("edit")
    for name in ("all", "less"):
        shutil.copytree(photos, base / name)
    for number in (0, 2):
        picture = f"berries/red/{number}.png"
        (base / "more" / "berries/red").mkdir(parents=True, exist_ok=True)
        (base / "less" / picture).rename(base / "more" / picture)
    return base


@pytest.fixture(scope="module")
def builds(folders):
    """Builds from the folders, with any options."""
    from pocketknn.export.pipeline.build import build as pipeline
    from pocketknn.export.pipeline.request import Request, Selection

    made = {}

    def build(name, **choices):
        key = (name, *sorted(choices.items()))
        if key not in made:
            made[key] = folders / f"out-{len(made)}"
            spec = plain(backbone="pixels", size=8, k=3, **choices)
            request = Request(selection=Selection(photos=folders / name), spec=spec)
            pipeline(request, made[key], cache=USUAL)
        return made[key]

    return build


FORMAT_OF = {suffix: name for name, suffix in SUFFIXES.items()}


def copied(path, folder):
    copy = shutil.copytree if path.is_dir() else shutil.copyfile
    copy(path, folder / path.name)
    return folder / path.name


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_photos_put_in_and_taken_out_give_the_bytes_of_a_build(
    suffix, builds, folders, pocketknn, tmp_path
):
    less, whole = (builds(name) / f"model{suffix}" for name in ("less", "all"))
    path = copied(less, tmp_path)
    said = pocketknn("edit", path, "--add", folders / "more")
    assert said.code == 0, said.err
    assert "10 references → 12" in said.out
    assert digest(path) == digest(whole)
    gone = [row["id"] for row in load(path).metadata.rows() if row["path"] in REMOVED]
    options = [word for name in gone for word in ("--remove", name)]
    assert pocketknn("edit", path, *options).code == 0
    assert digest(path) == digest(less)
    assert pocketknn("diff", path, less).code == 0


REMOVED = ("berries/red/0.png", "berries/red/2.png")


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_classes_renamed_and_taken_out(suffix, builds, pocketknn, tmp_path):
    path = copied(builds("all") / f"model{suffix}", tmp_path)
    out = tmp_path / f"new{suffix}"
    options = ("--remove-class", "apple", "--rename", "cherry=a = b", "--out", out)
    assert pocketknn("edit", path, *options).code == 0
    there = load(out)
    assert there.metadata.labels == ["berries/red", "a = b"]
    assert there.metadata.manifest["references"]["per_label"] == {"berries/red": 4, "a = b": 4}
    assert {row["label"] for row in there.metadata.rows()} == {"berries/red", "a = b"}
    assert load(path).metadata.labels == ["apple", "berries/red", "cherry"], "left as it was"
    said = pocketknn("diff", path, out, "--json")
    assert said.code == 1
    found = json.loads(said.out)
    assert [row["label"] for row in found["removed"]] == ["apple"] * 4
    assert {one["to"] for one in found["relabelled"]} == {"a = b"}
    assert found["added"] == found["other_vectors"] == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "choices",
    [
        {"metric": "euclidean"},
        {"metric": "manhattan", "vote": "distance"},
        {"pca": 5, "whiten": 1.0},
        {"pca": 5, "metric": "euclidean"},
        {"reject": 0.1, "balanced": True},
        {"projection": "classes", "vote": "soft", "reject": 0.1},
        {"projection": "classes", "metric": "euclidean"},
        {"projection": "auto", "vote": None},
        {"head": "regress"},
        {"head": "neighbors"},
    ],
    ids=str,
)
def test_any_choice_survives(name, choices, tmp_path):
    rng = np.random.default_rng(1)
    regress = choices.get("head") == "regress"
    references = References.of(
        rng.standard_normal((60, 9)),
        None if regress else [f"c{i % 4}" for i in range(60)],
        targets=rng.standard_normal((60, 2)) if regress else None,
    )
    out = tmp_path / "out"
    export(plain(**({"k": 5} | choices)), references, None, out, formats=[name])
    opened = open_artefact(out / f"model{SUFFIXES[name]}")
    held = opened.fit
    assert held.space.metric == choices.get("metric", "cosine")
    np.testing.assert_array_equal(held.references.targets, references.targets)
    queries = rng.standard_normal((20, 9))
    before = load(opened.path).run(queries.astype(np.float32))
    exact = held.search(queries)
    np.testing.assert_allclose(exact.scores, before["scores"], atol=1e-5)
    kept = held.references.select(np.arange(0, 60, 2))
    fit = with_references(opened, kept)
    new = tmp_path / f"new{SUFFIXES[name]}"
    assert rewrite(opened, fit, new, None).agrees
    answers = load(new).run(queries.astype(np.float32))
    np.testing.assert_array_equal(answers["indices"], fit.search(queries).indices)


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to do"),
        (("--remove-class", "pear"), "'pear'"),
        (("--remove", "no such id"), "'no such id'"),
        (("--rename", "apple"), "OLD=NEW"),
        (("--rename", "apple="), "OLD=NEW"),
        (("--rename", "apple=cherry"), "two classes would be called 'cherry'"),
        (("--rename", "pear=plum"), "'pear'"),
        (("--rename", "apple=a", "--rename", "apple=b"), "renamed twice"),
        (("--rename", "apple=a\nb"), "control character"),
        (("--rename", "apple=\udcff"), "control character"),
        (("--rename", "apple=Cherry"), "differ only in case"),
        (("--add", "nowhere"), "nowhere"),
        (("--weights", "nowhere", "--remove-class", "apple"), "weights"),
        (("--out", "model.onnx", "--remove-class", "apple"), "must end in .tflite"),
    ],
)
def test_what_cannot_be_is_one_line(options, message, builds, pocketknn, tmp_path):
    path = copied(builds("all") / "model.tflite", tmp_path)
    before = digest(path)
    said = pocketknn("edit", path, *options)
    assert said.code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert digest(path) == before
    assert sorted(tmp_path.iterdir()) == [path], "nothing is left behind"


def test_no_reference_would_be_left(builds, pocketknn, tmp_path):
    path = copied(builds("all") / "model.onnx", tmp_path)
    classes = ("apple", "berries/red", "cherry")
    every = [word for name in classes for word in ("--remove-class", name)]
    assert "no reference would be left" in pocketknn("edit", path, *every).err
    rows = load(path).metadata.rows()
    all_but_two = [word for row in rows[2:] for word in ("--remove", row["id"])]
    assert "[k-too-large]" in pocketknn("edit", path, *all_but_two).err


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_a_file_whose_backbone_is_not_here(suffix, folders, pocketknn, tmp_path, monkeypatch):
    """It is compared with its earlier answers, and errors are still detected."""
    out = tmp_path / "out"
    words = ("--backbone", "pixels", "--size", 8, "--k", 3, "--formats", FORMAT_OF[suffix], *PLAIN)
    assert pocketknn("build", folders / "all", "-o", out, *words).code == 0
    path = copied(out / f"model{suffix}", tmp_path)
    monkeypatch.setattr("pocketknn.builder.backbones.load.is_installed", lambda name: False)
    said = pocketknn("edit", path, "--remove-class", "apple")
    assert said.code == 0, said.out + said.err
    opened, before = open_artefact(path), digest(path)
    fit = with_references(opened, opened.fit.references.select(range(7)))
    other = with_references(opened, opened.fit.references.select([0, 1, 2, 3, 5, 4, 6]))
    with monkeypatch.context() as patch:
        patch.setattr(editing, "content_of", lambda _, precision: content_of(other, precision))
        assert not rewrite(opened, fit, path, None).agrees
    assert digest(path) == before


def test_a_picture_that_is_there_is_not_put_in_again(builds, folders, pocketknn, tmp_path):
    path = copied(builds("all") / "model.onnx", tmp_path)
    more = tmp_path / "more" / "copies"
    more.mkdir(parents=True)
    for name in "ab":
        shutil.copyfile(folders / "all" / "apple" / "0.png", more / f"{name}.png")
    said = pocketknn("edit", path, "--add", tmp_path / "more")
    assert "2 of the photos are already in the file" in said.out
    assert "12 references → 12" in said.out


def test_what_is_renamed_or_taken_out_stays_so_for_the_photos_that_come_in(
    builds, folders, pocketknn, tmp_path
):
    path = copied(builds("all") / "model.onnx", tmp_path)
    more = tmp_path / "more"
    for number, label in enumerate(("apple", "cherry", "sour", "pear")):
        (more / label).mkdir(parents=True)
        drawing(500 + number).save(more / label / "new.png")
    there = folders / "all" / "berries/red" / "0.png"
    (more / "berries/red").mkdir(parents=True)
    shutil.copyfile(there, more / "berries/red" / "again.png")
    gone = next(
        row["id"] for row in load(path).metadata.rows() if row["path"].endswith("red/0.png")
    )
    words = ["--remove", gone, "--remove-class", "apple", "--rename", "cherry=sour"]
    words += ["--rename", "pear=plum", "--add", more]
    said = pocketknn("edit", path, *words)
    assert said.code == 0, said.err
    assert "1 of the photos is in a removed class" in said.out
    assert "1 of the photos is a picture that was removed" in said.out
    counts = load(path).metadata.manifest["references"]["per_label"]
    assert counts == {"berries/red": 3, "sour": 4 + 2, "plum": 1}
    said = pocketknn("edit", path, "--remove-class", "plum", "--rename", "plum=prune")
    assert said.code == 2
    assert "[renamed-and-removed]" in said.err


def test_a_picture_taken_out_comes_in_under_another_class(builds, folders, pocketknn, tmp_path):
    path = copied(builds("all") / "model.onnx", tmp_path)
    (tmp_path / "more" / "cherry").mkdir(parents=True)
    shutil.copyfile(folders / "all" / "apple" / "0.png", tmp_path / "more" / "cherry" / "0.png")
    gone = next(row["id"] for row in load(path).metadata.rows() if row["path"] == "apple/0.png")
    assert pocketknn("edit", path, "--remove", gone, "--add", tmp_path / "more").code == 0
    assert {row["id"]: row["label"] for row in load(path).metadata.rows()}[gone] == "cherry"


def test_what_others_made_is_not_replaced(builds, pocketknn, tmp_path):
    path = copied(builds("all") / "model.mlpackage", tmp_path)
    (foreign := tmp_path / "own.mlpackage").mkdir()
    (foreign / "work.txt").write_text("of years")
    said = pocketknn("edit", path, "--remove-class", "apple", "--out", foreign, "--force")
    assert said.code == 2
    assert "[foreign-file]" in said.err
    assert (foreign / "work.txt").exists()


def test_a_package_is_given_back_where_the_new_one_finds_no_place(builds, tmp_path, monkeypatch):
    path = copied(builds("all") / "model.mlpackage", tmp_path)
    opened, before = open_artefact(path), digest(path)
    rename = Path.rename

    def full(one, other):
        if one.parent.suffix == ".partial" and one.name == "new.mlpackage":
            raise OSError(28, "No space left on device")
        return rename(one, other)

    monkeypatch.setattr(swap, "swapped", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", full)
    net = load_backbone(Spec(backbone="pixels", size=8))
    with pytest.raises(InputError, match="No space left"):
        rewrite(opened, opened.fit, path, net)
    assert digest(path) == before
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["model.mlpackage", "model.onnx"])
def test_a_link_stays_one_and_what_it_leads_to_is_changed(name, builds, pocketknn, tmp_path):
    (tmp_path / "store").mkdir()
    path = copied(builds("all") / name, tmp_path / "store")
    link = tmp_path / name
    link.symlink_to(path)
    assert pocketknn("edit", link, "--remove-class", "apple").code == 0
    assert link.is_symlink()
    assert link.resolve() == path
    assert len(load(path).metadata.rows()) == 8
    assert sorted(tmp_path.iterdir()) == [link, tmp_path / "store"]
    built = tmp_path / "built.onnx"  # a link to a file of a build counts as one
    built.symlink_to(builds("all") / "model.onnx")
    assert "is part of a build" in pocketknn("edit", built, "--remove-class", "apple").err


def test_a_package_that_a_killed_edit_had_set_aside_is_given_back(builds, pocketknn, tmp_path):
    path = copied(builds("all") / "model.mlpackage", tmp_path)
    work = tmp_path / f".{path.name}.0a1b2c3d.partial"
    work.mkdir()
    (work / "lock").write_bytes(atomic_file._MARK)
    path.rename(work / "old")
    assert pocketknn("edit", path, "--remove-class", "apple").code == 0
    assert sorted(tmp_path.iterdir()) == [path]


def vectors(out, ids, **choices):
    """A file of random vectors."""
    rng = np.random.default_rng(1)
    references = References.of(rng.standard_normal((len(ids), 9)), ids=ids)
    export(Spec(**choices), references, None, out, formats=["onnx"])
    return out / "model.onnx"


def test_too_few_for_the_euclidean_search(pocketknn, tmp_path):
    ids = [str(number) for number in range(20)]
    path = copied(vectors(tmp_path / "out", ids, metric="euclidean"), tmp_path)
    gone = [word for name in ids[:7] for word in ("--remove", name)]
    said = pocketknn("edit", path, *gone)
    assert said.code == 2
    assert "[too-few-references]" in said.err
    assert pocketknn("edit", path, *gone[2:]).code == 0


def test_of_two_builds_files_of_the_same_format_are_compared(builds, pocketknn, tmp_path):
    less, whole = builds("less"), builds("all")
    for one, other in ((less, whole), (less, whole / "model.onnx"), (less / "model.onnx", whole)):
        said = pocketknn("diff", one, other)
        assert said.code == 1, said.err
        assert "2 references added" in said.out
        assert "format: " not in said.out
        assert "learned again" not in said.out
    assert pocketknn("diff", less, less).out.strip() == "no difference"
    copied(less / "references.parquet", tmp_path)
    copied(less / "manifest.json", tmp_path)
    nothing = pocketknn("diff", tmp_path, whole)
    assert nothing.code == 2
    assert "[no-common-format]" in nothing.err
    anew = pocketknn("diff", *(builds(name, projection="pca:4") for name in ("less", "all")))
    assert "10 references with different vectors" in anew.out
    assert "learned again" in anew.out


def test_files_without_a_common_reference_differ(pocketknn, tmp_path):
    one, other = (vectors(tmp_path / word, [f"{word}{i}" for i in range(9)]) for word in "ab")
    said = pocketknn("diff", one, other, "--json")
    assert said.code == 1
    found = json.loads(said.out)
    assert (len(found["removed"]), len(found["added"]), found["other_vectors"]) == (9, 9, [])


def test_a_file_of_a_build_is_not_changed_in_place(builds, pocketknn):
    path = builds("all") / "model.onnx"
    said = pocketknn("edit", path, "--remove-class", "apple")
    assert said.code == 2
    assert "part of a build" in said.err


def test_files_of_others_and_damaged_ones(builds, pocketknn, tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"nothing of ours")
    assert "no pocketknn manifest" in pocketknn("edit", tmp_path / "x.tflite", "--remove", "a").err
    path = copied(builds("all") / "model.onnx", tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for words in (("edit", path, "--remove-class", "apple"), ("diff", path, path)):
        said = pocketknn(*words)
        assert said.code == 2
        assert "damaged" in said.err


def test_the_new_file_is_not_kept_where_it_does_not_agree(builds, tmp_path, monkeypatch):
    """Its scores come from another matrix than the new references."""
    path = copied(builds("all") / "model.onnx", tmp_path)
    opened, before = open_artefact(path), digest(path)
    fit = with_references(opened, opened.fit.references.select(range(8)))
    net = load_backbone(Spec(backbone="pixels", size=8))
    with monkeypatch.context() as patch:

        def swapped(*given):
            found = content_of(*given)
            found.constants["references"] = found.constants["references"][::-1]
            return found

        patch.setattr(editing, "content_of", swapped)
        assert not rewrite(opened, fit, path, net).agrees
    assert digest(path) == before
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("n", "dim", "pca", "formats", "refused"),
    [
        (400_000, 1280, None, ("onnx",), False),
        (420_000, 1280, None, ("onnx",), True),
        (420_000, 1280, None, ("keras",), False),
        (420_000, 1280, 256, ("onnx",), False),
        (3_000_000, 1280, 256, ("tflite", "keras"), True),
    ],
)
def test_files_past_two_gigabytes_are_refused_before_work(n, dim, pca, formats, refused):
    spec = plain(pca=pca)
    if not refused:
        check_size(formats, n, dim, spec)
        return
    with pytest.raises(InputError, match=r"GB.*references, or --formats keras"):
        check_size(formats, n, dim, spec)


def test_too_little_memory_for_the_references_that_remain_is_a_line(monkeypatch):
    """In a container, the system would kill the process without a word."""
    references = blobs(n=1000)
    needed, one = references.vectors.nbytes, references.labels[0]
    without, where = changing.Changes(remove_classes=(one,)), "builder.system.free_memory"
    monkeypatch.setattr(f"pocketknn.{where}.free_memory", lambda: needed - 1)
    with input_error("references-too-large", "the references that remain"):
        changing.kept(references, without, {})
    renamed = changing.kept(references, changing.Changes(), {one: "x"})
    assert "x" in renamed.labels, "which copies no vectors"
    monkeypatch.setattr(f"pocketknn.{where}.free_memory", lambda: needed)
    assert one not in changing.kept(references, without, {}).labels
