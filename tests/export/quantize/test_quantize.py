"""The two steps of the converter: tensors that hand values on as they are share a range, and a death is told as one."""

import keras
import numpy as np
import pytest
from keras import layers
from saving import save_image_model

from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.tflite.graph import read_graph


def joined_twice():
    """Halves of two convolutions of very different ranges, each half in another concatenation."""
    image = keras.Input((8, 8, 3))
    small, large = layers.Conv2D(8, 1)(image), layers.Conv2D(8, 1)(image) * 5.0
    first = layers.Conv2D(4, 1)(layers.Concatenate()([small[..., :4], large[..., :4]]))
    second = layers.Conv2D(4, 1)(layers.Concatenate()([small[..., 4:], large[..., 4:]]))
    return keras.Model(image, layers.Add()([first, second]))


@pytest.fixture
def job(tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).standard_normal((8, 8, 8, 3)).astype(np.float32))
    save_image_model(joined_twice(), tmp_path / "model", (8, 8, 3))
    return quantize.Job(str(tmp_path / "model"), "int8", "int8", str(tmp_path / "model.tflite"))


def test_what_concatenations_and_slices_join_has_one_scale_and_no_quantize_between(job, tmp_path):
    quantize.convert([job], {"image": tmp_path / "images.npy"}, tmp_path)
    operations = read_graph(job.path).operations
    assert "QUANTIZE" not in {op.name for op in operations}  # the converter alone puts some before a concatenation
    joining = [op for op in operations if op.name in ("CONCATENATION", "STRIDED_SLICE")]
    assert len(joining) == 6
    scales = {tensor.scale for op in joining for tensor in (*op.inputs, *op.outputs) if not tensor.constant}
    assert len(scales) == 1


def test_a_child_that_died_before_it_was_asked_is_told(job, tmp_path, monkeypatch):
    """What it was sent is still in the pipe then, and closing that pipe fails as well."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    with quantize.Converter(tmp_path) as converter:
        converter.start()
        converter._child.wait()
        with pytest.raises(TfeffError, match=r"the converter died \(exit 1\)"):
            converter.convert([job], {"image": tmp_path / "images.npy"})


def test_a_child_that_dies_is_not_taken_for_the_one_before_it(job, tmp_path, monkeypatch):
    quantize.convert([job], {"image": tmp_path / "images.npy"}, tmp_path)  # leaves its answer in the folder
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(TfeffError, match=r"the converter died \(exit 1\)"):
        quantize.convert([job], {"image": tmp_path / "images.npy"}, tmp_path)


def test_what_the_converter_says_is_passed_on(job, tmp_path):
    missing = quantize.Job(str(tmp_path / "nowhere"), "int8", "int8", job.path)
    with pytest.raises(TfeffError, match=r"the converter refused the network: .*nowhere"):
        quantize.convert([missing], {"image": tmp_path / "images.npy"}, tmp_path)
