"""The float file beside an int8 one: its ports by the int8 file's names, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.artifact import Artifact, verify_twin
from tfeff.compare import FilePort
from tfeff.debug.file import LayeredFile
from tfeff.debug.running import Running
from tfeff.debug.samples import Outputs, Sample
from tfeff.errors import TfeffError
from tfeff.tflite.part import PartOptions


@dataclass(frozen=True)
class Twin:
    """The same network in float32.

    Attributes:
        file: it.
        inputs, outputs: names of the int8 file's ports, in the order of this file's.
    """

    file: LayeredFile
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def values(self, sample: Sample) -> list[np.ndarray]:
        """A sample in the order of this file's inputs."""
        return [sample[name] for name in self.inputs]

    def run(self, samples: Sequence[Sample]) -> list[Outputs]:
        """What it gives for each, flat, by the names of the int8 file's outputs, in this file's order."""
        running, given = Running(self.file.data, str(self.file.path)), list[Outputs]()
        for sample in samples:
            found = running.run(self.values(sample))
            arrays = [found[port.index].reshape(-1) for port in self.file.output_ports]
            given.append(dict(zip(self.outputs, arrays, strict=True)))
        return given


def find_twin(
    artifact: Artifact, named: str | Path | None, file: LayeredFile, part: PartOptions, notes: list[str]
) -> Twin | None:
    """The float file that is named, else the record's; None without one, with a note where it is missing.

    Raises:
        TfeffError: quantized, or not of the same network.
    """
    path = Path(named) if named else None
    if path is None and artifact.twin is not None:
        if artifact.twin.is_file():
            path = verify_twin(artifact)
        else:
            notes.append(f"its float twin {artifact.twin.name} is not beside it")
    if path is None:
        return None
    twin = LayeredFile(path, part)
    if twin.is_quantized():
        raise TfeffError(f"{path}: is quantized, so it is no float reference", "--float the network in float32")
    return Twin(
        twin,
        _names("takes", (twin, twin.input_ports), (file, file.input_ports)),
        _names("gives", (twin, twin.output_ports), (file, file.output_ports)),
    )


def _names(
    verb: str, of_twin: tuple[LayeredFile, Sequence[FilePort]], of_file: tuple[LayeredFile, Sequence[FilePort]]
) -> tuple[str, ...]:
    """Names of the int8 file's ports in the twin's order: the same ones, or those of the same shape and kind where a
    converter chose others. The only output may have its elements in another shape."""
    theirs, own = of_twin[1], of_file[1]
    by_name = {port.name: port for port in own}
    by_kind = {_kind(port): port for port in own}
    found = [by_name.get(port.name) for port in theirs]
    if None in found:
        found = [by_kind.get(_kind(port)) for port in theirs]
    fit = all(mine is not None and _kind(mine) == _kind(port) for port, mine in zip(theirs, found, strict=True))
    if len(own) == len(theirs) == 1 and verb == "gives":
        found, fit = [own[0]], np.prod(own[0].sample) == np.prod(theirs[0].sample)
    names = tuple(mine.name for mine in found if mine is not None)
    if not fit or len(set(names)) != len(own) or len(theirs) != len(own):
        one, other = (", ".join(f"{port.name} {port.sample}" for port in ports) for ports in (theirs, own))
        raise TfeffError(
            f"{of_twin[0].path}: {verb} {one}; {of_file[0].path} {other}", "give two files of the same network"
        )
    return names


def _kind(port: FilePort) -> tuple[tuple[int, ...], bool]:
    """The shape of a sample, and whether it is of real numbers."""
    return port.sample, port.quantized or port.dtype.kind == "f"
