"""Cost as the papers define it, against the papers' worked numbers, and against the operations of a converted file."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import index_of_classifiers
from keras import layers
from small_detectors import SMALL_DETECTORS

import tfeff
from tfeff import cost, create
from tfeff.cost.kinds import KINDS
from tfeff.cost.parts import widest
from tfeff.layers import StridedDilatedDepthwiseConv2D
from tfeff.networks import get_network, index
from tfeff.tensor_names import block_of
from tfeff.tflite.graph import read_graph

# The smallest network of each builder.
SMALL = []
for _name in sorted(index_of_classifiers(), key=lambda name: index()[name]["counted"]["parameters"]):
    if get_network(_name).builder not in {get_network(name).builder for name in SMALL}:
        SMALL.append(_name)


def alone(layer, shape):
    """The row of one layer on an image of that shape."""
    analysis = cost.analyse(keras.Sequential([keras.Input(shape), layer]))
    (row,) = analysis.rows("layer")
    return row


# ShuffleNet V2, G1 and G2, on maps of 56x56


@pytest.mark.parametrize(
    ("channels", "madds", "mac", "least", "ratio"),
    [
        ((128, 128), 51_380_224, 819_200, 819_200, 1.000),
        ((90, 180), 50_803_200, 862_920, 814_495, 1.059),
        ((52, 312), 50_878_464, 1_157_728, 815_110, 1.420),
        ((36, 432), 48_771_072, 1_483_200, 797_718, 1.859),
    ],
)
def test_unequal_channels_cost_memory_access(channels, madds, mac, least, ratio):
    row = alone(layers.Conv2D(channels[1], 1, use_bias=False), (56, 56, channels[0]))
    assert (row.madds, row.mac, round(row.least_mac)) == (madds, mac, least)
    assert row.mac_ratio == pytest.approx(ratio, abs=5e-4)
    assert row.group_ratio == 1


@pytest.mark.parametrize("kind", ["keras", "ours"])
@pytest.mark.parametrize(
    ("groups", "channels", "madds", "mac"),
    [
        (1, 128, 51_380_224, 819_200),
        (2, 180, 50_803_200, 1_145_160),
        (4, 256, 51_380_224, 1_622_016),
        (8, 360, 50_803_200, 2_274_120),
    ],
)
def test_groups_cost_memory_access(kind, groups, channels, madds, mac):
    if kind == "keras":
        layer = layers.Conv2D(channels, 1, groups=groups, use_bias=False)
    else:
        layer = tfeff.GroupConv2D(channels, 1, channels // groups, use_bias=False)
    row = alone(layer, (56, 56, channels))
    assert (row.madds, row.mac) == (madds, mac)
    # G2 as the paper writes it: h w c1 + B g / c1 + B / (h w)
    assert row.mac == 3136 * channels + madds * groups // channels + madds // 3136
    # Channels are equal, so the groups alone are to blame.
    assert row.group_ratio == pytest.approx(row.mac_ratio)
    assert row.group_ratio > 1 or groups == 1


def test_least_memory_access_of_larger_kernels_is_vovnets():
    row = alone(layers.Conv2D(64, 3, padding="same", use_bias=False), (28, 28, 64))
    area, madds = 28 * 28, 9 * 28 * 28 * 64 * 64
    assert row.mac == area * (64 + 64) + 9 * 64 * 64
    assert row.least_mac == pytest.approx(2 * np.sqrt(area * madds / 9) + madds / area)
    assert row.mac_ratio == pytest.approx(1)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, "same"), (1, 2, "same"), (3, 1, "valid"), (7, 1, "valid")]
)
def test_no_choice_of_channels_needs_less_than_the_least(kernel, stride, padding):
    """Where input and output differ in size: real layers of all channels whose product is 36."""
    rows = [
        alone(layers.Conv2D(36 // c, kernel, strides=stride, padding=padding, use_bias=False), (8, 8, c))
        for c in (1, 2, 3, 4, 6, 9, 12, 18, 36)
    ]
    assert len({(row.madds, row.least_mac) for row in rows}) == 1
    best = min(row.mac for row in rows)
    assert rows[0].least_mac <= best * (1 + 1e-12)
    assert best < 1.1 * rows[0].least_mac  # whole channels come near


# VarGNet


@pytest.mark.parametrize(
    ("layer", "madds", "intensity"),
    [
        (layers.DepthwiseConv2D(3, padding="same", use_bias=False), 1_806_336, 9),
        (layers.Conv2D(256, 1, use_bias=False), 51_380_224, 256),
        (tfeff.GroupConv2D(256, 3, 4, padding="same", use_bias=False), 36 * 200_704, 36),
        (tfeff.GroupConv2D(256, 3, 8, padding="same", use_bias=False), 72 * 200_704, 72),
        (layers.Conv2D(256, 3, padding="same", use_bias=False), 2304 * 200_704, 2304),
    ],
    ids=["depthwise", "pointwise", "G4", "G8", "dense"],
)
def test_computational_intensity(layer, madds, intensity):
    row = alone(layer, (28, 28, 256))
    assert (row.madds, row.intensity) == (madds, intensity)


@pytest.mark.parametrize(
    ("name", "block", "balance"),
    [
        ("vargnet_v2_050_g8", "stage2_normal1", 0.44),  # C = 32
        ("vargnet_v2_100_g8", "stage2_normal2", 0.89),
        ("vargnet_v2_100_g8", "stage3_normal6", 1.78),
        ("vargnet_v1_100_g8", "stage3_normal1", 3.56),
        ("vargnet_v1_100_g8", "stage4_normal1", 7.11),  # C = 512
        ("mobilenet_v1_050", "block1", 3.6),
        ("mobilenet_v1_100", "block1", 7.1),
        ("mobilenet_v1_100", "block2", 14.2),
        ("mobilenet_v1_100", "block5", 28.4),
        ("mobilenet_v1_100", "block7", 56.9),
    ],
)
def test_block_balance(name, block, balance):
    (row,) = [row for row in cost.analyse(create(name)).rows("block") if row.name == block]
    assert row.balance == pytest.approx(balance, abs=0.05 if "mobilenet" in name else 0.005)


def test_squeeze_and_excitation_is_no_part_of_the_balance():
    """VarGFaceNet's normal block, C = 320 at stage 4: C / (9 G), its squeeze-and-excitation left out."""
    (row,) = [row for row in cost.analyse(create("vargfacenet")).rows("block") if row.name == "stage4_normal1"]
    assert row.balance == pytest.approx(320 / 72)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        (
            "vargnet_v1_100_g8",
            {
                "stem": (928, 10_838_016), "stage1_down": (44_672, 136_478_720), "stage2_down": (130_304, 100_352_000),
                "stage3_down": (424_448, 82_288_640), "stage3_normal1": (338_944, 65_830_912),
                "stage3_normal2": (338_944, 65_830_912), "stage4_down": (1_504_256, 73_256_960),
                "stage4_normal1": (1_202_176, 58_605_568), "conv5": (526_336, 25_690_112), "pool": (0, 0),
                "logits": (1_025_000, 1_024_000),
            },
        ),
        (
            "vargnet_v2_100_g8",
            {
                "stem": (928, 10_838_016), "stage1_head": (10_368, 31_309_824), "stage2_down": (44_672, 34_119_680),
                **{f"stage2_normal{n}": (35_584, 27_295_744) for n in (1, 2)},
                "stage3_down": (130_304, 25_088_000),
                **{f"stage3_normal{n}": (103_936, 20_070_400) for n in range(1, 7)},
                "stage4_down": (424_448, 20_572_160),
                **{f"stage4_normal{n}": (338_944, 16_457_728) for n in (1, 2, 3)},
                "conv5": (264_192, 12_845_056), "pool": (0, 0), "logits": (1_025_000, 1_024_000),
            },
        ),
    ],
)  # fmt: skip
def test_vargnet_by_block(name, blocks):
    rows = cost.analyse(create(name)).rows("block")
    assert {row.name: (row.parameters, row.madds) for row in rows} == blocks


