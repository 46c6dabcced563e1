"""The evaluator's own reader of packages, against coremltools' reader of the same files."""

import shutil
import subprocess
import sys
from pathlib import Path

import coremltools as ct
import keras
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813  (its name in every document)
from coremltools.converters.mil.frontend.milproto.load import load as milproto
from coremltools.converters.mil.mil import Function, Program, types
from coremltools.libmilstoragepython import _BlobStorageReader, _BlobStorageWriter
from coremltools.optimize import coreml as cto
from coremltools.proto import Model_pb2
from google.protobuf.unknown_fields import UnknownFieldSet
from support import PRECISION, photo_case

from pocketknn.export.formats.coreml import evaluator
from pocketknn.export.formats.coreml.evaluator.reading import read
from pocketknn.export.formats.coreml.files import root, specification
from pocketknn.export.formats.coreml.messages import messages
from pocketknn.export.formats.coreml.weights import NUMBERS, Weights
from pocketknn.export.formats.options import IOS, Options
from pocketknn.export.manifest.describe import describe
from pocketknn.export.manifest.figures import measure

TARGETS = {15: ct.target.iOS15, 16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}
MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")


def package(path, build, ios=16, shape=(1, 64)):
    """Saves a hand-written program of one input, untouched by optimisation."""
    with Function(
        {"x": mb.placeholder(shape=shape, dtype=types.fp32)}, opset_version=TARGETS[ios]
    ) as function:
        found = build(function.inputs["x"])
        function.set_outputs(list(found) if isinstance(found, tuple) else [found])
    program = Program()
    program.add_function("main", function)
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=TARGETS[ios],
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    model.save(str(path))
    return model


def ours(path):
    return read(specification(path), root(path).parent / "weights")


def theirs(path):
    spec = ct.utils.load_spec(str(path))
    return milproto(spec, spec.specificationVersion, str((path / WEIGHTS).parent)).functions["main"]


def agrees(path):
    """Compares everything read by both; returns the types of all operations and constants."""
    found, want = ours(path), theirs(path)
    constants, computed = {}, []
    for op in want.operations:
        if op.op_type == "const":
            constants[op.outputs[0].name] = op.outputs[0].val
        elif op.op_type.startswith("constexpr_"):
            constants[op.outputs[0].name] = op.materialized_val_inference()
        else:
            computed.append(op)
    # Each reader makes up names for unnamed constants, such as a classifier's labels.
    named = {name: value for name, value in found.constants.items() if ":" not in name}
    assert named.keys() <= constants.keys()
    for name, value in named.items():
        assert np.asarray(value).dtype.kind == np.asarray(constants[name]).dtype.kind
        np.testing.assert_array_equal(value, constants[name], err_msg=name)
        if isinstance(value, np.ndarray) and value.dtype.kind != "U":
            assert value.dtype == constants[name].dtype
    for op, known in zip(found.operations, computed, strict=True):
        assert (op.type, op.name) == (known.op_type, known.name)
        for parameter, names in op.inputs.items():
            given = known.inputs[parameter]
            for name, var in zip(
                names, given if isinstance(given, (list, tuple)) else [given], strict=True
            ):
                if ":" in name:
                    assert list(found.constants[name]) == list(var.val)
                else:
                    assert name == var.name
        for (name, declared), var in zip(op.outputs.items(), known.outputs, strict=True):
            assert name == var.name
            if declared.dtype is not None:
                assert declared.dtype == types.nptype_from_builtin(var.dtype)
                assert declared.shape == tuple(var.shape)
    assert [*found.outputs] == [var.name for var in want.outputs]
    assert [*found.inputs] == [*want.inputs]
    return {op.op_type for op in want.operations}


