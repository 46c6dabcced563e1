"""Step two of the recipe: train the small MobileNetV2 from random weights.

    KERAS_BACKEND=torch python train.py --work WORK_DIR --out mobilenet_v2_0.5_96.npz

WORK_DIR was written by prepare.py. The student is the stock
`keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None)`; input [-1, 1].
Student and teacher see the same crop. The losses train the pooled embedding itself, as that is
what a nearest-neighbour model compares:

- relational: the student's cosine similarities within the batch, as a distribution per picture,
  follow those of the teacher's centred features;
- regression: the student's features, through one batch norm without learned scale, point in the
  direction of the teacher's standardised features;
- places: the same for each of the 3 x 3 places of the last feature map before pooling, which gives
  nine times as many targets per picture (left out if the student's map has another size);
- labels: a linear classifier on those normalised features.

The schedule follows the clock (`--minutes`), so a run ends on time even on a busy machine.
With the checkpoint beside `--out`, `--resume` continues a run, counting the time already spent.
Runs on every Keras backend with an eager gradient (TensorFlow, PyTorch). Under PyTorch, PyTorch's
own operations run the graph of the Keras model on the same variables. `--bfloat16` makes them
compute in that type and use fused.py, and `--workers 2` trains with two processes that average
their gradients. On a CPU, an allocator that keeps freed memory for a while (tcmalloc by LD_PRELOAD)
saves a quarter of the time.

A run can start from the weights of an earlier one (`--start`); with `--front` it then trains
only the layers after the named one, several times as fast.
"""

# ruff: noqa: ANN401 (Keras and its backends come without types)
from __future__ import annotations

import argparse
import hashlib
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fused
import keras
import numpy as np
import prepare
from common import add_options, heads, held_out, judgement, leave_one_out, load, rate_at
from keras import ops

Array = np.ndarray[Any, Any]
FEATURES = 1280


