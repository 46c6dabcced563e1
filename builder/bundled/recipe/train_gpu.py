"""The last stage of the recipe, for one GPU: student and teacher side by side, in plain PyTorch.

    python train_gpu.py --data DISTILL_DIR --teacher WEIGHTS.h5 --start STAGE.npz --out OUT.npz

The teacher runs beside the student, so crops are always new (the teacher sees each crop once, the
student twice, once mirrored), and both can see pictures that are in no file: two pictures
blended, one with a patch of another, or four tiled. A few kinds of objects give many mixtures, and
the teacher has features for all of them (Beyer et al. 2022, "Knowledge distillation: a good teacher
is patient and consistent").

Losses, optimizer and schedule are those of train.py, which explains them; the schedule follows
the clock here too. The teacher sees crops at twice the student's size; the student's pixels are
means of four, as sharp as Pillow's crops, which matters a lot. The optimizer is not stored; to
continue an interrupted run, pass the weights of its last check to `--start`.

Needs PyTorch, h5py, numpy and Pillow; without a GPU it runs, slowly.
"""

# ruff: noqa: ANN401 (PyTorch is not installed where types are checked)
from __future__ import annotations

import argparse
import collections
import itertools
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from common import add_options, heads, held_out, judgement, leave_one_out, rate_at
from prepare import centre_boxes, decode, random_boxes, thirds
from torch import nn  # type: ignore[import-not-found, unused-ignore]
from torch.nn import functional as fn  # type: ignore[import-not-found, unused-ignore]

Array = np.ndarray[Any, Any]
Tensor = Any
FEATURES = 1280
SIZE = 96  # gives the student's last map 3 x 3 places


# -- the network ------------------------------------------------------------------------------


class Unit(nn.Module):  # type: ignore[misc, unused-ignore]
    """Convolution, batch norm and usually ReLU6, under their names in the Keras network."""

    def __init__(
        self, names: tuple[str, str], shape: tuple[int, ...], stride: int, relu: bool
    ) -> None:
        super().__init__()
        self.names, self.stride, self.relu = names, stride, relu
        self.depthwise = shape[1] == 1
        self.kernel = nn.Parameter(torch.zeros(shape))
        self.gamma, self.beta = (nn.Parameter(f(shape[0])) for f in (torch.ones, torch.zeros))
        self.register_buffer("moving_mean", torch.zeros(shape[0]))
        self.register_buffer("moving_variance", torch.ones(shape[0]))

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, padded as Keras pads even sides."""
        side = self.kernel.shape[-1]
        padding = 0 if side == 1 else 1
        if self.stride == 2:
            x, padding = fn.pad(x, (0, 1, 0, 1)), 0
        groups = x.shape[1] if self.depthwise else 1
        return fn.conv2d(x, self.kernel.to(x.dtype), None, self.stride, padding, 1, groups)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolve(x)
        moving = (None, None) if self.training else (self.moving_mean, self.moving_variance)
        x = fn.batch_norm(x, *moving, self.gamma, self.beta, self.training, 0.0, 1e-3)
        return fn.relu6(x) if self.relu else x


def eighths(channels: float) -> int:
    """The number of channels as a multiple of eight, at most a tenth below the one wanted."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class MobileNetV2(nn.Module):  # type: ignore[misc, unused-ignore]
    """The stock Keras MobileNetV2 without its top: (n, 3, h, w) in [-1, 1] to the last map."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        width = eighths(32 * alpha)
        self.first = Unit(("Conv1", "bn_Conv1"), (width, 3, 3, 3), 2, True)
        blocks = []
        plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
        plan += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
        for times, channels, repeats, stride in plan:
            for i in range(repeats):
                name = f"block_{len(blocks)}" if blocks else "expanded_conv"
                wide, out = width * times, eighths(channels * alpha)
                shapes = [("depthwise", (wide, 1, 3, 3)), ("project", (out, wide, 1, 1))]
                if times > 1:
                    shapes.insert(0, ("expand", (wide, width, 1, 1)))
                units = [
                    Unit(
                        (f"{name}_{part}", f"{name}_{part}_BN"),
                        shape,
                        stride if part == "depthwise" and i == 0 else 1,
                        part != "project",
                    )
                    for part, shape in shapes
                ]
                blocks.append(nn.Sequential(*units))
                width = out
        self.blocks = nn.ModuleList(blocks)
        self.last = Unit(("Conv_1", "Conv_1_bn"), (FEATURES, width, 1, 1), 1, True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            made = block(x)
            x = x + made if made.shape == x.shape else made
        return self.last(x)

    def variables(self) -> Iterator[tuple[str, Tensor]]:
        """The Keras name of every array, and its tensor, with axes in Keras' order."""
        for unit in self.modules():
            if isinstance(unit, Unit):
                axes = (2, 3, 0, 1) if unit.depthwise else (2, 3, 1, 0)
                yield f"{unit.names[0]}/kernel", unit.kernel.permute(axes)
                for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                    yield f"{unit.names[1]}/{name}", getattr(unit, name)

    def load(self, path: Path) -> None:
        """Load weights from an .npz that train.py or this script wrote, or from a Keras .h5."""
        if path.suffix == ".h5":
            arrays = from_h5(path, self)
        else:
            with np.load(path) as stored:
                arrays = {name: stored[name] for name in stored.files}
        with torch.no_grad():
            for name, tensor in self.variables():
                tensor.copy_(torch.from_numpy(arrays[name].astype(np.float32)))

    def save(self, path: Path) -> None:
        """Write the weights as float16 in the format of the bundled file."""
        np.savez_compressed(
            path,
            **{n: t.detach().cpu().numpy().astype(np.float16) for n, t in self.variables()},
        )


