"""Turn photos into embeddings, each photo only once."""

from .embedded import Embedded as Embedded
from .local import embed as embed
