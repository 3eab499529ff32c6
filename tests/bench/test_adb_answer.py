"""Right answers only: what counts as one."""

import numpy as np
import pytest

from tfeff.artifact import open_artifact
from tfeff.bench.adb.answer import FEW_STEPS, Reference
from tfeff.bench.adb.log import Log, Times
from tfeff.bench.adb.tool import kernels

pytest_plugins = ["phone_files"]

XNNPACK = {"xnnpack": "all", "delegated": 1, "total": 1, "left": []}
BUILT_IN = {"xnnpack": "none", "delegated": 0, "total": 1, "left": []}
GPU = {**BUILT_IN, "xnnpack": "none", "delegate": "GPU", "taken": "all"}


@pytest.fixture
def int8(files):
    return Reference(open_artifact(files["int8"]), None, 0)


@pytest.fixture
def floats(files):
    return Reference(open_artifact(files["float"]), None, 0)


def moved(reference, steps, family="XNNPACK"):
    """The right answer with one value moved by so many steps."""
    values = reference.outputs[family][0].copy()
    at = np.unravel_index(np.argmin(np.abs(values.astype(int))), values.shape)  # far from where int8 ends
    values[at] += steps
    return values.tobytes()


def test_the_reference_is_what_the_operation_means(floats):
    np.testing.assert_array_equal(floats.outputs["XNNPACK"][0], np.maximum(floats.values, 0))
    assert set(floats.outputs) == {"XNNPACK", "built-in"}
    assert floats.runtime.startswith("ai-edge-litert 2.")


def test_one_step_within_xnnpack(int8):
    right = int8.compare(moved(int8, 0), XNNPACK)
    assert (right["ok"], right["equal"], right["max_steps"], right["allowed"]) == (True, True, 0, 1)
    assert int8.compare(moved(int8, 1), XNNPACK)["ok"]
    wrong = int8.compare(moved(int8, 2), XNNPACK)
    assert (wrong["ok"], wrong["equal"], wrong["max_steps"]) == (False, False, 2)
    assert wrong["different"] == pytest.approx(1 / int8.outputs["XNNPACK"][0].size)
    assert "1 allowed within one family" in wrong["why"]


def test_a_few_steps_within_xnnpack_behind_a_product(tmp_path):
    """ARM rounds products otherwise than x86, and one step grows on its way through a network."""
    from phone_files import mul_file  # a plugin of pytest, so not before it is loaded

    path = tmp_path / "mul.tflite"
    path.write_bytes(mul_file())
    reference = Reference(open_artifact(path), None, 0)
    assert reference.compare(moved(reference, FEW_STEPS), XNNPACK)["ok"]
    assert not reference.compare(moved(reference, FEW_STEPS + 1), XNNPACK)["ok"]


def test_a_few_steps_where_other_kernels_computed_it(int8):
    for kind in (BUILT_IN, GPU):
        few = int8.compare(moved(int8, FEW_STEPS, "built-in"), kind)
        assert (few["ok"], few["max_steps"], few["family"]) == (True, FEW_STEPS, "built-in")
        many = int8.compare(moved(int8, FEW_STEPS + 1, "built-in"), kind)
        assert not many["ok"]
        assert f"({FEW_STEPS} allowed)" in many["why"]


def test_floats(floats):
    values = floats.outputs["XNNPACK"][0]
    largest = np.abs(values).max()

    def answer(off, kind):
        return floats.compare((values + np.float32(off * largest)).tobytes(), kind)

    assert answer(0, XNNPACK)["equal"]
    assert answer(2e-5, XNNPACK)["ok"]
    assert not answer(1e-3, XNNPACK)["ok"]
    assert not answer(1e-3, {**XNNPACK, "xnnpack": "unknown"})["ok"]  # in the demo app
    assert answer(1e-2, GPU)["ok"]  # half precision
    assert not answer(5e-2, GPU)["ok"]
    assert not answer(np.nan, GPU)["ok"]


def test_other_lengths_are_wrong(int8):
    data = moved(int8, 0)
    for other in (b"", data[:-1], data + b"\0"):
        assert "bytes came where" in int8.compare(other, XNNPACK)["why"]


def test_who_computed_it():
    log = Log(Times(1, 1.0))
    assert kernels(log, "none")["xnnpack"] == "none"
    assert kernels(log, "xnnpack")["xnnpack"] == "unknown"
    log.replaced = {"TfLiteXNNPackDelegate": (64, 66)}
    assert kernels(log, "xnnpack") == {"xnnpack": "partly", "delegated": 64, "total": 66, "left": []}
    log.delegates = {"GPU": "all"}
    log.replaced = {"TfLiteGpuDelegateV2": (66, 66)}
    assert kernels(log, "gpu")["taken"] == "all"
