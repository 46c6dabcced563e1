"""Every kernel of the Core ML evaluator on its own, from a saved one-op program, against an oracle.

The oracle is TensorFlow where it has the op, otherwise the definition written out in numpy.
Tolerance: 2e-6 of the largest value, a few float32 ulps, as sums are reordered.
"""

import functools
import itertools
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import tensorflow as tf
from coremltools.converters.mil import Builder as mb  # noqa: N813  (its name in every document)
from coremltools.converters.mil.mil import Function, Program, types
from numpy.typing import NDArray

from pocketknn.export.formats.coreml import evaluator
from pocketknn.export.formats.coreml.evaluator.kernels import KEEPING, KERNELS

Array = NDArray[Any]

TYPES = {
    np.dtype(np.float32): types.fp32,
    np.dtype(np.int32): types.int32,
    np.dtype(bool): types.int32,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    op: str
    feeds: Mapping[str, Array | list[Array]]
    oracle: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    target: Any = ct.target.iOS16
    note: str = ""


def tensor(value: Array) -> Any:
    """A program input of the value's type and shape; neither bool nor rank 0 is allowed there."""
    return mb.placeholder(shape=value.shape or (1,), dtype=TYPES[value.dtype])


def save(case: Case, path: Path) -> dict[str, Array]:
    """Saves a program of this one op; returns what to feed it."""
    feeds: dict[str, Array] = {}
    for name, value in case.feeds.items():
        if isinstance(value, list):
            feeds.update({f"{name}_{i}": part for i, part in enumerate(value)})
        else:
            feeds[name] = value
    with Function(
        {name: tensor(value) for name, value in feeds.items()}, opset_version=case.target
    ) as function:
        seen: dict[str, Any] = {}
        for name, value in feeds.items():
            var = function.inputs[name]
            var = var if value.ndim else mb.squeeze(x=var, axes=[0])
            seen[name] = mb.cast(x=var, dtype="bool") if value.dtype == bool else var
        given = {
            name: [seen[f"{name}_{i}"] for i in range(len(value))]
            if isinstance(value, list)
            else seen[name]
            for name, value in case.feeds.items()
        }
        results = getattr(mb, case.op)(**given, **case.params)
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        plain = [mb.cast(x=v, dtype="int32") if is_odd(v) else v for v in results]
        function.set_outputs([mb.identity(x=v, name=f"result_{i}") for i, v in enumerate(plain)])
    program = Program()
    program.add_function("main", function)
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=case.target,
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,  # otherwise the op might be replaced by another
        skip_model_load=True,
    )
    model.save(str(path))
    return {name: value.reshape(value.shape or (1,)) for name, value in feeds.items()}


def is_odd(var: Any) -> bool:
    return var.dtype in (types.bool, types.uint16, types.int16)


def same(got: Array, want: Any) -> None:
    want = np.asarray(want)
    if want.dtype.kind in "iub":
        np.testing.assert_array_equal(got, want.astype(np.int64))
    else:
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6 * np.abs(want).max())


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(*values: Any) -> Array:
    return np.array(values if len(values) > 1 else values[0], np.int32)


# oracles -----------------------------------------------------------------------------------------


def channels_last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1)


def channels_first(x: Any) -> Array:
    return np.moveaxis(np.asarray(x), -1, 1)


def tf_conv(stride: int, padding: str, dilation: int = 1) -> Callable[..., Array]:
    def oracle(x: Array, weight: Array, bias: Array) -> Array:
        filters = np.transpose(weight, (2, 3, 1, 0))
        y = tf.nn.conv2d(channels_last(x), filters, stride, padding, dilations=dilation)
        return channels_first(y + bias)

    return oracle


