"""`--allow-float`: what has no int8 kernel is refused before anything is measured, or stays in float because it was
named."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfeff.cli.export_table import show
from tfeff.cli.output import Output
from tfeff.data import InputPort
from tfeff.errors import GateFailed, TfeffError
from tfeff.export import Request, check_request, export_model
from tfeff.export.model import Model
from tfeff.export.quantize import measuring
from tfeff.record.schema import TaskSpec
from tfeff.tflite.graph import read_graph

SHAPE = (8, 8, 3)


@pytest.fixture
def export(tmp_path):
    keras.utils.set_random_seed(2)
    image = keras.Input(SHAPE, name="given")
    x = ops.sin(layers.Conv2D(4, 3, name="front")(image))
    x = layers.Conv2D(4, 3, name="end")(layers.Conv2D(4, 3, name="middle")(x))
    samples = np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", given=samples)
    model = Model(keras.Model(image, x, name="net"), "net", "mine", (InputPort("given", SHAPE, "float32"),), ("end",),
                  (TaskSpec(name="tensors", outputs=["end"]),))  # fmt: skip

    def run(*words):
        request = Request(calibration=str(tmp_path / "samples.npz"), devices=(), method="minmax", allow_float=words)
        return export_model(model, tmp_path / "net.int8.tflite", request)

    return run


def test_it_is_refused_before_anything_is_measured(export, monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "measure", None)
    with pytest.raises(GateFailed) as refused:
        export()
    assert "would leave 1 operation in float: SIN (sin" in refused.value.what
    assert "--allow-float SIN" in refused.value.mend
    with pytest.raises(TfeffError, match="--allow-float nothing: no layer"):
        export("SIN", "nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["samples.npz"]


def test_what_is_named_stays_in_float_and_is_told(export, capsys):
    made = export("SIN", "middle")
    kept = made.record.quantization.kept_float
    assert (kept.allowed, kept.layers) == (["SIN", "middle"], ["middle"])
    (left,) = kept.left
    assert left.startswith("SIN (sin")  # Keras numbers its own names
    assert made.record.quantization.simulation.beyond == []
    floats = [op.name for op in read_graph(made.path).float_operations()]
    assert floats == ["DEQUANTIZE", "SIN", "CONV_2D", "QUANTIZE"]
    show(made, Output(False, False))
    assert f"2 by --allow-float: {left}, middle" in " ".join(capsys.readouterr().err.split())


def test_it_needs_int8_and_a_target_that_takes_float(tmp_path):
    with pytest.raises(TfeffError, match="means nothing for float16"):
        check_request(Request(precision="float16", allow_float=("SIN",)), tmp_path / "a.tflite")
    with pytest.raises(TfeffError, match="takes no float operation"):
        check_request(Request(target="edgetpu", allow_float=("SIN",)), tmp_path / "a.tflite")
