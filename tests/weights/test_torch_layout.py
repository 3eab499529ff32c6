"""Weights from PyTorch: the formats, the conversions, the errors."""

import json
import re

import keras
import numpy as np
import pytest
from golden_recipe import save_safetensors

from tfeff import GroupConv2D, TfeffError, create
from tfeff.networks import get_network, index
from tfeff.weights.layouts import find_layout, get_layout, list_layouts
from tfeff.weights.torch_layout import import_state_dict, read_state_dict

RNG = np.random.default_rng(0)


def network(**options):
    """One layer of each kind, and PyTorch's state dict for it."""
    image = keras.Input((6, 6, 4))
    x = keras.layers.Conv2D(6, (3, 2), name="dense", **options)(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depthwise")(x)
    x = keras.layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = GroupConv2D(9, 1, 4, name="grouped")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(5, name="fc")(x), name="mine")
    shapes = {
        "c.weight": (6, 4, 3, 2), "c.bias": (6,), "b.weight": (6,), "b.bias": (6,), "b.running_mean": (6,),
        "d.weight": (12, 1, 3, 3), "p.weight": (12,), "g.weight": (9, 4, 1, 1), "g.bias": (9,),
        "f.weight": (5, 9), "f.bias": (5,),
    }  # fmt: skip
    state = {entry: RNG.normal(size=shape).astype("float32") for entry, shape in shapes.items()}
    state["b.running_var"] = RNG.uniform(0.5, 1.5, 6).astype("float32")
    return model, state


LAYOUT = {"dense": "c", "bn": "b", "depthwise": "d", "prelu": "p", "grouped": "g", "fc": "f", "absent": "z"}


def torch_conv(x, weight, groups):
    """PyTorch's convolution without padding, NCHW, by its definition."""
    n, _, height, width = x.shape
    out, channels, kh, kw = weight.shape
    y = np.zeros((n, out, height - kh + 1, width - kw + 1))
    for f in range(out):
        first = f // (out // groups) * channels
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                window = x[:, first : first + channels, i : i + kh, j : j + kw]
                y[:, f, i, j] = (window * weight[f]).sum((1, 2, 3))
    return y


def test_every_kind_of_layer_computes_what_pytorch_does():
    model, state = network()
    import_state_dict(model, {**state, "b.num_batches_tracked": np.array(7)}, LAYOUT)
    x = RNG.normal(size=(2, 6, 6, 4)).astype("float32")

    def channel(entry):
        return state[entry][:, None, None]

    y = torch_conv(x.transpose(0, 3, 1, 2), state["c.weight"], 1) + channel("c.bias")
    y = (y - channel("b.running_mean")) / np.sqrt(channel("b.running_var") + model.get_layer("bn").epsilon)
    y = y * channel("b.weight") + channel("b.bias")
    y = torch_conv(y, state["d.weight"], 6)
    y = np.maximum(y, 0) + channel("p.weight") * np.minimum(y, 0)
    y = torch_conv(y, state["g.weight"], 3) + channel("g.bias")
    expected = y.mean((2, 3)) @ state["f.weight"].T + state["f.bias"]
    np.testing.assert_allclose(model(x, training=False), expected, rtol=1e-4, atol=1e-4)


def test_pointwise_convolution_and_linear_stand_for_each_other():
    model, state = network()
    other = {**state, "f.weight": state["f.weight"][..., None, None], "g.weight": state["g.weight"][..., 0, 0]}
    import_state_dict(model, state, LAYOUT)
    before = model.get_weights()
    import_state_dict(model, other, LAYOUT)
    for mine, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_all_faults_in_one_error_and_nothing_is_changed():
    model, state = network()
    before = model.get_weights()
    del state["c.bias"]
    state["d.weight"] = state["d.weight"].reshape(1, 12, 3, 3)
    state["f.bias"][2] = np.nan
    state["p.weight"] = np.array(["a"] * 12)
    state["extra.weight"] = np.zeros(3)
    with pytest.raises(TfeffError) as raised:
        import_state_dict(model, state, {k: v for k, v in LAYOUT.items() if k != "bn"}, source="a.pth")
    what = raised.value.what
    assert what.startswith("weights a.pth do not fit network mine: ")
    for told in (
        "lacks c.bias", "d.weight is [1, 12, 3, 3], the network has [12, 1, 3, 3]", "f.bias holds NaN",
        "p.weight is of type <U1", "has extra.weight, unknown", "no place for layer bn", "has b.weight",
    ):  # fmt: skip
        assert told in what
    assert "\n" not in what
    for mine, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


def test_many_faults_are_counted():
    model, _ = network()
    with pytest.raises(TfeffError, match="and 2 more"):
        import_state_dict(model, {}, LAYOUT)


def test_ignored_entries():
    model, state = network()
    state["head.weight"] = np.zeros(3)
    with pytest.raises(TfeffError, match=r"has head\.weight"):
        import_state_dict(model, state, LAYOUT)
    import_state_dict(model, state, LAYOUT, ignore=["head."])