def tf_depthwise(stride: int, padding: str, dilation: int = 1) -> Callable[..., Array]:
    def oracle(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
        depth, many = x.shape[1], weight.shape[0] // x.shape[1]
        filters = np.transpose(weight.reshape(depth, many, *weight.shape[2:]), (2, 3, 0, 1))
        steps = (1, stride, stride, 1)
        gaps = (dilation, dilation)
        y = tf.nn.depthwise_conv2d(channels_last(x), filters, steps, padding, dilations=gaps)
        return channels_first(y + bias)

    return oracle


def mirrored(oracle: Callable[..., Array]) -> Callable[..., Array]:
    """same_lower equals same on mirrored input."""

    def turned(x: Array, weight: Array | None = None, **rest: Array) -> Array:
        more = rest if weight is None else {"weight": weight[..., ::-1, ::-1], **rest}
        return oracle(x=x[..., ::-1, ::-1], **more)[..., ::-1, ::-1]

    return turned


def loops(
    strides: tuple[int, ...],
    pad: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
) -> Callable[..., Array]:
    """Convolution by its definition, one product at a time, in float64."""

    def oracle(x: Array, weight: Array) -> Array:
        edges = list(zip(pad[::2], pad[1::2], strict=True))
        x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *edges])
        kernel, (outs, ins) = weight.shape[2:], weight.shape[:2]
        space = [
            (size - (k - 1) * d - 1) // s + 1
            for size, k, d, s in zip(x.shape[2:], kernel, dilations, strides, strict=True)
        ]
        y = np.zeros((x.shape[0], outs, *space))
        for o, at, tap, c in itertools.product(
            range(outs), np.ndindex(*space), np.ndindex(*kernel), range(ins)
        ):
            where = [a * s + t * d for a, s, t, d in zip(at, strides, tap, dilations, strict=True)]
            channel = o // (outs // groups) * ins + c
            y[(slice(None), o, *at)] += x[(slice(None), channel, *where)] * weight[(o, c, *tap)]
        return y

    return oracle


def tf_pool(kind: str, size: int, stride: int, padding: str) -> Callable[..., Array]:
    def oracle(x: Array) -> Array:
        return channels_first(
            tf.nn.pool(channels_last(x), [size, size], kind, [stride, stride], padding)
        )

    return oracle


def custom_pool(kind: str, exclude: bool = False) -> Callable[..., Array]:
    """3x3 windows, stride 2, one row above, two below, one column right."""

    def oracle(x: Array) -> Array:
        x = np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 1)], constant_values=np.nan)
        rows, columns = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
        y = np.empty((*x.shape[:2], rows, columns), x.dtype)
        for r, c in np.ndindex(rows, columns):
            window = x[:, :, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3]
            if kind == "MAX":
                y[:, :, r, c] = np.nanmax(window, axis=(2, 3))
            elif exclude:
                y[:, :, r, c] = np.nanmean(window, axis=(2, 3))
            else:
                y[:, :, r, c] = np.nansum(window, axis=(2, 3)) / 9
        return y

    return oracle


def top(k: int, **options: Any) -> Callable[..., Any]:
    def oracle(x: Array) -> Any:
        found = tf.math.top_k(-x if options.get("ascending") else x, k)
        return (-found.values if options.get("ascending") else found.values), found.indices

    return oracle


# cases -------------------------------------------------------------------------------------------

X = draw(2, 3, 5)
SLOPES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
POSITIVE = np.abs(X) + 0.1
PICTURE = draw(2, 4, 9, 8)
TIED = whole([[3, 1, 3, 2], [2, 2, 2, 5]]).astype(np.float32)
TRUTH = {"x": X[0] > 0, "y": X[1] > 0}


def one(op: str, oracle: Callable[..., Any], x: Array = X, **params: Any) -> Case:
    return Case(op=op, feeds={"x": x}, oracle=oracle, params=params)


def two(op: str, oracle: Callable[..., Any], x: Array = X, y: Array | None = None) -> Case:
    feeds = {"x": x, "y": draw(3, 1, seed=1) if y is None else y}
    return Case(op=op, feeds=feeds, oracle=oracle)


def weight(*shape: int) -> Array:
    return draw(*shape, seed=3)


