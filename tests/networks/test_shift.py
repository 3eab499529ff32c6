"""ShiftNet, ShiftResNet, AS-ResNet and FE-Net against the numbers of their papers and releases."""

import keras
import numpy as np
import pytest

from tfeff import TfeffError, cost, create
from tfeff.layers import ActiveShift2D, GroupShift2D, SparseShift2D
from tfeff.networks import index

# Trainable parameters (of the shifts too) and multiply-adds, counted by hand from the definitions.
COUNTS = {
    "shiftnet_a": (4_188_680, 1_424_306_176), "shiftnet_b": (1_183_480, 370_956_288),
    "shiftnet_c": (776_568, 179_083_264),
    "shiftresnet_20_e1": (34_906, 5_948_032), "shiftresnet_20_e3": (95_642, 16_433_792),
    "shiftresnet_20_e6": (186_746, 32_162_432), "shiftresnet_20_e9": (277_850, 47_891_072),
    "shiftresnet_56_e1": (102_106, 15_385_216), "shiftresnet_56_e3": (294_554, 44_745_344),
    "shiftresnet_56_e6": (583_226, 88_785_536), "shiftresnet_56_e9": (871_898, 132_825_728),
    "shiftresnet_110_e1": (202_906, 29_540_992), "shiftresnet_110_e3": (592_922, 87_212_672),
    "shiftresnet_110_e6": (1_177_946, 173_720_192), "shiftresnet_110_e9": (1_762_970, 260_227_712),
    "as_resnet_w32": (901_256, 166_840_320), "as_resnet_w50": (1_962_950, 397_574_400),
    "as_resnet_w68": (3_424_460, 726_866_688),
    "fe_net_060": (2_313_410, 123_229_280), "fe_net_100": (3_535_232, 299_676_320),
    "fe_net_137": (6_002_486, 563_699_360),
}  # fmt: skip
# How far the counted parameters are from the printed ones. Unexplained: ShiftNet-B prints 1.1 million (1.18 cut off?),
# FE-Net 1.0 prints 3.7 (the last convolution's channels are not known), 1.37 prints 5.9 (5.96 without BN and shifts).
PARAMETERS_WITHIN = {"shiftnet_a": 0.022, "shiftnet_b": 0.076, "fe_net_100": 0.045, "fe_net_137": 0.018}
SMALLEST = ["shiftnet_c", "shiftresnet_20_e1", "as_resnet_w32", "fe_net_060"]


def of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    counted, published = index()[name]["counted"], index()[name]["published"]
    assert (counted["parameters"], counted["madds"]) == COUNTS[name]
    if published:
        within = PARAMETERS_WITHIN.get(name, 0.005)
        # The README of ShiftResNet prints hundredths of a million.
        assert counted["parameters"] == pytest.approx(published["parameters"], rel=within, abs=5000)


def test_shiftnet_flops_are_printed_with_two_digits():
    assert index()["shiftnet_a"]["published"]["madds"] == round(COUNTS["shiftnet_a"][1], -8)


@pytest.mark.parametrize(("name", "each"), [("as_resnet_w32", 4), ("as_resnet_w50", 4), ("as_resnet_w68", 1)])
def test_as_resnet_flops_count_the_shifted_values(name, each):
    model = create(name)
    values = sum(int(np.prod(layer.output.shape[1:])) for layer in of(model, ActiveShift2D))
    assert round(values / 1e6, 3) == {"as_resnet_w32": 1.091, "as_resnet_w50": 1.705, "as_resnet_w68": 2.319}[name]
    printed = index()[name]["published"][f"madds_with_{each}_per_shift"]
    assert cost.madds(model) + each * values == pytest.approx(printed, rel=0.002)


def test_as_resnet_w32_has_the_blobs_of_the_released_weights():
    """Sizes in the .caffemodel: convolutions 632672, scales 7744, shifts 3840, fully connected 257000."""
    sizes = {}
    for layer in create("as_resnet_w32").layers:
        kind = type(layer).__name__
        sizes[kind] = sizes.get(kind, 0) + sum(int(np.prod(v.shape)) for v in layer.trainable_variables)
    assert {kind: size for kind, size in sizes.items() if size} == {
        "Conv2D": 632_672, "BatchNorm": 7_744, "ActiveShift2D": 3_840, "Dense": 257_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "parameters", "madds"),
    [
        ({"last": 1504}, 3_691_224, 301_355_776),  # meets both printed figures, but nobody names it
        ({"last": 1932}, 4_229_648, 307_152_608),
        ({"last": 1932, "expansion_on": "output"}, 4_623_408, 417_941_216),  # the release
        ({"base": 22, "last": 1932, "expansion_on": "output"}, 6_745_470, 773_159_072),
        ({"base": 10, "last": 1932}, 2_954_834, None),
    ],
)
def test_fe_net_readings(options, parameters, madds):
    counted = cost.count(create("fe_net_100", **options))
    assert counted.parameters == parameters
    assert madds in (None, counted.madds)


def test_cifar_100():
    ten, hundred = (cost.count(create("shiftresnet_20_e3", classes=classes)).parameters for classes in (10, 100))
    assert hundred - ten == 5_850


def test_shiftnet_shifts():
    model = create("shiftnet_a")
    shifts = of(model, GroupShift2D)
    assert [layer.kernel_size for layer in shifts] == [5] * (5 + 6) + [3] * (7 + 3)
    assert [layer.input.shape[-1] for layer in shifts] == [128] + [256] * 5 + [384] * 5 + [384] + [512] * 6 + [512] * 3
    for layer in shifts:  # at full resolution: the stride is in the convolution behind
        if "_down_" in layer.name:
            assert model.get_layer(layer.name.replace("_shift", "_conv2")).strides == (2, 2)


