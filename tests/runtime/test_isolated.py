"""Files in a worker process: what kills LiteRT, or never ends, is an error that names the file and the signal."""

import gc
import os
import signal

import numpy as np
import pytest
from checking_files import edit
from small_files import Part, Step, Values, constant, write_file

from tfeff.errors import TfeffError
from tfeff.runtime import client, open_here, open_isolated

X = np.float32([[1, 2, 3]])


def doubled():
    tensors = {"x": Values((1, 3)), "two": constant(np.float32([2])), "y": Values((1, 3))}
    return Part(tensors, [Step("MUL", ["x", "two"], ["y"], "MulOptions")], {"x": "x"}, {"y": "y"})


@pytest.fixture
def good(tmp_path):
    return write_file(tmp_path / "good.tflite", doubled()).read_bytes()


@pytest.fixture
def deadly(tmp_path):
    """LiteRT aborts when it allocates: the sum of two scales of which one is infinite."""
    grids = {name: Values((1, 3), "int8", scale) for name, scale in (("x", np.inf), ("z", 1.0), ("y", 1.0))}
    part = Part(grids, [Step("ADD", ["x", "z"], ["y"], "AddOptions")], {"x": "x", "z": "z"}, {"y": "y"})
    return write_file(tmp_path / "deadly.tflite", part).read_bytes()


@pytest.fixture
def endless(tmp_path):
    """A loop whose condition is always true."""
    first = Part(
        {"x": Values((1, 3)), "y": Values((1, 3))},
        [Step("WHILE", ["x"], ["y"], "WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2})],
        {"x": "x"}, {"y": "y"},
    )  # fmt: skip
    tensors = {"x": Values((1, 3)), "true": constant(np.array([True]))}
    condition = Part(tensors, [], {"x": "x"}, {"true": "true"})
    return write_file(tmp_path / "endless.tflite", first, condition, doubled()).read_bytes()


def run(opened, x=X):
    return opened.run([[x]], [opened.outputs[0].index])[0][0]


def test_it_gives_what_this_process_gives(good):
    isolated, here = open_isolated(good, "good.tflite"), open_here(good)
    assert (isolated.inputs, isolated.outputs) == (here.inputs, here.outputs)
    for opened in (isolated, here):
        found = opened.run([[X], [3 * X]], [opened.outputs[0].index])
        np.testing.assert_array_equal([one for (one,) in found], [2 * X, 6 * X])


def test_a_file_that_kills_litert_is_an_error(good, deadly):
    with pytest.raises(TfeffError, match=r"deadly\.tflite: LiteRT's process was killed by SIG[A-Z]+ .*while it loaded"):
        open_isolated(deadly, "deadly.tflite")
    np.testing.assert_array_equal(run(open_isolated(good, "good.tflite")), 2 * X)


def test_the_worker_is_kept_for_the_next_file(good):
    opened = open_isolated(good, "good.tflite")
    worker = opened._worker
    del opened
    gc.collect()
    assert open_isolated(good, "good.tflite")._worker is worker


def test_a_death_that_another_file_may_have_caused_is_tried_again(good):
    del (first := [open_isolated(good, "good.tflite")])[0]
    opened = open_isolated(good, "good.tflite")
    assert first == []
    assert opened._worker.served > 1
    os.kill(opened._worker._process.pid, signal.SIGSEGV)
    np.testing.assert_array_equal(run(opened), 2 * X)
    os.kill(opened._worker._process.pid, signal.SIGSEGV)  # a new one: only this file can be why
    with pytest.raises(TfeffError, match="killed by SIGSEGV while it ran the file"):
        run(opened)


def test_a_file_that_never_ends_is_ended(endless, monkeypatch):
    monkeypatch.setattr(client, "MOST_LOAD_S", 0.2)
    monkeypatch.setattr(client, "_MOST_SAMPLE_S", 0.2)
    monkeypatch.setattr(client, "_POOL", client._Pool())
    opened = open_isolated(endless, "endless.tflite")
    with pytest.raises(TfeffError, match=r"endless\.tflite: LiteRT's process was ended after .* while it ran"):
        run(opened)


def test_memory_is_limited(good, monkeypatch):
    monkeypatch.setattr(client, "_memory_limit", lambda: 2**30)
    monkeypatch.setattr(client, "_POOL", client._Pool())

    def large(model):
        for number in (0, 2):
            model.subgraphs[0].tensors[number].shape = np.int32([1, 400 * 2**20])

    with pytest.raises(RuntimeError, match=r"it may use 1\.0 GiB of memory"):
        open_isolated(edit(good, large), "large.tflite")


def test_what_litert_refuses_is_its_own_word(good):
    def unknown(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"of-nobody"
        model.subgraphs[0].operators[0].builtinOptions = None
        model.subgraphs[0].operators[0].builtinOptionsType = 0

    with pytest.raises(RuntimeError, match="of-nobody"):
        open_isolated(edit(good, unknown), "x.tflite")


def test_values_that_do_not_fit_never_reach_it(good):
    opened = open_isolated(good, "good.tflite")
    for wrong in (X.astype(np.float64), X[0]):
        with pytest.raises(ValueError, match="x takes float32"):
            run(opened, wrong)
