"""A user's file as a model: shapes and preprocessing of its inputs, and what its outputs mean."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tfeff.cli.source import Source, file_stem, is_float_file, plain_preprocessing
from tfeff.data import InputPort, open_dataset
from tfeff.errors import TfeffError
from tfeff.export import Model
from tfeff.export.loading import Loaded, OpenInput, load
from tfeff.export.steps import some_inputs
from tfeff.record.schema import TaskSpec
from tfeff.tasks import Head, get_task, recognise, said

if TYPE_CHECKING:
    from tfeff.export.rebuild.reading import FloatFile

_INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "bool")


def build_user_model(source: Source, float_file: "FloatFile | None" = None) -> Model:
    """The model in a Keras file, a SavedModel folder or a float `.tflite` file.

    Args:
        float_file: of a `.tflite` what was read of it; it is read here without.

    Raises:
        TfeffError: a file that cannot be used, or options that do not fit it.
    """
    path = Path(source.name)
    if is_float_file(source.name) and float_file is None:
        float_file = read_source(source)
    loaded = load(path, source.imports, source.signature, trust_lambda=source.trust_lambda, float_file=float_file)
    ports, notes = _ports(path, loaded.inputs, source)
    loaded = replace(loaded, heads=_seen(loaded, ports))
    tasks, told = _tasks(loaded.heads, source)
    outputs = [head.output for head in loaded.heads]
    if not is_float_file(source.name):  # what takes the place of a file has its names
        ports, outputs, tasks = _renamed(ports, outputs, tasks)
    if loaded.fake_quant is not None:
        notes.append(f"{path.name} is a fake-quant network: the float twin is the float network inside it")
    return Model(
        loaded.callable, file_stem(path), path.name, tuple(ports), tuple(outputs), tuple(tasks),
        brought=loaded.brought, copied=loaded.copied, fake_quant=loaded.fake_quant, notes=(*notes, *told),
        source=loaded.source,
    )  # fmt: skip


def read_source(source: Source) -> "FloatFile":
    """Reads the `.tflite` file that is meant; raises what `rebuild.reading.read_float_file` does."""
    from tfeff.export.rebuild.reading import read_float_file

    return read_float_file(Path(source.name), source.signature, source.input_shapes, source.input_size)


def _ports(path: Path, inputs: Sequence[OpenInput], source: Source) -> tuple[list[InputPort], list[str]]:
    """The inputs with fixed shapes, images with their preprocessing; and notes for the record."""
    names = [each.name for each in inputs]
    if unknown := [name for name in source.input_shapes or {} if name not in names]:
        raise TfeffError(f"--input-shape {unknown[0]}: {path} has no such input", f"its inputs are {', '.join(names)}")
    if (source.mean is None) != (source.std is None):
        raise TfeffError(
            f"{path}: {'--std' if source.mean else '--mean'} without the other",
            "give --mean and --std in pixel values (0 and 1 for a network that takes 0..255, 127.5 twice for -1..1)",
        )
    ports = [InputPort(each.name, _shape(path, each, source), _dtype(path, each)) for each in inputs]
    images = [port for port in ports if _may_be_image(port)]
    taken = [port for port, each in zip(ports, inputs, strict=True) if each.pixels]
    if taken and source.mean is None:
        ports = [_as_pixels(port, source) if port in taken and port in images else port for port in ports]
        return ports, [f"takes 8-bit pixels as they are in {', '.join(port.name for port in taken)}"]
    if taken and (any(source.mean or ()) or any(each != 1 for each in source.std or ())):
        raise TfeffError(
            f"--mean: {path} takes 8-bit pixels in {taken[0].name} and makes of them what it needs itself",
            "leave --mean and --std out",
        )
    if source.mean is None:
        if source.pixels.given:
            word = "--colour" if source.colour else "--resize" if source.resize else "--crop"
            raise TfeffError(f"{word}: is of images", "give --mean and --std too")
        look = ", ".join(port.name for port in images)
        note = f"takes {look} as arrays: how images become it was not said (--mean, --std)"
        return ports, [note] if images else []
    if not images:
        _refuse_images(path, ports)
    return [
        replace(port, preprocessing=plain_preprocessing(port.shape, source)) if port in images else port
        for port in ports
    ], []


def _as_pixels(port: InputPort, source: Source) -> InputPort:
    """An input of 8-bit pixels: an image, of which nothing is subtracted or divided."""
    return replace(port, preprocessing=source.pixels.prepare(port.shape, 0.0, 1.0))


def _refuse_images(path: Path, ports: Sequence[InputPort]) -> NoReturn:
    flat = next((port for port in ports if len(port.shape) == 2 and port.dtype == "float32"), None)
    if flat is not None:
        height, width = flat.shape
        raise TfeffError(
            f"{path}: its input {flat.name} of shape {flat.shape} has no channels, an image is (h, w, 1) or (h, w, 3)",
            f"build it with keras.Input(({height}, {width}, 1)), or leave --mean and --std out and give arrays",
        )
    held = ", ".join(f"{port.name} {port.shape} {port.dtype}" for port in ports)
    if any(len(port.shape) == 3 and port.shape[0] in (1, 3) for port in ports):
        held += ", with the channels in front"
    raise TfeffError(
        f"--mean: no input of {path} is an image, (h, w, 1) or (h, w, 3) in floating point: it takes {held}",
        "leave --mean and --std out, and give arrays",
    )


def _may_be_image(port: InputPort) -> bool:
    return len(port.shape) == 3 and port.shape[2] in (1, 3) and port.dtype == "float32"


def _dtype(path: Path, given: OpenInput) -> str:
    if given.dtype in _INTEGERS:
        return given.dtype
    if given.dtype in ("float32", "float16", "bfloat16", "float64"):
        return "float32"
    raise TfeffError(
        f"{path}: its input {given.name} is of {given.dtype}", "give a model that takes numbers; text is no tensor"
    )


def _shape(path: Path, given: OpenInput, source: Source) -> tuple[int, ...]:
    """The shape of one sample, fixed by the model, --input-shape or --input-size."""
    told = (source.input_shapes or {}).get(given.name)
    word = "--input-shape"
    if told is None and source.input_size and len(given.shape) == 3:
        told, word = (*source.input_size, given.shape[2] or 0), "--input-size"
    if told is not None and (
        len(told) != len(given.shape)
        or any(have not in (None, want) for have, want in zip(given.shape, told, strict=True))
    ):
        shape = ", ".join("?" if size is None else str(size) for size in (1, *given.shape))
        raise TfeffError(f"{path}: {given.name} takes ({shape}), {word} says {told}", "leave it out, or give this")
    fixed = told if told is not None else given.shape
    if not all(fixed):
        sizes = ",".join("N" if not size else str(size) for size in (1, *fixed))
        image = "--input-size, or " if len(fixed) == 3 else ""
        raise TfeffError(
            f"{path}: the shape of its input {given.name} is open", f"give {image}--input-shape {given.name}={sizes}"
        )
    return tuple(int(size) for size in fixed if size is not None)


def _seen(loaded: Loaded, ports: Sequence[InputPort]) -> tuple[Head, ...]:
    """The heads with their shapes and, where the last layer cannot be seen, what its values look like."""
    heads = loaded.heads
    if all(head.activation is not None and None not in head.shape for head in heads):
        return heads
    noise = some_inputs(ports, 1)
    model = Model(loaded.callable, "", "", tuple(ports), tuple(head.output for head in heads), ())
    outputs = model.run(noise)
    return tuple(
        replace(head, shape=outputs[head.output].shape[1:], activation=head.activation or _look(outputs[head.output]))
        for head in heads
    )


def _look(values: np.ndarray) -> str | None:
    """`softmax` of one sample's values that are a distribution; else None."""
    flat = values.reshape(-1)
    distribution = flat.size > 1 and np.issubdtype(values.dtype, np.floating) and (flat >= 0).all()
    return "softmax" if distribution and abs(float(flat.sum()) - 1) < 1e-3 else None


def _tasks(heads: Sequence[Head], source: Source) -> tuple[list[TaskSpec], list[str]]:
    """What the outputs mean: as the user says, else as they tell themselves; and notes for the record."""
    told, left = said(source.tasks, heads, source.name)
    if len(heads) == 1 and left and source.dataset is not None:
        # The labels can only be of this output.
        labels = open_dataset(source.dataset, "test", labelled=False).labels
        left = [replace(head, labels=labels) for head in left]
    found = recognise(left)
    unknown = [name for spec in found if get_task(spec.name).metric(spec) is None for name in spec.outputs]
    notes = [f"what {', '.join(unknown)} means is not known (--task says it): compared as numbers"] if unknown else []
    return [*told, *found], notes


def _renamed(ports, outputs, tasks):
    """Our names where there is nothing to mistake: `image` of an image that is the only input, the task's own of the
    only output. Several inputs keep theirs: samples are given by them."""
    if len(ports) == 1 and ports[0].preprocessing is not None:
        ports = [replace(ports[0], name="image")]
    own = get_task(tasks[0].name).output_names
    if len(outputs) == len(tasks) == len(own) == 1:
        outputs = list(own)
        tasks[0].outputs = list(own)
    return ports, outputs, tasks
