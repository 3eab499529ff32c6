"""The two steps of the converter: tensors that hand values on as they are share a range, and a death is told as one."""

import keras
import numpy as np
import pytest
from keras import layers
from saving import save_image_model

from tfeff.data import InputPort
from tfeff.errors import GateFailed, TfeffError
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


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_a_loop_is_refused_by_its_name(tmp_path, precision):
    """Of it the converter's quantizer dies. A float file may hold one."""
    steps = keras.Input((200, 3), name="steps")
    model = keras.Model(steps, layers.Dense(2)(layers.GRU(4, name="memory")(steps)))
    ports = [InputPort("steps", (200, 3))]
    quantize.write_saved_model(model, tmp_path / "saved", ports, ["state"])
    np.save(tmp_path / "steps.npy", np.zeros((1, 200, 3), np.float32))
    io = {"int8": "int8", "int16x8": "int16"}[precision]
    job = quantize.Job(str(tmp_path / "saved"), precision, io, str(tmp_path / "loop.tflite"))
    with pytest.raises(GateFailed, match=r"leave WHILE in float: .*memory.*while"):
        quantize.convert([job], {"steps": tmp_path / "steps.npy"}, tmp_path)


def test_a_name_that_no_signature_can_have_is_refused(tmp_path):
    with pytest.raises(TfeffError, match="'left image' cannot be called so"):
        quantize.write_saved_model(lambda x: x, tmp_path / "saved", [InputPort("left image", (3,))], ["y"])


def test_a_table_is_refused_by_its_name(tmp_path):
    word = keras.Input((1,), dtype="int64", name="word")
    model = keras.Model(word, layers.IntegerLookup(vocabulary=[1, 5, 9], name="look")(word))
    with pytest.raises(TfeffError, match=r"looks values up in a table, .*look"):
        quantize.write_saved_model(model, tmp_path / "saved", [InputPort("word", (1,), "int64")], ["number"])
    assert not (tmp_path / "saved").exists()
