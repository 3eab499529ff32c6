"""From what a dataset holds of a sample to what a model's inputs take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.data.preprocessing import Placement, Preprocessing, from_record
from tfeff.errors import TfeffError


@dataclass(frozen=True)
class InputPort:
    """An input of a model.

    Attributes:
        name: of the input.
        shape: of one sample, without the batch.
        dtype: of the real numbers: float32, or int32, int64 or bool for what is no measurement (numbers of words).
        preprocessing: how an image becomes it; None for what is no image.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    preprocessing: Preprocessing | None = None


def image_port(preprocessing: Preprocessing, name: str = "image") -> InputPort:
    """The input of a model that takes one image."""
    return InputPort(name, preprocessing.shape, "float32", preprocessing)


def record_ports(ports: Sequence[Any]) -> tuple[InputPort, ...]:
    """The inputs that a record names (`record.schema.Port`), as what is fed: quantized ones take real numbers."""
    return tuple(
        InputPort(
            port.name,
            tuple(port.shape[1:]),
            "float32" if port.scale > 0 else port.dtype,
            from_record(port.preprocessing),
        )
        for port in ports
    )


def feed(
    sample: Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray, ports: Sequence[InputPort], where: str
) -> dict[str, np.ndarray]:
    """What the model is given of a sample.

    Args:
        sample: by input; one array, or one by the name "", where the model has one input; or in the order of `ports`.
            For an image input, uint8 of any size, or a float array that is preprocessed already.
        where: the sample's name, for messages.

    Returns:
        {port: an array of its shape and dtype}.

    Raises:
        TfeffError: an input that is missing, unknown, of another shape or kind, or not finite.
    """
    given = _by_name(sample, ports, where)
    return {port.name: _value(given[port.name], port, f"{where}, {port.name}" if len(ports) > 1 else where)
            for port in ports}  # fmt: skip


def placement_of(sample: Mapping[str, np.ndarray], ports: Sequence[InputPort]) -> Placement | None:
    """Where a sample's image lies in the input; None where the model has several image inputs or none, or is given
    an array that is preprocessed already."""
    images = [port for port in ports if port.preprocessing is not None]
    if len(images) != 1:
        return None
    values = [each for name, each in sample.items() if len(sample) == 1 or name == images[0].name]
    if len(values) != 1 or values[0].dtype != np.uint8 or values[0].ndim not in (2, 3):
        return None
    assert images[0].preprocessing is not None
    return images[0].preprocessing.placement(*values[0].shape[:2])


def _by_name(sample, ports, where):
    names = [port.name for port in ports]
    if not isinstance(sample, Mapping):
        parts = list(sample) if isinstance(sample, list | tuple) else [sample]
        if len(parts) != len(ports):
            raise TfeffError(
                f"{where}: {len(parts)} arrays, the model has {len(ports)} inputs ({', '.join(names)})",
                "give one array an input, in this order or by name",
            )
        return dict(zip(names, parts, strict=True))
    if len(ports) == len(sample) == 1:  # there is nothing to mistake
        return {names[0]: next(iter(sample.values()))}
    if missing := [name for name in names if name not in sample]:
        held = ", ".join(name or "one image" for name in sample) or "nothing"
        raise TfeffError(
            f"{where}: holds {held}; the model's inputs are {', '.join(names)}, so {missing[0]} is missing",
            "give an .npz with one array (n, ...) an input by these names, or module:function that yields dicts",
        )
    return sample


def _value(value, port, where):
    value = np.asarray(value)
    if port.preprocessing is not None and value.dtype == np.uint8:
        try:
            return port.preprocessing(value)
        except TfeffError as error:
            raise TfeffError(f"{where}: {error.what}", error.mend) from None
    wanted, kind = np.dtype(port.dtype), value.dtype.kind
    if value.shape == (1, *port.shape):
        value = value[0]
    if port.preprocessing is not None and kind != "f":
        raise TfeffError(f"{where}: dtype {value.dtype}", "give uint8 images, or preprocessed float arrays")
    if kind not in "fiub" or (kind == "f" and wanted.kind != "f"):
        raise TfeffError(f"{where}: dtype {value.dtype}, the model takes {wanted}", f"give {wanted} arrays")
    if value.dtype == np.uint8 and wanted.kind == "f" and len(port.shape) == 3 and port.shape[2] in (1, 3):
        raise TfeffError(
            f"{where}: an image in 8 bits, and how images become the input {port.name} is not known",
            "say it with --mean and --std when the model is exported, or give float arrays as it takes them",
        )
    if value.shape != port.shape:
        mend = "give float arrays already preprocessed, or uint8 images of any size"
        raise TfeffError(
            f"{where}: shape {value.shape}, the network takes {port.shape}",
            mend if port.preprocessing is not None else "give arrays of this shape, one a sample",
        )
    if kind == "f" and not np.isfinite(value).all():
        raise TfeffError(f"{where}: holds NaN or infinity", "remove or mend this sample")
    return value.astype(wanted, order="C", copy=False)
