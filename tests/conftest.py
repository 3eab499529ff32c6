"""What all tests share: the environment that TensorFlow and Keras read when they are first imported, and a garbage
collector that leaves them alone."""

import gc
import os

import pytest
from slow_tests import is_slow, place

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # figures in the tests are a CPU's
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers have the cores already, and so have the processes they start
    for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, "1")


def pytest_collection_modifyitems(items):
    """Marks what is slow, and puts its files first."""
    names = {item: item.nodeid.removeprefix("tests/") for item in items}
    for item in items:
        if is_slow(names[item]):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: place(names[item]))


def pytest_collection_finish():
    """A fifth of the time of tests that build networks went into looking for garbage among what was imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(scope="session", autouse=True)
def _records_are_valid():
    """Whatever record a test makes, it is as the shipped JSON Schema says."""
    from record_schema import validate_written

    with pytest.MonkeyPatch.context() as patch:
        validate_written(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _converters_are_shared(tmp_path_factory):
    from converter_pool import shared_converters

    with shared_converters(tmp_path_factory.mktemp("converters")):
        yield
