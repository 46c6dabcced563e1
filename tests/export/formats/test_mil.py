"""The Core ML evaluator on whole saved programs: networks, interfaces, mutants, refusals, traps."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import keras
import numpy as np
import pytest
import tensorflow as tf
from coremltools.converters.mil import Builder as mb  # noqa: N813  (its name in every document)
from coremltools.converters.mil.mil import Function, Program, types
from coremltools.optimize import coreml as cto
from numpy.typing import NDArray

from pocketknn.export.formats.coreml import evaluator
from pocketknn.export.formats.coreml.evaluator.arrays import settle, settle_relu6
from pocketknn.export.formats.coreml.evaluator.kernels import KERNELS

Array = NDArray[Any]
SIZE, REFERENCES, CLASSES, K = 64, 40, 3, 5
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")


def pictures(count: int) -> Array:
    """Smooth random pictures, uint8."""
    rng = np.random.default_rng(7)
    coarse = rng.uniform(0, 255, (count, 8, 8, 3))
    return np.asarray(tf.image.resize(coarse, (SIZE, SIZE), "bilinear")).round().astype(np.uint8)


# networks ----------------------------------------------------------------------------------------

BACKBONES: dict[str, Callable[..., keras.Model]] = {
    "v1": lambda **k: keras.applications.MobileNet(alpha=0.25, **k),
    # Its programs have each operation of those of the other MobileNets.
    "v3_small": lambda **k: keras.applications.MobileNetV3Small(alpha=0.35, **k),
}


@dataclass(frozen=True, kw_only=True)
class Network:
    concrete: Any
    asked: Array
    answers: list[dict[str, Array]]  # Keras' answers, with the score of every reference as "every"


def network(name: str) -> Network:
    """A MobileNet with random weights, BatchNorm fitted to our pictures, and a k-NN head."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 3))
    x = image if "v3" in name else keras.layers.Rescaling(1 / 127.5, -1)(image)
    backbone = BACKBONES[name](
        input_shape=(SIZE, SIZE, 3), include_top=False, weights=None, pooling="avg"
    )
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    feature = keras.Model(image, backbone(x))
    feature(pictures(16).astype(np.float32), training=True)
    length = keras.ops.sum(feature.output**2, -1, keepdims=True)
    unit = feature.output * keras.ops.rsqrt(keras.ops.maximum(length, 1e-12))
    dense = keras.layers.Dense(REFERENCES, use_bias=False, name="references")
    every = dense(unit)
    found = np.random.default_rng(1).normal(size=(unit.shape[-1], REFERENCES))
    dense.set_weights([found / np.linalg.norm(found, axis=0)])
    scores, indices = keras.ops.top_k(every, K)
    labels = keras.ops.take(np.arange(REFERENCES) % CLASSES, indices)
    votes = keras.ops.mean(keras.ops.one_hot(labels, CLASSES), axis=1)
    outputs = {"scores": scores, "indices": indices, "probabilities": votes}
    asked = pictures(3)
    answer = keras.Model(image, {**outputs, "every": every})
    answers = [
        {key: np.asarray(value) for key, value in answer(picture[None].astype("float32")).items()}
        for picture in asked
    ]
    return Network(concrete=trace(keras.Model(image, outputs)), asked=asked, answers=answers)


def trace(model: keras.Model) -> Any:
    signature = [tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, name="image")]
    serve = tf.function(lambda image: dict(model(image, training=False)), input_signature=signature)
    concrete = serve.get_concrete_function()
    concrete.model = model  # whose variables it holds only weakly
    return concrete


def convert(concrete: Any, path: Path, target: Any, precision: Any, head: Any = None) -> None:
    """Saves a traced network as our exporter does: an image input, named outputs."""
    options = {"minimum_deployment_target": target, "skip_model_load": True}
    program = ct.convert(
        [concrete],
        source="tensorflow",
        convert_to="milinternal" if head else "mlprogram",
        compute_precision=ct.precision.FLOAT32 if head else precision,
        inputs=[ct.ImageType(name="image", shape=(1, SIZE, SIZE, 3))],
        **options,
    )
    names = {t.name.split(":")[0]: key for key, t in concrete.structured_outputs.items()}
    if head:  # a classifier must be converted in two steps
        for var in program.functions["main"].outputs:
            var.name = names[var.name]
        program = ct.convert(
            program,
            convert_to="mlprogram",
            compute_precision=precision,
            classifier_config=head,
            **options,
        )
        names = {"classLabel_probs": "classLabelProbs"}
    spec = program.get_spec()
    for old, new in names.items():
        ct.utils.rename_feature(spec, old, new)
    ct.models.MLModel(spec, weights_dir=program.weights_dir, skip_model_load=True).save(str(path))


