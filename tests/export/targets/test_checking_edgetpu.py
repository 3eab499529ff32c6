"""The predicted verdict for the Edge TPU, against Coral's published table, logs and issues of users, TensorFlow's own
map of versions (through what the converter writes into files), and TFLite's own way to part a graph for a delegate."""

import numpy as np
import pytest
from checking_files import chain, converted, edit, ints, names, operation, outside, tensor, weights

from tfeff.errors import TfeffError
from tfeff.export.targets.edgetpu.op_rules import READ, TABLE, UNSURE
from tfeff.export.targets.edgetpu.rules import behind_the_first, check
from tfeff.tflite.graph import read_graph

# Coral, "TensorFlow models on the Edge TPU", the table of operations for compiler 16.0.
PUBLISHED = """Add AveragePool2d Concatenation Conv2d DepthwiseConv2d ExpandDims FullyConnected L2Normalization Logistic
    LSTM Maximum MaxPool2d Mean Minimum Mul Pack Pad PReLU Quantize ReduceMax ReduceMin ReLU ReLU6 ReLUN1To1 Reshape
    ResizeBilinear ResizeNearestNeighbor Rsqrt Slice Softmax SpaceToDepth Split Squeeze StridedSlice Sub Sum
    SquaredDifference Tanh Transpose TransposeConv""".split()  # noqa: SIM905
MAP = (1, 8, 8, 8)


def unary(name, **options):
    return operation(name, [tensor(*MAP)], [tensor(*MAP)], **options)


def conv(shape=MAP, kernel=(8, 3, 3, 8), version=3, **options):
    return operation("CONV_2D", [tensor(*shape), weights(*kernel), weights(kernel[0], dtype="INT32")],
                     [tensor(*shape[:3], kernel[0])], version, **options)  # fmt: skip


def graph_of(name, tmp_path, **options):
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(converted(name, **options))
    return read_graph(path)


def test_table_is_the_published_one():
    plain = {name.upper() for name in PUBLISHED}
    ours = {name.replace("_", "") for name in TABLE} - {"UNIDIRECTIONALSEQUENCELSTM"}  # LSTM as converters write it
    assert ours == plain
    assert len(plain) == 40


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_operation_of_the_table_can_be_read(name):
    assert READ[name] >= 1


# Refusals that users met, or that the table states: (operation, a word of the reason).
REFUSED = [
    (unary("HARD_SWISH"), "not an operation"),
    (unary("LEAKY_RELU"), "not an operation"),
    (unary("DEPTH_TO_SPACE"), "not an operation"),
    (operation("GATHER", [tensor(*MAP), ints(1, 0)], [tensor(*MAP)]), "not an operation"),
    (operation("CUSTOM TFLite_Detection_PostProcess", [tensor(*MAP)], [tensor(*MAP)]), "not an operation"),
    (conv(dilation_h_factor=2, dilation_w_factor=3), "dilated"),
    (operation("MAX_POOL_2D", [tensor(*MAP)], [tensor(*MAP)], fused_activation_function="RELU"), "RELU"),
    (operation("CONCATENATION", [tensor(*MAP), tensor(1, 8, 8, 8, values=[1] * 4)], [tensor(*MAP)]), "constant"),
    (operation("CONCATENATION", [tensor(*MAP), tensor(*MAP), tensor(1, 8, 8, 8, values=[0] * 4)], [tensor(*MAP)]),
     "constant"),
    (operation("FULLY_CONNECTED", [tensor(1, 8), weights(4, 8)], [tensor(1, 4)], 5), "version 5"),
    (operation("FULLY_CONNECTED", [tensor(1, 6, 8), weights(4, 8)], [tensor(1, 6, 4)], 4), "dimension"),
    (operation("FULLY_CONNECTED", [tensor(1, 8), weights(4, 8)], [tensor(1, 4)], weights_format="SHUFFLED4x16INT8"),
     "shuffled"),
    (operation("SOFTMAX", [tensor(1, 17000)], [tensor(1, 17000)]), "17,000"),
    (operation("SOFTMAX", [tensor(1, 4, 4)], [tensor(1, 4, 4)]), "dimension"),
    (operation("MEAN", [tensor(*MAP), ints(0, 1)], [tensor(8, 8)]), "batch"),
    (operation("MEAN", [tensor(1, 8, 8, 6), ints(-1)], [tensor(1, 8, 8)]), "multiple of 4"),
    (operation("SUM", [tensor(*MAP), ints(-4)], [tensor(8, 8, 8)]), "batch"),
    (operation("PAD", [tensor(1, 1, 8, 8), ints(0, 1, 0, 0, 0, 0, 0, 0)], [tensor(1, 1, 8, 8)]), "batch"),
    (operation("PAD", [tensor(*MAP), ints(0, 0, 1, 1, 1, 1, 0, 0, dtype="INT64")], [tensor(*MAP)]), "64-bit"),
    (operation("PACK", [tensor(8, 8), tensor(8, 8)], [tensor(2, 8, 8)], axis=0), "batch"),
    (operation("SPLIT", [ints(0), tensor(2, 4, 8)], [tensor(1, 4, 8), tensor(1, 4, 8)]), "batch"),
    (operation("STRIDED_SLICE", [tensor(*MAP), ints(0, 0, 0, 0), ints(1, 8, 8, 8), ints(1, 1, 1, 2)], [tensor(*MAP)]),
     "n-th"),
    (operation("STRIDED_SLICE", [tensor(*MAP), ints(0, 0, 0, 0), ints(1, 8, 8, 8), ints(1, 1, 1, 1)], [tensor(*MAP)],
               new_axis_mask=1), "new axis mask"),
    (operation("PRELU", [tensor(*MAP), weights(8, 8, 8)], [tensor(*MAP)]), "slopes"),
    (operation("TRANSPOSE", [tensor(*MAP), ints(0, 3, 1, 2)], [tensor(*MAP)], 2), "moves the channels"),
    (operation("RESHAPE", [tensor(*MAP), ints(1, 8, 8, 2, 4)], [tensor(1, 8, 8, 2, 4)]), "3 dimensions"),
    (operation("ADD", [tensor(2, 8, 8, 8), tensor(2, 8, 8, 8)], [tensor(2, 8, 8, 8)]), "3 dimensions"),
    (operation("ADD", [tensor(*MAP, dtype="INT16")] * 2, [tensor(*MAP, dtype="INT16")]), "int16"),
    (operation("CONV_2D", [tensor(*MAP), tensor(8, 3, 3, 8), weights(8)], [tensor(*MAP)], 3), "computed"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "word"), REFUSED, ids=[f"{op.name} {word}" for op, word in REFUSED])
