"""The samples on which a file is debugged: real numbers by input port, preprocessed, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfeff.artifact import Artifact
from tfeff.compare import FilePort
from tfeff.data import Dataset, InputPort, Pixels, default_evaluation, feed, is_within, open_dataset, record_ports
from tfeff.debug.file import LayeredFile
from tfeff.errors import TfeffError

NOISE = "seeded noise"
_FASHION_MNIST = ("fashion_mnist", "fashion_mnist_sample")
_OWN = "--mean and --std in pixel units, such as 127.5 for both, or --images FILE.npz with float arrays"
_LEAVE_OUT = "leave out --mean, --std, --colour, --resize and --crop"
_TABLES = {"GATHER": (0, 1), "EMBEDDING_LOOKUP": (1, 0)}  # places of the table and of the rows' numbers

Sample = Mapping[str, np.ndarray]  # by input port, without the batch
Outputs = Mapping[str, np.ndarray]  # by output port, without the batch


def find_ports(artifact: Artifact, file: LayeredFile, pixels: Pixels, notes: list[str]) -> tuple[InputPort, ...]:
    """What the file is fed, by the names of its inputs; what was concluded from the file alone is added to `notes`.

    Raises:
        TfeffError: `pixels` are given although the record says them, or do not fit; or a record of other inputs.
    """
    own = [
        InputPort(port.name, port.sample, "float32" if port.quantized else port.dtype.name) for port in file.input_ports
    ]
    recorded = _match_recorded(artifact, own)
    if any(port.preprocessing for port in recorded):
        if pixels.given:
            raise TfeffError(
                f"{artifact.path}: its record says the preprocessing",
                _LEAVE_OUT,
            )
        return tuple(recorded)
    if bool(pixels.mean) != bool(pixels.std):
        raise TfeffError("only one of --mean and --std is given", "give both, in pixel units (0..255)")
    if pixels.given:
        _check_images(artifact.path, own)
    ports = []
    for port, of_file in zip(own, file.input_ports, strict=True):
        mean, std = pixels.mean, pixels.std
        if not mean and of_file.quantized and of_file.dtype == np.uint8 and _is_image(port):
            mean, std = (float(of_file.zero_point),), (1 / of_file.scale,)
            notes.append(f"pixels go in as they are, as is usual for a uint8 input: mean {mean[0]:g}, std {std[0]:g}")
        if mean and std and _is_image(port):
            port = replace(port, preprocessing=replace(pixels, mean=mean, std=std).prepare(port.shape))
        ports.append(port)
    return tuple(ports)


def load_samples(
    artifact: Artifact,
    file: LayeredFile,
    ports: Sequence[InputPort],
    spec: str | None,
    count: int,
    seed: int,
    notes: list[str],
) -> tuple[str, list[Sample]]:
    """(where they are from, the samples); a seeded choice of `count`, all where there are not more.

    Args:
        spec: a dataset's name, a folder or an `.npz`; None takes what the record was calibrated with, else its dataset,
            else seeded noise for a model that takes no image.
        notes: lines about the samples are added.

    Raises:
        TfeffError: no samples, unreadable ones, or ones that do not fit the file.
    """
    if count < 1:
        raise TfeffError(f"samples must be at least 1, not {count}")
    dataset = open_dataset(spec, "train", labelled=False) if spec else _recorded(artifact, ports)
    if dataset is None:
        return NOISE, _noise(file, ports, count, seed)
    if not len(dataset):
        raise TfeffError(f"images {dataset.name}: there are none", "give a folder or an .npz with images")
    notes += dataset.notes
    numbers = np.arange(len(dataset))
    if count < len(dataset):
        numbers = np.sort(np.random.default_rng([seed, len(dataset)]).choice(numbers, count, replace=False))
    samples: list[Sample] = []
    for number in map(int, numbers):
        sample, where = dataset.sample(number), f"{dataset.names[number]} of {dataset.name}"
        if _lacks_preprocessing(sample, ports):
            raise TfeffError(f"{artifact.path}: no record says its preprocessing", _OWN)
        samples.append(feed(sample, ports, where))
    return dataset.name, samples


def values(file: LayeredFile, sample: Sample) -> list[np.ndarray]:
    """A sample's real numbers in the order of the file's inputs."""
    return [sample[port.name] for port in file.input_ports]


def stored(file: LayeredFile, sample: Sample) -> list[np.ndarray]:
    """A sample as the file takes it, in the order of its inputs."""
    return [port.store(sample[port.name]) for port in file.input_ports]


def real_outputs(file: LayeredFile, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """What the file gave, in the order of its outputs, as real numbers by port; flat float32 or integers."""
    return {
        port.name: (port.real(array) if array.dtype == port.dtype else array).reshape(-1)
        for port, array in zip(file.output_ports, arrays, strict=True)
    }


def _match_recorded(artifact: Artifact, own: Sequence[InputPort]) -> list[InputPort]:
    """The file's inputs with the preprocessing that the record says: by name, or in order where the names differ."""
    recorded = record_ports(artifact.record.inputs) if artifact.record else ()
    if not recorded:
        return list(own)
    by_name = {port.name: port for port in recorded}
    if by_name.keys() != {port.name for port in own}:
        by_name = {port.name: said for port, said in zip(own, recorded, strict=False)}
    for port in own:
        said = by_name.get(port.name)
        if said is None or said.shape != port.shape or len(recorded) != len(own):
            wanted, found = (", ".join(f"{p.name} {p.shape}" for p in ports) for ports in (recorded, own))
            raise TfeffError(f"{artifact.path}: takes {found}, its record prepares {wanted}", "export it anew")
    return [replace(port, preprocessing=by_name[port.name].preprocessing) for port in own]


