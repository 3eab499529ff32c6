"""A profile joined with a graph: who took the time."""

import pytest
from checking_files import tensor, weights

from tfeff.bench.adb.log import parse_tables
from tfeff.errors import TfeffError
from tfeff.profile import draw_picture
from tfeff.profile.join import join, multiply_adds, overhead_of
from tfeff.tflite.graph import Graph, Operation, Tensor

NAMES = {
    "stem": "net_1/stem_relu_1/Relu;net_1/stem_bn_1/batchnorm/add_1;net_1/stem_1/Conv2D",
    "pad": "net_1/block1_unit1_pad_1/Pad",
    "dw": "net_1/block1_unit1_dw_relu_1/Relu;net_1/block1_unit1_dw_1/depthwise",
    "shuffle": "net_1/block1_unit1_shuffle_1/transpose",
    "fc": "net_1/logits_1/MatMul;net_1/logits_1/BiasAdd",
}


def named(name, *shape):
    return Tensor(NAMES[name], shape, "INT8", 1.0, 0, False)


@pytest.fixture
def graph():
    """Convolution, pad, depthwise, transpose, matrix product, in int8."""
    image = tensor(1, 8, 8, 3)
    steps = [
        ("CONV_2D", "stem", (1, 4, 4, 16), [weights(16, 3, 3, 3)]),
        ("PAD", "pad", (1, 6, 6, 16), []),
        ("DEPTHWISE_CONV_2D", "dw", (1, 4, 4, 16), [weights(1, 3, 3, 16)]),
        ("TRANSPOSE", "shuffle", (1, 4, 4, 16), []),
        ("FULLY_CONNECTED", "fc", (1, 10), [weights(10, 256)]),
    ]
    operations, last = [], image
    for op, name, shape, more in steps:
        out = named(name, *shape)
        operations.append(Operation(op, 1, (last, *more), (out,)))
        last = out
    return Graph(tuple(operations), (image,), (last,), "")


HEAD = "\t[node type]\t[start]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n"


def table(*rows):
    """A profile as the tool prints it: (type, ms, name)."""
    text = "Operator-wise Profiling Info for Regular Benchmark Runs:\n==== Run Order ====\n" + HEAD
    for kind, ms, name in rows:
        text += f"\t{kind}\t0.000\t9.000\t{ms:.3f}\t1.0%\t1.0%\t0.000\t1\t{name}\n"
    return parse_tables(text)


BUILT_IN = [
    ("CONV_2D", 2.0, f"[{NAMES['stem']}]:0"),
    ("PAD", 0.5, f"[{NAMES['pad']}]:1"),
    ("DEPTHWISE_CONV_2D", 4.0, f"[{NAMES['dw']}]:2"),
    ("TRANSPOSE", 1.5, f"[{NAMES['shuffle']}]:3"),
    ("FULLY_CONNECTED", 2.0, f"[{NAMES['fc']}]:4"),
]
XNNPACK = [
    ("TfLiteXNNPackDelegate", 9.9, "[Identity]:66"),
    ("Convolution (NHWC, QC8) IGEMM", 2.0, "Delegate/Convolution (NHWC, QC8) IGEMM:0"),
    ("Constant Pad (ND, X8)", 0.5, "Delegate/Constant Pad (ND, X8):1"),
    ("Convolution (NHWC, QC8) DWConv", 4.0, "Delegate/Convolution (NHWC, QC8) DWConv:2"),
    ("Transpose (ND, X8) Transpose", 1.5, "Delegate/Transpose (ND, X8) Transpose:3"),
    ("Fully Connected (NC, QS8) GEMM", 2.0, "Delegate/Fully Connected (NC, QS8) GEMM:4"),
]


def test_layers_blocks_and_what_they_computed(graph):
    profile = join(graph, "m.tflite", table(*BUILT_IN))
    rows = {one.layer: one for one in profile.operations}
    assert list(rows) == ["stem", "block1_unit1_pad", "block1_unit1_dw", "block1_unit1_shuffle", "logits"]
    assert rows["stem"].madds == 4 * 4 * 16 * 3 * 3 * 3
    assert rows["block1_unit1_dw"].madds == 4 * 4 * 16 * 9
    assert rows["logits"].madds == 2560
    assert rows["stem"].bytes == 8 * 8 * 3 + 16 * 27 + 4 * 4 * 16
    assert rows["stem"].gmadds_per_s == pytest.approx(6912 / 2e-3 / 1e9)
    assert profile.total_ms == 10.0
    assert [(total.name, total.ms) for total in profile.blocks] == [
        ("block1_unit1", 6.0), ("stem", 2.0), ("logits", 2.0),
    ]  # fmt: skip
    assert profile.blocks[0].share == pytest.approx(60)
    assert profile.overhead == {"transpose": 1.5, "pad": 0.5}
    assert profile.unmapped_ms == 0
    told = profile.as_dict()
    assert told["layers"][0] == {
        "layer": "block1_unit1_dw", "operations": 1, "ms": 4.0, "share": 40.0, "madds": 2304,
        "bytes": 36 * 16 + 9 * 16 + 16 * 16, "gmadds_per_s": pytest.approx(2304 / 4e-3 / 1e9),
    }  # fmt: skip
    assert told["blocks"][0]["block"] == "block1_unit1"