def test_refusals(op, word):
    verdict = check(chain(conv(), op))
    assert [entry.status for entry in verdict.operations] == ["mapped", "refused"]
    assert word in verdict.operations[1].reason
    assert verdict.operations[1].mend
    assert not verdict.ok
    assert verdict.first_break.index == 1
    assert verdict.basis == "predicted"


ACCEPTED = [
    conv(dilation_h_factor=2, dilation_w_factor=2),
    operation("CONCATENATION", [tensor(*MAP), tensor(1, 8, 8, 8, values=[-3] * 4, zero_point=-3)], [tensor(*MAP)]),
    operation("FULLY_CONNECTED", [tensor(1, 8), weights(4, 8)], [tensor(1, 4)], 4, weights_format="DEFAULT"),
    operation("SOFTMAX", [tensor(1, 16000)], [tensor(1, 16000)]),
    operation("MEAN", [tensor(*MAP), ints(1, 2)], [tensor(1, 8)], 2),
    operation("MEAN", [tensor(*MAP), ints(-1)], [tensor(1, 8, 8)], 2),
    operation("PAD", [tensor(*MAP), ints(0, 0, 1, 1, 1, 1, 0, 0)], [tensor(1, 10, 10, 8)], 2),
    operation("TRANSPOSE", [tensor(*MAP), ints(0, 2, 1, 3)], [tensor(*MAP)], 2),
    operation("TRANSPOSE", [tensor(1, 1, 1, 8), ints(0, 3, 1, 2)], [tensor(1, 8, 1, 1)], 2),  # no value moves
    operation("RESHAPE", [tensor(*MAP), ints(1, 1, 8, 8, 8)], [tensor(1, 1, 8, 8, 8)]),
    operation("PRELU", [tensor(*MAP), weights(1, 1, 8)], [tensor(*MAP)]),
    operation("QUANTIZE", [tensor(*MAP, dtype="UINT8")], [tensor(*MAP)]),
]


@pytest.mark.parametrize("op", ACCEPTED, ids=lambda op: f"{op.name} {op.outputs[0].shape}")
def test_what_the_table_allows_is_mapped(op):
    assert check(chain(op)).ok