# VoVNet


@pytest.mark.parametrize(
    ("gflops", "fps", "printed"),
    [(5.6, 71, 400), (32.6, 25.0, 815.0), (5.3, 35, 189), (25.43, 23.2, 591.3), (33.02, 17.5, 579.2),
     (36.45, 21.2, 775.5), (24.65, 12.0, 296.9), (32.74, 12.8, 419.7)],
)  # fmt: skip
def test_computation_efficiency_of_tables_2_and_4(gflops, fps, printed):
    assert cost.madds_per_second(gflops * 1e9, 1000 / fps) == pytest.approx(printed * 1e9, rel=0.02)


# G3: the structures of ShuffleNet V2's Table 3


def fragments(structure):
    image = keras.Input((16, 16, 8))
    x, paths = image, {"1": [1], "2-series": [2], "4-series": [4], "2-parallel": [1] * 2, "4-parallel": [1] * 4}
    outputs = []
    for path in paths[structure]:
        y = x
        for _ in range(path):
            y = layers.ReLU()(layers.Conv2D(8, 1)(y))
        outputs.append(y)
    x = layers.Add()(outputs) if len(outputs) > 1 else outputs[0]
    return cost.analyse(keras.Model(image, x)).total


@pytest.mark.parametrize(
    ("structure", "number", "parallel"),
    [("1", 1, 1), ("2-series", 2, 1), ("4-series", 4, 1), ("2-parallel", 2, 2), ("4-parallel", 4, 4)],
)
def test_fragments(structure, number, parallel):
    row = fragments(structure)
    assert (row.fragments, row.parallel) == (number, parallel)


