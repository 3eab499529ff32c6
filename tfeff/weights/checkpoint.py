"""Weights in a file: `.npz` by variable path (ours, numpy alone reads it), or Keras' `.weights.h5`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.files import check_unpacked, written_whole
from tfeff.own_code import nothing_from_here
from tfeff.weights import compact
from tfeff.weights import metadata as about

_FOREIGN = (".safetensors", ".pth", ".pt", ".bin")


def save_weights(
    model: Any,
    path: Path,
    *,
    half: bool = False,
    mantissa_bits: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    force: bool = True,
) -> None:
    """Writes every weight of a Keras model as `.npz`: variable path -> array, compressed, the same bytes every time.

    Args:
        half: kernels as float16 (half the size; 3 decimal digits); all else (BN, bias, shifts) stays float32.
        mantissa_bits: kernels in even fewer bits, 1 to 10 of float16's mantissa, see `tfeff.weights.compact`.
        metadata: `network`, `arguments` that it was built with, and what else is known; the graph's fingerprint is
            added. Without it the file holds arrays alone, and nobody can tell which graph they were made for.
        force: whether a file that is there is replaced.

    Raises:
        TfeffError: a folder that cannot be written to, or a kernel beyond float16's 65504.
    """
    arrays: dict[str, Any] = {}
    for variable in _variables(model):
        name, value = variable.path, np.asarray(variable.value)
        if (half or mantissa_bits) and name.endswith("kernel"):
            if np.abs(value).max(initial=0) > np.finfo(np.float16).max:
                raise TfeffError(f"weights {path}: {variable.path} is too large for float16", "save them in full")
            value = value.astype(np.float16)
            if mantissa_bits:
                name, value = compact.pack(name, value, mantissa_bits)
        arrays[name] = value
    if metadata is not None:
        arrays[about.KEY] = about.encode({**metadata, "fingerprint": about.fingerprint(model)})
    with written_whole(path, force=force) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_weights(model: Any, path: Path) -> None:
    """Loads a weight file into a Keras model; every weight of the model must be there, and nothing else.

    Raises:
        TfeffError: the file is missing, empty, cut short, of another format, belongs to another network, or says that
        its weights were made for another graph (padding, epsilon, ...) than the model's.
    """
    path = _check_file(path)
    if path.name.endswith((".h5", ".keras")):
        return _load_keras(model, path)
    arrays, metadata = _read_npz(path)
    _assign(model, path, arrays, metadata)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """{variable path: array} of a `.npz` of ours.

    Raises:
        TfeffError: as `load_weights` does for a file that cannot be read, or one of Keras' own.
    """
    path = _check_file(path)
    if path.name.endswith((".h5", ".keras")):
        raise TfeffError(
            f"weights {path}: Keras' own file, whose weights have no names that could be looked for",
            "save them as .npz: tfeff.weights.save_weights(model, path)",
        )
    arrays, _ = _read_npz(path)
    _check_finite(path, arrays)
    return arrays


def read_metadata(path: Path) -> dict[str, Any] | None:
    """What a weight file says of itself (`network`, `arguments`, `preprocessing`, ...); None where it says nothing.

    Raises:
        TfeffError: as `load_weights` does for a file that cannot be read.
    """
    path = _check_file(path)
    return None if path.name.endswith((".h5", ".keras")) else _read_npz(path, [about.KEY])[1]


def _check_file(path):
    path = Path(path)
    if not path.is_file():
        raise TfeffError(f"weights {path}: no such file", "check the path, or use --random-weights")
    if path.stat().st_size == 0:
        raise TfeffError(f"weights {path}: the file is empty", "get it anew")
    check_unpacked(path)
    if path.suffix in _FOREIGN:
        raise TfeffError(
            f"weights {path}: PyTorch's names and order of axes",
            f"first: tfeff import-weights {path} --network NAME --out {path.stem}.npz",
        )
    return path


def _read_npz(path, wanted=None):
    """(arrays, metadata) of all entries, or of those wanted."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = compact.unpack({k: archive[k] for k in archive.files if wanted is None or k in wanted})
        metadata = about.decode(arrays.pop(about.KEY)) if about.KEY in arrays else None
    except Exception as error:  # zipfile, zlib and numpy each raise their own on a damaged file
        reason = _first_line(error)
        raise TfeffError(
            f"weights {path}: damaged, or not an .npz or .weights.h5 file ({reason})", "get it anew"
        ) from None
    return arrays, metadata


def _assign(model, path, arrays, metadata=None):
    variables = {variable.path: variable for variable in _variables(model)}
    faults = [f"lacks {name}" for name in variables if name not in arrays]
    faults += [f"has {name}, unknown to the network" for name in arrays if name not in variables]
    faults += [
        f"{name} is {arrays[name].shape}, the network has {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and arrays[name].shape != tuple(variable.shape)
    ]
    faults += [f"{name} is of type {value.dtype}" for name, value in arrays.items() if value.dtype.kind not in "fiu"]
    if faults:
        raise _misfit(model, path, faults)
    _check_finite(path, arrays)
    if metadata and metadata.get("fingerprint") != about.fingerprint(model):
        network = metadata.get("network", "another network")
        raise TfeffError(
            f"weights {path}: made for another graph than network {model.name} as it was built here",
            f"build it as they were: tfeff.create({network!r}, weights={str(path)!r}), "
            f"which is {network} with {about.in_words(metadata)}",
        )
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(np.float32))


def _load_keras(model, path):
    import h5py
    import keras

    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise TfeffError(f"weights {path}: damaged, or not a .keras file", "get it anew")
        try:
            with nothing_from_here():
                source = keras.saving.load_model(path, compile=False)
        except Exception as error:  # Keras has no type of its own for files it cannot load
            raise TfeffError(f"weights {path}: Keras cannot load it ({_first_line(error)})", "get it anew") from None
        return _assign(model, path, {v.path: np.asarray(v.value) for v in _variables(source)})
    entries = []
    try:
        with h5py.File(path) as file:
            file.visititems(lambda name, entry: entries.append(name) if isinstance(entry, h5py.Dataset) else None)
        model.load_weights(path)
    except OSError as error:  # h5py on a damaged file
        raise TfeffError(
            f"weights {path}: damaged, or not a weight file ({_first_line(error)})", "get it anew"
        ) from None
    except Exception as error:  # nor for files that do not fit
        raise _misfit(model, path, [_first_line(error)]) from None
    extra = sum(not name.startswith("optimizer") for name in entries) - len(model.variables)
    if extra > 0:  # Keras takes layers by order and leaves what is over
        raise _misfit(model, path, [f"has {extra} entries more than the network"])
    _check_finite(path, {v.path: np.asarray(v.value) for v in _variables(model)})


def _check_finite(path, arrays):
    bad = [name for name, value in arrays.items() if not np.isfinite(value).all()]
    if bad:
        raise TfeffError(f"weights {path}: {bad[0]} holds NaN or infinity ({len(bad)} entries do)", "train it anew")


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


def _misfit(model, path, faults):
    shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    return TfeffError(
        f"weights {path} do not fit network {model.name}: {shown}",
        "name the network, --classes and --input-size that the weights were trained with",
    )


def _variables(model):
    """Trained values and BN statistics; the seeds of dropout and the like are no part of a network."""
    return [variable for variable in model.variables if not variable.path.endswith("seed_generator_state")]
