"""Executes saved Core ML programs off the Mac, in numpy."""

from .program import Program, load

__all__ = ["Program", "load"]