def from_h5(path: Path, model: MobileNetV2) -> dict[str, Array]:
    """The arrays of a Keras `.weights.h5`, which numbers layers by their kind."""
    import h5py  # type: ignore[import-untyped, unused-ignore]

    arrays: dict[str, Array] = {}
    counts = {"conv2d": 0, "depthwise_conv2d": 0, "batch_normalization": 0}

    def take(kind: str) -> Any:
        number = counts[kind]
        counts[kind] += 1
        return file[f"layers/{kind}_{number}/vars" if number else f"layers/{kind}/vars"]

    with h5py.File(path) as file:
        for unit in (u for u in model.modules() if isinstance(u, Unit)):
            kind = "depthwise_conv2d" if unit.depthwise else "conv2d"
            arrays[f"{unit.names[0]}/kernel"] = take(kind)["0"][()]
            norm = take("batch_normalization")
            for i, name in enumerate(("gamma", "beta", "moving_mean", "moving_variance")):
                arrays[f"{unit.names[1]}/{name}"] = norm[str(i)][()]
    return arrays


# -- the pictures -----------------------------------------------------------------------------


class Pictures:
    """All training pictures in the GPU's memory, each in the corner of a square canvas."""

    def __init__(self, data: Path, device: str) -> None:
        self.names: list[str] = json.loads((data / "labels.json").read_text("utf-8"))
        blobs: list[bytes] = []
        labels = []
        for shard in sorted(data.glob("shard-*.npz")):
            with np.load(shard) as content:
                blob, offsets = content["data"].tobytes(), content["offsets"]
                labels.append(content["label"])
            blobs += [blob[a:b] for a, b in itertools.pairwise(offsets)]
        self.label: Array = np.concatenate(labels).astype(np.int64)
        with multiprocessing.Pool() as pool:
            pictures = pool.map(decode, blobs, chunksize=200)
        self.hw = np.array([p.shape[:2] for p in pictures])
        side = int(self.hw.max())
        self.canvas = torch.empty((len(pictures), 3, side, side), dtype=torch.uint8, device=device)
        for start in range(0, len(pictures), 512):
            part = torch.from_numpy(
                np.stack([padded(p, side) for p in pictures[start : start + 512]])
            )
            self.canvas[start : start + len(part)] = part.to(device).permute(0, 3, 1, 2)

    def crops(self, rows: Array, boxes: Array, size: int) -> Tensor:
        """The boxes of these pictures as (n, 3, size, size) in [0, 1]."""
        device, side = self.canvas.device, self.canvas.shape[-1]
        left, top, right, bottom = torch.from_numpy(boxes).to(device).T[..., None]
        steps = (torch.arange(size, device=device) + 0.5) / size
        x, y = left + steps * (right - left), top + steps * (bottom - top)
        x, y = x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)
        grid = torch.stack([x, y], dim=-1) * (2.0 / side) - 1.0
        chosen = self.canvas[torch.from_numpy(rows).to(device)].float() / 255.0
        return fn.grid_sample(chosen, grid, padding_mode="border", align_corners=False)


