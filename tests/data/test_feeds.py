"""From a sample to what a model's inputs take."""

import numpy as np
import pytest

from tfeff.data import Preprocessing
from tfeff.data.feeds import InputPort, feed, image_port, record_ports
from tfeff.errors import TfeffError
from tfeff.record import schema

GREY = Preprocessing((4, 4), colour="gray", mean=(100.0,), std=(50.0,))
IMAGE = np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)
VECTOR = InputPort("vector", (3,))
WORDS = InputPort("words", (2,), "int32")


def test_one_image_by_any_name_is_preprocessed():
    port = image_port(GREY)
    assert (port.name, port.shape, port.dtype) == ("image", (4, 4, 1), "float32")
    for sample in (IMAGE, {"": IMAGE}, {"images": IMAGE}, [IMAGE]):
        assert np.array_equal(feed(sample, [port], "x")["image"], GREY(IMAGE))


def test_preprocessed_arrays_pass():
    ready = np.random.default_rng(1).normal(size=(4, 4, 1))
    for value in (ready, ready[None], ready.astype(np.float32)):
        given = feed(value, [image_port(GREY)], "x")["image"]
        assert given.dtype == np.float32
        assert np.array_equal(given, ready.astype(np.float32))


def test_several_inputs_by_name_or_in_order():
    ports = [image_port(GREY, "photo"), VECTOR, WORDS]
    parts = IMAGE, np.arange(3.0), np.array([5, 7])
    for sample in (dict(zip(("words", "vector", "photo"), parts[::-1], strict=True)), parts, list(parts)):
        given = feed(sample, ports, "x")
        assert list(given) == ["photo", "vector", "words"]
        assert np.array_equal(given["photo"], GREY(IMAGE))
        assert (given["vector"].dtype, given["words"].dtype) == (np.float32, np.int32)
        assert given["words"].tolist() == [5, 7]


def test_any_rank_and_dtype():
    level = feed(np.float64(2.5), [InputPort("level", ())], "x")["level"]
    assert (level.shape, level.dtype, float(level)) == ((), np.float32, 2.5)
    turned = feed(np.ones((3, 2)).T, [InputPort("m", (2, 3))], "x")["m"]
    assert turned.flags.c_contiguous
    assert feed(np.bool_(True), [InputPort("flag", (), "bool")], "x")["flag"].dtype == bool
    assert feed(np.ones((1, 2, 3, 4, 5)), [InputPort("clip", (2, 3, 4, 5))], "x")["clip"].shape == (2, 3, 4, 5)
    assert feed(np.int8([1, 2]), [InputPort("a", (2,))], "x")["a"].dtype == np.float32


@pytest.mark.parametrize(
    ("sample", "ports", "told"),
    [
        ({"vector": np.ones(3)}, [VECTOR, WORDS], "holds vector; the model's inputs are vector, words, so words is"),
        ({"": IMAGE}, [image_port(GREY), VECTOR], "holds one image; the model's inputs are image, vector"),
        ([np.ones(3)], [VECTOR, WORDS], "1 arrays, the model has 2 inputs (vector, words)"),
        ({"vector": np.ones(4), "words": np.array([1, 2])}, [VECTOR, WORDS], "photo 7, vector: shape (4,), the netw"),
        (np.ones(4), [VECTOR], "photo 7: shape (4,), the network takes (3,)"),
        (np.array(["a", "b", "c"]), [VECTOR], "dtype <U1, the model takes float32"),
        (np.array([1.0, 2.0]), [WORDS], "dtype float64, the model takes int32"),
        (np.array([1.0, np.nan, 0.0]), [VECTOR], "holds NaN or infinity"),
        (np.ones((4, 4, 1), np.int32), [image_port(GREY)], "dtype int32"),
        (np.ones((4, 4)), [image_port(GREY)], "shape (4, 4), the network takes (4, 4, 1)"),
        (np.ones((4, 4, 2), np.uint8), [image_port(GREY)], "photo 7: an image of shape (4, 4, 2)"),
        (np.ones((4, 4, 3), np.uint8), [InputPort("x", (4, 4, 3))], "how images become the input x is not known"),
    ],
    ids=range(12),
)
def test_samples_that_do_not_fit(sample, ports, told):
    with pytest.raises(TfeffError) as error:
        feed(sample, ports, "photo 7")
    assert error.value.what.startswith("photo 7")
    assert told in error.value.what
    assert error.value.mend


def test_ports_of_a_record():
    ports = [
        schema.Port(name="image", shape=[1, 4, 4, 1], dtype="int8", scale=0.5, zero_point=3,
                    preprocessing=schema.Preprocessing(
                        resize=schema.Resize(mode="cover", height=5, width=6), crop=schema.Crop(height=4, width=4),
                        colour="gray", mean=[100.0], std=[50.0])),
        schema.Port(name="words", shape=[1, 2], dtype="int32"),
        schema.Port(name="level", shape=[1], dtype="float32"),
    ]  # fmt: skip
    image, words, level = record_ports(ports)
    assert image == InputPort(
        "image", (4, 4, 1), "float32", Preprocessing((4, 4), "cover", (5, 6), "gray", (100,), (50,))
    )
    assert words == InputPort("words", (2,), "int32")
    assert level == InputPort("level", ())