@pytest.mark.parametrize(
    ("name", "block", "number", "parallel"),
    [
        ("vargnet_v1_025_g8", "stage1_down", 8, 3),  # Figure 1: paths a, b and the shortcut; four pairs
        ("vargnet_v1_025_g8", "stage3_normal1", 4, 1),
        ("shufflenet_v2_x050", "stage2_unit1", 5, 2),  # Figure 3 (d)
        ("shufflenet_v2_x050", "stage2_unit2", 3, 1),  # Figure 3 (c)
        ("espnet_v2_050", "level3_unit1", 6, 4),  # four dilated branches
        ("vovnet_27_slim", "stage2_osa1", 6, 1),
        ("mobilenet_v2_035", "block2", 3, 1),
    ],
)
def test_fragments_of_known_blocks(name, block, number, parallel):
    (row,) = [row for row in cost.analyse(create(name)).rows("block") if row.name == block]
    assert (row.fragments, row.parallel) == (number, parallel)


def test_widest_is_the_largest_set_without_order():
    """Against trying every subset, on random graphs."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        ancestors = []
        for number in range(9):
            before = 0
            for producer in range(number):
                if rng.random() < 0.25:
                    before |= ancestors[producer] | 1 << producer
            ancestors.append(before)
        chosen = [n for n in range(9) if rng.random() < 0.8]
        best = 0
        for bits in range(1 << len(chosen)):
            subset = [n for place, n in enumerate(chosen) if bits >> place & 1]
            if all(not ancestors[b] >> a & 1 for a in subset for b in subset):
                best = max(best, len(subset))
        assert widest(chosen, ancestors) == best


# G4 and the memory of single layers, by hand: maps of 8x8x4 = 256 values


@pytest.mark.parametrize(
    ("layer", "memory"),
    [
        (layers.Conv2D(6, 3, padding="same", use_bias=False), {"convolution": 256 + 384 + 216}),
        (layers.Conv2D(6, 1, strides=2, use_bias=False), {"convolution": 256 + 96 + 24}),
        (layers.Conv2D(6, 1, activation="relu"), {"convolution": 256 + 384 + 24, "bias": 768 + 6, "activation": 768}),
        (tfeff.GroupConv2D(8, 3, 2, strides=2, padding="same", use_bias=False), {"convolution": 256 + 128 + 144}),
        (tfeff.GroupConv2D(4, 3, 1, padding="same", use_bias=False), {"depthwise": 512 + 36}),
        (layers.Conv2D(8, 3, groups=4, padding="same", use_bias=False), {"depthwise": 256 + 512 + 72}),
        (
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
            {"depthwise": 256 + 512 + 72, "bias": 1024 + 8},
        ),
        (StridedDilatedDepthwiseConv2D(3, 2, 3), {"depthwise": 256 + 64 + 36}),
        (tfeff.layers.GroupShift2D(1), {"shift": 512}),
        (tfeff.layers.ActiveShift2D(2), {"shift": 256 + 64 + 8}),
        (tfeff.layers.SparseShift2D(), {"shift": 512 + 8}),
        (tfeff.layers.ChannelShuffle(2), {"shuffle": 512}),
        (layers.BatchNormalization(), {"batch_norm": 512 + 8}),
        (tfeff.layers.BatchNorm(scale=False), {"batch_norm": 512 + 8}),
        (layers.PReLU(shared_axes=[1, 2]), {"activation": 512 + 4}),
        (layers.MaxPooling2D(2), {"pool": 256 + 64}),
        (layers.GlobalAveragePooling2D(), {"pool": 256 + 4}),
        (layers.ZeroPadding2D(1), {"pad": 256 + 400}),
        (layers.Dense(5), {"fully_connected": 256 + 320 + 20, "bias": 640 + 5}),
    ],
)  # fmt: skip
def test_memory_of_a_layer(layer, memory):
    row = alone(layer, (8, 8, 4))
    assert row.memory == memory
    assert row.memory_access == sum(memory.values())
    elementwise = {"depthwise", "shift", "batch_norm", "bias", "activation"}
    expected = sum(values for kind, values in memory.items() if kind in elementwise) / row.memory_access
    assert row.elementwise_share == pytest.approx(expected)
    multiplies = memory.keys() & {"convolution", "depthwise", "fully_connected"}
    assert row.mac == sum(memory[kind] for kind in multiplies)


@pytest.mark.parametrize("layer", [layers.Dropout(0.5), layers.Flatten(), layers.Activation("linear")])
def test_what_does_nothing_has_no_row(layer):
    analysis = cost.analyse(keras.Sequential([keras.Input((8, 8, 4)), layer]))
    assert analysis.rows("layer") == []
    assert (analysis.total.memory_access, analysis.total.elementwise_share) == (0, None)


def test_layers_of_several_tensors():
    image = keras.Input((8, 8, 4))
    a, b = tfeff.layers.ChannelSplit(2, name="split")(image)
    x = layers.Add(name="sum")([a, b])
    x = layers.Concatenate(name="join")([x, a])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    model = keras.Model(image, layers.Multiply(name="scale")([x, gate]))
    rows = {row.name: row.memory for row in cost.analyse(model).rows("layer")}
    assert rows == {
        "split": {"split": 256 + 256},
        "sum": {"add": 3 * 128},
        "join": {"concatenate": 256 + 256},
        "mean": {"pool": 256 + 4},
        "scale": {"multiply": 256 + 4 + 256},
    }


def test_keras_operations_are_layers_too():
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, keras.ops.relu(image) + image)
    analysis = cost.analyse(model)
    assert analysis.total.memory == {"activation": 512, "add": 768}
    assert analysis.total.elementwise_share == 1
    assert analysis.unlisted == ()


@pytest.mark.parametrize("name", ["mobilenet_v3_small_075"])
def test_memory_access_is_that_of_the_converted_files_operations(name, tmp_path):
    """The MAC again, from the tensors that TensorFlow's converter left in the file."""
    model = create(name, input_shape=(64, 64, 3), classes=10)
    signature = [tf.TensorSpec((1, 64, 64, 3), tf.float32)]
    function = tf.function(lambda x: model(x, training=False), input_signature=signature).get_concrete_function()
    (tmp_path / "x.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert())
    names = {"CONV_2D": "convolution", "DEPTHWISE_CONV_2D": "depthwise", "BATCH_MATMUL": "fully_connected"}
    found = dict.fromkeys(names.values(), 0)
    for operation in read_graph(tmp_path / "x.tflite").operations:
        if operation.name in names:
            tensors = (*operation.inputs[:2], operation.outputs[0])  # not the bias
            found[names[operation.name]] += sum(int(np.prod(tensor.shape)) for tensor in tensors)
    total = cost.analyse(model).total
    assert {kind: total.memory[kind] for kind in found} == found
    assert total.mac == sum(found.values())


# Every family


@pytest.mark.parametrize("name", SMALL)
def test_parts_sum_up_to_the_counts(name):
    model = create(name)
    analysis, counted = cost.analyse(model), index()[name]["counted"]
    assert analysis.counts.as_dict() == counted
    assert analysis.unknown == analysis.unlisted == ()
    total = analysis.total
    assert (total.madds, total.parameters) == (counted["madds"], counted["parameters"])
    for by in cost.BY:
        rows = analysis.rows(by)
        for figure in ("madds", "parameters", "mac", "memory_access", "fragments"):
            assert sum(getattr(row, figure) for row in rows) == getattr(total, figure), (by, figure)
        assert sum(row.least_mac for row in rows) == pytest.approx(total.least_mac)
        assert len({row.name for row in rows}) == len(rows)
        assert max(row.parallel for row in rows) <= total.parallel
        for row in rows:
            assert row.mac_ratio is None or row.mac_ratio >= row.group_ratio * (1 - 1e-12) >= 1 - 1e-9, row.name
            assert row.memory.keys() <= {*KINDS}
    stages = [row.name for row in analysis.rows("stage")]
    strides = [int(stage.removeprefix("stride")) for stage in stages if stage != "head"]
    assert strides == sorted(strides)
    assert stages[-1] == "head"


@pytest.mark.parametrize("name", SMALL)
def test_stages_are_those_of_the_features(name):
    """The layer whose output `features_only` gives as `stride8` lies in the stage of that name."""
    shape = (112, 112, 3) if "face" in name else (64, 64, 3)
    model = create(name, input_shape=shape, features_only=True)
    stage = {layer.name: layer.stage for layer in cost.analyse(model).layers}
    for stride, tensor in model.output.items():
        assert stage[tensor._keras_history.operation.name] == stride


def multiply_adds(model):
    """Of all convolutions and fully connected layers, by the sizes of their kernels and outputs."""
    total = 0
    for layer in model._flatten_layers(include_self=False):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            over = layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output
            sizes = [int(size) for size in over.shape[1:-1]]
            total += int(np.prod(sizes)) * int(np.prod(kernel.shape))  # of a depthwise one (h, w, channels, 1) too
    return total


@pytest.mark.parametrize("name", SMALL_DETECTORS)
def test_detectors_are_counted_to_the_heads(name):
    model = create(name, input_shape=(128, 128, 3), classes=3, **SMALL_DETECTORS[name])
    analysis = cost.analyse(model)
    assert analysis.unknown == analysis.unlisted == ()
    assert analysis.total.madds == multiply_adds(model)
    names = [row.name for row in analysis.rows("stage")]
    assert {f"stride{each.rpartition('_')[2]}" for each in model.output} <= {*names}
    for by in cost.BY:
        assert sum(row.madds for row in analysis.rows(by)) == analysis.total.madds


def test_inner_maps_cost_what_leads_to_them():
    taps = [["stride8"], ["block13_expand_hard_swish", "stride8"]]
    spent = [
        cost.analyse(create("mobilenet_v3_large_100", input_shape=(64, 64, 3), features_only=each)) for each in taps
    ]
    assert all(each.unknown == each.unlisted == () for each in spent)
    assert [row.name for row in spent[0].rows("stage")] == ["stride2", "stride4", "stride8"]
    assert [row.name for row in spent[1].rows("stage")] == ["stride2", "stride4", "stride8", "stride16"]
    assert spent[0].total.madds < spent[1].total.madds


@pytest.mark.parametrize("size", [32, 96, 225])
def test_stages_of_other_sizes(size):
    names = [row.name for row in cost.analyse(create("mobilenet_v3_small_075", input_shape=(size, size, 3))).rows()]
    assert names == ["stride2", "stride4", "stride8", "stride16", "stride32", "head"]


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("stem_bn", "stem"), ("stage1_down_a_vg", "stage1_down"), ("stage3_normal12_1_pw", "stage3_normal12"),
        ("stage1_head_shortcut_vg", "stage1_head"), ("level2_down_eesp_dw1", "level2_down"),
        ("level3_unit2_fused_bn", "level3_unit2"), ("block3_unit2_conv1", "block3_unit2"), ("block7_se_gate", "block7"),
        ("block1_ghost1_primary", "block1"), ("stage2_osa1_conv1", "stage2_osa1"), ("stage2_pool", "stage2"),
        ("group2_module3_shift", "group2_module3"), ("conv5", "conv5"), ("logits", "logits"),
        ("inner/block1_dw", "inner/block1"), ("conv2_block1_1_conv", "conv2_block1"),
        ("block_12_expand_relu", "block_12"), ("downsample_1", "downsample"),
    ],
)  # fmt: skip
def test_block_of_a_layer(layer, block):
    assert block_of(layer) == block