ELEMENTWISE = [
    one("abs", tf.abs),
    one("cast", np.trunc, X * 3, dtype="int32"),
    one("cast", lambda x: x != 0, np.round(X), dtype="bool"),
    one("cast", lambda x: x, whole([5, -7]), dtype="fp32"),
    one("ceil", tf.math.ceil),
    one("elu", lambda x: np.where(x > 0, x, 0.5 * (np.exp(x.astype(float)) - 1)), alpha=0.5),
    one("erf", tf.math.erf),
    one("exp", tf.exp),
    one("floor", tf.floor),
    one("gelu", lambda x: tf.nn.gelu(x), mode="EXACT"),
    one("gelu", lambda x: tf.nn.gelu(x, approximate=True), mode="TANH_APPROXIMATION"),
    one("identity", tf.identity),
    one("inverse", lambda x: 1 / (x + 0.25), POSITIVE, epsilon=0.25),
    one("leaky_relu", lambda x: tf.nn.leaky_relu(x, 0.2), alpha=0.2),
    one("log", lambda x: tf.math.log(x + 0.5), POSITIVE, epsilon=0.5),
    one("log", tf.math.log, POSITIVE),
    one("logical_not", np.logical_not, X > 0),
    one("relu", tf.nn.relu),
    one("relu6", tf.nn.relu6, X * 5),
    one("round", tf.round, np.array([0.5, 1.5, -0.5, 2.4, -2.6], np.float32)),
    one("rsqrt", tf.math.rsqrt, POSITIVE),
    one("rsqrt", lambda x: 1 / np.sqrt(0.25 + x), POSITIVE * 0, epsilon=0.25),
    one("sigmoid", tf.sigmoid, X * 4),
    one("sign", tf.sign),
    one("silu", tf.nn.silu),
    one("softplus", tf.nn.softplus, X * 20),
    one("softsign", tf.nn.softsign),
    one("sqrt", tf.sqrt, POSITIVE),
    one("square", tf.square),
    one("tanh", tf.tanh),
    two("add", tf.add),
    two("equal", tf.equal, np.round(X), np.round(draw(3, 1))),
    two("floor_div", tf.math.floordiv),
    two("floor_div", tf.math.floordiv, whole([7, -7]), whole([2, 2])),
    two("greater", tf.greater),
    two("greater_equal", tf.greater_equal, np.round(X), np.round(draw(3, 1))),
    two("less", tf.less),
    two("less_equal", tf.less_equal, np.round(X), np.round(draw(3, 1))),
    *(
        Case(op=f"logical_{name}", feeds=TRUTH, oracle=getattr(np, f"logical_{name}"))
        for name in ("and", "or")
    ),
    two("maximum", tf.maximum),
    two("minimum", tf.minimum),
    two("mul", tf.multiply),
    two("not_equal", tf.not_equal, np.round(X), np.round(draw(3, 1))),
    two("pow", tf.pow, POSITIVE),
    two("real_div", tf.divide),
    two("sub", tf.subtract),
    Case(
        op="select",
        feeds={"cond": X > 0, "a": X, "b": draw(2, 3, 5, seed=2)},
        oracle=lambda cond, a, b: tf.where(cond, a, b),
    ),
]


def convolution(oracle: Callable[..., Any], w: Array, x: Array = PICTURE, **params: Any) -> Case:
    biased = oracle.__qualname__.startswith(("tf_conv", "tf_depthwise"))
    bias = {"bias": draw(w.shape[0], seed=4)} if biased else {}
    bound = functools.partial(oracle, weight=w, **bias)
    feeds = {"x": x}
    return Case(op="conv", feeds=feeds, oracle=bound, params={"weight": w, **bias, **params})


