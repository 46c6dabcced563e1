"""Write each file, run it in its own runtime, and keep it only if it agrees with the exact k-NN."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.export.formats.files import BY_SPEED
from pocketknn.export.formats.keras import apart
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.checksums import size
from pocketknn.export.output.names import MODEL
from pocketknn.export.parity.check import TOLERANCES, Parity, check_part
from pocketknn.export.parity.compare import compare
from pocketknn.export.templates.template import Order, write

if TYPE_CHECKING:
    from pocketknn.export.parity.judges import Judges


@dataclass(frozen=True, kw_only=True)
class Written:
    """An artefact that was converted, run and compared.

    Attributes:
        format: its name in `FORMATS`.
        name: its file name in the folder.
        bytes: its size.
        seconds: time to convert and write it.
        parity: how well it agrees with the exact k-NN; if it does not, the file was removed.
    """

    format: str
    name: str
    bytes: int
    seconds: float
    parity: Parity


@dataclass(frozen=True, kw_only=True, eq=False)
class Writer:
    """Writes the files of one build.

    Attributes:
        order: the order of one of the files; those of the others differ in format and precision.
        judges: the inputs that files are compared on.
        folder: the folder for the files.
        note: called with a message for the user.
    """

    order: Order
    judges: Judges
    folder: Path
    note: Callable[[str], None]

    def write(
        self,
        metadata: Metadata,
        precision: dict[str, str],
        progress: Callable[[str], None],
        meanwhile: Callable[[], None],
    ) -> tuple[list[Written], Metadata]:
        """Write every format, and the parts requested in the options.

        Args:
            metadata: the metadata to store in the files.
            precision: precision of each format's backbone; a file that does not agree is written in
                float32 instead, unless the precision was requested.
            progress: called with the name of each file before it is written.
            meanwhile: called once, when only the last file is still waited for.

        Returns:
            The files, and their final metadata.

        Raises:
            InputError: a part does not agree with the exact values.
        """
        options, precision, made = self.order.options, dict(precision), {}
        unsettled = {
            name
            for name, kind in precision.items()
            if options.precision is None and kind != "float32"
        }

        def turn(name: str) -> tuple[bool, int]:
            # The unsettled come first, as every file records the precision of all; the runtime
            # that starts slowest comes last.
            return name not in unsettled, BY_SPEED.index(name)

        supposed, keras = metadata, "keras" in precision
        work = partial(self._artefact, "keras", precision.get("keras", ""), supposed)
        with apart.meanwhile(work) if keras else nullcontext(work) as by_keras:
            for name in (turns := sorted(precision, key=turn)):
                progress(name)
                if name == turns[-1]:
                    meanwhile()
                if name == "keras":
                    made[name] = by_keras()
                    if metadata is supposed:
                        continue
                made[name] = self._artefact(name, precision[name], metadata)
                if name in unsettled and not made[name].parity.agrees:
                    self.note(
                        f"{name}: no {precision[name]} backbone"
                        f" ({made[name].parity.failures[0]}); writing a float32 backbone instead"
                    )
                    precision[name] = "float32"
                    manifest = metadata.manifest | {"precision": dict(precision)}
                    metadata = replace(metadata, manifest=manifest)
                    made[name] = self._artefact(name, precision[name], metadata)
        for name in [one for one in precision if "outputs" in FORMATS[one].OPTIONS]:
            for outputs in options.outputs:
                progress(outputs)
                self._part(name, outputs, precision[name], metadata.part(outputs))
        return [made[name] for name in precision], metadata

    def _artefact(self, name: str, precision: str, metadata: Metadata) -> Written:
        path = self.folder / f"{MODEL}{FORMATS[name].SUFFIX}"
        start = time.perf_counter()
        try:
            write(replace(self.order, format=name, precision=precision), metadata, path, self.note)
            refusal = ""
        except (OSError, InputError, *OF_THE_MACHINE):
            raise
        except Exception as error:  # converters may raise anything on an unsupported backbone
            refusal = f"it cannot be converted: {first_line(error)}"
        written = Written(
            format=name,
            name=path.name,
            bytes=size(path),
            seconds=time.perf_counter() - start,
            parity=Parity(precision=precision, queries=0, failures=(refusal,))
            if refusal
            else compare(name, path, precision, self.order.fit, self.judges.of(name)),
        )
        if not written.parity.agrees:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return written

    def _part(self, name: str, outputs: str, precision: str, metadata: Metadata) -> None:
        """Write a file that stops before the top-k, and check it."""
        target, against = FORMATS[name], self.judges.of(name)
        path = self.folder / f"{MODEL}-{outputs}{target.SUFFIX}"
        order = replace(self.order, format=name, precision=precision, outputs=outputs)
        write(order, metadata, path, self.note)
        found = target.load(path)(against.inputs)
        error = check_part(found, outputs, against.embeddings, order.fit)
        if error > (allowed := TOLERANCES[precision].score):
            raise InputError(
                f"{path.name}: the error of {outputs}, {error:.1e}, exceeds the tolerance"
                f" {allowed:.0e}",
                "part-differs",
            )
