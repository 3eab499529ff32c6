"""PP-LCNet, ESPNetV2, VoVNet and the face networks: counts, options, and the layer that ESPNetV2 needs.

That they are the published networks, weight by weight, is shown by the logits in `test_golden.py`. The counts of the
variants as registered are read from the index, which `test_networks.py` holds to the built networks.
"""

import math

import keras
import numpy as np
import pytest

from tfeff import TfeffError, cost, create
from tfeff.layers import StridedDilatedDepthwiseConv2D
from tfeff.networks import index
from tfeff.networks.espnet_v2 import dilations

# width -> parameters (timm's layout has 1280 more, a bias), multiply-adds in 10^3; parameters in 10^5 and FLOPs as
# printed in M
PP_LCNET = {
    "pp_lcnet_025": (1_521_184, 16_773, 15, 18), "pp_lcnet_035": (1_643_090, 27_358, 16, 29),
    "pp_lcnet_050": (1_879_576, 44_731, 19, 47), "pp_lcnet_075": (2_357_008, 94_786, 24, 99),
    "pp_lcnet_100": (2_952_520, 155_700, 30, 161), "pp_lcnet_150": (4_499_832, 334_188, 45, 342),
    "pp_lcnet_200": (6_521_512, 580_195, 65, 590), "pp_lcnet_250": (9_017_560, 893_720, 90, 906),
}  # fmt: skip
# Parameters in the authors' code, those of them that are never used, multiply-adds in 10^3, parameters as printed in
# 10^4, FLOPs as printed in 10^4 (they leave the classifier out). The authors' repositories have no figures for 1.75.
ESPNET_V2 = {
    "espnet_v2_050": (1_241_332, 1_610, 29_400, 124, 28_38),
    "espnet_v2_100": (1_670_072, 3_130, 86_744, 167, 85_72),
    "espnet_v2_125": (1_965_440, 3_898, 124_423, 196, 123_40),
    "espnet_v2_150": (2_314_856, 4_666, 169_629, 231, 168_60),
    "espnet_v2_175": (3_032_432, 5_434, 225_427, None, None),
    "espnet_v2_200": (3_498_136, 6_202, 286_086, 349, 284_81),
}
# Parameters, multiply-adds of the paper's layout and of the code's, and what others measured of these (10^6; tools that
# count BN and pooling too). The paper itself prints whole detectors only.
VOVNET = {
    "vovnet_27_slim": (3_525_736, 2_870_328_320, 2_176_695_296, 2_895, None),
    "vovnet_39": (22_600_296, 7_765_860_352, 7_072_227_328, 7_805, 7_086.16),
    "vovnet_57": (36_640_296, 9_623_777_280, 8_930_144_256, None, 8_943.09),
}
DENSE = ["pp_lcnet_025", "espnet_v2_050", "vovnet_27_slim", "vargfacenet", "face_vargnet_v1_100_g8"]


def counted(name):
    return index()[name]["counted"]


def published(name):
    return index()[name]["published"]


# PP-LCNet


@pytest.mark.parametrize("name", PP_LCNET)
def test_pp_lcnet_counts(name):
    parameters, madds, printed_parameters, printed_flops = PP_LCNET[name]
    assert (counted(name)["parameters"], round(counted(name)["madds"] / 1e3)) == (parameters, madds)
    assert round(parameters / 1e5) == printed_parameters
    assert published(name)["parameters"] == printed_parameters * 100_000
    assert published(name)["madds_with_batch_norm"] == printed_flops * 1_000_000


@pytest.mark.parametrize("name", PP_LCNET)
def test_pp_lcnet_published_flops_count_batch_norm(name):
    """The printed figures are met to the digit by multiply-adds + 2 for every value that leaves a BN."""
    model = create(name)
    normalized = sum(
        math.prod(layer.output.shape[1:])
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    assert round((cost.madds(model) + 2 * normalized) / 1e6) == PP_LCNET[name][3]


def test_pp_lcnet_places_of_large_kernels_and_squeeze_and_excitation():
    model = create("pp_lcnet_025")
    depthwise = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert [layer.kernel_size[0] for layer in depthwise] == [3] * 6 + [5] * 7
    excited = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Multiply)]
    assert excited == ["stage5_block1_se_scale", "stage5_block2_se_scale"]


def test_pp_lcnet_head_bias_is_timms():
    assert cost.count(create("pp_lcnet_100", head_bias=True)).parameters == 2_953_800


# ESPNetV2