LAYERS = [
    *(
        convolution(
            tf_conv(stride, pad_type.upper(), dilation),
            weight(6, 4, size, size),
            strides=[stride] * 2,
            pad_type=pad_type,
            dilations=[dilation] * 2,
        )
        for size, stride, dilation in [
            (1, 1, 1),
            (1, 2, 1),
            (3, 1, 1),
            (3, 2, 1),
            (2, 2, 1),
            (3, 1, 2),
            (5, 3, 1),
        ]
        for pad_type in ("same", "valid")
    ),
    *(
        convolution(
            tf_depthwise(stride, pad_type.upper(), dilation),
            weight(4 * many, 1, size, size),
            strides=[stride] * 2,
            pad_type=pad_type,
            dilations=[dilation] * 2,
            groups=4,
        )
        for size, stride, dilation, many in [(3, 1, 1, 1), (3, 2, 1, 1), (5, 2, 1, 2), (3, 1, 2, 2)]
        for pad_type in ("same", "valid")
    ),
    convolution(
        mirrored(tf_depthwise(2, "SAME")),
        weight(4, 1, 3, 3),
        strides=[2, 2],
        pad_type="same_lower",
        groups=4,
    ),
    *(
        convolution(
            loops(strides, pad, dilations, groups),
            weight(6, 4 // groups, 3, 2),
            x=PICTURE[:1],
            strides=strides,
            pad_type="custom",
            pad=pad,
            dilations=dilations,
            groups=groups,
        )
        for strides, pad, dilations, groups in [
            ((1, 1), (1, 1, 1, 1), (1, 1), 1),
            ((2, 1), (0, 1, 2, 0), (1, 2), 1),
            ((2, 3), (1, 2, 0, 1), (2, 1), 2),
        ]
    ),
    *(  # depthwise, the last with two pictures
        convolution(
            loops(strides, pad, dilations, 4),
            weight(4 * many, 1, *kernel),
            x=PICTURE[:count],
            strides=strides,
            pad_type="custom",
            pad=pad,
            dilations=dilations,
            groups=4,
        )
        for strides, pad, dilations, kernel, many, count in [
            ((1, 1), (1, 1, 1, 1), (1, 1), (3, 3), 1, 1),
            ((2, 2), (0, 1, 0, 1), (1, 1), (3, 3), 1, 1),
            ((2, 1), (3, 0, 0, 2), (1, 3), (2, 3), 1, 1),
            ((3, 2), (1, 2, 2, 0), (2, 1), (3, 2), 3, 1),
            ((3, 4), (4, 3, 0, 0), (1, 2), (1, 4), 1, 1),
            ((5, 2), (0, 0, 1, 1), (1, 1), (9, 8), 2, 1),
            ((2, 3), (2, 1, 1, 3), (3, 2), (2, 3), 1, 2),
        ]
    ),
    *(
        convolution(
            loops(strides, pad, dilations, 3),
            weight(3, 1, *([2] * (x.ndim - 2))),
            x=x,
            strides=strides,
            pad_type="custom",
            pad=pad,
            dilations=dilations,
            groups=3,
        )
        for x, strides, pad, dilations in [
            (draw(1, 3, 8), (3,), (2, 1), (2,)),
            (draw(1, 3, 4, 5, 3), (2, 1, 2), (1, 0, 0, 1, 1, 1), (1, 2, 1)),
        ]
    ),
    convolution(
        loops((2,), (1, 0), (2,), 2),
        weight(4, 2, 3),
        x=PICTURE[:, :, 0],
        strides=(2,),
        pad_type="custom",
        pad=(1, 0),
        dilations=(2,),
        groups=2,
    ),
    *(
        one(
            op,
            tf_pool(kind, size, stride, pad_type.upper()),
            PICTURE,
            kernel_sizes=[size] * 2,
            strides=[stride] * 2,
            pad_type=pad_type,
            **({"exclude_padding_from_average": True} if kind == "AVG" else {}),
        )
        for op, kind in (("max_pool", "MAX"), ("avg_pool", "AVG"))
        for size, stride in ((2, 2), (3, 2), (3, 1))
        for pad_type in ("same", "valid")
    ),
    one(
        "max_pool",
        mirrored(tf_pool("MAX", 2, 2, "SAME")),
        PICTURE,
        kernel_sizes=[2, 2],
        strides=[2, 2],
        pad_type="same_lower",
    ),
    *(
        one(
            op,
            custom_pool(kind, exclude),
            PICTURE,
            kernel_sizes=[3, 3],
            strides=[2, 2],
            pad_type="custom",
            pad=[1, 2, 0, 1],
            **({"exclude_padding_from_average": exclude} if kind == "AVG" else {}),
        )
        for op, kind, exclude in (
            ("max_pool", "MAX", False),
            ("avg_pool", "AVG", False),
            ("avg_pool", "AVG", True),
        )
    ),
    one("softmax", tf.nn.softmax, X * 30, axis=-1),
    one("softmax", lambda x: tf.nn.softmax(x, axis=1), axis=1),
    one(
        "linear", lambda x: x @ weight(7, 5).T + 1, weight=weight(7, 5), bias=np.ones(7, np.float32)
    ),
    Case(
        op="matmul",
        feeds={"x": draw(2, 3, 5), "y": draw(2, 5, 4, seed=1)},
        oracle=lambda x, y: tf.matmul(x, y),
    ),
    Case(
        op="matmul",
        feeds={"x": draw(2, 5, 3), "y": draw(2, 4, 5, seed=1)},
        params={"transpose_x": True, "transpose_y": True},
        oracle=lambda x, y: tf.matmul(x, y, transpose_a=True, transpose_b=True),
    ),
]

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_log_sum_exp": tf.reduce_logsumexp,
    "reduce_max": tf.reduce_max,
    "reduce_mean": tf.reduce_mean,
    "reduce_min": tf.reduce_min,
    "reduce_prod": tf.reduce_prod,
    "reduce_sum": tf.reduce_sum,
}


