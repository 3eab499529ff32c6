"""Running one file: numbers at its doors, its arithmetic against the same in numpy, and files that are refused."""

import subprocess
import sys

import numpy as np
import pytest
from compare_models import convert, convert_function, convert_ports, dense_network
from custom_operator import put_custom_operator

from tfeff.compare import Runner, dequantize, quantize
from tfeff.errors import TfeffError

pytest_plugins = ["compare_fixtures"]


def test_quantize_by_hand():
    values = np.float32([-1.0, -0.26, 0.0, 0.25, 0.75, 1.0, 100.0, -100.0])  # in steps of 0.5: -2, -0.52, 0, 0.5, 1.5
    assert quantize(values, 0.5, 3, np.int8).tolist() == [1, 2, 3, 3, 5, 5, 127, -128]
    assert quantize(values, 0.5, 3, np.uint8).tolist() == [1, 2, 3, 3, 5, 5, 203, 0]
    assert quantize(values, 0.001, 0, np.int16).tolist() == [-1000, -260, 0, 250, 750, 1000, 32767, -32768]
    assert quantize(values, 0.0, 0, np.float32).tolist() == values.tolist()


def test_dequantize_by_hand():
    assert dequantize(np.int8([-128, 0, 127]), 0.5, -28).tolist() == [-50.0, 14.0, 77.5]
    assert dequantize(np.uint8([0, 255]), 0.25, 255).tolist() == [-63.75, 0.0]
    assert dequantize(np.float32([1.5]), 0.0, 0).tolist() == [1.5]


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -7), ("uint8", 131), ("int16", 0)])
def test_dequantize_undoes_quantize(dtype, zero_point):
    limits = np.iinfo(dtype)
    stored = np.arange(limits.min, limits.max + 1).astype(dtype)
    assert (quantize(dequantize(stored, 0.037, zero_point), 0.037, zero_point, dtype) == stored).all()


@pytest.fixture(scope="module")
def linear():
    """kernel, bias and 60 images of a linear function of 4x4x3 images."""
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(48, 5)).astype(np.float32), generator.normal(size=5).astype(np.float32)
    return kernel, bias, generator.uniform(-1, 1, (60, 4, 4, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "io", "step"),
    [("float32", None, 0), ("int8", "int8", 1), ("int8", "uint8", 1), ("int8", "float32", 1), ("int16", "int16", 1)],
)
def test_runs_a_known_linear_function(linear, tmp_path, dtype, io, step):
    kernel, bias, images = linear
    runner = Runner(convert(dense_network(kernel, bias, (4, 4, 3)), tmp_path / "x.tflite", images, dtype, io))
    (given,), (taken,) = runner.inputs, runner.outputs
    assert (given.shape, given.sample) == ((1, 4, 4, 3), (4, 4, 3))
    assert (taken.shape, taken.sample) == ((1, 5), (5,))
    assert given.dtype == taken.dtype == np.dtype(io or dtype)
    assert given.quantized == taken.quantized == (given.dtype != np.float32)
    if given.dtype == np.float32:
        seen, tolerance = images, 1e-4 if dtype == "float32" else 0.2
    else:  # the images as the file sees them; its weights have 8 bits, and its output is one of its steps
        seen = given.real(given.store(images))
        tolerance = taken.scale * step + 0.5 * np.abs(kernel).max() / 127 * np.sqrt(48)
    exact = seen.reshape(60, 48) @ kernel + bias
    logits = np.stack([runner(image)[taken.name] for image in images])
    assert logits.dtype == np.float32
    assert np.abs(logits - exact).max() < tolerance
    assert np.ptp(exact) > 20 * tolerance  # so that the line above says something


def test_output_is_one_of_its_steps(linear, tmp_path):
    kernel, bias, images = linear
    runner = Runner(convert(dense_network(kernel, bias, (4, 4, 3)), tmp_path / "x.tflite", images, "int8"))
    (port,) = runner.outputs
    steps = runner({runner.inputs[0].name: images[0]})[port.name] / np.float32(port.scale) + port.zero_point
    assert np.abs(steps - np.round(steps)).max() < 1e-3
    assert -128 <= steps.min() <= steps.max() <= 127


def many_ports(photo, level, words):
    """Several inputs and outputs of several kinds, in TensorFlow."""
    import tensorflow as tf

    return {
        "zoomed": photo * 2.0 + level,  # rank 4
        "count": tf.reduce_sum(words),  # rank 0, integer
        "mean": tf.reduce_mean(photo),  # rank 0
        "larger": words > 2,
        "clip": tf.reshape(photo, (1, 2, 1, 3, 1)),
    }


PORTS = {"photo": ((1, 2, 3, 1), "float32"), "level": ((1,), "float32"), "words": ((1, 4), "int32")}


