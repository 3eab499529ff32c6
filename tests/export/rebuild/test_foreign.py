"""Files as converters of other frameworks write them, by hand: channels first with TRANSPOSEs around, PADs in front of
convolutions, minus infinity around a maximum, no signature, no names of layers."""

import keras
import numpy as np
import pytest
from checking_files import edit
from cli_runner import assert_refused, tfeff
from float_files import rebuilt
from part_files import below_five, doubled_and_counted, loop_five_times, times, with_signatures
from small_files import Part, Step, Values, constant, write_file

from tfeff.errors import TfeffError
from tfeff.export.rebuild.reading import read_float_file

RNG = np.random.default_rng(6)
NEAR = 3e-6
CONV = {"strideH": 1, "strideW": 1, "padding": 1, "dilationHFactor": 1, "dilationWFactor": 1}


def noise(*shape):
    return constant(RNG.standard_normal(shape).astype(np.float32))


def from_torch(low=-np.inf, between=1):
    """A convolution, a maximum and a classifier of an image (1, 3, 8, 10), as PyTorch has them.

    Args:
        low: what a map is padded with in front of the maximum.
        between: activation of the convolution; 1 is ReLU, 0 none.
    """
    tensors = {
        "args_0": Values((1, 3, 8, 10)), "to_last": constant(np.int32([0, 2, 3, 1])),
        "to_first": constant(np.int32([0, 3, 1, 2])), "ones": constant(np.int32([[0, 0], [1, 1], [1, 1], [0, 0]])),
        "low": constant(np.float32(low)), "w": noise(6, 3, 3, 3), "b": noise(6), "axes": constant(np.int32([2, 3])),
        "fc": noise(4, 6), "fb": noise(4), "a": Values((1, 8, 10, 3)), "p": Values((1, 10, 12, 3)),
        "c": Values((1, 8, 10, 6)), "f": Values((1, 6, 8, 10)), "l": Values((1, 8, 10, 6)), "q": Values((1, 10, 12, 6)),
        "m": Values((1, 4, 5, 6)), "g": Values((1, 6, 4, 5)), "n": Values((1, 6)), "output_0": Values((1, 4)),
    }  # fmt: skip
    pool = {"strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 3, "padding": 1}
    steps = [
        Step("TRANSPOSE", ["args_0", "to_last"], ["a"]),
        Step("PAD", ["a", "ones"], ["p"]),
        Step("CONV_2D", ["p", "w", "b"], ["c"], "Conv2DOptions", {**CONV, "fusedActivationFunction": between}),
        Step("TRANSPOSE", ["c", "to_first"], ["f"]),
        Step("TRANSPOSE", ["f", "to_last"], ["l"]),
        Step("PADV2", ["l", "ones", "low"], ["q"]),
        Step("MAX_POOL_2D", ["q"], ["m"], "Pool2DOptions", pool),
        Step("TRANSPOSE", ["m", "to_first"], ["g"]),
        Step("MEAN", ["g", "axes"], ["n"], "ReducerOptions"),
        Step("FULLY_CONNECTED", ["n", "fc", "fb"], ["output_0"], "FullyConnectedOptions"),
    ]
    return Part(tensors, steps, {"args_0": "args_0"}, {"output_0": "output_0"})


@pytest.mark.parametrize("between", [1, 0], ids=["relu", "linear"])
def test_a_file_from_torch(tmp_path, between):
    file, model, apart = rebuilt(write_file(tmp_path / "m.tflite", from_torch(between=between)))
    assert max(apart.values()) < NEAR
    assert model.input_shape == (None, 3, 8, 10)
    kinds = [type(layer).__name__ for layer in model.operations]
    assert kinds.count("Permute") == 2  # at the door, and before the mean; the two between cancel out
    assert kinds.count("ZeroPadding2D") == (2 if between else 1)
    assert len(file.operations) == 10


def test_a_file_without_a_signature_is_called_by_its_tensors(tmp_path):
    def bare(model):
        model.signatureDefs = None

    path = write_file(tmp_path / "m.tflite", from_torch())
    path.write_bytes(edit(path.read_bytes(), bare))
    file, _, apart = rebuilt(path)
    assert [*file.inputs, *file.outputs] == ["args_0", "output_0"]
    assert max(apart.values()) < NEAR


def curves():
    """Activations that TensorFlow's converter does not write, and a token that is put before a sequence."""
    names = ["exact", "rough", "slopes", "unit", "clipped", "normed"]
    tensors = {"x": Values((1, 5, 4)), "alpha": constant(np.float32([[[0.1, 0.2, -0.3, 0.4]]])),
               "token": noise(1, 1, 4), "y": Values((1, 6, 4))}  # fmt: skip
    tensors |= {name: Values((1, 5, 4)) for name in names}
    steps = [
        Step("GELU", ["x"], ["exact"], "GeluOptions", {"approximate": False}),
        Step("GELU", ["x"], ["rough"], "GeluOptions", {"approximate": True}),
        Step("PRELU", ["x", "alpha"], ["slopes"]),
        Step("RELU_0_TO_1", ["x"], ["unit"]),
        Step("ADD", ["x", "x"], ["clipped"], "AddOptions", {"fusedActivationFunction": 2}),
        Step("L2_NORMALIZATION", ["x"], ["normed"], "L2NormOptions"),
        Step("CONCATENATION", ["token", "x"], ["y"], "ConcatenationOptions", {"axis": 1}),
    ]
    return Part(tensors, steps, {"x": "x"}, {name: name for name in (*names, "y")})


def test_what_other_converters_write(tmp_path):
    _, model, apart = rebuilt(write_file(tmp_path / "m.tflite", curves()))
    assert {name: value for name, value in apart.items() if not value < 2e-5} == {}  # LiteRT's GELU is less exact
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    x = RNG.standard_normal((2, 5, 4)).astype(np.float32)
    for one, other in zip(model(x), again(x), strict=True):
        np.testing.assert_array_equal(one, other)


def spelled_out():
    """Hard-swish as PyTorch's graph has it, once with the sixth last and once as a clamp; and a norm of its own."""
    three, sixth, six = constant(np.float32(3)), constant(np.float32(1 / 6)), constant(np.float32(6))
    tensors = {"x": Values((1, 4, 5, 6)), "three": three, "sixth": sixth, "six": six, "g": noise(6), "b": noise(6)}
    tensors |= {name: Values((1, 4, 5, 6)) for name in ("a", "c", "swish", "d", "e", "clamp", "f", "gate", "s", "norm")}
    steps = [
        Step("ADD", ["x", "three"], ["a"], "AddOptions", {"fusedActivationFunction": 3}),
        Step("MUL", ["x", "a"], ["c"], "MulOptions"),
        Step("MUL", ["c", "sixth"], ["swish"], "MulOptions"),
        Step("ADD", ["x", "three"], ["d"], "AddOptions", {"fusedActivationFunction": 1}),
        Step("MINIMUM", ["d", "six"], ["e"], "MaximumMinimumOptions"),
        Step("DIV", ["e", "six"], ["clamp"], "DivOptions"),
        Step("MUL", ["clamp", "x"], ["f"], "MulOptions"),
        Step("MUL", ["x", "g"], ["s"], "MulOptions"),
        Step("ADD", ["s", "b"], ["norm"], "AddOptions", {"fusedActivationFunction": 1}),
    ]
    return Part(tensors, steps, {"x": "x"}, {"swish": "swish", "clamp": "clamp", "f": "f", "norm": "norm"})


def test_what_is_spelled_out_is_the_layer_that_it_is(tmp_path):
    _, model, apart = rebuilt(write_file(tmp_path / "m.tflite", spelled_out()))
    assert max(apart.values()) < NEAR
    names = [layer.activation.__name__ for layer in model.layers if type(layer) is keras.layers.Activation]
    assert sorted(names) == ["hard_sigmoid", "hard_silu", "hard_silu"]
    kinds = [type(each).__name__ for each in model.operations if type(each) is not keras.layers.Activation]
    assert kinds == ["InputLayer", "BatchNormalization", "ReLU"]


def pixels(reads="CAST"):
    """An image of bytes that the file casts itself."""
    tensors = {"image": Values((1, 6, 7, 3), "uint8"), "x": Values((1, 6, 7, 3)), "w": noise(4, 3, 3, 3),
               "b": noise(4), "scale": constant(np.float32([1 / 255])), "s": Values((1, 6, 7, 3)),
               "y": Values((1, 4, 5, 4))}  # fmt: skip
    steps = [
        Step(reads, ["image"], ["x"], "CastOptions", {"inDataType": 3, "outDataType": 0}),
        Step("MUL", ["x", "scale"], ["s"], "MulOptions"),
        Step("CONV_2D", ["s", "w", "b"], ["y"], "Conv2DOptions", {**CONV, "fusedActivationFunction": 1}),
    ]
    return Part(tensors, steps, {"image": "image"}, {"y": "y"})


def test_bytes_that_a_file_casts_come_as_floats(tmp_path):
    file, model, apart = rebuilt(write_file(tmp_path / "m.tflite", pixels()))
    assert max(apart.values()) < NEAR
    assert model.inputs[0].dtype == "float32"
    assert len(file.pixels) == 1


def part(op, options="", fields=None, shape=(1, 4, 4, 3), out=None, dtype="float32", scale=None):
    """One operation on a tensor."""
    tensors = {"x": Values(shape, dtype, scale), "y": Values(out or shape, dtype, scale)}
    return Part(tensors, [Step(op, ["x"], ["y"], options, fields or {})], {"x": "x"}, {"y": "y"})


REFUSED = {
    "unknown": ((part("LOCAL_RESPONSE_NORMALIZATION", "LocalResponseNormalizationOptions"),),
                ("LOCAL_RESPONSE_NORMALIZATION (y) is not known", "give the model that the file was converted from")),
    "batch": ((part("RELU", shape=(2, 4)),), ("its input x has the shape (2, 4)", "batch of 1")),
    "quantized": ((part("RELU", dtype="int8", scale=0.1),), ("is quantized already", "INT8", "give the float file")),
    "loop": ((loop_five_times(1, 2), below_five(), doubled_and_counted()),
             ("holds control flow, WHILE", "unroll=True")),
    "activation": ((Part({"x": Values((1, 3)), "one": constant(np.float32([1])), "y": Values((1, 3))},
                         [Step("ADD", ["x", "one"], ["y"], "AddOptions", {"fusedActivationFunction": 5})],
                         {"x": "x"}, {"y": "y"}),), ("SIGN_BIT", "without it")),
    "constant": ((Part({"x": Values((1, 3)), "one": constant(np.float32([1])), "y": Values((1, 3)), "z": Values((1,))},
                       [Step("ABS", ["x"], ["y"]), Step("ABS", ["one"], ["z"])], {"x": "x"}, {"y": "y", "z": "z"}),),
                 ("its output z is a constant",)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_how_to_mend_it(name, tmp_path, capfd):
    parts, words = REFUSED[name]
    path = write_file(tmp_path / "m.tflite", *parts)
    np.savez(tmp_path / "c.npz", x=np.zeros((16, 3), "float32"))
    ran = tfeff(capfd, "export", path, "--int8", "--calibration", tmp_path / "c.npz", "--out", tmp_path / "out")
    assert_refused(ran, "m.tflite", *words)
    assert not [*(tmp_path / "out").iterdir()]


def test_a_damaged_file_and_one_that_is_not_there(tmp_path, capfd):
    whole = write_file(tmp_path / "m.tflite", from_torch()).read_bytes()
    (tmp_path / "short.tflite").write_bytes(whole[:-300])
    (tmp_path / "text.tflite").write_text("a model, they said")
    for name, word in (("short", "cut short or damaged"), ("text", "not a TFLite file"), ("none", "no such file")):
        ran = tfeff(capfd, "export", tmp_path / f"{name}.tflite", "--float16", "--out", tmp_path)
        assert_refused(ran, f"{name}.tflite", word)


def test_of_several_signatures_one_is_chosen(tmp_path):
    path = with_signatures(write_file(tmp_path / "m.tflite", times(2), times(3)), {"twice": 0, "thrice": 1})
    with pytest.raises(TfeffError, match="has the signatures twice, thrice") as refused:
        read_float_file(path)
    assert refused.value.mend == "choose one: --signature NAME"
    for name, factor in (("twice", 2), ("thrice", 3)):
        file, model, apart = rebuilt(path, signature=name)
        assert [*file.inputs] == [f"in_{name}"]
        np.testing.assert_allclose(model(np.float32([[1, 2, 3]])), [[factor, 2 * factor, 3 * factor]])
        assert max(apart.values()) == 0
    with pytest.raises(TfeffError, match="no signature or subgraph 'never'"):
        read_float_file(path, signature="never")


def test_a_refusal_loads_no_tensorflow(tmp_path):
    import subprocess
    import sys

    write_file(tmp_path / "m.tflite", part("LOCAL_RESPONSE_NORMALIZATION", "LocalResponseNormalizationOptions"))
    code = (
        "import sys\nfrom tfeff.cli import main\n"
        "try: main(['export', 'm.tflite', '--float16', '--out', 'out'])\n"
        "except SystemExit as stop: code = stop.code\n"
        "assert code == 2 and not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "is not known" in ran.stderr