def reduction(op: str, axes: list[int] | None, keep: bool) -> Case:
    def oracle(x: Array) -> Any:
        return REDUCTIONS[op](x, axis=axes, keepdims=keep)

    params = {"keep_dims": keep, **({} if axes is None else {"axes": axes})}
    return one(op, oracle, np.abs(X) + 0.5, **params)


ALONG_AXES = [
    *(
        reduction(op, axes, keep)
        for op in REDUCTIONS
        for axes, keep in (([-1], True), ([0, 2], False), ([1], False))
    ),
    reduction("reduce_sum", None, True),
    one("cumsum", lambda x: tf.cumsum(x, 1), axis=1),
    one(
        "cumsum",
        lambda x: tf.cumsum(x, -1, exclusive=True, reverse=True),
        axis=-1,
        exclusive=True,
        reverse=True,
    ),
    one("topk", top(3), TIED, k=3, axis=-1),
    one("topk", top(2, ascending=True), TIED, k=2, axis=1, ascending=True),
    one("topk", top(2), whole([[5, 9, 9, 1]]), k=2),
    one("topk", lambda x: top(3)(x)[0], TIED, k=3, return_indices=False),
    # without sort no order is guaranteed; the evaluator returns them by position
    one(
        "topk",
        lambda x: (x[:, 1:], whole([[1, 2, 3]] * 2)),
        draw(2, 4) * 0 + whole(0, 3, 1, 2).astype(np.float32),
        k=3,
        sort=False,
    ),
    Case(op="topk", feeds={"x": TIED}, oracle=top(3), params={"k": 3}, target=ct.target.iOS15),
]

INDEX = whole([[2, 0], [1, 1]])