def padded(picture: Array, side: int) -> Array:
    """A picture in the corner of (side, side, 3), with its last column and row repeated."""
    height, width = picture.shape[:2]
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:height, :width] = picture
    canvas[:height, width:] = picture[:, -1:]
    canvas[height:] = canvas[height - 1]
    return canvas


class Draw:
    """Draw rows in groups of four of one class; each of `heads` begins one group per epoch."""

    def __init__(self, label: Array, heads: Array, rng: np.random.Generator) -> None:
        self.label, self.heads, self.rng = label, heads, rng
        self.members = np.unique(heads)
        self.members = self.members[np.argsort(label[self.members], kind="stable")]
        ordered = label[self.members]
        classes = np.arange(label.max() + 1)
        self.first = np.searchsorted(ordered, classes)
        self.count = np.searchsorted(ordered, classes, side="right") - self.first
        self.queue = np.empty(0, np.int64)

    def __call__(self, groups: int) -> Array:
        while len(self.queue) < groups:
            self.queue = np.concatenate([self.queue, self.rng.permutation(self.heads)])
        head, self.queue = self.queue[:groups], self.queue[groups:]
        kind = self.label[head]
        pick = (self.rng.random((3, groups)) * self.count[kind]).astype(np.int64)
        return np.stack([head, *self.members[self.first[kind] + pick]], axis=1).reshape(-1)


def recolour(x: Tensor) -> Tensor:
    """Change the saturation of some pictures, make a few grey and even fewer negative."""
    shape, device = (len(x), 1, 1, 1), x.device
    chance = torch.rand(shape, device=device)
    strength = torch.where(chance < 0.3, 1.6 * torch.rand(shape, device=device), 1.0)
    strength = torch.where(chance < 0.07, 0.0, strength)
    grey = (x * torch.tensor([0.299, 0.587, 0.114], device=device)[:, None, None]).sum(1, True)
    x = (grey + strength * (x - grey)).clamp(0.0, 1.0)
    return torch.where(torch.rand(shape, device=device) < 0.03, 1.0 - x, x)


