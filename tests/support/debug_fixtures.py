"""The files of `debug_models` that several test modules share; each asks for them with `pytest_plugins`."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from compare_models import convert
from debug_models import CLASSES, SHAPE, images, keras_network, ruin

from tfeff.data import Preprocessing


@pytest.fixture(scope="session")
def debug_files(tmp_path_factory):
    """`float` and `int8`, twins without a record; `ranges`, the images that gave the ranges; `images`, an .npz with 24
    others, float arrays; `model`, the Keras model."""
    folder = tmp_path_factory.mktemp("debug_files")
    model, ranges = keras_network(), images(40, 0)
    np.savez(folder / "images.npz", images=images(24, 1))
    return SimpleNamespace(
        model=model,
        ranges=ranges,
        images=folder / "images.npz",
        float=convert(model, folder / "float.tflite"),
        int8=convert(model, folder / "int8.tflite", ranges, "int8"),
    )


@pytest.fixture
def artifact(debug_files, tmp_path):
    """A ruined file with a record of schema 1 and a float twin, and pixels that the record names."""
    ruined = Path(shutil.move(ruin(debug_files.int8, ["wide"], 0.2), tmp_path / "net.int8.tflite"))
    twin = Path(shutil.copy(debug_files.float, tmp_path / "net.int8.twin.tflite"))
    pixels = tmp_path / "pixels.npz"
    with np.load(debug_files.images) as archive:
        np.savez(pixels, images=np.uint8(np.round(archive["images"] * 127.5 + 127.5)))
    record = {
        "schema_version": 1,
        "file": ruined.name,
        "sha256": hashlib.sha256(ruined.read_bytes()).hexdigest(),
        "float_twin": {"file": twin.name, "sha256": hashlib.sha256(twin.read_bytes()).hexdigest()},
        "input": {"shape": [1, *SHAPE], "dtype": "int8", "scale": 1 / 127.5, "zero_point": 0},
        "output": {"shape": [1, CLASSES], "dtype": "int8", "scale": 0.1, "zero_point": 0},
        "preprocessing": Preprocessing(SHAPE[:2], mean=(127.5,) * 3, std=(127.5,) * 3).as_dict(),
        "calibration": {"source": str(pixels)},
    }
    ruined.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
    return ruined