@pytest.mark.parametrize("name", ESPNET_V2)
def test_espnet_v2_counts(name):
    parameters, unused, madds, printed_parameters, printed_flops = ESPNET_V2[name]
    assert (counted(name)["parameters"], round(counted(name)["madds"] / 1e3)) == (parameters - unused, madds)
    if printed_parameters is None:
        assert published(name) == {}
        return
    assert round(counted(name)["parameters"] / 1e4) == printed_parameters
    assert published(name)["parameters"] == printed_parameters * 10_000
    classifier = (1280 if name == "espnet_v2_200" else 1024) * 1000
    assert counted(name)["madds"] - classifier == pytest.approx(printed_flops * 1e4, rel=1e-3)
    assert published(name)["madds_without_classifier"] == printed_flops * 10_000


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(13, [1, 2, 3, 4]), (11, [1, 2, 3, 4]), (9, [1, 2, 3, 4]), (7, [1, 1, 2, 3]), (5, [1, 1, 1, 2])],
)
def test_espnet_v2_dilations_follow_from_the_receptive_field(limit, expected):
    assert dilations(limit) == expected


def test_espnet_v2_fuses_step_by_step():
    model = create("espnet_v2_050")
    for branch in (3, 4):
        inputs = [
            tensor._keras_history.operation.name for tensor in model.get_layer(f"level3_unit1_fuse{branch}").input
        ]
        assert inputs == [f"level3_unit1_dw{branch}", f"level3_unit1_fuse{branch - 1}"]