MOVING = [
    Case(
        op="concat",
        feeds={"values": [X, draw(2, 2, 5, seed=1)]},
        params={"axis": 1},
        oracle=lambda values: tf.concat(values, 1),
    ),
    Case(
        op="stack",
        feeds={"values": [X, X + 1]},
        params={"axis": 1},
        oracle=lambda values: tf.stack(values, 1),
    ),
    one("expand_dims", lambda x: x[:, None, :, :, None], axes=[1, -1]),
    *(
        Case(
            op="gather",
            feeds={"x": x, "indices": indices},
            params={"axis": axis, **({"batch_dims": batch} if batch else {})},
            oracle=lambda x, indices, axis=axis, batch=batch: tf.gather(
                x, indices % x.shape[axis], axis=axis, batch_dims=batch
            ),
            target=target,
        )
        for x, indices, axis, batch, target in [
            (X, INDEX, 1, 0, ct.target.iOS15),
            (
                X,
                whole([-1, 0]),
                2,
                0,
                ct.target.iOS16,
            ),  # before iOS 17 negatives count from the end
            (X, INDEX, 1, 1, ct.target.iOS16),
            (X, INDEX, 2, 1, ct.target.iOS17),
            (whole([3, 1, 4, 1, 5]), INDEX, 0, 0, ct.target.iOS17),
        ]
    ),
    *(
        Case(
            op="one_hot",
            feeds={"indices": whole([[0, 2, 5], [-1, 1, 1]])},
            params={
                "one_hot_vector_size": 3,
                "axis": axis,
                "on_value": np.float32(2.0),
                "off_value": np.float32(-1.0),
            },
            oracle=lambda indices, axis=axis: tf.one_hot(indices, 3, 2.0, -1.0, axis),
        )
        for axis in (-1, 1)
    ),
    *(
        one("pad", oracle, pad=[1, 2, 3, 1], mode=mode, constant_val=np.float32(7))
        for mode, oracle in {
            "constant": lambda x: tf.pad(x, [(0, 0), (1, 2), (3, 1)], constant_values=7),
            "reflect": lambda x: tf.pad(x, [(0, 0), (1, 2), (3, 1)], "REFLECT"),
            "replicate": lambda x: x[:, [0, 0, 1, 2, 2, 2]][..., [0, 0, 0, 0, 1, 2, 3, 4, 4]],
        }.items()
    ),
    one("reshape", lambda x: tf.reshape(x, (5, 6)), shape=[5, -1]),
    one("reshape", lambda x: tf.reshape(x, (2, 5, 3)), shape=[0, 5, -1]),
    one("reverse", lambda x: tf.reverse(x, [0, 2]), axes=[0, 2]),
    one("reverse", lambda x: tf.reverse(x, [0, 1, 2])),
    one(
        "slice_by_index",
        lambda x: x[:, 2:0:-1, 1:4:2],
        begin=[1, 2, 1],
        end=[1, 0, 4],
        stride=[1, -1, 2],
        begin_mask=[True, False, False],
        end_mask=[True, False, False],
    ),
    one(
        "slice_by_index",
        lambda x: x[1, :, -2:],
        begin=[1, 0, -2],
        end=[0, 3, 5],
        squeeze_mask=[True, False, False],
    ),
    one("split", lambda x: tf.split(x, [1, 4], 2), axis=2, split_sizes=[1, 4]),
    one("split", lambda x: tf.split(x, 3, 1), axis=1, num_splits=3),
    one("squeeze", lambda x: tf.squeeze(x), draw(1, 3, 1, 2)),
    one("squeeze", lambda x: tf.squeeze(x, [2]), draw(1, 3, 1, 2), axes=[-2]),
    one("tile", lambda x: tf.tile(x, [2, 1, 3]), reps=[2, 1, 3]),
    one("transpose", lambda x: tf.transpose(x, [2, 0, 1]), perm=[2, 0, 1]),
]

CASES = [*ELEMENTWISE, *LAYERS, *ALONG_AXES, *MOVING]


