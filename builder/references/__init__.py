"""The stored examples, and the files that hold them."""

from .references import References as References
