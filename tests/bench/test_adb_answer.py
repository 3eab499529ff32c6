"""Right answers only: what counts as one."""

import numpy as np
import pytest

from tfeff.artifact import open_artifact
from tfeff.bench.adb.answer import FEW_STEPS, Reference
from tfeff.bench.adb.log import Log, Times
from tfeff.bench.adb.tool import input_flags, kernels
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels

pytest_plugins = ["phone_files"]

XNNPACK = Kernels(xnnpack="all", delegated=1, total=1)
BUILT_IN = Kernels(xnnpack="none", delegated=0, total=1)
GPU = Kernels(xnnpack="none", delegated=0, total=1, delegate="GPU", taken="all")
UNKNOWN = Kernels(xnnpack="unknown")
MIXED = Kernels(xnnpack="partly", delegated=2, total=4)


@pytest.fixture
def int8(files):
    return Reference(open_artifact(files["int8"]), None, 0)


@pytest.fixture
def floats(files):
    return Reference(open_artifact(files["float"]), None, 0)


@pytest.fixture
def ports(files):
    """Of the file with two inputs and four outputs."""
    return Reference(open_artifact(files["ports"]), None, 0)


def moved(reference, steps, family="XNNPACK"):
    """The right answer with one value moved by so many steps."""
    (values,) = reference.outputs[family].values()
    values = values.copy()
    at = np.unravel_index(np.argmin(np.abs(values.astype(int))), values.shape)  # far from where int8 ends
    values[at] += steps
    return values.tobytes()


def changed(reference, family, **by):
    """The right answer of all outputs, the first value of some moved."""
    outputs = {name: values.copy() for name, values in reference.outputs[family].items()}
    for name, step in by.items():
        outputs[name].flat[0] += step
    return b"".join(values.tobytes() for values in outputs.values())


def test_the_reference_is_what_the_operation_means(floats):
    (output,), (values,) = floats.outputs["XNNPACK"].values(), floats.values.values()
    np.testing.assert_array_equal(output, np.maximum(values, 0))
    assert set(floats.outputs) == {"XNNPACK", "built-in"}
    assert floats.runtime.startswith("ai-edge-litert 2.")


def test_one_step_within_xnnpack(int8):
    right = int8.compare(moved(int8, 0), XNNPACK)
    assert (right.ok, right.equal, right.max_steps, right.outputs[0].allowed) == (True, True, 0, 1)
    assert right.words() == "equal bytes"
    near = int8.compare(moved(int8, 1), XNNPACK)
    assert (near.ok, near.words()) == (True, "within 1 step")
    wrong = int8.compare(moved(int8, 2), XNNPACK)
    assert (wrong.ok, wrong.equal, wrong.max_steps, wrong.words()) == (False, False, 2, "WRONG")
    assert wrong.outputs[0].different == pytest.approx(1 / int8.outputs["XNNPACK"]["logits"].size)
    assert wrong.why == "output logits is up to 2 steps off this machine's (1 allowed within one family of kernels)"


def test_a_few_steps_within_xnnpack_behind_a_product(tmp_path):
    """ARM rounds products otherwise than x86, and one step grows on its way through a network."""
    from phone_files import mul_file  # a plugin of pytest, so not before it is loaded

    path = tmp_path / "mul.tflite"
    path.write_bytes(mul_file())
    reference = Reference(open_artifact(path), None, 0)
    assert reference.compare(moved(reference, FEW_STEPS), XNNPACK).ok
    assert not reference.compare(moved(reference, FEW_STEPS + 1), XNNPACK).ok


def test_a_few_steps_where_other_kernels_computed_it(int8):
    for kind in (BUILT_IN, GPU):
        few = int8.compare(moved(int8, FEW_STEPS, "built-in"), kind)
        assert (few.ok, few.max_steps, few.family) == (True, FEW_STEPS, "built-in")
        many = int8.compare(moved(int8, FEW_STEPS + 1, "built-in"), kind)
        assert not many.ok
        assert f"({FEW_STEPS} allowed)" in many.why