def test_xnnpack_tells_kinds_in_order(graph):
    profile = join(graph, "m.tflite", table(*XNNPACK))
    assert profile.total_ms == 10.0  # the delegate's own row is not counted beside its parts
    layers = [one.layer for one in profile.operations]
    assert layers == [
        "stem", "(Constant Pad (ND, X8))", "block1_unit1_dw", "(Transpose (ND, X8) Transpose)", "logits",
    ]  # fmt: skip
    assert profile.overhead == {"transpose": 1.5, "pad": 0.5}
    assert profile.unmapped_ms == 2.0


def test_no_guess_where_xnnpack_has_more_or_fewer(graph):
    profile = join(graph, "m.tflite", table(*XNNPACK[:-1]))
    assert all(one.output is None for one in profile.operations)
    assert profile.unmapped_ms == profile.total_ms == 8.0


def test_old_names_without_a_number(graph):
    rows = [(kind, ms, name.rpartition(":")[0]) for kind, ms, name in BUILT_IN]
    assert join(graph, "m.tflite", table(*rows)).unmapped_ms == 0


def test_a_profile_of_another_file_or_of_none(graph):
    with pytest.raises(TfeffError, match="no operation of this file"):
        join(graph, "m.tflite", table(("ADD", 1.0, "[other]:0")))
    with pytest.raises(TfeffError, match="told no operations"):
        join(graph, "m.tflite", [])


def test_transposed_convolution():
    image, kernel, out = tensor(1, 4, 4, 8), weights(16, 3, 3, 8), tensor(1, 8, 8, 16)
    op = Operation("TRANSPOSE_CONV", 1, (weights(4, dtype="INT32"), kernel, image), (out,))
    assert multiply_adds(op) == 4 * 4 * 16 * 3 * 3 * 8  # each value of the map is multiplied by the whole kernel


def test_products_of_any_rank():
    def madds(name, inputs, output, **options):
        return multiply_adds(Operation(name, 1, tuple(inputs), (tensor(*output),), options=options))

    # 4 x 4 x 4 places, 8 channels out, each of 3 x 3 x 3 x 2 products
    assert madds("CONV_3D", [tensor(1, 4, 4, 4, 2), weights(3, 3, 3, 2, 8)], (1, 4, 4, 4, 8)) == 64 * 8 * 54
    assert madds("BATCH_MATMUL", [tensor(2, 5, 7), tensor(2, 7, 3)], (2, 5, 3)) == 2 * 5 * 3 * 7
    assert madds("BATCH_MATMUL", [tensor(2, 7, 5), tensor(2, 7, 3)], (2, 5, 3), adj_x=True) == 2 * 5 * 3 * 7
    assert madds("FULLY_CONNECTED", [tensor(1, 6, 8), weights(4, 8)], (1, 6, 4)) == 6 * 4 * 8  # a row at a time


def test_what_is_overhead():
    assert overhead_of("QUANTIZE") == "requantise"
    assert overhead_of("Transpose (ND, X8) Transpose") == "transpose"
    assert overhead_of("CONCATENATION") == "move"
    assert overhead_of("CONV_2D") is None


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture(graph, tmp_path, suffix):
    profile = join(graph, "m<1>.tflite", table(*BUILT_IN))
    data = draw_picture(profile, "m<1>.tflite on adb", tmp_path / f"p{suffix}")
    if suffix == ".svg":
        assert b"m&lt;1&gt;.tflite on adb" in data
        assert data.count(b'height="20"') == 4  # three blocks, one with overhead in it
    else:
        assert data.startswith(b"\x89PNG")
    with pytest.raises(TfeffError, match=r"\.png or \.svg"):
        draw_picture(profile, "", tmp_path / "p.jpg")
