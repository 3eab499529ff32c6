"""Fashion-MNIST (Zalando SE, MIT licence): 60,000 training and 10,000 test images, 28x28 grey, 10 classes."""

import gzip
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from tfeff.data.dataset import ArrayDataset
from tfeff.errors import TfeffError
from tfeff.files import home

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SAMPLE_PATH = Path(__file__).with_name("sample") / "fashion_mnist_sample.npz"
_PREFIX = {"train": "train", "test": "t10k"}
_MOST = 2**26  # bytes of a file; that of the training images has 47,040,016
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_MEND = (
    "install the Debian package dataset-fashion-mnist, or set TFEFF_DATA to the folder with its four .gz files, "
    "or use fashion_mnist_sample"
)


def find_fashion_mnist() -> Path | None:
    """The folder with the full set on this machine: `TFEFF_DATA`, Debian's, or Keras' download; None without one."""
    if os.environ.get("TFEFF_DATA"):
        root = Path(os.environ["TFEFF_DATA"])
        places = [root, root / "fashion-mnist", root / "fashion_mnist"]
    else:
        places = [_DEBIAN]
        with suppress(TfeffError):  # no home folder, so nothing was downloaded into it
            keras_home = Path(os.environ.get("KERAS_HOME") or home() / ".keras")
            places.append(keras_home / "datasets" / "fashion-mnist")
    return next((place for place in places if is_idx_folder(place)), None)


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds the test files in the original (idx) format, gzipped or not."""
    return all(_idx_file(folder, "test", kind) for kind in ("images-idx3", "labels-idx1"))


def load_fashion_mnist(split: str, folder: Path | None = None) -> ArrayDataset:
    """The full set, from `folder`, from this machine, or through Keras' own download.

    Raises:
        TfeffError: it is nowhere and cannot be downloaded, or a file is damaged.
    """
    folder = folder or find_fashion_mnist() or _download()
    images, labels = (_read_idx(folder, split, kind) for kind in ("images-idx3", "labels-idx1"))
    if not 0 < len(images) == len(labels) or images.shape[1:] != (28, 28) or labels.max() > 9:
        raise TfeffError(f"{folder}: the {split} files are not Fashion-MNIST", _MEND)
    names = [f"{split} image {n}" for n in range(len(images))]
    return ArrayDataset("fashion_mnist", str(folder), CLASSES, labels.astype(np.int64), names, images)


def load_sample(split: str) -> ArrayDataset:
    """The bundled sample: 1,024 test images (`test`) or 512 training images (`train`), every class alike."""
    with np.load(SAMPLE_PATH) as sample:
        images, labels, numbers = (sample[f"{split}_{part}"] for part in ("images", "labels", "numbers"))
    names = [f"{split} image {n}" for n in numbers]  # numbers in the full set
    return ArrayDataset("fashion_mnist_sample", "bundled", CLASSES, labels.astype(np.int64), names, images)


def _idx_file(folder: Path, split: str, kind: str) -> Path | None:
    stem = f"{_PREFIX[split]}-{kind}-ubyte"
    return next((folder / name for name in (f"{stem}.gz", stem) if (folder / name).is_file()), None)


def _read_idx(folder: Path, split: str, kind: str) -> np.ndarray:
    path = _idx_file(folder, split, kind)
    if path is None:
        raise TfeffError(f"{folder}: no {_PREFIX[split]}-{kind}-ubyte file", _MEND)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise ValueError(f"more than {_MOST:,} bytes")
        zero, dtype, rank = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{rank}I", data, 4)
        if zero or dtype != 8 or rank != int(kind[-1]):
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise TfeffError(f"{path}: damaged ({error})", "get this file anew") from None


def _download() -> Path:
    if os.environ.get("TFEFF_DATA"):
        raise TfeffError(f"dataset fashion_mnist: no such files below TFEFF_DATA={os.environ['TFEFF_DATA']}", _MEND)
    try:
        import keras

        keras.datasets.fashion_mnist.load_data()
    except Exception as error:  # whatever its download raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TfeffError(f"dataset fashion_mnist: not on this machine; the download failed ({reason})", _MEND) from None
    folder = find_fashion_mnist()
    if folder is None:
        raise TfeffError("dataset fashion_mnist: downloaded, but not found where Keras puts it", _MEND)
    return folder
