"""What the benchmarks share; no test asserts a time."""

import subprocess
import sys

from support import ROOT

BENCHMARKS = ROOT / "benchmarks"
PART = """
import argparse, sys
import summary
parser = argparse.ArgumentParser()
summary.option(parser)
what, ratio = sys.argv.pop(), sys.argv.pop()
summary.add(parser.parse_args().summary, [summary.Ratio(what, "one product", float(ratio))])
"""
PEAK = """
from pathlib import Path
from processes import script, timed
def peak(code):
    return timed(script(code), Path()).peak
small = peak("pass")
large = bytearray(300_000_000)
print(small, peak("pass"), peak("bytearray(300_000_000)"))
"""


def run(*words, cwd):
    """What Python writes, with the benchmarks' modules at hand."""
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env={"PYTHONPATH": str(BENCHMARKS)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8")


def test_the_summary_has_the_ratios_of_all_parts_in_their_order(tmp_path):
    for ratio, what in (("0.123456", "edit"), ("1234.5", "build")):
        run("-c", PART, "--summary", "ratios.txt", ratio, what, cwd=tmp_path)
    run("-c", PART, "3", "alone", cwd=tmp_path)  # without the option, nothing is added
    lines = run(str(BENCHMARKS / "summary.py"), "ratios.txt", cwd=tmp_path).splitlines()
    assert lines[2:4] == ["| edit | one product | 0.12 |", "| build | one product | 1234.50 |"]
    assert lines[-1] == "Minutes: -c 0.0, -c 0.0."
    assert len(lines) == 6


def test_the_memory_of_a_process_is_not_that_of_the_benchmark(tmp_path):
    small, beside, large = map(float, run("-c", PEAK, cwd=tmp_path).split())
    assert beside < small + 50
    assert large > small + 250