WHOLE_FILE = [
    (conv(kernel=(8, 3, 3, 2), version=6), "group convolution", "splits"),
    (conv(kernel=(8, 3, 3, 2), version=3), "group convolution", "splits"),  # a version that was forced down
    (conv(version=6), "version 6", "convert"),
    (operation("TRANSPOSE_CONV", [ints(1, 8, 8, 8), weights(8, 3, 3, 8), tensor(*MAP)], [tensor(*MAP)], 4), "version 4",
     "Conv2DTranspose"),
    (unary("GELU", version=2), "150", "sigmoid"),
    (unary("RELU_0_TO_1"), "152", "minimum"),
    (unary("EXP", version=2), "version 2", "host"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "reason", "mend"), WHOLE_FILE, ids=[f"{op.name} {why}" for op, why, _ in WHOLE_FILE])
def test_one_operation_too_new_and_nothing_is_mapped(op, reason, mend):
    verdict = check(chain(conv(), op))
    (problem,) = verdict.problems
    assert "whole file" in problem.reason
    assert reason in problem.reason
    assert mend in problem.mend
    assert (verdict.mapped, verdict.ok) == (0, False)


@pytest.mark.parametrize(
    ("version", "problems", "notes"),
    [("1.14.0", 0, 0), ("2.5.0", 0, 0), ("", 0, 0), ("2.6.0", 0, 1), ("2.9.0", 1, 0), ("2.21.0", 1, 0)],
)
def test_runtime_that_the_file_asks_for(version, problems, notes):
    verdict = check(chain(conv(), version=version))
    assert (len(verdict.problems), len(verdict.notes)) == (problems, notes)
    assert verdict.ok == (not problems)


def test_versions_agree_with_what_the_converter_says_of_its_files(tmp_path):
    """The converter writes the oldest runtime for a file, by TensorFlow's map of versions."""
    seen = 0
    for name in names():
        graph = graph_of(name, tmp_path)
        needed = tuple(int(part) for part in graph.min_runtime_version.split("."))
        too_new = any(op.version > READ.get(op.name, 0) for op in graph.operations)
        unsure = any(op.version == UNSURE.get(op.name) for op in graph.operations)
        assert too_new == (needed > (2, 5, 0)), (name, graph.min_runtime_version)
        assert not unsure or needed <= (2, 6, 0)
        seen += too_new
    assert seen >= 2  # group convolution, GELU


def test_group_convolution_is_the_one_that_is_named(tmp_path):
    """It raises the version of all convolutions of the file; only it has to be mended."""
    graph = graph_of("group", tmp_path)
    assert {op.version for op in graph.operations if op.name == "CONV_2D"} == {6}
    verdict = check(graph)
    assert len(verdict.problems) == 1
    assert [op.status for op in verdict.operations] == ["mapped", "refused", "stranded"]


def test_float_door_stays_on_the_cpu_and_strands_nothing(tmp_path):
    verdict = check(graph_of("conv", tmp_path, door="float32"))
    assert [(op.name, op.status) for op in verdict.operations] == [
        ("QUANTIZE", "refused"), ("CONV_2D", "mapped"), ("DEQUANTIZE", "refused"),
    ]  # fmt: skip
    assert all("--io float32" in op.mend for op in verdict.operations if op.status == "refused")


def test_float_island_names_the_cause(tmp_path):
    verdict = check(graph_of("neg", tmp_path))
    assert [(op.name, op.status) for op in verdict.operations] == [
        ("CONV_2D", "mapped"), ("DEQUANTIZE", "refused"), ("NEG", "refused"), ("QUANTIZE", "refused"),
        ("CONV_2D", "stranded"),
    ]  # fmt: skip
    assert "float operations" in verdict.operations[1].reason


@pytest.mark.parametrize("name", ["branches", "hard_swish", "shuffle", "split_8", "prelu", "gather", "conv"])
def test_first_part_is_what_tflite_gives_a_delegate(name, tmp_path):
    """XNNPACK is a delegate that takes all its parts; they come in order, so the first is the first one's."""
    from ai_edge_litert.interpreter import Interpreter

    graph = graph_of(name, tmp_path)
    interpreter = Interpreter(str(tmp_path / f"{name}.tflite"))
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()
    own = nodes[: len(graph.operations)]
    parts = [inside(own, node) for node in nodes[len(own) :]]
    supported = [any(place in part for part in parts) for place in range(len(own))]
    stranded = behind_the_first(graph.operations, supported)
    assert {place for place, good in enumerate(supported) if good and place not in stranded} == parts[0]


def inside(own, region):
    """Places of the operations that a delegate's node stands for: on the way from its outputs back to its inputs."""
    producer = {int(number): place for place, op in enumerate(own) for number in op["outputs"]}
    bounds, ahead, found = {int(n) for n in region["inputs"]}, [int(n) for n in region["outputs"]], set()
    while ahead:
        number = ahead.pop()
        if number not in bounds and number in producer and producer[number] not in found:
            found.add(producer[number])
            ahead += [int(n) for n in own[producer[number]]["inputs"]]
    return found


