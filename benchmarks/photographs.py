"""Made-up photographs for the benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_COARSE = (30, 40, 3)


def photographs(
    folder: Path, shape: tuple[int, int], count: int, *, seed: int = 0, subject: int | None = None
) -> list[Path]:
    """Write JPEGs with structure and grain, like a camera's, to a new folder.

    Args:
        folder: where they are written.
        shape: width and height.
        count: how many.
        seed: random seed.
        subject: photos of one subject have half of their structure in common.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        structure = rng.integers(0, 256, _COARSE, np.uint8)
        if subject is not None:
            common = np.random.default_rng(subject).integers(0, 256, _COARSE, np.uint8)
            structure = structure // 2 + common // 2
        smooth = Image.fromarray(structure).resize(shape, Image.Resampling.BICUBIC)
        grain = rng.normal(0, 6, (shape[1], shape[0], 1)).astype(np.int16)
        pixels = np.clip(np.asarray(smooth, np.int16) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=85)
    return sorted(folder.glob("*.jpg"))
