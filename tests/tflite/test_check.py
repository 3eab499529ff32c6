"""What a whole file may not say: a number at a time in a file that LiteRT runs, told by its place."""

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from checking_files import converted, edit

from tfeff.errors import TfeffError
from tfeff.tflite.check import check_model
from tfeff.tflite.verify import check_tflite

LAST = 2**31 - 1
RUN = (
    "import sys\n"
    "from ai_edge_litert.interpreter import Interpreter\n"
    "Interpreter(model_path=sys.argv[1], num_threads=1).allocate_tensors()\n"
)


def first(model, name):
    """The tensors of the first CONV_2D, or the operator."""
    operator = model.subgraphs[0].operators[0]
    tensors = model.subgraphs[0].tensors
    named = {"image": operator.inputs[0], "weights": operator.inputs[1], "bias": operator.inputs[2]}
    return operator if name == "operator" else tensors[named.get(name, operator.outputs[0])]


def scales(name, *values, zero_points=None, axis=0):
    def change(model):
        quantization = first(model, name).quantization
        quantization.scale = np.float32(values)
        quantization.zeroPoint = np.int64(np.zeros(len(values)) if zero_points is None else zero_points)
        quantization.quantizedDimension = axis

    return change


def change(name, **values):
    def edited(model):
        for key, value in values.items():
            setattr(first(model, name), key, value)

    return edited


def graph(**values):
    def edited(model):
        for key, value in values.items():
            setattr(model.subgraphs[0], key, np.int32(value))

    return edited


def twice(model):
    model.subgraphs[0].operators.append(model.subgraphs[0].operators[0])


def signature(number, subgraph=0):
    def edited(model):
        entry, signed = schema.TensorMapT(), schema.SignatureDefT()
        entry.name, entry.tensorIndex = b"logits", number
        signed.outputs, signed.subgraphIndex, signed.signatureKey = [entry], subgraph, b"serving_default"
        model.signatureDefs = [signed]

    return edited


def far_metadata(model):
    model.metadata[0].buffer = 999


def short_weights(model):
    model.buffers[first(model, "weights").buffer].data = np.zeros(5, np.uint8)


def short_bias(model):
    bias = first(model, "bias")
    bias.shape, bias.quantization = np.int32([4]), None
    model.buffers[bias.buffer].data = np.zeros(16, np.uint8)


def far_opcode(model):
    model.subgraphs[0].operators[0].opcodeIndex = 1000


def odd_activation(model):
    model.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = 100


WRONG = [
    (scales("image", np.inf), "has the scale inf"),
    (scales("image", np.nan), "has the scale nan"),
    (scales("image", 0), "has the scale 0"),
    (scales("output", -0.5), "has the scale -0.5"),
    (scales("output", 1e38), "has the scale 1e+38"),
    (scales("weights", 0.1, 0.2, 0.3), "has 3 scales along axis 0"),
    (scales("weights", *[0.1] * 8, axis=-1), "has 8 scales along axis -1"),
    (scales("weights", *[0.1] * 8, axis=9), "has 8 scales along axis 9"),
    (scales("image", 0.1, zero_points=[1, 2]), "has 1 scales and 2 zero points"),
    (scales("image", 0.1, zero_points=[2**40]), "has a zero point outside of INT8"),
    (change("image", quantization=None), "which has no scale"),
    (change("image", shape=np.int32([1, -8, 8, 8])), "has the shape (1, -8, 8, 8)"),
    (change("image", shape=np.int32([1] * 9)), "has the shape"),
    (change("image", shape=np.int32([LAST, 8, 8, 8])), "bytes"),
    (change("image", shapeSignature=np.int32([1, 8])), "has 4 sizes, and 2 in its signature"),
    (change("image", type=99), "is of type 99"),
    (change("image", buffer=10**6), "damaged"),
    (change("weights", shape=np.int32([8, 3, 3, 9])), "its shape (8, 3, 3, 9) of INT8 takes 648"),
    (change("weights", shape=np.int32([8, 72])), "has weights of the shape (8, 72)"),
    (short_bias, "a bias of the shape (4,)"),
    (short_weights, "holds 5 bytes"),
    (change("operator", inputs=np.int32([0, 1, LAST])), "damaged"),
    (change("operator", inputs=np.int32([0, -1, 1])), "has no input 1"),
    (change("operator", inputs=np.int32([0])), "has 1 inputs"),
    (change("operator", outputs=np.int32([0])), "writes tensor 0"),
    (change("operator", outputs=np.int32([-1])), "writes tensor -1"),
    (change("operator", intermediates=np.int32([77])), "has tensor 77 for itself"),
    (far_opcode, "damaged"),
    (odd_activation, "has activation 100"),
    (twice, "another operator's"),
    (graph(inputs=[999]), "damaged"),
    (graph(outputs=[-5]), "damaged"),
    (graph(inputs=[]), "which nothing before it computes"),
    (signature(2), "is no input or output of the file"),
    (signature(2, subgraph=7), "a signature is of subgraph 7"),
    (far_metadata, "lies in buffer 999"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_a_file_may_not_say(wrong, words, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(edit(converted("conv"), wrong))
    check_tflite(path)  # whole it is
    with pytest.raises(TfeffError) as error:
        check_model(path)
    assert words in str(error.value)
    assert error.value.mend


@pytest.mark.parametrize("name", ["conv", "concat_5", "hard_swish"])
def test_what_converters_write_is_taken(name, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(converted(name))
    assert check_model(path) == check_tflite(path)


@pytest.mark.parametrize(("name", "exponent", "fine"), [("add", -6, True), ("add", -9, False), ("sub", -9, True)])
def test_the_sum_of_a_scale_that_is_far_below(name, exponent, fine, tmp_path):
    """LiteRT 2.3 aborts on an ADD whose scale is 2^-19 of a summand's; such a SUB is what converters make of x - x."""
    path = tmp_path / "a.tflite"

    def narrow(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.outputs[0]].quantization.scale = np.float32([10.0**exponent])

    path.write_bytes(edit(converted(name), narrow))
    ran = subprocess.run([sys.executable, "-c", RUN, str(path)], capture_output=True)
    assert (ran.returncode == 0) == fine
    if fine:
        check_model(path)
    else:
        with pytest.raises(TfeffError, match="for the sum of"):
            check_model(path)


def test_a_file_that_kills_the_runtime_is_refused(tmp_path):
    """An infinite scale: LiteRT 2.3 aborts, with our process."""
    path = tmp_path / "a.tflite"
    path.write_bytes(edit(converted("conv"), scales("output", np.inf)))
    ran = subprocess.run([sys.executable, "-c", RUN, str(path)], capture_output=True)
    assert ran.returncode < 0 or b"RuntimeError" in ran.stderr
    with pytest.raises(TfeffError):
        check_model(path)