def test_layer_that_is_not_known():
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.LayerNormalization(name="norm")(image))
    with pytest.raises(TfeffError, match=r"norm \(LayerNormalization\)"):
        import_state_dict(model, {}, {"norm": "n"})


def test_safetensors_types(tmp_path):
    values = {
        "F64": RNG.normal(size=(2, 3)), "F32": RNG.normal(size=3).astype("float32"),
        "F16": RNG.normal(size=(1, 2)).astype("float16"), "I64": np.array(-5), "U8": np.array([0, 255], "uint8"),
        "BOOL": np.array([True, False]), "I32": np.zeros((0, 4), "int32"),
    }  # fmt: skip
    path = save_safetensors(tmp_path / "a.safetensors", values, {k: k for k in values}, __metadata__={"format": "pt"})
    state = read_state_dict(path)
    assert state.keys() == values.keys()
    for entry, value in values.items():
        np.testing.assert_array_equal(state[entry], value)
        assert state[entry].dtype == value.dtype
    half = np.array([0x3F80, 0xC049], "uint16")  # 1.0 and -3.140625 in bfloat16
    path = save_safetensors(tmp_path / "b.safetensors", {"x": half}, {"x": "BF16"})
    np.testing.assert_array_equal(read_state_dict(path)["x"], np.array([1.0, -3.140625], "float32"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cut short"),
        (b"\0" * 4, "cut short"),
        ((10**9).to_bytes(8, "little") + b"{}", "longer than the file"),
        ((2).to_bytes(8, "little") + b"{]", "damaged"),
        ((2).to_bytes(8, "little") + b"[]", "damaged"),
    ],
)
def test_damaged_safetensors(tmp_path, content, told):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(TfeffError, match=told) as raised:
        read_state_dict(path)
    assert "a.safetensors" in raised.value.what