@pytest.fixture(scope="module")
def net() -> Network:
    return network("v3_small")


@pytest.fixture(scope="module")
def small() -> Network:
    return network("v1")


@pytest.fixture(scope="module")
def saved(small: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "v1.mlpackage"
    convert(small.concrete, path, ct.target.iOS16, ct.precision.FLOAT32)
    return path


def far(net: Network, program: evaluator.Program) -> float:
    """The largest error of a score or vote, each returned index judged by its true score."""
    worst = 0.0
    for picture, want in zip(net.asked, net.answers, strict=True):
        got: dict[str, Any] = program({"image": picture[None]})
        assert {*got, "every"} == set(want)
        assert got["indices"].dtype == np.int32
        truth = np.take_along_axis(want["every"], got["indices"], 1)
        labels = got["indices"] % CLASSES
        votes = np.eye(CLASSES)[labels].mean(1)
        worst = max(
            worst,
            float(np.abs(got["scores"] - want["scores"]).max()),
            float(np.abs(got["scores"] - truth).max()),
            float(np.abs(got["probabilities"] - votes).max()),
        )
    return worst


@pytest.mark.parametrize("target", [ct.target.iOS15, ct.target.iOS17], ids=["iOS15", "iOS17"])
def test_float32_network_agrees_with_keras(net: Network, target: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.mlpackage"
    convert(net.concrete, path, target, ct.precision.FLOAT32)
    # Cosines, so the scale is 1; sums of a thousand float32 terms in another order.
    assert far(net, evaluator.load(path)) <= 1e-5
    assert far(net, evaluator.load(path, exact=True)) <= 1e-5


def test_float16_backbone_agrees_with_keras(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "net.mlpackage"
    half = ct.transform.FP16ComputePrecision(op_selector=lambda op: "conv" in op.name.lower())
    convert(net.concrete, path, ct.target.iOS16, half)
    error = far(net, evaluator.load(path))
    # Half precision keeps 11 bits, 5e-4, per op; some fifty ops deep, in random directions.
    assert 1e-6 < error <= 1e-2
    assert (
        far(net, evaluator.load(path, exact=True)) < error
    )  # what is left: the weights are float16


def test_float16_everywhere_runs_on_ios17(small: Network, tmp_path: Path) -> None:
    path = tmp_path / "net.mlpackage"
    convert(small.concrete, path, ct.target.iOS17, ct.precision.FLOAT16)
    # Random features differ little, and BatchNorm fitted to the difference magnifies rounding too.
    assert far(small, evaluator.load(path)) <= 3e-2


@pytest.mark.parametrize("target", [ct.target.iOS15, ct.target.iOS18], ids=["iOS15", "iOS18"])
@pytest.mark.parametrize("power", [1.0, 2.0, 3.0], ids=["manhattan", "euclidean", "minkowski"])
def test_distances_weighted_votes_and_masks_agree(
    power: float, target: Any, tmp_path: Path
) -> None:
    references = np.random.default_rng(0).normal(size=(REFERENCES, 8)).astype(np.float32)

    def head(x: Any) -> dict[str, Any]:
        apart = keras.ops.abs(keras.ops.expand_dims(x, 1) - references[None])
        far = keras.ops.power(keras.ops.sum(keras.ops.power(apart, power), -1), 1 / power)
        scores, indices = keras.ops.top_k(-far, K)
        weights = 1 / keras.ops.maximum(-scores, 1e-6)
        weights = keras.ops.where(scores < -4, keras.ops.zeros_like(weights), weights)
        labels = keras.ops.one_hot(
            keras.ops.take(np.arange(REFERENCES) % CLASSES, indices), CLASSES
        )
        votes = keras.ops.sum(labels * keras.ops.expand_dims(weights, -1), 1)
        spread = keras.ops.softmax(scores / keras.ops.std(scores, -1, keepdims=True))
        return {"scores": scores, "indices": indices, "votes": votes, "spread": spread}

    signature = [tf.TensorSpec((1, 8), tf.float32, name="x")]
    serve = tf.function(head, input_signature=signature)
    concrete = serve.get_concrete_function()
    ct.convert(
        [concrete],
        source="tensorflow",
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=target,
        skip_model_load=True,
    ).save(str(tmp_path / "head.mlpackage"))
    query = references[7:8] + 0.1
    found: dict[str, Any] = evaluator.load(tmp_path / "head.mlpackage")({"x": query})
    want = serve(query)
    for key, tensor in concrete.structured_outputs.items():
        name = tensor.name.split(":")[0]
        np.testing.assert_allclose(found[name], want[key], rtol=1e-5, atol=1e-6)


# mutants -----------------------------------------------------------------------------------------


def test_a_changed_bias_is_noticed(small: Network, saved: Path, tmp_path: Path) -> None:
    program = evaluator.load(saved)
    slots: list[Any] = [
        step.op.inputs["bias"][0] for step in program._steps if "bias" in step.op.inputs
    ]
    bias = next(program._constants[slot] for slot in slots if program._constants[slot].size >= 16)
    path = tmp_path / "mutant.mlpackage"
    shutil.copytree(saved, path)
    content = (path / WEIGHTS).read_bytes()
    assert content.count(bias.tobytes()) == 1
    (path / WEIGHTS).write_bytes(content.replace(bias.tobytes(), (bias + 0.1).tobytes()))
    assert far(small, program) <= 1e-5
    assert far(small, evaluator.load(path)) > 1e-4


def test_colour_order_is_the_specs(saved: Path, tmp_path: Path) -> None:
    spec = ct.utils.load_spec(str(saved))
    spec.description.input[0].type.imageType.colorSpace = 30  # BGR
    path = tmp_path / "bgr.mlpackage"
    weights = str((saved / WEIGHTS).parent)
    ct.models.MLModel(spec, weights_dir=weights, skip_model_load=True).save(str(path))
    picture = pictures(1)
    red_first: dict[str, Any] = evaluator.load(saved)({"image": picture})
    blue_first = evaluator.load(path)
    same: dict[str, Any] = blue_first({"image": picture[..., ::-1]})
    other: dict[str, Any] = blue_first({"image": picture})
    np.testing.assert_array_equal(same["scores"], red_first["scores"])
    assert np.abs(other["scores"] - red_first["scores"]).max() > 1e-3


# interface ---------------------------------------------------------------------------------------


def package(
    path: Path,
    build: Callable[..., Any],
    *,
    target: Any = ct.target.iOS17,
    precision: Any = ct.precision.FLOAT32,
    options: dict[str, Any] | None = None,
    **inputs: tuple[tuple[int, ...], Any],
) -> Any:
    """Saves a hand-written program, untouched by optimisation."""
    holders = {name: mb.placeholder(shape=shape, dtype=t) for name, (shape, t) in inputs.items()}
    with Function(holders, opset_version=target) as function:
        results = build(**function.inputs)
        function.set_outputs(list(results) if isinstance(results, (tuple, list)) else [results])
    program = Program()
    program.add_function("main", function)
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=precision,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
        **(options or {}),
    )
    model.save(str(path))
    return model


def test_interface_is_read_from_the_file(saved: Path) -> None:
    program = evaluator.load(saved)
    assert program.inputs == ("image",)
    assert set(program.outputs) == {"scores", "indices", "probabilities"}


def test_whole_and_fractional_pixels_are_taken(saved: Path) -> None:
    program = evaluator.load(saved)
    bytes_, floats = (program({"image": pictures(1).astype(t)}) for t in (np.uint8, np.float64))
    np.testing.assert_array_equal(bytes_["scores"], floats["scores"])


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"image": np.zeros((1, 32, 32, 3))}, r"\(1, 64, 64, 3\), got \(1, 32, 32, 3\)"),
        ({"image": np.zeros((1, 3, 64, 64))}, r"\(1, 64, 64, 3\), got \(1, 3, 64, 64\)"),
        ({"image": np.full((1, 64, 64, 3), -1)}, r"pixels 0\.\.255, got -1"),
        ({"image": np.full((1, 64, 64, 3), np.nan)}, "got nan"),
        ({"picture": np.zeros((1, 64, 64, 3))}, r"\['image'\], got \['picture'\]"),
    ],
)
def test_wrong_input_is_refused(saved: Path, feeds: dict[str, Array], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluator.load(saved)(feeds)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.mlpackage"):
        evaluator.load(tmp_path / "no.mlpackage")


def test_grey_picture_and_image_scale(tmp_path: Path) -> None:
    signature = [tf.TensorSpec((1, 6, 5, 1), tf.float32, name="image")]
    concrete = tf.function(lambda image: image * 2, input_signature=signature)
    ct.convert(
        [concrete.get_concrete_function()],
        source="tensorflow",
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        inputs=[
            ct.ImageType(
                name="image",
                shape=(1, 6, 5, 1),
                color_layout=ct.colorlayout.GRAYSCALE,
                scale=1 / 255,
                bias=-0.5,
            )
        ],
    ).save(str(tmp_path / "grey.mlpackage"))
    picture = np.arange(30, dtype=np.uint8).reshape(1, 6, 5, 1)
    result: Any
    [result] = evaluator.load(tmp_path / "grey.mlpackage")({"image": picture}).values()
    np.testing.assert_allclose(result, (picture / 255 - 0.5) * 2, atol=1e-6)


def test_classifier_answers_under_its_renamed_outputs(small: Network, tmp_path: Path) -> None:
    names = ["ant", "bee", "cat"]
    config = ct.ClassifierConfig(
        names,
        predicted_feature_name="classLabel",
        predicted_probabilities_output="probabilities",
    )
    path = tmp_path / "classifier.mlpackage"
    convert(small.concrete, path, ct.target.iOS16, ct.precision.FLOAT16, head=config)
    program = evaluator.load(path)
    assert set(program.outputs) == {"classLabel", "classLabelProbs", "scores", "indices"}
    found: dict[str, Any] = program({"image": small.asked[:1]})
    votes = np.bincount(found["indices"][0] % CLASSES, minlength=CLASSES) / K
    assert found["classLabel"] == names[int(votes.argmax())]
    assert list(found["classLabelProbs"]) == names
    assert list(found["classLabelProbs"].values()) == pytest.approx(votes.tolist(), abs=1e-3)


# refusals ----------------------------------------------------------------------------------------


def test_unknown_op_is_named(tmp_path: Path) -> None:
    package(
        tmp_path / "a.mlpackage",
        lambda x: mb.crop(x=x, crop_height=[1, 1], crop_width=[0, 1], name="trim"),
        x=((1, 2, 5, 5), types.fp32),
    )
    with pytest.raises(NotImplementedError, match=r"'trim'.*'crop'"):
        evaluator.load(tmp_path / "a.mlpackage")


def test_unknown_parameter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(
        tmp_path / "a.mlpackage",
        lambda x: mb.softmax(x=x, axis=1, name="vote"),
        x=((1, 4), types.fp32),
    )
    monkeypatch.setitem(KERNELS, "softmax", lambda x: x)
    with pytest.raises(NotImplementedError, match=r"'vote' of type softmax.*'axis'"):
        evaluator.load(tmp_path / "a.mlpackage")


def test_unhandled_value_of_a_parameter_is_named(tmp_path: Path) -> None:
    package(
        tmp_path / "a.mlpackage",
        lambda x: mb.max_pool(
            x=x, kernel_sizes=[2], strides=[2], pad_type="valid", ceil_mode=True, name="pool"
        ),
        x=((1, 2, 5), types.fp32),
    )
    program = evaluator.load(tmp_path / "a.mlpackage")
    with pytest.raises(NotImplementedError, match=r"'pool' of type max_pool: .*ceil_mode=True"):
        program({"x": np.zeros((1, 2, 5))})


def test_gather_outside_of_the_tensor_is_named(tmp_path: Path) -> None:
    package(
        tmp_path / "a.mlpackage",
        lambda x, at: mb.gather(x=x, indices=at, axis=1, name="look"),
        x=((1, 4), types.fp32),
        at=((1,), types.int32),
    )
    program = evaluator.load(tmp_path / "a.mlpackage")
    for index in (4, -1):  # from iOS 17 on, negative indices are invalid
        with pytest.raises(IndexError, match=rf"'look'.*index {index} is outside 0\.\.3"):
            program({"x": np.zeros((1, 4)), "at": np.array([index])})


# traps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "index"), [("uint16", 69_999 - 65_536), ("int32", 69_999)])
@pytest.mark.parametrize("exact", [False, True])
def test_uint16_index_wraps_as_on_the_device(
    tmp_path: Path, dtype: str, index: int, exact: bool
) -> None:
    def build(x: Any) -> Any:
        scores, indices = mb.topk(x=x, k=2, output_indices_dtype=dtype)
        indices = (
            mb.cast(x=indices, dtype="int32", name="indices") if dtype == "uint16" else indices
        )
        return mb.identity(x=scores, name="scores"), mb.identity(x=indices, name="found")

    package(tmp_path / "a.mlpackage", build, x=((1, 70_000), types.fp32))
    x = np.zeros((1, 70_000), np.float32)
    x[0, -1] = 1
    found = evaluator.load(tmp_path / "a.mlpackage", exact=exact)({"x": x})
    np.testing.assert_array_equal(found["found"], [[index, 0]])


def test_float16_overflows_in_a_sum_of_squares(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        return mb.reduce_sum(x=mb.square(x=mb.cast(x=x, dtype="fp16")), axes=[1], name="length")

    package(tmp_path / "a.mlpackage", build, x=((1, 4), types.fp32))
    x = np.full((1, 4), 150.0)
    found = evaluator.load(tmp_path / "a.mlpackage")({"x": x})["length"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float16
    assert np.isinf(found).all()
    assert evaluator.load(tmp_path / "a.mlpackage", exact=True)({"x": x})["length"] == 90_000


def test_rounding_to_float16_is_the_ieee_one() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = np.unique(every[np.isfinite(every)])
    ties = (every[1:] + every[:-1]) / 2
    beside = [np.nextafter(ties, np.float32(side)) for side in (-np.inf, np.inf)]
    rest = np.array([1e-30, -1e-40, 0, 7e4, -7e4, np.inf, np.nan], np.float32)
    values: Array
    for values in (every, ties, *beside, rest):
        with np.errstate(over="ignore"):
            got = settle(values, np.dtype(np.float16), exact=False)
            want = values.astype(np.float16).astype(np.float32)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rounding_after_a_relu6_is_the_same(dtype: Any) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = np.unique(every[np.isfinite(every)])
    ties = (every[1:] + every[:-1]) / 2
    beside = [np.nextafter(ties, np.float32(side)) for side in (-np.inf, np.inf)]
    rest = np.array([1e-30, -1e-40, 0, 7e4, -7e4, 1e38, np.inf, -np.inf, np.nan], np.float32)
    values = np.concatenate([every, ties, *beside, rest])
    want = np.clip(values, 0, 6).astype(dtype).astype(np.float32)
    got = settle_relu6(values, np.dtype(dtype), exact=False)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_relu6_is_computed_with_a_convolution_that_nothing_else_reads(
    tmp_path: Path, groups: int, dtype: str
) -> None:
    rng = np.random.default_rng(2)
    number = np.float16 if dtype == "fp16" else np.float32
    weight = (9 * rng.normal(size=(4, 4 // groups, 3, 3))).astype(number)

    def build(x: Any) -> Any:
        y = mb.conv(x=mb.cast(x=x, dtype=dtype), weight=weight, groups=groups)
        return y, mb.relu6(x=y)

    def alone(x: Any) -> Any:
        return mb.cast(x=build(x)[1], dtype="fp32", name="z")

    def both(x: Any) -> Any:
        y, z = build(x)
        return mb.cast(x=z, dtype="fp32", name="z"), mb.cast(x=y, dtype="fp32", name="y")

    x = rng.normal(size=(1, 4, 9, 8)).astype(np.float32)
    programs, found = [], []
    for name, whole in (("alone", alone), ("both", both)):
        package(tmp_path / f"{name}.mlpackage", whole, x=(x.shape, types.fp32))
        programs.append(evaluator.load(tmp_path / f"{name}.mlpackage"))
        found.append(programs[-1]({"x": x}))
    kinds = [[step.op.type for step in program._steps] for program in programs]
    assert "relu6" not in kinds[0]
    assert "relu6" in kinds[1]
    np.testing.assert_array_equal(found[0]["z"], found[1]["z"])
    np.testing.assert_array_equal(found[1]["z"], np.clip(found[1]["y"], 0, 6))
    assert found[1]["y"].min() < 0
    assert found[1]["y"].max() > 6


def test_a_mean_does_not_depend_on_what_a_convolution_left_in_memory(tmp_path: Path) -> None:
    """Float32 sums do depend on the order of their numbers in memory."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(8, 1, 3, 3)).astype(np.float32)

    def build(x: Any) -> Any:
        y = mb.conv(x=x, weight=weight, groups=8)
        return mb.identity(x=y, name="y"), mb.reduce_mean(x=y, axes=[2, 3], name="mean")

    x = rng.normal(size=(1, 8, 40, 33)).astype(np.float32)
    package(tmp_path / "a.mlpackage", build, x=(x.shape, types.fp32))
    found: dict[str, Any] = evaluator.load(tmp_path / "a.mlpackage")({"x": x})
    want = np.ascontiguousarray(found["y"]).mean((2, 3))
    np.testing.assert_array_equal(found["mean"], want)


def test_a_relu_that_narrows_is_rounded(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        return mb.identity(x=mb.relu(x=x, name="narrow"), name="y")

    package(tmp_path / "a.mlpackage", build, x=((1, 3), types.fp32))
    model = tmp_path / "a.mlpackage/Data/com.apple.CoreML/model.mlmodel"
    spec = ct.utils.load_spec(str(tmp_path / "a.mlpackage"))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    (op,) = (op for op in block.operations if op.type == "relu")
    op.outputs[0].type.tensorType.dataType = 10  # FLOAT16
    model.write_bytes(spec.SerializeToString())
    x = np.array([[-0.1, 0.1, 0.7]], np.float32)
    found = evaluator.load(tmp_path / "a.mlpackage")({"x": x})["y"]
    np.testing.assert_array_equal(found, np.maximum(x, 0).astype(np.float16).astype(np.float32))


# compressed weights ------------------------------------------------------------------------------

LINEAR = cto.OptimizationConfig(cto.OpLinearQuantizerConfig(weight_threshold=0))
TABLE = cto.OptimizationConfig(cto.OpPalettizerConfig(nbits=8, mode="uniform", weight_threshold=0))


def compressed(folder: Path, target: Any, how: str) -> tuple[Path, Path, set[str]]:
    """A program, the same with compressed weights, and the ops of the latter."""
    weight = np.random.default_rng(0).uniform(-1, 1, (48, 64)).astype(np.float32)
    whole, small = folder / "a.mlpackage", folder / "b.mlpackage"
    model = package(
        whole,
        lambda x: mb.linear(x=x, weight=weight, name="y"),
        target=target,
        x=((1, 64), types.fp32),
    )
    if how == "linear":
        cto.linear_quantize_weights(model, LINEAR).save(str(small))
    else:
        cto.palettize_weights(model, TABLE).save(str(small))
    main = ct.utils.load_spec(str(small)).mlProgram.functions["main"]
    return whole, small, {one.type for one in main.block_specializations[main.opset].operations}


@pytest.mark.parametrize(
    ("op", "target"),
    [
        ("constexpr_affine_dequantize", ct.target.iOS16),
        ("constexpr_blockwise_shift_scale", ct.target.iOS18),
    ],
)
def test_weights_of_eight_bits_are_read(op: str, target: Any, tmp_path: Path) -> None:
    whole, small, ops = compressed(tmp_path, target, "linear")
    assert op in ops
    x = np.random.default_rng(1).normal(size=(1, 64)).astype(np.float32)
    plain = evaluator.load(whole)({"x": x})["y"]
    found = evaluator.load(small)({"x": x})["y"]
    assert isinstance(found, np.ndarray)
    error = np.abs(found - plain).max() / np.abs(plain).max()
    assert 0 < error <= 0.02  # half a step of 1/127 or 1/255 per weight


@pytest.mark.parametrize("target", [ct.target.iOS16, ct.target.iOS18], ids=["iOS16", "iOS18"])
def test_other_compressed_weights_are_refused_by_name(target: Any, tmp_path: Path) -> None:
    _, small, ops = compressed(tmp_path, target, "table")
    assert "constexpr_lut_to_dense" in ops
    with pytest.raises(NotImplementedError, match=r"op 'y_weight.*constexpr_lut_to_dense"):
        evaluator.load(small)
