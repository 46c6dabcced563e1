"""Core ML: an ML program for iOS and macOS, a classifier where there are labels.

Vision takes the classifier as it is; `scores` and `indices` are reached by Core ML itself.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.export.formats import canonical, protobuf_fields, quantize
from pocketknn.export.formats import narrow as smaller
from pocketknn.export.formats.coreml.evaluator.package import root, specification
from pocketknn.export.formats.licence import licence
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.requirements import is_there
from pocketknn.export.formats.serving_function import serving_function
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.templates import slots
from pocketknn.export.templates.slots import Content, Slots

from . import evaluator
from . import package as coreml_package
from .package import Package

if TYPE_CHECKING:
    import keras

SUFFIX = ".mlpackage"
NEEDS: tuple[str, ...] = ("tensorflow", "coremltools")
RUNTIME: tuple[str, ...] = ()  # Core ML on a Mac; everywhere our evaluator
PRECISION = "float16"
THREADS = False
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
LABEL, LABEL_PROBABILITIES = "classLabel", "classLabelProbs"
_PREFIX = "pocketknn."
# Where the metadata lie: of Model, of ModelDescription and of Metadata in Core ML's Model.proto.
_DESCRIPTION, _METADATA, _USER_DEFINED = 2, 100, 100
# One input to the outputs by name, a vote as {label: share}.
Predict = Callable[[NDArray[Any]], Mapping[str, Any]]
_TABLES = re.compile(r"pocketknn(_\d+)?_(references|scan)_")  # names of the search's constants
_HEAD = re.compile(r"pocketknn(_\d+)?/(?!backbone)")


def convert(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    options: Options,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Convert through coremltools to an ML program for the least iOS that is wanted.

    With `float16` the backbone is half precision and all behind it float32: a sum of squares
    overflows float16 where vectors are longer than 256, and near neighbours would tie. `int8` is
    that with 8-bit weights: Core ML computes in half precision.
    """
    import coremltools as ct

    function = serving_function(model, batch=1).get_concrete_function()
    (image,) = model.inputs
    shape = (1, *image.shape[1:])
    least = getattr(ct.target, f"iOS{options.ios}")
    both = {"minimum_deployment_target": least, "skip_model_load": True}
    # In two steps, as ClassifierConfig beside another output raises IndexError in one.
    program = ct.convert(
        [function],
        source="tensorflow",
        convert_to="milinternal",
        compute_precision=ct.precision.FLOAT32,
        inputs=[
            ct.ImageType(name=image.name, shape=shape, color_layout=ct.colorlayout.RGB)
            if len(shape) == 4
            else ct.TensorType(name=image.name, shape=shape)
        ],
        **both,
    )
    names = {t.name.split(":")[0]: name for name, t in function.structured_outputs.items()}
    for value in program.functions["main"].outputs:
        value.name = names[value.name]
    passes = ct.PassPipeline.DEFAULT
    # This pass makes the indices of topk uint16, whatever the number of references.
    passes.remove_passes({"common::add_int16_cast"})
    converted = ct.convert(
        program,
        convert_to="mlprogram",
        compute_precision=ct.transform.FP16ComputePrecision(op_selector=_in_backbone)
        if precision != "float32"
        else ct.precision.FLOAT32,
        pass_pipeline=passes,
        classifier_config=ct.ClassifierConfig(
            list(labels),
            predicted_feature_name=LABEL,
            predicted_probabilities_output="probabilities",
        )
        if labels
        else None,
        **both,
    )
    spec = converted.get_spec()
    if labels:
        ct.utils.rename_feature(spec, f"{LABEL}_probs", LABEL_PROBABILITIES)
    named = ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True)
    if precision == "int8":
        named = quantize.coreml_int8(named)
    named.save(str(path))
    canonical.coreml_package(path, ct.utils.load_spec(str(path)))
    package = Package(path)
    package.rows_first(_TABLES)
    _rewrite(package, path)


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: of values, of axes, and of single numbers."""
    package = Package(path)
    tensors, numbers = [], []
    for place, value in package.constants():
        values = package.array(value)
        if values is None:
            continue
        tensors.append((place, values))
        numbers += slots.sizes_in([*place, "value"], values)
    for number, operation in enumerate(package.block.operations):
        for at, output in enumerate(operation.outputs):
            axes = enumerate(output.type.tensorType.dimensions)
            numbers += [
                ([number, "axis", at, axis], size.constant.size)
                for axis, size in axes
                if operation.type != "const"  # whose shape follows its values
            ]
    return slots.locate(content, tensors, numbers)


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of constants, with operations that widen them."""
    package = Package(path)
    for name, kind in kinds.items():
        for number, *_ in places.constants[name]:
            added = smaller.coreml(package, number, kind)
            places = places.renumbered(_moved(number, added))
            if added:  # what widens the table has its height too
                places.sizes[name].append([number + added, "axis", 0, 0])
            if kind == "int8":
                places.constants[name] = [
                    [one[0], one[1], "quantized_data", *one[3:]] if one[0] == number else one
                    for one in places.constants[name]
                ]
    _rewrite(package, path)
    return places