def test_safetensors_whose_entries_share_their_bytes(tmp_path):
    """100,000 that name the same megabyte would be 100 GB."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({name: entry for name in "ab"}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(TfeffError, match="b lies where others do"):
        read_state_dict(tmp_path / "a.safetensors")


def test_safetensors_whose_values_are_cut_off(tmp_path):
    path = save_safetensors(tmp_path / "a.safetensors", {"x": np.zeros(4, "float32")})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TfeffError, match="x reaches beyond the file"):
        read_state_dict(path)
    path = save_safetensors(tmp_path / "b.safetensors", {"x": np.zeros(4, "uint8")}, {"x": "F8_E4M3"})
    with pytest.raises(TfeffError, match="x is of type F8_E4M3"):
        read_state_dict(path)


def test_npz_and_module_prefixes(tmp_path):
    model, state = network()
    np.savez(tmp_path / "a.npz", **{f"module.{entry}": value for entry, value in state.items()})
    import_state_dict(model, read_state_dict(tmp_path / "a.npz"), LAYOUT)
    np.testing.assert_array_equal(model.get_layer("fc").bias, state["f.bias"])
    (tmp_path / "b.npz").write_bytes(b"nothing")
    with pytest.raises(TfeffError, match=r"b\.npz: damaged"):
        read_state_dict(tmp_path / "b.npz")


def test_files_that_are_not_there_or_of_another_format(tmp_path):
    with pytest.raises(TfeffError, match="no such file"):
        read_state_dict(tmp_path / "a.npz")
    with pytest.raises(TfeffError, match=r"unknown format '\.onnx'"):
        read_state_dict(tmp_path / "a.onnx")


def test_layouts_that_do_not_exist():
    with pytest.raises(TfeffError, match="no weight layout 'torchvision'") as raised:
        get_layout("mobilenet_v1", "torchvision")
    assert "timm" in raised.value.mend
    with pytest.raises(TfeffError, match="family nothing"):
        get_layout("nothing", "timm")


# The narrowest of each: its width changes no layer's name.
_WIDTH = re.compile(r"_(x?\d{3}|[we]\d+|[sml])$")
IMPORTABLE = {
    _WIDTH.sub("", name): name for name in sorted(index(), reverse=True) if list_layouts(index()[name]["family"], name)
}.values()


@pytest.mark.parametrize("name", IMPORTABLE)
def test_every_layer_has_a_place_of_its_own_in_every_layout(name):
    models = {}
    for source, layout in list_layouts(get_network(name).family, name).items():
        options = tuple(sorted(layout.options.items()))
        if options not in models:
            models[options] = create(name, **layout.options)
        layers = [layer.name for layer in models[options].layers if layer.weights]
        places = layout.places(models[options])
        assert {*layers} <= {*places}, source
        taken = [places[layer] for layer in layers]
        assert len({*taken}) == len(taken), source


def test_every_family_of_the_issue_has_its_layouts():
    known = {
        "shufflenet_v2": {"torchvision", "megvii"}, "mobilenet_v1": {"timm"}, "mobilenet_v2": {"torchvision", "timm"},
        "mobilenet_v3": {"torchvision", "timm"}, "pp_lcnet": {"timm", "paddle"}, "ghostnet": {"timm"},
        "efficientnet_lite": {"timm", "timm-tf", "efficientnet_lite_pytorch"},
        "espnet_v2": {"espnetv2"}, "vovnet": {"timm", "authors"}, "shiftnet": {"shiftresnet"}, "fe_net": {"release"},
        "as_resnet": {"caffe"}, "vargnet": set(), "pico_det": {"paddle"}, "esnet": {"paddle"},
        "ssdlite": {"torchvision"},
    }  # fmt: skip
    assert {family: {*list_layouts(family)} for family in known} == known
    assert list_layouts("shiftnet", "shiftnet_a") == {}
    with pytest.raises(TfeffError, match="shiftnet_a has no weight layout 'shiftresnet'"):
        get_layout("shiftnet", "shiftresnet", "shiftnet_a")


def test_paddle_keeps_its_classifier_the_other_way_round_and_scales_it():
    layout = get_layout("pp_lcnet", "paddle")
    weight, bias = RNG.normal(size=(1280, 5)).astype("float32"), np.ones(5, "float32")
    state = layout.adapt({"fc.weight": weight, "fc.bias": bias, "last_conv.weight": weight})
    np.testing.assert_allclose(state["fc.weight"], weight.T * 0.8, rtol=1e-6)
    assert state["fc.bias"] is bias
    assert state["last_conv.weight"] is weight
    assert layout.entries == {"running_mean": "_mean", "running_var": "_variance"}


def test_fe_net_stacks_rows_and_columns():
    layout = get_layout("fe_net", "release")
    rows, columns = np.float32([1.4, -2]), np.float32([0, 3])
    state = layout.adapt({"ibssl.shift2.a": rows, "ibssl.shift2.b": columns})
    np.testing.assert_array_equal(state.pop("ibssl.shift2.shift"), [rows, columns])
    assert state == {}
    alone = {"ibssl.shift2.a": rows}
    assert layout.adapt(alone) == alone  # told as left over


def blobs(name, merged):
    """A network's values as Caffe keeps them, and the network."""
    model = create(name)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if not variable.path.endswith("seed_generator_state"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    state = {}
    for layer, place in get_layout("as_resnet", "caffe").places(model).items():
        if layer not in [found.name for found in model.layers]:
            continue
        values = model.get_layer(layer).get_weights()
        if place.startswith("scale"):
            gamma, beta, mean, variance = values
            statistics = place.replace("scale", "bn")
            if merged:
                scale = gamma / np.sqrt(variance + 1e-5)
                state |= {f"{place}.0": scale, f"{place}.1": beta - mean * scale}
            else:
                state |= {f"{place}.0": gamma, f"{place}.1": beta, f"{statistics}.2": np.float32([999.98])}
                state |= {f"{statistics}.0": mean * 999.98, f"{statistics}.1": variance * 999.98}
        elif place.startswith("shift"):
            state |= {f"{place}.0": values[0][1], f"{place}.1": values[0][0]}  # columns, then rows
        elif place.startswith("fc"):
            state |= {f"{place}.0": values[0].T, f"{place}.1": values[1]}
        else:
            state[f"{place}.0"] = values[0].transpose(3, 2, 0, 1)
    return state, model


@pytest.mark.parametrize("merged", [False, True])
def test_as_resnet_from_caffe(merged):
    state, model = blobs("as_resnet_w32", merged)
    assert {"conv0.0", "conv0_0/1.0", "shift4_3/2.1", "conv/shortcut2.0", "scale/bnlast.1", "fc/linear.1"} <= {*state}
    layout = get_layout("as_resnet", "caffe")
    imported = create("as_resnet_w32", **layout.options)
    import_state_dict(imported, layout.adapt(state), layout.places(imported))
    image = np.random.default_rng(1).normal(size=(1, 64, 64, 3)).astype("float32")
    build = {**layout.options, "input_shape": (64, 64, 3)}
    logits = []
    for ours in (model, imported):
        small = create("as_resnet_w32", **build)
        small.set_weights(ours.get_weights())
        logits.append(small(image, training=False).numpy())
    np.testing.assert_allclose(*logits, rtol=1e-3)


def test_entries_that_fit_two_networks_are_not_guessed(tmp_path):
    """The authors' EfficientNet-Lite0 in timm and timm's own have the same entries and pad differently."""
    model = create("efficientnet_lite0")
    layout = get_layout("efficientnet_lite", "timm")
    state = {f"{place}.weight": np.zeros(1) for place in layout.places(model).values()}
    with pytest.raises(TfeffError, match="timm and timm-tf of efficientnet_lite0") as raised:
        find_layout(model, "efficientnet_lite", "efficientnet_lite0", state, tmp_path / "a.pth")
    assert "--layout timm: " in raised.value.mend