class Pictures(prepare.Store):
    """The decoded pictures and, for each view, their crops and the teacher's features."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.work = work
        self.views: list[dict[str, Array]] = []
        self.load_views()

    def load_views(self) -> None:
        """Load the views that exist (prepare.py may still be adding some)."""
        before = len(self.views)
        while (path := self.work / f"view-{len(self.views)}.npz").exists():
            with np.load(path) as view:
                arrays = {name: view[name] for name in ("row", "box", "tone", "feature")}
            arrays["places"] = np.load(self.work / f"places-{len(self.views)}.npy", mmap_mode="r")
            self.views.append(arrays)
        if len(self.views) > before:
            # every crop of every picture, sorted by picture: its view, and its position in it
            row = np.concatenate([view["row"] for view in self.views])
            order = np.argsort(row, kind="stable")
            number = [np.full(len(v["row"]), i) for i, v in enumerate(self.views)]
            inside = [np.arange(len(v["row"])) for v in self.views]
            self.where = np.stack([np.concatenate(number), np.concatenate(inside)], axis=1)[order]
            self.first = np.searchsorted(row[order], np.arange(len(self.label) + 1))

    def draw(self, row: int, rng: np.random.Generator) -> tuple[int, int]:
        """A random crop of a picture: its view, and its position in the view."""
        view, inside = self.where[rng.integers(self.first[row], self.first[row + 1])]
        return int(view), int(inside)

    def moments(self, rows: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Mean and standard deviation of the teacher's pooled features, and of its places."""
        chosen = rows[:: max(1, len(rows) // 8192)]
        pooled = self.views[0]["feature"][chosen].astype(np.float32)
        places = 6.0 * (self.views[0]["places"][chosen] / np.float32(255.0)) ** 2
        return (
            (pooled.mean(axis=0), pooled.std(axis=0) + 0.02),
            (places.mean(axis=(0, 1, 2)), places.std(axis=(0, 1, 2)) + 0.05),
        )


def grouped_rows(label: Array, rows: Array, rng: np.random.Generator, group: int) -> Iterator[int]:
    """Yield rows without end; in each epoch every row begins one group of its class."""
    by_class = {int(c): rows[label[rows] == c] for c in np.unique(label[rows])}
    while True:
        for head in rng.permutation(rows):
            mates = by_class[int(label[head])]
            yield int(head)
            for _ in range(min(group, len(mates)) - 1):
                yield int(rng.choice(mates))


def jitter(batch: Array, rng: np.random.Generator) -> Array:
    """Slightly change contrast and brightness, and scale to [-1, 1]."""
    gain = rng.uniform(0.85, 1.15, (len(batch), 1, 1, 1)).astype(np.float32) / 127.5
    shift = rng.uniform(-0.1, 0.1, (len(batch), 1, 1, 1)).astype(np.float32)
    floats = batch.astype(np.float32) - 127.5
    return np.asarray(np.clip(floats * gain + shift, -1.0, 1.0))


class Front:
    """The frozen first layers of a network that was loaded with `--start`.

    They learn first and cost most (large maps), so a long stage can train only the layers after
    them. Their output for every crop and its mirror image is computed once and stored as float16
    beside the views.
    """

    def __init__(
        self, model: Any, layer: str, pictures: Pictures, options: argparse.Namespace
    ) -> None:
        self.model = keras.Model(model.inputs, model.get_layer(layer).output)
        self.pictures, self.size = pictures, options.size
        digest = hashlib.sha256(options.start.read_bytes()).hexdigest()[:8]
        self.name = f"front-{digest}-{layer}-{options.size}"
        self.maps: list[Array] = []
        self.run: Callable[[Array], Array] = lambda x: np.asarray(self.model(x))
        if keras.backend.backend() == "torch":
            import torch  # type: ignore[import-not-found, unused-ignore]

            forward = torch_forward(self.model, low=False, training=False)

            def run(x: Array) -> Array:
                with torch.no_grad():
                    return np.asarray(forward(torch.from_numpy(x)))

            self.run = run

    def path(self, view: int) -> Path:
        """The file with the maps of a view: (crops, 2, height, width, channels)."""
        return self.pictures.work / f"{self.name}-{view}.npy"

    def make(self, view: int) -> None:
        """Compute and write the maps of one view, if they do not exist."""
        if self.path(view).exists():
            return
        part = self.path(view).with_suffix(".part.npy")
        crops = self.pictures.views[view]
        out: Array | None = None
        for start in range(0, len(crops["row"]), 64):
            span = range(start, min(start + 64, len(crops["row"])))
            pixels = np.stack([self.pictures.crop(crops, i, self.size) for i in span])
            both = np.concatenate([pixels, pixels[:, :, ::-1]]).astype(np.float32) / 127.5 - 1.0
            made = self.run(both)
            if out is None:
                shape = (len(crops["row"]), 2, *made.shape[1:])
                out = np.lib.format.open_memmap(part, "w+", np.float16, shape)
            out[start : span.stop, 0] = made[: len(span)]
            out[start : span.stop, 1] = made[len(span) :]
        part.replace(self.path(view))

    def load(self) -> None:
        """Load the maps that exist."""
        while self.path(len(self.maps)).exists():
            self.maps.append(np.load(self.path(len(self.maps)), mmap_mode="r"))


@dataclass
class Batch:
    """Pictures (or the front's maps of them), the teacher's features and places, labels."""

    source: Array
    feature: Array
    places: Array
    label: Array


def batches(
    pictures: Pictures,
    front: Front | None,
    rows: Array,
    options: argparse.Namespace,
    seed: list[int],
    size: Callable[[], int],
) -> Iterator[Batch]:
    """Endless batches, prepared ahead by a thread."""
    ready: queue.Queue[Batch] = queue.Queue(3)

    def work() -> None:
        rng = np.random.default_rng(seed)
        source = grouped_rows(pictures.label, rows, rng, options.group)
        while True:
            chosen = [next(source) for _ in range(options.batch)]
            crops = [pictures.draw(row, rng) for row in chosen]
            mirrored = rng.random(len(crops)) < 0.5
            if front is not None:
                maps = [front.maps[v][i, int(m)] for (v, i), m in zip(crops, mirrored, strict=True)]
                source_maps = np.stack(maps).astype(np.float32)
            else:
                pixels = np.stack([pictures.crop(pictures.views[v], i, size()) for v, i in crops])
                pixels[mirrored] = pixels[mirrored, :, ::-1]
                source_maps = jitter(pixels, rng)
            places = np.stack([pictures.views[v]["places"][i] for v, i in crops])
            places[mirrored] = places[mirrored, :, ::-1]
            feature = np.stack([pictures.views[v]["feature"][i] for v, i in crops])
            label = pictures.label[chosen].astype(np.int64)
            ready.put(Batch(source_maps, feature.astype(np.float32), places, label))

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield ready.get()


def cosine(a: Any, b: Any) -> Any:
    """Cosine similarity along the last axis."""
    lengths = ops.sum(ops.square(a), axis=-1) * ops.sum(ops.square(b), axis=-1)
    return ops.sum(a * b, axis=-1) / (ops.sqrt(lengths) + 1e-6)


class Objective(keras.layers.Layer):  # type: ignore[misc]
    """The four losses on top of the last feature map, with the variables they need.

    `pooled` and `places` are each a mean and a standard deviation, of the teacher's features.
    """

    def __init__(
        self,
        pooled: tuple[Array, Array],
        places: tuple[Array, Array],
        classes: int,
        weights: list[float],
    ) -> None:
        super().__init__(name="objective")
        self.pooled, self.places, self.parts = pooled, places, weights
        self.norms = [
            keras.layers.BatchNormalization(
                center=False, scale=False, momentum=0.95, epsilon=1e-5, name=name
            )
            for name in ("of_pooled", "of_places")
        ]
        self.classifier = keras.layers.Dense(classes)
        for layer in (*self.norms, self.classifier):
            layer.build((None, FEATURES))
        self.sharpness = self.add_weight(shape=(), initializer="zeros", name="sharpness")

    def call(self, seen: Any, feature: Any, places: Any, label: Any, known: Any) -> Any:
        """The weighted sum of the losses of one batch, and the four parts.

        `seen` is the student's last map (n, h, w, 1280); `feature` (n, 1280) and `places`
        (n, 3, 3, 1280) are the teacher's; `known` is 0 where a label must not be used.
        """
        student = ops.mean(seen, axis=(1, 2))
        centred = feature - ops.convert_to_tensor(self.pooled[0])
        eye = ops.eye(ops.shape(student)[0]) * 1e9

        def similarities(rows: Any) -> Any:
            unit = rows / (ops.sqrt(ops.sum(ops.square(rows), axis=1, keepdims=True)) + 1e-6)
            return ops.matmul(unit, ops.transpose(unit))

        target = ops.softmax(similarities(centred) / 0.1 - eye, axis=1)
        scale = 20.0 * ops.exp(self.sharpness)
        scores = ops.log_softmax(similarities(student) * scale - eye, axis=1)
        own = ops.sum(target * ops.log(target + 1e-9), axis=1)
        relational = ops.mean(own - ops.sum(target * ops.maximum(scores, -50.0), axis=1))

        normed = self.norms[0](student, training=True)
        regression = ops.mean(1.0 - cosine(normed, centred / self.pooled[1]))

        local = ops.zeros(())
        if self.parts[2] and tuple(seen.shape[1:3]) == (3, 3):
            wanted = (places - ops.convert_to_tensor(self.places[0])) / self.places[1]
            rows = self.norms[1](ops.reshape(seen, (-1, FEATURES)), training=True)
            local = ops.mean(1.0 - cosine(rows, ops.reshape(wanted, (-1, FEATURES))))

        chances = ops.log_softmax(self.classifier(normed), axis=1)
        picked = ops.take_along_axis(chances, ops.expand_dims(label, 1), axis=1)[:, 0]
        loss = -0.9 * picked - 0.1 * ops.mean(chances, axis=1)
        labels = ops.sum(loss * known) / (ops.sum(known) + 1e-6)
        parts = [relational, regression, local, labels]
        return sum(w * p for w, p in zip(self.parts, parts, strict=True)), ops.stack(parts)


def places_value(stored: Any) -> Any:
    """Decode the teacher's places from bytes."""
    return 6.0 * ops.square(ops.cast(stored, "float32") / 255.0)


class ConvMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for the 1x1 convolutions, AdamW for everything else."""

    def _should_use_adamw(self, variable: Any) -> bool:
        shape = tuple(variable.shape)
        pointwise = len(shape) == 4 and shape[:2] == (1, 1)
        return not pointwise

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        shape = tuple(variable.shape)
        self.assign(m, m * self.momentum + gradient)
        mixed = ops.reshape(gradient + self.momentum * m, shape[-2:])
        # the orthogonalisation tolerates bfloat16, and takes most of an update's time
        update = self.zeropower_via_newtonschulz5(ops.cast(mixed, "bfloat16"), self.ns_steps)
        update = ops.cast(update, gradient.dtype) * (0.2 * max(shape[-2:]) ** 0.5)
        self.assign_sub(variable, ops.reshape(lr * update, shape))


def make_optimizer(name: str, rate: float, decay: float) -> Any:
    """The optimizer by name; batch norm and bias variables are not decayed."""
    if name == "muon":
        made: Any = ConvMuon(
            learning_rate=rate,
            weight_decay=decay,
            adam_weight_decay=decay,
            adam_beta_2=0.99,
            adam_lr_ratio=0.5,
        )
    else:
        made = keras.optimizers.AdamW(learning_rate=rate, weight_decay=decay, beta_2=0.99)
    made.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "sharpness"])
    return made


def torch_forward(model: Any, low: bool, training: bool = True) -> Callable[[Any], Any]:
    """The forward pass of a Keras MobileNetV2, or of its end, in PyTorch on the same variables.

    Strided depthwise convolutions stay in float32: their bfloat16 gradient is many times
    slower on CPUs.
    """
    import torch  # type: ignore[import-not-found, unused-ignore]
    from torch.nn import functional as tf  # type: ignore[import-not-found, unused-ignore]

    half = torch.bfloat16 if low else torch.float32
    norm = fused.operation() if low and training else None
    steps: list[tuple[str, str, list[str], tuple[Any, ...]]] = []
    for layer in model.layers[1:]:
        inputs = [t._keras_history.operation.name for t in layer._inbound_nodes[-1].input_tensors]
        kind = type(layer).__name__
        data: tuple[Any, ...] = ()
        if kind in ("Conv2D", "DepthwiseConv2D"):
            data = (layer.kernel.value, layer.strides[0], layer.padding)
        elif kind == "BatchNormalization":
            stats = (layer.moving_mean.value, layer.moving_variance.value)
            data = (*stats, layer.gamma.value, layer.beta.value, 1 - layer.momentum, layer.epsilon)
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = layer.padding
            data = (left, right, top, bottom)
        steps.append((kind, layer.name, inputs, data))
    cut = {inputs[0] for kind, _, inputs, _ in steps if kind == "ReLU"}
    source = model.layers[0].name

    def forward(x: Any) -> Any:
        done = {source: x.permute(0, 3, 1, 2).to(half)}
        for kind, name, inputs, data in steps:
            y = done[inputs[0]]
            if kind == "Conv2D":
                kernel, stride, _ = data
                if stride == 2:
                    y = tf.pad(y, (0, 1, 0, 1))
                y = tf.conv2d(y, kernel.permute(3, 2, 0, 1).to(half), None, stride)
            elif kind == "DepthwiseConv2D":
                kernel, stride, padding = data
                kind_of = torch.float32 if stride == 2 else half
                weight = kernel.permute(2, 3, 0, 1).to(kind_of)
                edge = 1 if padding == "same" else 0
                y = tf.conv2d(y.to(kind_of), weight, None, stride, edge, 1, y.shape[1]).to(half)
            elif kind == "BatchNormalization":
                mean, variance, gamma, beta, momentum, epsilon = data
                if norm is not None:
                    y = norm(y, *data, name in cut)
                else:
                    y = tf.batch_norm(y, mean, variance, gamma, beta, training, momentum, epsilon)
            elif kind == "ReLU":
                y = y if norm is not None else tf.relu6(y)
            elif kind == "ZeroPadding2D":
                y = tf.pad(y, data)
            elif kind == "Add":
                y = y + done[inputs[1]]
            else:
                raise NotImplementedError(kind)
            done[name] = y
        return y.permute(0, 2, 3, 1).float()

    return forward


def make_step(
    model: Any, objective: Objective, optimizer: Any, options: argparse.Namespace
) -> Callable[[Batch, Array], Array]:
    """The training step of the active backend: one batch in, the four losses out."""
    variables = [*model.trainable_variables, *objective.trainable_variables]
    optimizer.build(variables)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def graph(x: Any, f: Any, p: Any, y: Any, k: Any) -> Any:
            with tf.GradientTape() as tape:
                loss, parts = objective(model(x, training=True), f, places_value(p), y, k)
            optimizer.apply(tape.gradient(loss, variables), variables)
            return parts

        def tf_step(batch: Batch, known: Array) -> Array:
            label = batch.label
            parts = graph(batch.source, batch.feature, batch.places, label, known[label])
            return np.asarray(parts)

        return tf_step

    import torch  # type: ignore[import-not-found, unused-ignore]

    forward = torch_forward(model, low=options.bfloat16)

    def torch_step(batch: Batch, known: Array) -> Array:
        arrays = (batch.source, batch.feature, batch.places, batch.label, known[batch.label])
        x, f, p, y, k = (torch.from_numpy(np.ascontiguousarray(part)) for part in arrays)
        loss, parts = objective(forward(x), f, places_value(p), y, k)
        loss.backward()
        values = [v.value for v in variables]
        gradients = [v.grad if v.grad is not None else torch.zeros_like(v) for v in values]
        if options.workers > 1:
            flat = torch.cat([g.reshape(-1) for g in gradients])
            torch.distributed.all_reduce(flat)
            flat /= options.workers
            pieces = torch.split(flat, [g.numel() for g in gradients])
            gradients = [p.reshape(g.shape) for p, g in zip(pieces, gradients, strict=True)]
        with torch.no_grad():
            optimizer.apply(gradients, variables)
        for value in values:
            value.grad = None
        return np.asarray(parts.detach().numpy())

    return torch_step


class Validation:
    """Measure 5-NN accuracy, and agreement with the teacher, on held-out centre squares."""

    def __init__(self, pictures: Pictures, rows: Array, size: int) -> None:
        # the first view has the centre square of every picture, in order
        self.pixels = np.stack([pictures.crop(pictures.views[0], row, size) for row in rows])
        self.label = pictures.label[rows]
        teacher = pictures.views[0]["feature"][rows].astype(np.float32)
        self.teacher = leave_one_out(teacher - teacher.mean(axis=0), self.label)[1]

    def __call__(self, model: Any) -> str:
        """One line with the current figures of the model."""
        return judgement(embed(model, self.pixels), self.label, self.teacher)


def embed(model: Any, pixels: Array) -> Array:
    """Pooled embeddings of uint8 pictures."""
    parts = [
        ops.convert_to_numpy(model(pixels[i : i + 64].astype(np.float32) / 127.5 - 1.0))
        for i in range(0, len(pixels), 64)
    ]
    return np.concatenate(parts)


class Average:
    """A moving average of the model's trainable weights."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.values = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]

    def update(self, keep: float) -> None:
        """Move towards the current weights."""
        for value, variable in zip(self.values, self.model.trainable_variables, strict=True):
            value += (1.0 - keep) * (ops.convert_to_numpy(variable) - value)

    def swap(self) -> None:
        """Exchange the averaged weights with the model's."""
        for i, variable in enumerate(self.model.trainable_variables):
            now = ops.convert_to_numpy(variable).copy()
            variable.assign(self.values[i])
            self.values[i] = now


def recalibrate(model: Any, data: list[Array]) -> None:
    """Recompute every batch norm's statistics, as the mean over some batches."""
    layers = [la for la in model.layers if isinstance(la, keras.layers.BatchNormalization)]
    sums: list[list[Array]] = []
    for batch in data:
        kept = [layer.momentum for layer in layers]
        for layer in layers:
            layer.momentum = 0.0
        model(batch, training=True)
        for layer, momentum in zip(layers, kept, strict=True):
            layer.momentum = momentum
        now = [
            [ops.convert_to_numpy(layer.moving_mean).copy() for layer in layers],
            [ops.convert_to_numpy(layer.moving_variance).copy() for layer in layers],
        ]
        sums.append([*now[0], *now[1]])
    means = [np.mean([s[i] for s in sums], axis=0) for i in range(len(sums[0]))]
    for i, layer in enumerate(layers):
        layer.moving_mean.assign(means[i])
        layer.moving_variance.assign(means[len(layers) + i])


def export(model: Any, path: Path) -> None:
    """Write the weights as float16, keyed `layer/variable`, in the order of layer.weights."""
    arrays = {
        f"{layer.name}/{variable.name}": ops.convert_to_numpy(variable).astype(np.float16)
        for layer in model.layers
        for variable in layer.weights
    }
    np.savez_compressed(path, **arrays)


def size_at(progress: float, sizes: list[int], shares: list[float]) -> int:
    """The picture size at this point of the run."""
    for size, end in zip(sizes, np.cumsum(shares), strict=True):
        if progress < end:
            return size
    return sizes[-1]


class Checkpoint:
    """All state of a run in one npz file (arrays only)."""

    def __init__(
        self, path: Path, model: Any, objective: Any, optimizer: Any, average: Average
    ) -> None:
        self.path, self.average = path, average
        self.variables = [*model.variables, *objective.variables, *optimizer.variables]

    def save(self, elapsed: float, step: int) -> None:
        """Write the state."""
        arrays = {f"v{i}": ops.convert_to_numpy(v) for i, v in enumerate(self.variables)}
        arrays |= {f"a{i}": v for i, v in enumerate(self.average.values)}
        part = self.path.with_suffix(".part.npz")
        np.savez(part, elapsed=elapsed, step=step, **arrays)
        part.replace(self.path)

    def load(self) -> tuple[float, int]:
        """Read the state; returns the seconds spent and the number of steps."""
        with np.load(self.path) as state:
            for i, variable in enumerate(self.variables):
                variable.assign(state[f"v{i}"])
            self.average.values = [state[f"a{i}"] for i in range(len(self.average.values))]
            return float(state["elapsed"]), int(state["step"])


def train(rank: int, options: argparse.Namespace, meeting: str) -> None:
    """One training process; the process of rank 0 validates, writes and reports."""
    keras.utils.set_random_seed(options.seed)
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(options.threads)
        if options.workers > 1:
            torch.distributed.init_process_group(
                "gloo", init_method=meeting, rank=rank, world_size=options.workers
            )
    pictures = Pictures(options.work)
    rows, validation_rows, known = held_out(pictures.label, pictures.names)

    side = None if options.early_sizes else options.size
    model = keras.applications.MobileNetV2(
        input_shape=(side, side, 3),
        alpha=options.alpha,
        include_top=False,
        pooling="avg",
        weights=None,
    )
    if options.start:
        load(model, options.start)
    last = model.layers[-2].output
    trained, front = keras.Model(model.inputs, last), None
    if options.front:
        front = Front(model, options.front, pictures, options)
        for view in range(rank, len(pictures.views), options.workers):
            front.make(view)
            if rank == 0:
                print(f"front of view {view}", flush=True)
        if options.workers > 1:
            torch.distributed.barrier()
        front.load()
        trained = keras.Model(model.get_layer(options.front).output, last)
    objective = Objective(*pictures.moments(rows), len(pictures.names), options.weights)
    optimizer = make_optimizer(options.optimizer, options.rate, options.decay)
    step_function = make_step(trained, objective, optimizer, options)
    average = Average(trained)
    state = Checkpoint(options.out.with_suffix(".state.npz"), model, objective, optimizer, average)
    spent, step = state.load() if options.resume and state.path.exists() else (0.0, 0)
    validation = Validation(pictures, validation_rows, options.size)
    sizes = [*options.early_sizes, options.size]
    budget = options.minutes * 60.0
    started = time.monotonic() - spent
    progress = spent / budget
    source = batches(
        pictures,
        front,
        heads(rows, pictures.label, pictures.names, options.rich),
        options,
        [options.seed, rank, step],
        lambda: size_at(progress, sizes, options.shares),
    )

    def report(line: str) -> None:
        if rank == 0:
            print(f"{(time.monotonic() - started) / 60:6.1f} min  {line}", flush=True)

    def judge(label: str) -> None:
        if rank == 0:
            average.swap()
            kept = [ops.convert_to_numpy(v).copy() for v in model.non_trainable_variables]
            recalibrate(trained, [next(source).source for _ in range(4)])
            report(f"{label}: {validation(model)}")
            export(model, options.out)
            for variable, value in zip(model.non_trainable_variables, kept, strict=True):
                variable.assign(value)
            average.swap()

    report(f"{len(rows)} pictures, {model.count_params()} parameters, step {step}")
    sums, count, seen = np.zeros(4), 0, 0
    said = judged = time.monotonic()
    while True:
        progress = (time.monotonic() - started) / budget
        if options.workers > 1:
            import torch

            shared = torch.tensor([progress], dtype=torch.float64)
            torch.distributed.broadcast(shared, 0)
            progress = float(shared[0])
        if progress >= 1.0:
            break
        optimizer.learning_rate.assign(options.rate * rate_at(progress))
        sums += step_function(next(source), known)
        step, count, seen = step + 1, count + 1, seen + options.batch * options.workers
        average.update(min(options.keep, (1.0 + step) / (10.0 + step)))
        now = time.monotonic()
        if now - said > 30:
            parts = " ".join(f"{v:.4f}" for v in sums / count)
            side = size_at(progress, sizes, options.shares)
            report(f"step {step} size {side} losses {parts} {seen / (now - said):.0f} pictures/s")
            sums, count, seen, said = np.zeros(4), 0, 0, now
        if rank == 0 and now - judged > options.judge_every:
            judge(f"step {step}")
            state.save(time.monotonic() - started, step)
            judged = time.monotonic()
    if rank == 0:
        average.swap()
        recalibrate(trained, [next(source).source for _ in range(20)])
        export(model, options.out)
        pictures_seen = step * options.batch * options.workers
        report(f"end, step {step}, {pictures_seen} pictures: {validation(model)}")
        state.save(budget, step)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder written by prepare.py")
    add_options(parser, minutes=75.0, rich=4, rate=0.005, judge_every=300.0)
    parser.add_argument("--size", type=int, default=96, help="last training size, and validation's")
    parser.add_argument("--early-sizes", type=int, nargs="*", default=[])
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="of time, per size")
    parser.add_argument("--start", type=Path, help="the .npz of an earlier stage to start from")
    parser.add_argument("--front", help="freeze --start's layers up to this one")
    parser.add_argument("--batch", type=int, default=128, help="per worker")
    parser.add_argument("--group", type=int, default=4, help="pictures of one class in a row")
    parser.add_argument("--optimizer", choices=["adamw", "muon"], default="muon")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--workers", type=int, default=1, help="processes (PyTorch only)")
    parser.add_argument("--threads", type=int, default=1, help="per process (PyTorch only)")
    parser.add_argument("--bfloat16", action="store_true", help="(PyTorch only)")
    options = parser.parse_args()
    if keras.backend.backend() != "torch" and options.workers > 1:
        parser.error("--workers needs the PyTorch backend")
    if len(options.shares) != len(options.early_sizes) + 1:
        parser.error("--shares needs one number per size")
    if options.front and (not options.start or options.early_sizes):
        parser.error("--front needs --start and a single size")
    if options.workers == 1:
        train(0, options, "")
        return
    import torch  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            train, (options, f"file://{folder}/meeting"), nprocs=options.workers
        )


if __name__ == "__main__":
    main()