def mix(x: Tensor, shares: list[float]) -> tuple[Tensor, Tensor]:
    """Blend, patch and tile these shares of a batch; returns it and a mask of unchanged rows (n,).

    Four pictures of a class in a row are always changed in the same way.
    """
    n, side, device = len(x), x.shape[-1], x.device
    groups = torch.randperm(n // 4, device=device)
    ends = [0, *(int(e) for e in np.cumsum(shares) * (n // 4))]
    blend, patch, quarter = (
        (groups[a:b, None] * 4 + torch.arange(4, device=device)).reshape(-1)
        for a, b in itertools.pairwise(ends)
    )

    def other(like: Tensor) -> Tensor:
        return x[torch.randint(n, (len(like),), device=device)]

    out, plain = x.clone(), torch.ones(n, device=device)
    weight = torch.empty((len(blend), 1, 1, 1), device=device).uniform_(0.3, 0.7)
    out[blend] = weight * x[blend] + (1.0 - weight) * other(blend)
    places = torch.arange(side, device=device)
    size = torch.empty((2, len(patch), 1), device=device).uniform_(0.3, 0.8) * side
    start = torch.rand((2, len(patch), 1), device=device) * (side - size)
    high, wide = (places >= start) & (places < start + size)
    inside = (high[:, :, None] & wide[:, None, :])[:, None]
    out[patch] = torch.where(inside, other(patch), x[patch])
    rows = [
        torch.cat([fn.avg_pool2d(other(quarter), 2) for _ in range(2)], dim=3) for _ in range(2)
    ]
    out[quarter] = torch.cat(rows, dim=2)
    for changed in (blend, patch, quarter):
        plain[changed] = 0.0
    return out, plain


# -- what is learned --------------------------------------------------------------------------


class Teacher:
    """The teacher's features of pictures: pooled (n, 1280), and by place (n, 9, 1280)."""

    def __init__(self, weights: Path, device: str, half: Any) -> None:
        network = MobileNetV2(1.0)
        network.load(weights)
        self.network = network.eval().to(device, half, memory_format=torch.channels_last)
        self.half = half

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = (2.0 * x - 1.0).to(self.half, memory_format=torch.channels_last)
        maps = self.network(x).flatten(2)
        third = thirds(int(maps.shape[2] ** 0.5))
        down = torch.from_numpy(np.kron(third, third)).to(maps)
        return maps.mean(dim=2), (maps @ down.T).transpose(1, 2)


def shrunk(x: Tensor) -> Tensor:
    """Crops at the student's size."""
    return fn.avg_pool2d(x, 2)


class Source:
    """Batches of crops, the teacher's features and labels."""

    def __init__(
        self,
        pictures: Pictures,
        teacher: Teacher,
        rows: Array,
        known: Array,
        options: argparse.Namespace,
    ) -> None:
        self.pictures, self.teacher, self.options = pictures, teacher, options
        self.rng = np.random.default_rng(options.seed)
        device = pictures.canvas.device
        self.rows = rows
        chosen = heads(rows, pictures.label, pictures.names, options.rich)
        self.draw = Draw(pictures.label, chosen, self.rng)
        self.known = torch.from_numpy(known).to(device)
        self.label = torch.from_numpy(pictures.label).to(device)

    def squares(self, rows: Array) -> Tensor:
        """The centre squares of these pictures, at the teacher's size."""
        return self.pictures.crops(rows, centre_boxes(self.pictures.hw[rows]), 2 * SIZE)

    def crops(self, rows: Array) -> Tensor:
        """A random crop of each of these pictures, at the teacher's size."""
        boxes = random_boxes(self.pictures.hw[rows], self.rng)
        return self.pictures.crops(rows, boxes, 2 * SIZE)

    def plain(self) -> Tensor:
        """A batch for the student without colour changes or mixtures, as at inference: [-1, 1]."""
        return shrunk(self.crops(self.draw(self.options.batch // 4))) * 2.0 - 1.0

    def mixed(self) -> tuple[Tensor, ...]:
        """A training batch: crops in [0, 1], feature, places, label, known, mirrored.

        A label counts only where `known` is 1; a `mirrored` crop is mirrored at its first use.
        """
        rows = self.draw(self.options.batch // 4)
        x, unmixed = mix(recolour(self.crops(rows)), self.options.mix)
        label = self.label[torch.from_numpy(rows).to(x.device)]
        kept = shrunk(x).to(torch.bfloat16 if x.is_cuda else x.dtype)
        mirrored = torch.rand(len(kept), device=x.device) < 0.5
        return (kept, *self.teacher(x), label, self.known[label] * unmixed, mirrored)

    def moments(self) -> list[Tensor]:
        """Mean and spread of the teacher's features, and of its places, over centre squares."""
        chosen = self.rows[:: max(1, len(self.rows) // 8192)]
        parts = [chosen[i : i + 512] for i in range(0, len(chosen), 512)]
        seen = [self.teacher(self.squares(rows)) for rows in parts]
        made = []
        for part, least in ((0, 0.02), (1, 0.05)):
            values = torch.cat([s[part] for s in seen]).float().reshape(-1, FEATURES)
            made += [values.mean(dim=0), values.std(dim=0) + least]
        return made


class Objective(nn.Module):  # type: ignore[misc, unused-ignore]
    """The four losses of train.py on a batch: relational, regression, places, labels.

    `moments` are the mean and the spread of the teacher's features, and of its places.
    """

    def __init__(self, moments: list[Tensor], classes: int) -> None:
        super().__init__()
        self.moments = moments
        self.classifier = nn.Linear(FEATURES, classes)
        self.sharpness = nn.Parameter(torch.zeros(()))

    def forward(
        self, seen: Tensor, feature: Tensor, places: Tensor, label: Tensor, known: Tensor
    ) -> Tensor:
        """The losses (4,); `seen` is the student's last map (n, 1280, 3, 3)."""
        mean, spread, place_mean, place_spread = self.moments
        rows = seen.float().flatten(2).transpose(1, 2)
        student, centred = rows.mean(dim=1), feature.float() - mean
        eye = torch.eye(len(student), device=student.device) * 1e9

        def similarities(x: Tensor) -> Tensor:
            unit = fn.normalize(x, eps=1e-6)
            return unit @ unit.T

        target = torch.softmax(similarities(centred) / 0.1 - eye, dim=1)
        scores = similarities(student) * 20.0 * self.sharpness.exp() - eye
        scores = torch.log_softmax(scores, dim=1).clamp(min=-50.0)
        relational = (target * ((target + 1e-9).log() - scores)).sum(dim=1).mean()

        def follow(x: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
            normed = fn.batch_norm(x, None, None, training=True, eps=1e-5)
            return normed, 1.0 - fn.cosine_similarity(normed, wanted, dim=1, eps=1e-6).mean()

        normed, regression = follow(student, centred / spread)
        wanted = ((places.float() - place_mean) / place_spread).reshape(-1, FEATURES)
        _, local = follow(rows.reshape(-1, FEATURES), wanted)
        chances = torch.log_softmax(self.classifier(normed), dim=1)
        picked = chances.gather(1, label[:, None])[:, 0]
        labels = -0.9 * picked - 0.1 * chances.mean(dim=1)
        labels = (labels * known).sum() / (known.sum() + 1e-6)
        return torch.stack([relational, regression, local, labels])


class Optimizer:
    """Muon for the 1x1 convolutions, AdamW at half its rate for everything else."""

    def __init__(self, modules: list[Any], rate: float, decay: float) -> None:
        self.rate, self.decay = rate, decay
        named = [pair for m in modules for pair in m.named_parameters() if pair[1].requires_grad]
        self.matrices = [p for _, p in named if p.ndim == 4 and p.shape[1] > 1 and p.shape[3] == 1]
        others = [(n, p) for n, p in named if all(p is not m for m in self.matrices)]
        decayed = [p for n, p in others if n.endswith(("kernel", "weight"))]
        plain = [p for n, p in others if not n.endswith(("kernel", "weight"))]
        # PyTorch scales the decay by the group's rate, which is half of the rate in Keras
        groups = [
            {"params": decayed, "weight_decay": 2.0 * decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        fused = self.matrices[0].is_cuda
        self.adam = torch.optim.AdamW(groups, rate, (0.9, 0.99), eps=1e-7, fused=fused)
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        sizes = [tuple(sorted(p.shape[:2])) for p in self.matrices]
        self.alike = [[i for i, s in enumerate(sizes) if s == size] for size in sorted(set(sizes))]

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def step(self, share: float) -> None:
        """One step with this share of the full rate."""
        rate = self.rate * share
        for group in self.adam.param_groups:
            group["lr"] = rate * 0.5
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        gradients = [p.grad for p in self.matrices]
        torch._foreach_mul_(self.momenta, 0.95)
        torch._foreach_add_(self.momenta, gradients)
        torch._foreach_add_(gradients, self.momenta, alpha=0.95)
        torch._foreach_mul_(self.matrices, 1.0 - rate * self.decay)
        for members in self.alike:
            flat = [gradients[i].flatten(1) for i in members]
            tall = [g.shape[0] > g.shape[1] for g in flat]
            stack = torch.stack([g.T if t else g for g, t in zip(flat, tall, strict=True)])
            made = orthogonal(stack) * (0.2 * max(stack.shape[1:]) ** 0.5)
            for i, update, t in zip(members, made, tall, strict=True):
                change = (update.T if t else update)[:, :, None, None]
                self.matrices[i].sub_(rate * change)
        for p in self.matrices:
            p.grad = None


def orthogonal(stack: Tensor) -> Tensor:
    """Five Newton-Schulz steps towards the nearest orthogonal matrices (Jordan 2024, "Muon")."""
    x = stack.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.float()


# -- evaluation -------------------------------------------------------------------------------


def recalibrate(network: MobileNetV2, batches: list[Tensor]) -> None:
    """Recompute every batch norm's statistics, as the mean over some batches."""
    units = [u for u in network.modules() if isinstance(u, Unit)]
    sums = [torch.zeros((2, len(u.beta)), device=u.beta.device) for u in units]

    def tally(number: int) -> Callable[..., None]:
        def hook(unit: Unit, inputs: tuple[Tensor]) -> None:
            seen = unit.convolve(inputs[0])
            sums[number] += torch.stack(torch.var_mean(seen, (0, 2, 3), correction=0)[::-1])

        return hook

    hooks = [u.register_forward_pre_hook(tally(i)) for i, u in enumerate(units)]
    with torch.no_grad():
        network.train()
        for batch in batches:
            network(batch)
        network.eval()
    for hook, unit, total in zip(hooks, units, sums, strict=True):
        hook.remove()
        unit.moving_mean.copy_(total[0] / len(batches))
        unit.moving_variance.copy_(total[1] / len(batches))


class Validation:
    """Measure 5-NN accuracy, and agreement with the teacher, on held-out centre squares."""

    def __init__(self, source: Source, rows: Array) -> None:
        parts = [source.squares(rows[i : i + 256]) for i in range(0, len(rows), 256)]
        self.pictures = [shrunk(p) for p in parts]
        self.label = source.pictures.label[rows]
        feature = torch.cat([source.teacher(p)[0] for p in parts]).float().cpu().numpy()
        self.teacher = leave_one_out(feature - feature.mean(axis=0), self.label)[1]

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def __call__(self, network: MobileNetV2) -> str:
        """One line with the current figures of the network."""
        made = [network(2.0 * p - 1.0).mean(dim=(2, 3)) for p in self.pictures]
        return judgement(torch.cat(made).cpu().numpy(), self.label, self.teacher)


# -- the run ----------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> None:
    """Run the whole stage, writing the weights at every check and at the end."""
    started = time.monotonic()
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = torch.float16 if device == "cuda" else torch.float32
    pictures = Pictures(options.data, device)
    rows, validation_rows, known = held_out(pictures.label, pictures.names)
    source = Source(pictures, Teacher(options.teacher, device, half), rows, known, options)
    validation = Validation(source, validation_rows)

    student, average = MobileNetV2(options.alpha).to(device), MobileNetV2(options.alpha).to(device)
    student.load(options.start)
    average.load_state_dict(student.state_dict())
    average.requires_grad_(False)
    for network in (student, average):
        network.to(memory_format=torch.channels_last)
    student.train()
    objective = Objective(source.moments(), len(pictures.names)).to(device)
    optimizer = Optimizer([student, objective], options.rate, options.decay)
    weights = torch.tensor(options.weights, device=device)
    trained, followed = list(student.parameters()), list(average.parameters())

    def report(line: str) -> None:
        print(f"{(time.monotonic() - started) / 60:6.2f} min  {line}", flush=True)

    def judge(said: str) -> None:
        recalibrate(average, [source.plain() for _ in range(8)])
        average.save(options.out)
        report(f"{said}: {validation(average)}")

    def learn(batch: tuple[Tensor, ...], again: bool, share: float) -> Tensor:
        x, feature, places, label, known, mirrored = batch
        flip = (mirrored ^ again)[:, None, None]
        x = torch.where(flip[..., None], x.flip(3), x)
        places = torch.where(flip, places.unflatten(1, (3, 3)).flip(2).flatten(1, 2), places)
        gain = torch.empty((len(x), 1, 1, 1), device=device).uniform_(0.85, 1.15)
        shift = torch.empty((len(x), 1, 1, 1), device=device).uniform_(-0.1, 0.1)
        x = ((2.0 * x - 1.0) * gain + shift).clamp(-1.0, 1.0)
        x = x.to(batch[0].dtype, memory_format=torch.channels_last)
        parts = objective(student(x), feature, places, label, known)
        (parts * weights).sum().backward()
        optimizer.step(share)
        return parts.detach()

    report(f"{len(rows)} pictures")
    judge("before")
    learn(source.mixed(), False, 0.0)  # the first step is slow: it chooses kernels
    begun = said = judged = time.monotonic()
    budget = options.minutes * 60.0 - (begun - started)
    if budget <= 0.0:
        raise SystemExit("train_gpu.py: --minutes had passed before training began")
    report(f"start, on {device}")
    kept: collections.deque[tuple[Tensor, ...]] = collections.deque(
        maxlen=(options.uses - 1) * options.lag + 1
    )
    total, count, step = torch.zeros(4, device=device), 0, 0
    while (progress := (time.monotonic() - begun) / budget) < 1.0:
        kept.append(source.mixed())
        for use in range(options.uses):
            if use * options.lag < len(kept):
                total += learn(kept[-1 - use * options.lag], use % 2 == 1, rate_at(progress))
                step, count = step + 1, count + 1
                keep = min(options.keep, (1.0 + step) / (10.0 + step))
                with torch.no_grad():
                    torch._foreach_lerp_(followed, trained, 1.0 - keep)
        if time.monotonic() - said > 20.0:
            line = " ".join(f"{v:.4f}" for v in (total / count).tolist())  # waits for the GPU
            speed = count * options.batch / (time.monotonic() - said)
            report(f"step {step} losses {line} {speed:.0f} pictures/s")
            total, count, said = torch.zeros(4, device=device), 0, time.monotonic()
        if time.monotonic() - judged > options.judge_every:
            judge(f"step {step}")
            judged = time.monotonic()
    judge(f"end, step {step}, {step * options.batch} pictures")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="shard-*.npz and labels.json")
    parser.add_argument("--teacher", type=Path, required=True, help="MobileNetV2 1.0, no top")
    parser.add_argument("--start", type=Path, required=True, help="the .npz to start from")
    add_options(parser, minutes=10.0, rich=8, rate=0.006, judge_every=90.0)
    parser.add_argument("--batch", type=int, default=1024, help="crops per step; a multiple of 4")
    parser.add_argument("--uses", type=int, default=2, help="times the student sees a crop")
    parser.add_argument("--lag", type=int, default=40, help="batches between two uses")
    parser.add_argument(
        "--mix",
        type=float,
        nargs=3,
        default=[0.15, 0.15, 0.2],
        help="shares of crops that are blended, patched, four in one",
    )
    options = parser.parse_args()
    if options.batch % 4:
        parser.error("--batch must be a multiple of 4, as four crops in a row share a class")
    train(options)


if __name__ == "__main__":
    main()
