"""A camera like Raspberry Pi's that shows the pictures of the folder FRAMES in turn."""

import os
import sys
from itertools import cycle
from pathlib import Path

from PIL import Image


class Picamera2:
    def __init__(self, camera_num=0):
        self.frames = cycle(sorted(Path(os.environ["FRAMES"]).iterdir()))
        self.state = "opened"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        print("camera closed", file=sys.stderr)

    def create_video_configuration(self, main):
        return main

    def configure(self, camera_config):
        assert camera_config["size"] == (640, 480)
        assert self.state == "opened"
        self.state = "configured"

    def start(self):
        assert self.state == "configured"
        self.state = "started"

    def capture_image(self, name="main"):
        assert self.state == "started"
        return Image.open(next(self.frames)).convert("RGB")
