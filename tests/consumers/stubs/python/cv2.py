"""A camera like OpenCV's that shows the pictures of the folder FRAMES once, blue first."""

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CAP_PROP_BUFFERSIZE = 38


class VideoCapture:
    def __init__(self, index):
        assert index == 0
        self.frames = iter(sorted(Path(os.environ["FRAMES"]).iterdir()))

    def set(self, property_, value):
        assert (property_, value) == (CAP_PROP_BUFFERSIZE, 1)
        return True

    def read(self):
        path = next(self.frames, None)
        if path is None:
            return False, None
        return True, np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1]

    def release(self):
        print("camera closed", file=sys.stderr)
