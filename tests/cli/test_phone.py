"""What the command line makes of a phone's options and answers."""

import json

import click
import numpy as np
import pytest

from tfeff.artifact import check_tflite, record_path
from tfeff.bench import Settings
from tfeff.bench.answer import Answer, OutputAnswer
from tfeff.cli.phone import Counts, prepared
from tfeff.errors import TfeffError

pytest_plugins = ["phone_files"]

PREPROCESSING = {
    "resize": {"mode": "exact", "height": 12, "width": 12, "filter": "bilinear"},
    "crop": {"mode": "center", "height": 12, "width": 12},
    "colour": "rgb", "mean": [127.5] * 3, "std": [127.5] * 3,
}  # fmt: skip


def test_numbers_of_threads():
    assert Counts().convert("1,2,4,2", None, None) == (1, 2, 4)
    for wrong in ("0", "", "1,", "two", "1.5", "-1"):
        with pytest.raises(click.BadParameter):
            Counts().convert(wrong, None, None)


def test_a_file_with_a_record_gets_a_photograph(tmp_path):
    from phone_files import float_file

    path = tmp_path / "m.tflite"
    path.write_bytes(float_file((1, 12, 12, 3)))
    sha256 = check_tflite(path)
    image = {"shape": [1, 12, 12, 3], "dtype": "float32"}
    record = {"schema_version": 1, "file": path.name, "sha256": sha256, "input": image, "preprocessing": PREPROCESSING}

    def inputs(seed):
        return prepared({}, [path], ["adb:x"], Settings(seed=seed)).inputs

    assert inputs(0) == {}
    record_path(path).write_text(json.dumps(record))
    values = inputs(3)[sha256]["image:0"]
    assert (values.shape, values.dtype) == ((1, 12, 12, 3), np.float32)
    assert -1 <= values.min() < values.max() <= 1
    assert np.ptp(values) > 0.5  # a picture, no noise and no blank: grey, so all channels are alike
    np.testing.assert_array_equal(values[..., 0], values[..., 2])
    assert not np.array_equal(values, inputs(4)[sha256]["image:0"])


def test_a_file_that_takes_anything_but_one_image_gets_none(files):
    """Its values are drawn, for the tool and for this machine alike."""
    ports = {
        "inputs": [{"name": "pixels", "shape": [1, 6, 6, 3], "dtype": "float32", "preprocessing": PREPROCESSING},
                   {"name": "words", "shape": [1, 5], "dtype": "int32"}],
        "outputs": [],
    }  # fmt: skip
    record = {"schema_version": 2, "file": "ports.tflite", "sha256": check_tflite(files["ports"]), **ports}
    record_path(files["ports"]).write_text(json.dumps(record))
    assert prepared({}, [files["ports"]], ["adb"], Settings()).inputs == {}


def test_options_that_do_not_go_together(files):
    with pytest.raises(TfeffError, match="say one of the two"):
        prepared({"delegate": "xnnpack"}, [], ["adb"], Settings(xnnpack=False))
    with pytest.raises(TfeffError, match="--cool-down: is for a phone"):
        prepared({"cool_down_s": 3.0}, [], ["local"], Settings())
    assert prepared({}, [], ["local"], Settings()) is None


def test_words_for_answers():
    steps = OutputAnswer("a", False, 0.1, max_steps=3, allowed=5)
    error = OutputAnswer("b", False, 0.5, max_error=2.4e-6, allowed=1e-4)
    same = OutputAnswer("c", True, 0.0)
    assert Answer(True, outputs=(steps, same)).words() == "within 3 steps"
    assert Answer(True, outputs=(error,)).words() == "within 2e-06"
    assert Answer(True, outputs=(steps, error)).words() == "within 3 steps, 2e-06"
    assert Answer(False, "why", (steps,)).words() == "WRONG"
    assert Answer(None, "why").words() == "not compared"
    assert Answer(True, outputs=(same,)).words() == "equal bytes"
