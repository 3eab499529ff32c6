"""What all tests share: the environment that TensorFlow and Keras read when they are first imported."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # figures in the tests are a CPU's


@pytest.fixture(scope="session", autouse=True)
def _records_are_valid():
    """Whatever record a test makes, it is as the shipped JSON Schema says."""
    from record_schema import validate_written

    with pytest.MonkeyPatch.context() as patch:
        validate_written(patch)
        yield