@pytest.fixture(scope="module")
def case(photos, tmp_path_factory):
    """A small network with a convolution large enough for 8-bit weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(32, 3, strides=2, activation="relu")(image)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    path = tmp_path_factory.mktemp("net") / "small.keras"
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).save(path)
    return photo_case(photos, str(path))


def unknown(message):
    """Numbers of the fields in a message that its schema does not have."""
    found = [one.field_number for one in UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        inner = value if field.is_repeated else [value]
        if field.message_type.GetOptions().map_entry:
            inner = [one for one in value.values() if hasattr(one, "ListFields")]
        found += [number for one in inner for number in unknown(one)]
    return found


@pytest.mark.parametrize("ios", IOS)
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_an_exported_package_is_read_as_coremltools_reads_it(ios, precision, case, tmp_path):
    if (ios, precision) == (15, "int8"):
        pytest.skip("8-bit weights exist from iOS 16 on")
    path = tmp_path / "model.mlpackage"
    options = Options(ios=ios, precision=precision)
    metadata = describe(case.fit, case.backbone, PRECISION, measure(case.fit), options)
    case.write("coreml", path, precision, metadata, options)
    assert not unknown(specification(path))
    kinds = agrees(path)
    assert "classify" in kinds
    assert any(kind.startswith("constexpr_") for kind in kinds) == (precision == "int8")


@pytest.mark.parametrize("ios", IOS)
def test_constants_of_every_type_are_read(ios, tmp_path):
    rng = np.random.default_rng(0)
    numbers = ["bool", "int8", "uint8", "int32", "float16", "float32"]
    numbers += ["int16", "uint16"] if ios >= 17 else []
    assert ios < 18 or len(numbers) == 8

    def build(x):
        del x
        kept = []
        for dtype in numbers:
            for shape in [(), (3,), (5, 7)]:  # from ten numbers on, the weights file is used
                value = np.asarray(rng.uniform(-100, 100, shape)).astype(dtype)
                kept.append(mb.const(val=value if shape else value[()], name=f"{dtype}_{shape}"))
        return mb.identity(x=kept[-1], name="y")

    path = tmp_path / "a.mlpackage"
    package(path, build, ios)
    agrees(path)
    dtypes = {str(v.dtype) for v in ours(path).constants.values() if isinstance(v, np.ndarray)}
    assert dtypes == set(numbers)


WRITTEN = {
    "FLOAT16": "fp16",
    "FLOAT32": "float",
    **{f"INT{n}": f"int{n}" for n in (8, 16, 32)},
    **{f"UINT{n}": f"uint{n}" for n in (8, 16)},
}


def test_all_types_of_a_weights_file_are_tried():
    assert WRITTEN.keys() == {name for name, number in NUMBERS.items() if number.code}


@pytest.mark.parametrize("name", WRITTEN)
def test_blobs_are_read_as_coremltools_reads_them(name, tmp_path):
    number, rng = NUMBERS[name], np.random.default_rng(0)
    file = tmp_path / "weight.bin"
    writer = _BlobStorageWriter(str(file))
    places = []
    for count in (35, 64):
        if number.dtype.kind == "f":
            values = rng.normal(size=count).astype(number.dtype)
            values = values.view(np.uint16) if name == "FLOAT16" else values
        else:
            range_ = np.iinfo(number.dtype)
            values = rng.integers(range_.min, range_.max, count, number.dtype)
        places.append(getattr(writer, f"write_{WRITTEN[name]}_data")(values))
    del writer  # which closes the file
    for place, shape in zip(places, [(5, 7), (64,)], strict=True):
        value = messages().BlobFileValue(fileName=f"@model_path/weights/{file.name}", offset=place)
        found = Weights(tmp_path).read(value, number, shape)
        assert found.dtype == number.dtype
        want = getattr(_BlobStorageReader(str(file)), f"read_{WRITTEN[name]}_data")(place)
        np.testing.assert_array_equal(found.ravel(), np.asarray(want).view(number.dtype))
        assert len(set(found.ravel().tolist())) > 1


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize(
    ("op", "ios", "choices"),
    [
        ("affine_dequantize", 16, {}),
        ("affine_dequantize", 17, {"mode": "linear", "granularity": "per_tensor"}),
        ("blockwise_shift_scale", 18, {}),
        ("blockwise_shift_scale", 18, {"granularity": "per_block", "block_size": 16}),
    ],
)
def test_weights_of_eight_bits_are_unpacked_as_coremltools_does(op, ios, choices, half, tmp_path):
    weight = np.random.default_rng(0).uniform(-1, 1, (48, 64)).astype("f2" if half else "f4")
    whole, small = tmp_path / "a.mlpackage", tmp_path / "b.mlpackage"

    def build(x):
        x = mb.cast(x=x, dtype="fp16") if half else x
        bias = np.zeros(48, weight.dtype)
        return mb.cast(x=mb.linear(x=x, weight=weight, bias=bias), dtype="fp32", name="y")

    model = package(whole, build, ios)
    how = cto.OptimizationConfig(cto.OpLinearQuantizerConfig(weight_threshold=0, **choices))
    cto.linear_quantize_weights(model, how).save(str(small))
    assert f"constexpr_{op}" in agrees(small)
    assert (small / WEIGHTS).stat().st_size < (whole / WEIGHTS).stat().st_size


# damage ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small program with all that a reader must handle: blobs, also in 8 bits, and constants."""
    path = tmp_path_factory.mktemp("saved") / "a.mlpackage"
    rng = np.random.default_rng(0)

    def build(x):
        weight = mb.constexpr_affine_dequantize(
            quantized_data=rng.integers(-128, 127, (64, 9), np.int8),
            scale=np.float32(0.1),
            zero_point=np.int8(3),
            axis=np.int32(0),
        )
        y = mb.matmul(x=x, y=weight)
        y = mb.add(x=y, y=rng.normal(size=(1, 9)).astype(np.float32))
        scores, places = mb.topk(x=y, k=3)
        labels = mb.gather(x=np.arange(9, dtype=np.int32), indices=places, axis=0)
        return mb.identity(x=scores, name="scores"), mb.identity(x=labels, name="labels")

    package(path, build, 17)
    return path


