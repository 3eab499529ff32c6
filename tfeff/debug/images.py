"""The images on which a file is debugged, as inputs of the network: float32, preprocessed, in memory."""

from pathlib import Path

import numpy as np

from tfeff.artifact import Artifact
from tfeff.data import Dataset, Preprocessing, default_evaluation, open_dataset
from tfeff.debug.network import Network
from tfeff.errors import TfeffError

_FASHION_MNIST = ("fashion_mnist", "fashion_mnist_sample")
_OWN = "--mean and --std in pixel units, such as 127.5 for both, or --images FILE.npz with float arrays"


def find_preprocessing(
    artifact: Artifact,
    network: Network,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    colour: str | None,
) -> tuple[Preprocessing | None, str]:
    """How images become the file's inputs, and a note where that was concluded from the file; None when nothing says.

    Args:
        mean, std: one number, or one a channel, in pixel units; for files without a record.
        colour: "rgb", "bgr" or "gray".

    Raises:
        TfeffError: given although the record says it, only one of the two, or numbers that do not fit.
    """
    recorded = (artifact.record or {}).get("preprocessing")
    if recorded:
        if mean or std or colour:
            raise TfeffError(
                f"{artifact.path}: its record says the preprocessing", "leave out --mean, --std and --colour"
            )
        chosen = Preprocessing.from_dict(recorded)
        if chosen.shape != network.shape(network.input)[1:]:
            raise TfeffError(
                f"{artifact.path}: takes {network.shape(network.input)[1:]}, its record prepares {chosen.shape}",
                "export it anew",
            )
        return chosen, ""
    *size, channels = network.shape(network.input)[1:]
    if bool(mean) != bool(std):
        raise TfeffError("only one of --mean and --std is given", "give both, in pixel units (0..255)")
    note = ""
    if not mean:
        grid = network.grid(network.input)
        if grid is None or grid.dtype != np.uint8:
            return None, ""
        mean, std = (float(grid.zero_point),), (1 / grid.scale,)
        note = f"pixels go in as they are, as is usual for a uint8 input: mean {mean[0]:g}, std {std[0]:g}"
    if channels not in (1, 3):
        raise TfeffError(
            f"{artifact.path}: takes images of {channels} channels", "give a file that takes grey or colour images"
        )
    colour = colour or ("gray" if channels == 1 else "rgb")
    if (colour == "gray") != (channels == 1):
        raise TfeffError(f"--colour {colour}: the file takes images of {channels} channels", "leave --colour out")
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    return Preprocessing(tuple(size), colour=colour, mean=mean, std=std), note


def load_images(
    artifact: Artifact,
    network: Network,
    spec: str | None,
    preprocessing: Preprocessing | None,
    samples: int,
    seed: int,
) -> tuple[str, np.ndarray]:
    """(where they are from, inputs float32 (n, h, w, c)); a seeded choice of `samples`, all where there are not more.

    Args:
        spec: a dataset's name, a folder or an `.npz`; None takes what the record was calibrated with, else its dataset.
        preprocessing: for 8-bit images; float arrays of an `.npz` are inputs already.

    Raises:
        TfeffError: no images, unreadable ones, or ones that do not fit the file.
    """
    if samples < 1:
        raise TfeffError(f"samples must be at least 1, not {samples}")
    dataset = open_dataset(spec, "train", labelled=False) if spec else _recorded(artifact)
    if not len(dataset):
        raise TfeffError(f"images {dataset.name}: there are none", "give a folder or an .npz with images")
    numbers = np.arange(len(dataset))
    if samples < len(dataset):
        numbers = np.sort(np.random.default_rng([seed, len(dataset)]).choice(numbers, samples, replace=False))
    shape = network.shape(network.input)[1:]
    return dataset.name, np.stack([_input(dataset, int(n), preprocessing, shape, artifact.path) for n in numbers])


def _recorded(artifact) -> Dataset:
    record = artifact.record or {}
    calibration = record.get("calibration")
    candidates = [calibration.get("source") if isinstance(calibration, dict) else None, record.get("dataset")]
    named = [spec for spec in candidates if isinstance(spec, str) and spec]
    for spec in named:
        if spec in _FASHION_MNIST:
            return open_dataset(default_evaluation() if spec == "fashion_mnist" else spec, "train", labelled=False)
        if Path(spec).is_dir() or (Path(spec).suffix == ".npz" and Path(spec).is_file()):
            return open_dataset(spec, "train", labelled=False)
    if named:
        raise TfeffError(f"{artifact.path}: its record names the images {named[0]}, which are not here", "--images")
    raise TfeffError(f"{artifact.path}: no record says what images it takes", "--images FOLDER, .npz or a dataset")


def _input(dataset, number, preprocessing, shape, path):
    image = dataset.image(number)
    if np.issubdtype(image.dtype, np.floating):
        if image.shape != shape:
            raise TfeffError(
                f"{dataset.names[number]} of {dataset.name}: a float array of shape {image.shape}, the file takes "
                f"{shape}",
                "give float arrays already preprocessed, or 8-bit images of any size",
            )
        if not np.isfinite(image).all():
            raise TfeffError(f"{dataset.names[number]} of {dataset.name}: holds NaN or infinity", "mend or remove it")
        return image.astype(np.float32)
    if preprocessing is None:
        raise TfeffError(f"{path}: no record says its preprocessing", _OWN)
    try:
        return preprocessing(image)
    except TfeffError as error:
        raise TfeffError(f"{dataset.names[number]} of {dataset.name}: {error.what}", error.mend) from None