@pytest.mark.parametrize("case", CASES, ids=[f"{c.op}-{i}" for i, c in enumerate(CASES)])
def test_kernel_agrees_with_its_oracle(case: Case, tmp_path: Path) -> None:
    feeds = save(case, tmp_path / "one.mlpackage")
    program = evaluator.load(tmp_path / "one.mlpackage")
    assert case.op in {step.op.type for step in program._steps}  # it was not optimised away
    found = program(feeds)
    wanted = case.oracle(*case.feeds.values())
    wanted = wanted if isinstance(wanted, (tuple, list)) else [wanted]
    assert len(found) == len(wanted)
    for i, want in enumerate(wanted):
        got = found[f"result_{i}"]
        assert isinstance(got, np.ndarray)
        assert got.shape == (tuple(np.shape(want)) or (1,)) or got.shape == np.shape(want)
        same(got, want)


@pytest.mark.parametrize("case", [c for c in CASES if c.op in KEEPING], ids=lambda case: case.op)
def test_results_that_need_no_rounding_are_in_the_input(case: Case) -> None:
    x = case.feeds["x"]
    known = [0, 6, case.params.get("constant_val", 0), *np.ravel(x)]
    assert np.isin(case.oracle(x), known).all()


def test_every_op_without_rounding_has_a_case() -> None:
    assert {case.op for case in CASES} >= KEEPING


@pytest.mark.parametrize("groups", [1, 4])
def test_a_window_larger_than_the_picture_is_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=r"larger than the picture, \(9, 8\)"):
        KERNELS["conv"](PICTURE, weight(4, 4 // groups, 3, 9), groups=groups)


@pytest.mark.parametrize(("size", "stride"), [(16, 1), (16, 2), (9, 1)])
@pytest.mark.parametrize("many", [1, 2])
def test_a_depthwise_convolution_adds_its_taps_in_order(many: int, size: int, stride: int) -> None:
    """Then it rounds as the plain definition, whatever the order of the axes in memory.

    On other processors, numpy may round a product and its addition only once.
    """
    x, w, bias = draw(2, 5, size, size), weight(5 * many, 1, 3, 3), draw(5 * many, seed=1)
    wide = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]).astype(np.float64)
    ends = range(0, size, stride)[-1] + 1
    total: Array = np.zeros((), np.float32)
    for i, j in np.ndindex(3, 3):
        moved = np.repeat(wide[:, :, i : i + ends : stride, j : j + ends : stride], many, 1)
        total = (total + (moved * w[:, 0, i, j, None, None]).astype(np.float32)).astype(np.float32)
    total += bias[:, None, None]
    how = {"strides": [stride] * 2, "pad_type": "custom", "pad": [1] * 4, "groups": 5}
    found = KERNELS["conv"](x, w, bias, **how)
    other = KERNELS["conv"](channels_first(channels_last(x).copy()), w, bias, **how)
    np.testing.assert_array_equal(found, other)
    same(found, total)
    if platform.machine() == "x86_64":
        np.testing.assert_array_equal(found, total)


def test_negative_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="negative padding"):
        KERNELS["pad"](PICTURE, pad=[1, -1])
    with pytest.raises(ValueError, match="negative padding"):
        KERNELS["conv"](PICTURE, weight(4, 4, 1, 1), pad_type="custom", pad=[0, 0, -1, 1])


@pytest.mark.parametrize("given", [0, -2])
@pytest.mark.parametrize(
    ("op", "name", "params"),
    [
        ("conv", "strides", {"weight": weight(4, 4, 2, 2)}),
        ("conv", "dilations", {"weight": weight(4, 4, 2, 2)}),
        ("conv", "dilations", {"weight": weight(4, 1, 2, 2), "groups": 4}),
        ("max_pool", "strides", {"kernel_sizes": [2, 2]}),
        ("avg_pool", "kernel_sizes", {}),
    ],
)
def test_a_window_that_would_leave_the_picture_is_refused(
    op: str, name: str, params: dict[str, Any], given: int
) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be at least 1, not \({given}, {given}\)"):
        KERNELS[op](PICTURE, pad_type="same", **params, **{name: [given, given]})


def test_every_kernel_has_a_case() -> None:
    elsewhere = {"classify"}  # needs a classifier's interface: see test_mil.py
    assert {case.op for case in CASES} | elsewhere == set(KERNELS)