def test_shiftnet_pools_around_the_pixel_that_the_convolution_takes():
    model = create("shiftnet_c", input_shape=(32, 32, 3), classes=7, small_image=True)
    before, after = model.get_layer("stem").output, model.get_layer("group1_down_concat").output
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    given, got = (np.asarray(y) for y in keras.Model(model.input, [before, after])(x))
    padded = np.pad(given, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for row, column in ((0, 0), (3, 5), (15, 15)):
        window = padded[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        np.testing.assert_allclose(got[0, row, column, 16:], window.sum(axis=(0, 1)) / 9, atol=1e-5)


def test_fe_net_slices():
    model = create("fe_net_100")
    widths = [layer.input.shape[-1] for layer in of(model, SparseShift2D)]
    #        alone | 32: 8, 16 | 64: 8, 16, 32 | 128: 16, 32, 64, all | 128: 16, 32, 64 | 256: 64, 128, all
    assert [w // t for w, t in zip(widths, [4] + [6] * 15, strict=True)] == [
        16, 8, 16, 8, 16, 32, 16, 32, 64, 128, 16, 32, 64, 64, 128, 256,
    ]  # fmt: skip
    pools = of(model, keras.layers.AveragePooling2D)
    assert [layer.name for layer in pools] == [f"block{n}_unit{u}_pool" for n, u in ((2, 1), (3, 3), (4, 4), (6, 4))]


def test_fe_net_block_in_the_order_of_the_release():
    """feblock1: [C/2 | C/4 | C/4], unit 1 on the last quarter, unit 2 on the last half; both with identity."""
    model = create("fe_net_060", input_shape=(32, 32, 3), classes=7)
    names = ["block2_unit1_conv2_bn", "block3_unit2_concat", "block3_unit1_conv2_bn", "block3_unit2_conv2_bn"]
    probe = keras.Model(model.input, [model.get_layer(name).output for name in names])
    x, out, unit1, unit2 = (np.asarray(y) for y in probe(np.ones((1, 32, 32, 3), "float32")))
    half, quarter = x.shape[-1] // 2, x.shape[-1] // 4
    np.testing.assert_array_equal(out[..., :half], x[..., :half])
    second = np.concatenate([x[..., half:-quarter], x[..., -quarter:] + unit1], axis=-1)
    np.testing.assert_allclose(out[..., half:], second + unit2, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("shiftnet_a", {4: (56, 64), 8: (28, 128), 16: (14, 256), 32: (7, 512)}),
        ("as_resnet_w32", {4: (56, 32), 8: (28, 64), 16: (14, 128), 32: (7, 256)}),
        ("fe_net_100", {4: (56, 32), 8: (28, 64), 16: (14, 128), 32: (7, 256)}),
        ("shiftresnet_20_e3", {4: (8, 64)}),
    ],
)
def test_features(name, features):
    model = create(name, features_only=True)
    shapes = {key: tuple(tensor.shape[1:]) for key, tensor in model.output.items()}
    assert shapes == {f"stride{stride}": (size, size, channels) for stride, (size, channels) in features.items()}


@pytest.mark.parametrize("name", SMALLEST)
def test_forms(name):
    small = create(name, input_shape=(32, 32, 3), classes=7, small_image=True)
    bare = create(name, input_shape=(32, 32, 3), include_top=False, small_image=True)
    assert bare.output_shape == (None, *small.get_layer("pool").input.shape[1:])
    large = create(name, input_shape=(64, 64, 3), classes=7, small_image=False)
    assert large.get_layer("stem").strides == (2, 2)
    assert large.get_layer("pool").input.shape == small.get_layer("pool").input.shape
    assert cost.count(large).parameters == cost.count(small).parameters
    odd = create(name, input_shape=(45, 37, 1), classes=3)
    assert np.isfinite(odd(np.ones((1, 45, 37, 1), "float32"))).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shiftnet_c", {"symmetric_padding": True, "assignment": "contiguous"}),
        ("shiftresnet_20_e1", {"assignment": "contiguous"}),
        ("as_resnet_w32", {"symmetric_padding": True, "shift_before_bn": True, "initial_radius": 3.0}),
        ("fe_net_060", {"symmetric_padding": True, "penalty": 0.0, "initial_shifts": "ramp"}),
    ],
)
def test_options_change_the_outputs_but_no_count(name, options):
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    models = []
    for chosen in ({}, options):
        keras.utils.set_random_seed(0)
        models.append(create(name, input_shape=(64, 64, 3), classes=7, **chosen))
    assert cost.count(models[0]) == cost.count(models[1])
    assert np.abs(models[0](images) - models[1](images)).max() > 1e-6


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("shiftresnet_20_e1", {"depth": 21}, "6n + 2, not 21"),
        ("fe_net_100", {"base": 9}, "even"),
        ("fe_net_100", {"expansion_on": "both"}, "'both'"),
        ("shiftnet_a", {"assignment": "random"}, "'random'"),
        ("as_resnet_w32", {"shift_learning_rate": 0}, "learning_rate_multiplier"),
    ],
)
def test_arguments_a_network_cannot_take(name, options, told):
    with pytest.raises(TfeffError) as raised:
        create(name, **options)
    assert told in raised.value.what