def _is_image(port: InputPort) -> bool:
    return port.dtype == "float32" and len(port.shape) == 3 and port.shape[-1] in (1, 3)


def _check_images(path: Path, own: Sequence[InputPort]) -> None:
    images = [port for port in own if _is_image(port)]
    if not images:
        held = ", ".join(f"{port.name} {port.shape}" for port in own)
        raise TfeffError(
            f"{path}: takes {held}, no image of 1 or 3 channels",
            f"{_LEAVE_OUT}; --images .npz",
        )


def _lacks_preprocessing(sample: Sample, ports: Sequence[InputPort]) -> bool:
    """Whether an input of real numbers would be given pixels as they are."""
    by_name = {port.name: port for port in ports}
    for name, array in sample.items():
        port = ports[0] if len(ports) == len(sample) == 1 else by_name.get(name)
        pixels = array.dtype == np.uint8 and array.ndim in (2, 3)
        if pixels and port is not None and port.preprocessing is None and port.dtype == "float32":
            return True
    return False


def _recorded(artifact: Artifact, ports: Sequence[InputPort]) -> Dataset | None:
    """What the record names; None where seeded noise has to do."""
    record = artifact.record
    named = []
    if record is not None:
        named = [spec for spec in (record.calibration and record.calibration.source, record.dataset) if spec]
    for spec in named:
        if spec in _FASHION_MNIST:
            return open_dataset(default_evaluation() if spec == "fashion_mnist" else spec, "train", labelled=False)
        if not is_within(spec, artifact.path.parent):
            continue
        if Path(spec).is_dir() or (Path(spec).suffix == ".npz" and Path(spec).is_file()):
            return open_dataset(spec, "train", labelled=False)
    if NOISE in named or not any(port.preprocessing or _is_image(port) for port in ports):
        return None
    mend = "--images FOLDER, .npz or a dataset"
    if len(ports) > 1:
        mend = f"--images FILE.npz with an array an input: {', '.join(port.name for port in ports)}"
    if named:
        raise TfeffError(
            f"{artifact.path}: its record names the images {named[0]}, which are not in its folder or lead out of it",
            mend,
        )
    raise TfeffError(f"{artifact.path}: no record says what images it takes", mend)


def _noise(file: LayeredFile, ports: Sequence[InputPort], count: int, seed: int) -> list[Sample]:
    """Standard normal numbers; whole numbers that are rows of the table that reads them, else 0 and 1."""
    random = np.random.default_rng(seed)

    def draw(port: InputPort, of_file: FilePort) -> np.ndarray:
        if port.dtype == "float32":
            return random.standard_normal(port.shape).astype(np.float32)
        return random.integers(0, _rows(file, of_file.index), port.shape).astype(port.dtype)

    return [
        {port.name: draw(port, of_file) for port, of_file in zip(ports, file.input_ports, strict=True)}
        for _ in range(count)
    ]


def _rows(file: LayeredFile, tensor: int) -> int:
    """Of the smallest table that rows are taken from by numbers that come from this input."""
    reached, rows = {tensor}, []
    for op in file.operators:
        if not reached.intersection(op.inputs):
            continue
        table, numbers = _TABLES.get(op.name, (0, 0))
        if table != numbers and op.inputs[numbers] in reached:
            rows.append(file.shape(op.inputs[table])[0])
        elif not any(file.grid(t) or file.dtype(t).startswith("FLOAT") for t in op.outputs):
            reached.update(op.outputs)
    return min(rows, default=2)