# Graphs of one's own


def test_shared_and_nested_layers():
    image = keras.Input((8, 8, 4))
    shared = layers.Conv2D(4, 1, use_bias=False, name="shared")
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(2, 1, use_bias=False, name="deep")], name="inner")
    analysis = cost.analyse(keras.Model(image, inner(shared(shared(image)))))
    rows = [(row.name, row.madds, row.parameters) for row in analysis.rows("layer")]
    assert rows == [("shared", 1024, 16), ("shared", 1024, 0), ("inner/deep", 512, 8)]
    assert analysis.counts == cost.Counts(24, 24, 2560)
    assert analysis.total.parallel == 1  # the nested one waits for the others


def test_nested_models_side_by_side():
    image = keras.Input((8, 8, 4))
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 1, name="deep")], name="inner")
    twice = keras.Model(image, layers.Add()([inner(image), inner(image)]))
    assert cost.analyse(twice).total.parallel == 2


def test_unknown_layers_are_named():
    @keras.saving.register_keras_serializable("test_cost")
    class Twice(layers.Layer):
        def call(self, x):
            return 2 * x

    parts = layers.Conv2D(2, 1, name="a"), layers.SeparableConv2D(4, 3, padding="same", name="sep"), Twice(name="t")
    model = keras.Sequential([keras.Input((8, 8, 4)), *parts])
    analysis = cost.analyse(model)
    assert analysis.unknown == (("sep", "SeparableConv2D"),)
    assert analysis.unlisted == (("t", "Twice"),)
    assert analysis.counts == cost.Counts(10 + 30, 10 + 30, 512)
    other = 128 + 256 + 30 + 2 * 256
    assert analysis.total.memory["other"] == other
    assert analysis.total.elementwise_share == pytest.approx((256 + 2) / (256 + 128 + 8 + 256 + 2 + other))