def test_ports_of_any_number_rank_and_type(tmp_path):
    runner = Runner(convert_ports(many_ports, PORTS, tmp_path / "many.tflite"))
    assert {port.name: (port.sample, port.dtype.name) for port in runner.inputs} == {
        "photo": ((2, 3, 1), "float32"), "level": ((), "float32"), "words": ((4,), "int32"),
    }  # fmt: skip
    photo, words = np.arange(6, dtype=np.float32).reshape(2, 3, 1), np.array([1, 2, 3, 4])
    found = runner({"words": words, "level": np.float32(0.5), "photo": photo})
    assert found.keys() == {"zoomed", "count", "mean", "larger", "clip"}
    assert np.array_equal(found["zoomed"], 2 * photo + 0.5)
    assert (found["count"].shape, found["count"].dtype, int(found["count"])) == ((), np.int32, 10)
    assert (found["mean"].shape, float(found["mean"])) == ((), 2.5)
    assert found["larger"].tolist() == [False, False, True, True]
    assert (found["clip"].shape, found["clip"].dtype) == ((2, 1, 3, 1), np.float32)


def test_quantized_ports_are_real_numbers_and_integers_stay(tmp_path):
    random = np.random.default_rng(0)

    def ports(photo, words):
        return {"zoomed": photo * 2.0, "next": words + 1}

    shapes = {"photo": ((1, 2, 3, 1), "float32"), "words": ((1, 4), "int32")}
    samples = [
        {"photo": random.uniform(-1, 1, (1, 2, 3, 1)).astype(np.float32), "words": np.zeros((1, 4), np.int32)}
        for _ in range(20)
    ]
    runner = Runner(convert_ports(ports, shapes, tmp_path / "int8.tflite", samples))
    kinds = {port.name: (port.dtype.name, port.quantized) for port in (*runner.inputs, *runner.outputs)}
    assert kinds["photo"] == kinds["zoomed"] == ("int8", True)
    assert kinds["words"] == kinds["next"] == ("int32", False)
    found = runner({"photo": samples[3]["photo"][0], "words": np.arange(4)})
    step = next(port.scale for port in runner.outputs if port.name == "zoomed")
    assert np.abs(found["zoomed"] - 2 * samples[3]["photo"][0]).max() < 2 * step
    assert found["next"].tolist() == [1, 2, 3, 4]


def test_a_tensor_that_is_two_outputs_is_both(tmp_path):
    def twice(image):
        same = image + 1.0
        return {"a": same, "b": same, "c": image * 3.0}

    runner = Runner(convert_function(twice, (1, 2), tmp_path / "twice.tflite"))
    found = runner(np.float32([1, 2]))
    assert {name: values.tolist() for name, values in found.items()} == {"a": [2, 3], "b": [2, 3], "c": [3, 6]}


def test_an_open_batch_is_run_as_one(tmp_path):
    import tensorflow as tf

    def mean(image):
        return {"logits": tf.reduce_mean(image, (1, 2))}

    runner = Runner(convert_function(mean, (None, 2, 2, 3), tmp_path / "batch.tflite"))
    assert runner(np.float32([[[1, 2, 3]] * 2] * 2))["logits"].tolist() == [1.0, 2.0, 3.0]


def test_refuses_open_shapes_and_batches(tmp_path):
    import tensorflow as tf

    def refuse(shape, message):
        path = convert_function(lambda image: {"m": tf.reduce_mean(image, (1, 2))}, shape, tmp_path / "bad.tflite")
        with pytest.raises(TfeffError, match=message) as error:
            Runner(path)
        assert error.value.mend

    refuse((1, None, None, 3), "its input image has the open shape")
    refuse((2, 4, 4, 3), r"its input image has shape \(2, 4, 4, 3\)")


def test_refuses_inputs_that_do_not_fit(compared_files, tmp_path):
    runner = Runner(compared_files.int8)
    with pytest.raises(TfeffError, match=r"takes shape \(14, 14, 1\), not \(14, 14, 3\)"):
        runner(np.zeros((14, 14, 3), np.float32))
    several = Runner(convert_ports(many_ports, PORTS, tmp_path / "many.tflite"))
    with pytest.raises(TfeffError, match="is not among one array"):
        several(np.zeros((2, 3, 1), np.float32))
    with pytest.raises(TfeffError, match="its input 'words' is not among photo, level") as error:
        several({"photo": np.zeros((2, 3, 1), np.float32), "level": np.float32(1)})
    assert error.value.mend


def test_refuses_operators_that_litert_lacks(tmp_path):
    path = convert(dense_network(np.eye(4, dtype="f4"), np.zeros(4, "f4"), (2, 2, 1)), tmp_path / "custom.tflite")
    with pytest.raises(TfeffError, match="operator-of-nobody"):
        Runner(put_custom_operator(path, "operator-of-nobody"))


CUTS = """
import sys
from pathlib import Path
from tfeff.compare import Runner
from tfeff.errors import TfeffError

data, part = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
refused = 0
for size in range(0, len(data), 7):
    part.write_bytes(data[:size])
    try:
        Runner(part)
    except TfeffError:
        refused += 1
print(refused, len(range(0, len(data), 7)))
"""


@pytest.mark.parametrize("which", ["int8", "float"])
def test_a_file_cut_anywhere_is_refused_and_crashes_nothing(compared_files, tmp_path, which):
    """In a process of its own: LiteRT 2.1, given such a file unchecked, reads past its end and dies."""
    arguments = [sys.executable, "-c", CUTS, str(getattr(compared_files, which)), str(tmp_path / "cut.tflite")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refused, tried = done.stdout.split()
    assert refused == tried
    assert int(tried) > 300