def refused(path):
    """Whether a package is refused with an expected exception; no other may be raised."""
    try:
        evaluator.load(path)
    except (NotImplementedError, ValueError):
        return True
    return False


def test_cut_weights_are_refused(saved, tmp_path):
    path = tmp_path / "a.mlpackage"
    shutil.copytree(saved, path)
    content = (saved / WEIGHTS).read_bytes()
    spec = specification(saved).mlProgram.functions["main"]
    assert not refused(path)
    assert len(spec.block_specializations[spec.opset].operations) > 5
    used = len(content.rstrip(b"\0"))
    for length in (*range(0, used, 37), used - 1):
        (path / WEIGHTS).write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"weight\.bin|empty"):
            evaluator.load(path)
    (path / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"'weight\.bin' cannot be read"):
        evaluator.load(path)


@pytest.mark.parametrize("file", [WEIGHTS, WEIGHTS.parents[1] / "model.mlmodel", "Manifest.json"])
def test_damaged_files_are_refused_or_read(file, saved, tmp_path):
    path = tmp_path / "a.mlpackage"
    shutil.copytree(saved, path)
    content = (saved / file).read_bytes()
    rng = np.random.default_rng(0)
    damaged = 0
    for _ in range(300):
        wrong = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            wrong[rng.integers(len(wrong))] = rng.integers(256)
        (path / file).write_bytes(wrong)
        damaged += refused(path)
    assert 0 < damaged < 300


# the format -------------------------------------------------------------------------------------


def test_the_schema_is_the_one_of_core_ml():
    """Each field of each message has the number, type and group that coremltools' has."""
    pairs = [(messages().Model.DESCRIPTOR, Model_pb2.Model.DESCRIPTOR)]
    seen = set()
    while pairs:
        ours, theirs = pairs.pop()
        if ours.full_name in seen:
            continue
        seen.add(ours.full_name)
        for field in ours.fields:
            other = theirs.fields_by_number[field.number]
            assert [field.name, kind(field), group(field)] == [
                other.name,
                kind(other),
                group(other),
            ]
            if field.message_type:
                pairs.append((field.message_type, other.message_type))
            if field.enum_type:
                assert values(field.enum_type).items() <= values(other.enum_type).items()
    listed = {name for name, made in vars(messages()).items() if hasattr(made, "DESCRIPTOR")}
    assert listed <= {name.rpartition(".")[2] for name in seen}


def kind(field):
    packed = field.is_packed if field.is_repeated else None
    # Enums whose names we do not use are plain int32 in ours, which is the same on the wire.
    type_ = 5 if field.name == "dataType" and "Array" in field.containing_type.name else field.type
    return type_, field.is_repeated, packed


def group(field):
    return field.containing_oneof and field.containing_oneof.name


def values(enum):
    return {value.name: value.number for value in enum.values}


def test_what_the_schema_does_not_have_is_kept(saved):
    content = (saved / MODEL).read_bytes()
    told = Model_pb2.Model.FromString(content)
    extra = b"\xba\x3e\x03abc"  # field 999, which no Model.proto has yet
    model = messages().Model.FromString(told.SerializeToString() + extra)
    again = model.SerializeToString()
    assert extra in again
    assert Model_pb2.Model.FromString(again) == Model_pb2.Model.FromString(
        told.SerializeToString() + extra
    )


# cost --------------------------------------------------------------------------------------------


def test_neither_coremltools_nor_tensorflow_is_imported(saved):
    code = f"""
import sys
from pathlib import Path
import numpy
from pocketknn.export.formats.coreml import evaluator
print(*evaluator.load(Path({str(saved)!r}))({{"x": numpy.ones((1, 64))}}))
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    outputs, modules = done.stdout.splitlines()
    assert outputs == "scores labels"
    assert not {"coremltools", "keras", "scipy", "tensorflow"} & set(modules.split())


def test_a_matrix_stays_in_its_file(tmp_path):
    weight = np.random.default_rng(0).normal(size=(48, 64)).astype(np.float32)
    package(tmp_path / "a.mlpackage", lambda x: mb.linear(x=x, weight=weight, name="y"))
    program = evaluator.load(tmp_path / "a.mlpackage")
    (matrix,) = (v for v in program._constants.values() if v.shape == weight.shape)
    np.testing.assert_array_equal(matrix, weight)
    while not isinstance(matrix, np.memmap):
        assert isinstance(matrix, np.ndarray)
        matrix = matrix.base
