"""What the command line makes of a phone's options and answers."""

import click
import numpy as np
import pytest

from tfeff.artifact import check_tflite, record_path, write_record
from tfeff.cli.phone import Counts, answer_words, prepared
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
    record = {"schema_version": 1, "file": path.name, "sha256": check_tflite(path), "preprocessing": PREPROCESSING}
    assert prepared({}, [path], ["adb"], True, 0).inputs == {}
    write_record(record_path(path), record)
    values = prepared({}, [path], ["adb:x"], True, 3).inputs[record["sha256"]]
    assert (values.shape, values.dtype) == ((1, 12, 12, 3), np.float32)
    assert -1 <= values.min() < values.max() <= 1
    assert np.ptp(values) > 0.5  # a picture, no noise and no blank: grey, so all channels are alike
    np.testing.assert_array_equal(values[..., 0], values[..., 2])
    other = prepared({}, [path], ["adb"], True, 4).inputs[record["sha256"]]
    assert not np.array_equal(values, other)


def test_options_that_do_not_go_together(files):
    with pytest.raises(TfeffError, match="say one of the two"):
        prepared({"delegate": "xnnpack"}, [], ["adb"], False, 0)
    with pytest.raises(TfeffError, match="--cool-down: is for a phone"):
        prepared({"cool_down_s": 3.0}, [], ["local"], True, 0)
    assert prepared({}, [], ["local"], True, 0) is None


def test_words_for_answers():
    told = {"ok": True, "equal": False, "max_steps": 3, "max_error": None}
    assert answer_words(told) == "within 3 steps"
    assert answer_words({**told, "max_steps": None, "max_error": 2.4e-6}) == "within 2e-06"
    assert answer_words({**told, "ok": False}) == "WRONG"
    assert answer_words({"ok": None}) == "not compared"
    assert answer_words({**told, "equal": True}) == "equal bytes"
