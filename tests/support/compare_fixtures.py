"""The files of `compare_models` that several test modules share; each asks for them with `pytest_plugins`."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from compare_models import PREPROCESSING, convert, dense_network, fit_classifier, write_test_record

from tfeff.data import open_dataset


@pytest.fixture(scope="session")
def compared_files(tmp_path_factory):
    """Files `float` and `int8`, twins that classify Fashion-MNIST (14x14 grey), and `wrong`, an int8 file of the same
    form whose classes are rolled by one; arrays `kernel` and `bias`."""
    folder = tmp_path_factory.mktemp("compared_files")
    kernel, bias = fit_classifier()
    calibration = open_dataset("fashion_mnist_sample", "train")
    images = [PREPROCESSING(calibration.image(n)) for n in range(100)]
    right = dense_network(kernel, bias, (14, 14, 1))
    wrong = dense_network(np.roll(kernel, 1, axis=1), np.roll(bias, 1), (14, 14, 1))
    return SimpleNamespace(
        kernel=kernel,
        bias=bias,
        float=convert(right, folder / "float.tflite"),
        int8=convert(right, folder / "int8.tflite", images, "int8"),
        wrong=convert(wrong, folder / "wrong.tflite", images, "int8"),
    )


@pytest.fixture
def app_artifacts(compared_files, tmp_path, monkeypatch):
    """Paths of `int8` and `float`, each with its record; keys go below tmp_path."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shutil.copy(compared_files.float, tmp_path / "float.tflite")
    shutil.copy(compared_files.int8, tmp_path / "int8.tflite")
    for name in ("int8", "float"):
        path = tmp_path / f"{name}.tflite"
        write_test_record(path, dataset="fashion_mnist", network="dense")
    return {"int8": tmp_path / "int8.tflite", "float": tmp_path / "float.tflite"}
