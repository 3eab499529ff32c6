"""A second, independent static check: Arm's converter to TOSA takes what tfeff exports, and says where it does not."""

import pytest
from tosa import left_over

pytest_plugins = ["ethos_u_files"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The bundled VarGNet, exported to int8."""
    from tfeff.export import Request, classifier, export_model
    from tfeff.presets import load_preset

    preset = load_preset("vargnet")
    model = classifier(preset.build(), preset.name, preset.network, preset.preprocessing)
    request = Request(calibration="fashion_mnist_sample", samples=8, devices=())
    return export_model(model, tmp_path_factory.mktemp("tosa") / "vargnet.tflite", request).path


def test_an_export_converts_whole(exported):
    assert left_over(exported) == []


@pytest.mark.parametrize(("name", "left"), [("l2_normalize", ["tfl.l2_normalization"]), ("hard_swish", [])])
def test_what_is_left_is_named(ethos_u_file, name, left):
    assert left_over(ethos_u_file(name)) == left


def test_a_file_that_it_cannot_read(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"no flatbuffer at all")
    with pytest.raises(RuntimeError, match=r"x\.tflite"):
        left_over(path)