def test_a_transposed_convolution_multiplies_where_it_reads():
    """2x2 at stride 2: each place of the input makes four of the output."""
    row = alone(layers.Conv2DTranspose(6, 2, 2, use_bias=False), (5, 7, 4))
    assert (row.madds, row.parameters) == (5 * 7 * 2 * 2 * 4 * 6, 2 * 2 * 4 * 6)
    assert row.mac == 5 * 7 * 4 + 10 * 14 * 6 + 96
    # Equal channels on maps of which one has four times as many places: the fewest values where 4 c_out = c_in.
    best = alone(layers.Conv2DTranspose(8, 2, 2, use_bias=False), (8, 8, 32))
    assert best.mac == pytest.approx(best.least_mac)
    assert row.mac_ratio > 1


@pytest.mark.parametrize("layer", [layers.Conv2D(2, 3), layers.ReLU()])
def test_an_open_image_size_is_refused(layer):
    with pytest.raises(ValueError, match="image size, which is open"):
        cost.analyse(keras.Sequential([keras.Input((None, None, 4)), layer]))


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="no graph"):
        cost.analyse(Subclassed())


def test_rows_by_what_is_not_known():
    with pytest.raises(ValueError, match="layer, stage, block"):
        cost.analyse(keras.Sequential([keras.Input((8, 8, 4)), layers.ReLU()])).rows("colour")


def test_calls_come_after_those_they_read():
    analysis = cost.analyse(create("espnet_v2_050", input_shape=(64, 64, 3)))
    for number, before in enumerate(analysis._ancestors):
        assert before < 1 << number
