"""Turn photos into embeddings, each once."""

from .embedded import Embedded as Embedded
from .local import embed as embed