def content(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as they lie in it; the references stay in the file."""
    package = Package(path)
    found = {}
    for name, (place, *_) in places.constants.items():
        values = package.array(package.value(place[:-1] if place[-1] == "T" else place))
        if values is None:
            raise InputError(f"{path.name} does not hold its {name} where it says")
        found[name] = values
    return found


def fill(source: Path, path: Path, places: Slots, content: Content, metadata: Metadata) -> None:
    """Write a converted package again with other content, and what Xcode shows of it."""
    package = Package(source)
    for name, found in places.constants.items():
        for place in found:
            by_columns = place[-1] == "T"
            package.set_array(
                place[:-1] if by_columns else place, slots.values(content, place, name)
            )
    for name, found in places.sizes.items():
        for number, what, *rest in found:
            package.set_size([number, what, *rest], content.sizes[name])
    if content.labels:
        package.set_classes(content.labels)
    described = package.model.description
    _introduce(described, metadata.manifest)
    own = described.metadata.userDefined
    for name, text in metadata.files(package.write(path)).items():
        own[_PREFIX + name] = text
    package.save(path)


def read(path: Path) -> Metadata:
    """Read the user-defined metadata of the package's specification, and nothing else of it."""
    if not path.is_dir():
        raise InputError(f"{path.name} is no Core ML package: those are folders")
    files: dict[str, str] = {}
    try:
        model = root(path)
        with model.open("rb") as file:
            for description in protobuf_fields.fields(file, 0, model.stat().st_size):
                if description.number == _DESCRIPTION:
                    for metadata in protobuf_fields.fields(
                        file, description.start, description.end
                    ):
                        if metadata.number == _METADATA:
                            files |= protobuf_fields.texts(
                                file, metadata.start, metadata.end, _USER_DEFINED
                            )
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} is no Core ML package: {first_line(error)}") from error
    own = {k.removeprefix(_PREFIX): v for k, v in files.items() if k.startswith(_PREFIX)}
    return Metadata.parse(own, path.name)


def check(path: Path) -> Metadata:
    """Refuse a package that is not what was written; its metadata."""
    metadata = read(path)
    metadata.check_seal(coreml_package.sealed(path), path.name)
    return metadata


def load(path: Path, threads: int | None = None) -> Run:
    """Open the saved package: in Core ML on a Mac with coremltools, else in our evaluator."""
    metadata = check(path)
    on_mac = sys.platform == "darwin" and is_there("coremltools")
    predict = _core_ml(path) if on_mac else _evaluator(path)
    labels = metadata.labels

    def one(item: NDArray[Any]) -> Outputs:
        outputs = predict(item)
        found: Outputs = {
            "scores": np.asarray(outputs["scores"], np.float32).reshape(1, -1),
            "indices": np.asarray(outputs["indices"], np.int64).reshape(1, -1),
        }
        if "value" in outputs:
            found["value"] = np.asarray(outputs["value"], np.float32).reshape(1, -1)
        if labels:
            votes = outputs[LABEL_PROBABILITIES]
            found["probabilities"] = np.array([[votes[label] for label in labels]], np.float32)
        return found

    def run(batch: NDArray[Any]) -> Outputs:
        rows = [one(item) for item in batch]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    return run


def _moved(place: int, added: int) -> Callable[[int], int]:
    """Numbers of operations after some were put behind one of them."""
    return lambda number: number + added if number > place else number


def _rewrite(package: Package, path: Path) -> None:
    """Put a changed package in the place of the one that it was read from."""
    part = path.with_suffix(".part")
    package.write(part)
    package.save(part)
    package.release()
    shutil.rmtree(path)
    part.rename(path)


def _introduce(described: Any, manifest: dict[str, Any]) -> None:  # noqa: ANN401
    """What Xcode shows of the model and of each of its features."""
    said = described.metadata
    said.shortDescription, said.versionString = manifest["description"], manifest["version"]
    said.author, said.license = manifest["author"], licence(manifest)
    given = manifest["input"]
    (feed,) = described.input
    feed.shortDescription = (
        f"RGB picture, {given['crop']} crop, {given['shape'][0]}×{given['shape'][1]}"
        if given["name"] == "image"
        else f"{given['shape'][0]} features"
    )
    meanings = {name: output["is"] for name, output in manifest["outputs"].items()}
    meanings |= {
        LABEL: "the label with the most votes",
        LABEL_PROBABILITIES: "share of each label",
    }
    for feature in described.output:
        feature.shortDescription = meanings[feature.name]
    if manifest["labels"] and given["name"] == "image":
        said.userDefined["com.apple.coreml.model.preview.type"] = "imageClassifier"


def _in_backbone(op: Any) -> bool:  # noqa: ANN401  # coremltools' Operation has no stubs
    """Whether nothing that the operation is computed from belongs to the head.

    Only these become float16. The operations that passes put in have names of their own, so names
    alone do not tell.
    """
    waiting, seen = [op], {id(op)}
    while waiting:
        here = waiting.pop()
        if _HEAD.match(here.name):
            return False
        for given in here.inputs.values():
            for value in given if isinstance(given, list | tuple) else [given]:
                before = getattr(value, "op", None)
                if before is not None and id(before) not in seen:
                    seen.add(id(before))
                    waiting.append(before)
    return True


def _core_ml(path: Path) -> Predict:
    import coremltools as ct
    from PIL import Image

    model = ct.models.MLModel(str(path))
    (feed,) = model.get_spec().description.input

    def predict(item: NDArray[Any]) -> dict[str, Any]:
        picture = feed.type.WhichOneof("Type") == "imageType"
        value = Image.fromarray(item.astype(np.uint8)) if picture else item[None].astype(np.float32)
        return dict(model.predict({feed.name: value}))

    return predict


def _evaluator(path: Path) -> Predict:
    try:
        program = evaluator.load(path)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # whatever numpy raises on constants that a damaged program folds
        raise InputError(f"{path.name} cannot be evaluated: {first_line(error)}") from error
    (name,) = program.inputs
    return lambda item: program({name: item[None]})


def _specification(path: Path) -> Any:  # noqa: ANN401
    if not path.is_dir():
        raise InputError(f"{path.name} is no Core ML package: those are folders")
    try:
        return specification(path)
    except ValueError as error:
        raise InputError(f"{path.name} is no Core ML package: {first_line(error)}") from error
