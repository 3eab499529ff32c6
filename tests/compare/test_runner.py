"""Running one file: numbers at its doors, its arithmetic against the same in numpy, and files that are refused."""

import subprocess
import sys

import numpy as np
import pytest
from compare_models import convert, convert_function, dense_network
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
    assert runner.shape == (4, 4, 3)
    assert runner.classes == 5
    assert runner.input.dtype == runner.output.dtype == np.dtype(io or dtype)
    if runner.input.dtype == np.float32:
        seen, tolerance = images, 1e-4 if dtype == "float32" else 0.2
    else:  # the images as the file sees them; its weights have 8 bits, and its output is one of its steps
        door = runner.input
        seen = dequantize(quantize(images, door.scale, door.zero_point, door.dtype), door.scale, door.zero_point)
        tolerance = runner.output.scale * step + 0.5 * np.abs(kernel).max() / 127 * np.sqrt(48)
    exact = seen.reshape(60, 48) @ kernel + bias
    logits = np.stack([runner(image) for image in images])
    assert logits.dtype == np.float32
    assert np.abs(logits - exact).max() < tolerance
    assert np.ptp(exact) > 20 * tolerance  # so that the line above says something


def test_output_is_one_of_its_steps(linear, tmp_path):
    kernel, bias, images = linear
    runner = Runner(convert(dense_network(kernel, bias, (4, 4, 3)), tmp_path / "x.tflite", images, "int8"))
    steps = runner(images[0]) / np.float32(runner.output.scale) + runner.output.zero_point
    assert np.abs(steps - np.round(steps)).max() < 1e-3
    assert -128 <= steps.min() <= steps.max() <= 127


def test_takes_the_logits_by_name(tmp_path):
    import tensorflow as tf

    def two(image):
        flat = tf.reshape(image, (1, 16))
        return {"features": flat * 2.0, "logits": flat[:, :3] + 1.0}

    runner = Runner(convert_function(two, (1, 4, 4, 1), tmp_path / "two.tflite"))
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    assert runner(image).tolist() == [1.0, 2.0, 3.0]


def test_keeps_the_shape_of_an_output_that_is_no_list_of_logits(tmp_path):
    runner = Runner(convert_function(lambda image: {"mask": image * 2.0}, (1, 2, 3, 1), tmp_path / "mask.tflite"))
    image = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    assert runner(image).tolist() == (2 * image).tolist()


def test_an_open_batch_is_run_as_one(tmp_path):
    import tensorflow as tf

    def mean(image):
        return {"logits": tf.reduce_mean(image, (1, 2))}

    runner = Runner(convert_function(mean, (None, 2, 2, 3), tmp_path / "batch.tflite"))
    assert runner(np.float32([[[1, 2, 3]] * 2] * 2)).tolist() == [1.0, 2.0, 3.0]


def test_refuses_what_is_no_classifier_of_one_image(tmp_path):
    import tensorflow as tf

    def refuse(function, shape, message):
        path = convert_function(function, shape, tmp_path / "bad.tflite")
        with pytest.raises(TfeffError, match=message) as error:
            Runner(path)
        assert error.value.mend

    refuse(lambda image: {"a": image + 1.0, "b": image * 2.0}, (1, 2, 2, 1), "2 outputs")
    refuse(lambda image: {"logits": tf.reduce_mean(image, (1, 2))}, (1, None, None, 3), "open shape")
    refuse(lambda image: {"logits": tf.reduce_mean(image, (1, 2))}, (2, 4, 4, 3), r"shape \(2, 4, 4, 3\)")
    refuse(lambda image: {"logits": image * 2.0}, (1, 5), r"shape \(1, 5\)")
    refuse(lambda image: {"class": tf.argmax(tf.reduce_mean(image, (1, 2)), 1)}, (1, 4, 4, 3), "output is int64")


def test_refuses_two_inputs(tmp_path):
    import tensorflow as tf

    spec = tf.TensorSpec((1, 2, 2, 1), tf.float32)
    module = tf.Module()
    module.run = tf.function(lambda a, b: a + b, input_signature=[spec, spec])
    concrete = module.run.get_concrete_function()
    path = tmp_path / "two.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    with pytest.raises(TfeffError, match="2 inputs"):
        Runner(path)


def test_refuses_an_image_of_another_shape(compared_files):
    with pytest.raises(TfeffError, match=r"shape \(14, 14, 1\), not \(14, 14, 3\)"):
        Runner(compared_files.int8)(np.zeros((14, 14, 3), np.float32))


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
