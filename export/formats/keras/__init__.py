"""Keras: a .keras archive of stock layers, opened by plain `keras.saving.load_model`."""

from __future__ import annotations

from collections.abc import Mapping

from pocketknn.export.formats.conversion import Network
from pocketknn.export.formats.options import check_options as check_options
from pocketknn.export.formats.storage.texts import read as read

from .conversion import convert as convert
from .filling import constants as constants
from .filling import fill as fill
from .filling import locate as locate
from .filling import narrow as narrow
from .reading import check as check
from .reading import load as load

TITLE, SUFFIX = "Keras", ".keras"
PARTS: Mapping[str, bool] = {}
LARGEST: int | None = None
OF_DEVICES = False  # for computers
NEEDS: tuple[str, ...] = ("tensorflow", "h5py")
CONVERTERS: tuple[str, ...] = ()  # Keras itself
MAY_LACK: tuple[str, ...] = ("tensorflow",)
RUNTIME: tuple[str, ...] = ("tensorflow", "h5py")
ENGINE: str | None = "keras"
NATIVE, THREADS = True, False
join = from_litert = None  # saving a graph is quick
FIXED = False
PRECISION = "float32"
PRECISIONS: tuple[str, ...] = ("float32",)
OPTIONS: tuple[str, ...] = ()
CONSUMER: Mapping[str, str] | None = None
ONE_INPUT = False
_VARIABLE = 2500  # overhead of HDF5 and of the configuration per variable, in bytes


def backbone_bytes(network: Network, precision: str) -> int:
    """Approximate bytes of a backbone; batch norms are stored, and everything is float32."""
    return 4 * network.parameters + _VARIABLE * network.variables
