"""The files of `debug_models` that several test modules share; each asks for them with `pytest_plugins`."""

from types import SimpleNamespace

import numpy as np
import pytest
from compare_models import convert
from debug_models import images, keras_network


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