def test_floats(floats):
    values = floats.outputs["XNNPACK"]["logits"]
    largest = np.abs(values).max()

    def answer(off, kind):
        return floats.compare((values + np.float32(off * largest)).tobytes(), kind)

    assert answer(0, XNNPACK).equal
    assert answer(2e-5, XNNPACK).ok
    assert answer(2e-5, XNNPACK).words() == "within 2e-05"
    assert not answer(1e-3, XNNPACK).ok
    assert not answer(1e-3, UNKNOWN).ok  # in the demo app
    assert answer(1e-2, GPU).ok  # half precision
    assert not answer(5e-2, GPU).ok
    assert not answer(np.nan, GPU).ok
    assert answer(np.nan, GPU).as_dict()["max_error"] is None  # JSON has no infinity


def test_every_output_is_compared_and_the_wrong_one_named(ports):
    def answer(**by):
        return ports.compare(changed(ports, "mixed", **by), MIXED)

    right = answer()
    assert (right.ok, right.equal, right.family) == (True, True, "mixed")
    assert [one.name for one in right.outputs] == ["best", "active", "small", "vectors"]
    near = answer(active=1e-6, small=2)
    assert (near.ok, near.equal, near.max_steps) == (True, False, 2)
    assert near.words().startswith("within 2 steps, ")
    assert [one.equal for one in near.outputs] == [True, False, False, True]
    for name, step, words in (
        ("best", 1, "20 % of output best (int32) is not this machine's"),  # an index: near is wrong
        ("active", 0.1, "output active is off this machine's by"),
        ("small", 9, "output small is up to 9 steps off this machine's (5 allowed)"),
        ("vectors", 1, "output vectors is off this machine's by 0.25 of the largest (0.0001 allowed)"),
    ):
        wrong = answer(**{name: step})
        assert (wrong.ok, wrong.equal) == (False, False)
        assert words in wrong.why
        assert [one.name for one in wrong.outputs if one.why] == [name]
    both = answer(best=1, vectors=1)
    assert "output best" in both.why
    assert "output vectors" in both.why
    told = both.as_dict()
    assert [one["name"] for one in told["outputs"]] == ["best", "active", "small", "vectors"]
    assert told["different"] == pytest.approx(0.2)  # the worst of all


def test_given_values_go_to_their_inputs(files):
    from phone_files import ports_answer

    pixels, words = np.full((1, 6, 6, 3), 0.5, np.float32), np.int32([[0, 1, 1, 0, 1]])
    reference = Reference(open_artifact(files["ports"]), {"words": words, "pixels": pixels}, 0)
    assert list(reference.values) == ["pixels", "words"]  # the file's order
    for name, expected in ports_answer(pixels, words).items():
        np.testing.assert_array_equal(reference.outputs["built-in"][name], expected)
    with pytest.raises(TfeffError, match=r"wants pixels .*; given is pixels"):
        Reference(open_artifact(files["ports"]), {"pixels": pixels}, 0)


def test_a_float_output_of_a_file_that_is_int8_inside(floats):
    """Its values move in steps: twice what this machine's own two kinds of kernels differ by is allowed."""
    values = floats.outputs["built-in"]["logits"]
    largest = np.abs(values).max()
    floats.outputs["XNNPACK"] = {"logits": values + np.float32(0.01 * largest)}
    answer = (values + np.float32(0.015 * largest)).tobytes()
    assert floats.compare(answer, BUILT_IN).ok
    assert not floats.compare(answer, XNNPACK).ok  # the very same kernels
    assert not floats.compare((values + np.float32(0.03 * largest)).tobytes(), BUILT_IN).ok


def test_the_tool_is_given_every_input_by_its_place():
    assert input_flags([], []) == {}
    assert input_flags([(1, 6, 6, 3), (1, 5)], ["/x/a", "/x/b"]) == {
        "input_layer": "input0,input1",
        "input_layer_shape": "1,6,6,3:1,5",
        "input_layer_value_files": "input0:/x/a,input1:/x/b",
    }


def test_other_lengths_are_wrong(int8):
    data = moved(int8, 0)
    for other in (b"", data[:-1], data + b"\0"):
        assert "bytes of output logits came where" in int8.compare(other, XNNPACK).why


def test_who_computed_it():
    log = Log(Times(1, 1.0))
    assert kernels(log, "none").xnnpack == "none"
    assert kernels(log, "xnnpack").xnnpack == "unknown"
    log.replaced = {"TfLiteXNNPackDelegate": (64, 66)}
    assert kernels(log, "xnnpack") == Kernels(xnnpack="partly", delegated=64, total=66)
    log.delegates = {"GPU": "all"}
    log.replaced = {"TfLiteGpuDelegateV2": (66, 66)}
    assert kernels(log, "gpu").taken == "all"
