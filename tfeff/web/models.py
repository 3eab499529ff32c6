"""What the page is told of an artifact, as its record says it, and which artifacts it can run."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from tfeff.artifact import Artifact, check_ports, verify_twin
from tfeff.errors import TfeffError
from tfeff.record.schema import Port, Record, TaskSpec
from tfeff.web.assets import Asset, mime_type

# The typed arrays of LiteRT.js 2.5.3; of these it takes float32 from an image.
_OUTPUTS = ("float32", "int32", "uint8")
_ACCURACY = ("task", "outputs", "metric", "unit", "higher_is_better", "float", "quantized", "delta", "ci95", "samples",
             "dataset")  # fmt: skip


@dataclass(frozen=True)
class PageFile:
    """A file of a model.

    Attributes:
        precision: as the record says it; `float32` of the twin.
        url: its address, relative to the page.
        sha256, size_bytes, name: of the file.
    """

    precision: str
    url: str
    sha256: str
    size_bytes: int
    name: str


@dataclass(frozen=True)
class PageModel:
    """An entry of `models.json`.

    Attributes:
        name: for people.
        dataset: what it was trained on; empty when unknown.
        inputs: one image, with its preprocessing.
        outputs, tasks: as in the record; without tasks, the outputs are numbers.
        accuracy: the record's, without its tables.
        files: the float twin where there is one, and the artifact.
    """

    name: str
    dataset: str
    inputs: list[Port]
    outputs: list[Port]
    tasks: list[TaskSpec]
    accuracy: list[dict[str, Any]]
    files: list[PageFile]


def page_model(artifact: Artifact) -> tuple[PageModel, dict[str, Asset]]:
    """What the page is told of an artifact, and the files to serve for it by address.

    Raises:
        TfeffError: a browser cannot run it, or its record does not say how; a file that was replaced meanwhile.
    """
    record = artifact.record
    if record is None:
        raise TfeffError(
            f"{artifact.path}: has no record beside it, so the page would not know its preprocessing",
            "give an artifact that `tfeff export` wrote",
        )
    _check_image(artifact, record)
    check_ports(artifact)
    tasks = _checked_tasks(artifact, record)
    twin = verify_twin(artifact)
    parts = [(record.precision or "float32", artifact.path, artifact.sha256)]
    if twin is not None and record.float_twin is not None:
        parts.insert(0, ("float32", twin, record.float_twin.sha256))
    files, assets = [], {}
    for precision, path, sha256 in parts:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise TfeffError(f"{path}: was replaced while it was read", "run the command again")
        address = f"files/{sha256}.tflite"
        assets[address] = Asset(data, mime_type(address), lasting=True)
        files.append(PageFile(precision, address, sha256, len(data), path.name))
    accuracy = [{key: entry[key] for key in _ACCURACY} for entry in msgspec.to_builtins(record.accuracy)]
    name = record.preset or record.network or artifact.path.stem
    model = PageModel(name, record.dataset or "", record.inputs, record.outputs, tasks, accuracy, files)
    return model, assets


def unique(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Each file once, in order."""
    return list({artifact.sha256: artifact for artifact in artifacts}.values())


def _check_image(artifact: Artifact, record: Record) -> None:
    """One float32 image in, with its preprocessing."""
    from tfeff.data.preprocessing import from_record

    path = artifact.path
    if not record.inputs or not record.outputs:
        side = "outputs" if record.inputs else "inputs"
        raise TfeffError(f"{path}: its record names no {side}", "export it anew")
    takes = "the page runs models that take one image"
    if len(record.inputs) > 1:
        names = ", ".join(port.name for port in record.inputs)
        raise TfeffError(
            f"{path}: has {len(record.inputs)} inputs ({names}); {takes}", "`tfeff bench --on browser` times it there"
        )
    (image,) = record.inputs
    for side, port, taken in (("input", image, _OUTPUTS[:1]), *(("output", one, _OUTPUTS) for one in record.outputs)):
        if port.dtype not in taken or (port.scale > 0 and port.dtype != "float32"):
            raise TfeffError(
                f"{path}: its {side} {port.name} is {port.dtype}; a browser's LiteRT takes float32",
                "export it with `--target web`: int8 inside, float32 at the door",
            )
    try:
        preprocessing = from_record(image.preprocessing)
    except TfeffError as error:
        raise TfeffError(f"{path}: {error.what}", "export it anew, with its preprocessing") from None
    if preprocessing is None:
        raise TfeffError(
            f"{path}: its record has no preprocessing for {image.name} {image.shape}; {takes}",
            "export it with its preprocessing, or time it there: `tfeff bench --on browser`",
        )
    if [1, *preprocessing.shape] != image.shape:
        raise TfeffError(
            f"{path}: its preprocessing gives {list(preprocessing.shape)}, its input is {image.shape}", "export it anew"
        )


def _checked_tasks(artifact: Artifact, record: Record) -> list[TaskSpec]:
    from tfeff.tasks import get_task

    ports = {port.name: port for port in record.outputs}
    specs = record.tasks or [TaskSpec(name="tensors", outputs=list(ports))]
    for spec in specs:
        try:
            get_task(spec.name).check(spec, [ports[name] for name in spec.outputs])
        except TfeffError as error:
            raise TfeffError(f"{artifact.path}: {error.what}", error.mend) from None
    return specs