def test_espnet_v2_refuses_the_width_that_its_groups_do_not_divide():
    with pytest.raises(TfeffError, match="espnet_v2_050"):
        create("espnet_v2_050", width=0.75)


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [8, 9, 2])
def test_strided_dilated_is_pytorchs(dilation, size):
    """Against the definition of `Conv2d(stride=2, dilation=d, padding=d, groups=c)`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, size, size, 3)).astype("float32")
    layer = StridedDilatedDepthwiseConv2D(3, 2, dilation)
    y = layer(x)
    padded = np.pad(x, ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)))
    out = (size - 1) // 2 + 1
    expected = np.zeros((1, out, out, 3))
    for row in range(out):
        for column in range(out):
            rows, columns = (slice(2 * at, 2 * at + 2 * dilation + 1, dilation) for at in (row, column))
            expected[0, row, column] = (padded[0, rows, columns] * np.asarray(layer.kernel)[..., 0]).sum((0, 1))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == tuple(y.shape)


def test_strided_dilated_config():
    layer = StridedDilatedDepthwiseConv2D(3, 2, 3, name="d")
    config = layer.get_config()
    assert (config["stride"], config["dilation"], config["name"]) == (2, 3, "d")
    assert StridedDilatedDepthwiseConv2D.from_config(config).get_config() == config
    with pytest.raises(ValueError, match="odd"):
        StridedDilatedDepthwiseConv2D(4, 2, 3)


def test_strided_dilated_is_counted_as_the_paper_does():
    model = keras.Sequential([keras.Input((8, 8, 4)), StridedDilatedDepthwiseConv2D(3, 2, 3)])
    assert cost.count(model) == cost.Counts(36, 36, 9 * 4 * 16)


# VoVNet


@pytest.mark.parametrize("name", VOVNET)
def test_vovnet_counts(name):
    parameters, paper, code, others_paper, others_code = VOVNET[name]
    assert (counted(name)["parameters"], counted(name)["madds"]) == (parameters, paper)
    released = cost.count(create(name, stem_pool=False, identity=True))
    assert (released.parameters, released.madds) == (parameters, code)
    if others_paper:
        assert paper == pytest.approx(others_paper * 1e6, rel=0.01)
    if others_code:
        assert code == pytest.approx(others_code * 1e6, rel=0.01)


def test_vovnet_identity_is_in_the_second_and_later_modules():
    def adds(**options):
        return [layer.name for layer in create("vovnet_39", **options).layers if isinstance(layer, keras.layers.Add)]

    assert adds() == []
    assert adds(identity=True) == ["stage4_osa2_add", "stage5_osa2_add"]


def test_vovnet_concatenates_the_input_and_all_five():
    model = create("vovnet_27_slim")
    inputs = [tensor._keras_history.operation.name for tensor in model.get_layer("stage3_osa1_concat").input]
    assert inputs == ["stage3_pool", *(f"stage3_osa1_conv{number}_relu" for number in range(1, 6))]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 17), (16, 17), (17, 16)])
def test_vovnet_symmetric_pooling_is_caffes(height, width):
    """Pooling with `ceil_mode`: windows start at the first pixel, the last may reach beyond the image."""
    model = create("vovnet_27_slim", input_shape=(height, width, 3), symmetric_padding=True, small_image=True)
    stem, pooled = model.get_layer("stem3_relu").output, model.get_layer("stage2_pool").output
    before, after = keras.Model(model.input, [stem, pooled])(
        np.random.default_rng(0).normal(size=(1, height, width, 3))
    )
    before = np.asarray(before)
    expected = np.stack(
        [
            np.stack([before[0, r : r + 3, c : c + 3].max((0, 1)) for c in range(0, width - 1, 2)])
            for r in range(0, height - 1, 2)
        ]
    )
    np.testing.assert_array_equal(after[0], expected)


# Faces


def test_vargfacenet_counts():
    counts = counted("vargfacenet")
    assert counts == {"parameters": 5_198_292, "values": 5_240_036, "madds": 512_593_440}
    printed = published("vargfacenet")
    assert counts["parameters"] == pytest.approx(printed["parameters"], rel=0.01)
    assert 4 * counts["values"] == pytest.approx(printed["bytes_float32"], rel=0.001)
    # Printed "1G", two operations a multiply-add; 1.025 rounds to it. The later papers' 1022 M is within 0.3 %.
    assert 2 * counts["madds"] == pytest.approx(printed["operations"], rel=0.03)
    assert 2 * counts["madds"] == pytest.approx(1022e6, rel=0.01)


def test_vargfacenet_embedding_weighs_what_the_paper_says():
    """ "30M to 5.78M" (bytes, x 2^20): from a fully connected layer on the map to the head that is built."""
    model = create("vargfacenet")
    head = ("conv5", "embed_vg", "embed_pw", "embed_fc")
    assert round(4 * sum(math.prod(model.get_layer(name).kernel.shape) for name in head) / 2**20, 2) == 5.78


def test_vargfacenet_blocks():
    model = create("vargfacenet")
    names = [layer.name for layer in model.layers]
    excited = {name.removesuffix("_se_scale") for name in names if name.endswith("_se_scale")}
    normal = {f"stage{s}_normal{n}" for s, count in ((2, 2), (3, 6), (4, 3)) for n in range(1, count + 1)}
    assert excited == {"stage1_head", *normal}
    assert not any(isinstance(layer, keras.layers.ReLU) for layer in model.layers)
    assert "embed_vg_prelu" not in names
    assert model.get_layer("embed_vg").kernel.shape == (7, 7, 8, 1024)
    assert model.output_shape == (None, 512)


def test_face_form_of_vargnet():
    """Nothing is printed of it; the counts follow from Table 1 and the text."""
    counts = counted("face_vargnet_v1_100_g8")
    assert counts["parameters"] == 17_358_880
    assert counts["madds"] == pytest.approx(632.0e6, rel=1e-3)
    assert index()["face_vargnet_v1_100_g8"]["input_shape"] == [112, 112, 3]


# All of them


@pytest.mark.parametrize("name", DENSE)
def test_features(name):
    model = create(name, features_only=True)
    size = model.input_shape[1]
    strides = (4, 8, 16) if "face" in name else (4, 8, 16, 32)
    shapes = {key: tensor.shape[1:3] for key, tensor in model.output.items()}
    assert shapes == {f"stride{stride}": (size // stride,) * 2 for stride in strides}


@pytest.mark.parametrize("name", DENSE)
def test_without_top(name):
    model = create(name, include_top=False)
    reduction = 16 if "face" in name else 32
    assert model.output_shape[1:3] == (model.input_shape[1] // reduction,) * 2
    assert set(layer.name for layer in model.layers) < set(layer.name for layer in create(name).layers)


@pytest.mark.parametrize("name", DENSE)
def test_small_image_keeps_twice_the_size(name):
    def last_map(**options):
        return create(name, input_shape=(64, 64, 3), include_top=False, **options).output_shape[1]

    assert last_map(small_image=True) == (1 if "face" in name else 2) * last_map()


@pytest.mark.parametrize("name", DENSE)
def test_every_layer_is_named_here(name):
    """Names that Keras makes up (`conv2d_7`) change from model to model, and with them the weight file."""
    assert [layer.name for layer in create(name).layers] == [layer.name for layer in create(name).layers]