def test_constants_behind_the_flatbuffer(tmp_path):
    """The compiler sees no weights there; LiteRT does."""
    path = tmp_path / "outside.tflite"
    path.write_bytes(outside(converted("conv")))
    verdict = check(read_graph(path))
    assert [op.status for op in verdict.operations] == ["refused"]
    assert "behind the flatbuffer" in verdict.operations[0].reason


def test_dynamic_batch_is_no_input(tmp_path):
    with pytest.raises(TfeffError, match=r"\(\?, 8, 8, 8\)") as refused:
        check(graph_of("conv", tmp_path, batch=None))
    assert "fixed batch" in refused.value.mend


@pytest.mark.parametrize(("precision", "door"), [("float32", "float32"), ("int16", "int16")])
def test_other_than_int8_is_no_input(tmp_path, precision, door):
    with pytest.raises(TfeffError, match=f"computes in {door}"):
        check(graph_of("conv", tmp_path, precision=precision, door=door))


@pytest.mark.parametrize(("channels", "streams"), [(512, False), (1024, True)])
def test_parameters_against_the_chip(channels, streams):
    """2.3 and 9.0 MiB of 3x3 weights; logs show 7.6 to 7.9 MiB for parameters."""
    shape = (1, 8, 8, channels)
    verdict = check(chain(conv(shape, (channels, 3, 3, channels))))
    parameters = channels * channels * 9 + channels
    assert verdict.facts["parameter_bytes"] == parameters
    assert bool(verdict.facts["streamed_bytes"]) == streams
    assert any("every inference" in note for note in verdict.notes) == streams
    assert verdict.ok  # slower, but mapped


def test_scales_by_channel_of_a_dense_layer_are_noted(tmp_path):
    graph = graph_of("dense", tmp_path)
    assert len(graph.operations[-1].inputs[1].scales) == 4
    verdict = check(graph)
    assert verdict.ok
    assert any("scale a channel" in note for note in verdict.notes)


def test_compiled_file(tmp_path):
    def compiled(model):
        code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = 32
        code.customCode, code.version = b"edgetpu-custom-op", 1
        model.subgraphs[0].operators[0].builtinOptions = None
        model.subgraphs[0].operators[0].builtinOptionsType = 0

    path = tmp_path / "compiled.tflite"
    path.write_bytes(edit(converted("softmax"), compiled))
    verdict = check(read_graph(path))
    assert [op.status for op in verdict.operations] == ["mapped", "cpu", "cpu"]
    assert verdict.facts["compiled"]


def test_record_entry_groups_operations(tmp_path):
    entry = check(graph_of("shuffle", tmp_path)).as_dict()
    assert (entry["mapped"], entry["total"], entry["ok"], entry["basis"]) == (1, 5, False, "predicted")
    assert sum(row["count"] for row in entry["operations"]) == 5
    assert entry["operations"][-1]["status"] == "mapped"
    assert entry["first_break"].startswith("RESHAPE")


def parted(operations, supported):
    """`behind_the_first` by its definition: pass after pass over what waits."""
    waiting, stranded, parts = list(range(len(operations))), set(), 0
    missing = {tensor.index for op in operations for tensor in op.outputs}
    while waiting:
        kind, taken = None, [None]
        while taken:
            taken = []
            for place in waiting:
                ready = all(tensor.index not in missing for tensor in operations[place].inputs)
                if ready and kind in (None, supported[place]):
                    kind = supported[place]
                    taken.append(place)
                    missing -= {tensor.index for tensor in operations[place].outputs}
                    if kind and parts:
                        stranded.add(place)
            waiting = [place for place in waiting if place not in taken]
        if kind is None:
            return stranded | {place for place in waiting if supported[place]}
        parts += kind
    return stranded


def test_parts_are_found_in_one_walk():
    random = np.random.default_rng(0)
    for _ in range(200):
        count = int(random.integers(1, 12))
        tensors = [tensor(4, index=number) for number in range(count + 2)]
        operations = [
            operation("ADD", [tensors[i] for i in random.integers(0, number + 2, 2)], [tensors[number + 2]])
            for number in range(count)
        ]
        if random.random() < 0.2:  # a circle, or out of order
            operations[0] = operation("ADD", [tensors[-1], tensors[0]], [tensors[2]])
        supported = (random.random(count) < 0.6).tolist()
        assert behind_the_first(operations, supported) == parted(operations, supported)
