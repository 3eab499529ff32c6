"""Shifts in their converted forms, against shifts written out in numpy: in Keras, and in the int8 file."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from saving import save_image_model

from tfeff.compare import Runner
from tfeff.export.quantize import Job, convert
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites, rewrite_once
from tfeff.layers import ActiveShift2D, GroupShift2D, SparseShift2D
from tfeff.tflite.graph import read_graph

REWRITES = ["freeze_shift", "slice_shift"]
KINDS = (GroupShift2D, ActiveShift2D, SparseShift2D)
RNG = np.random.default_rng(4)
FAR = np.array([[0, 5, -5, 0.25, -4.7, 12, -30, 2, 1.5], [0, -5, 0.5, 4.75, -0.1, 0, 3, 30, -1.5]], "float32")
NEAR = np.array([[0, 1, -1, 0.25, -0.75, 0.5, 0, 0, 1], [0, -1, 0.5, 0.5, -0.1, 0, 1, -1, 1]], "float32")


def moved(x, shifts, stride=1):
    """out[row, column] = bilinear in[row * stride + y, column * stride + x], zero outside of the map."""
    far = 40
    padded = np.pad(x.astype("float64"), ((0, 0), (far, far), (far, far), (0, 0)))
    n, height, width, channels = x.shape
    out = np.zeros((n, -(-height // stride), -(-width // stride), channels))
    for c, (y, x_) in enumerate(shifts.T.astype("float64")):
        y0, x0 = int(np.floor(y)), int(np.floor(x_))
        for dy, weight_y in ((0, 1 - (y - y0)), (1, y - y0)):
            for dx, weight_x in ((0, 1 - (x_ - x0)), (1, x_ - x0)):
                top, left = far + y0 + dy, far + x0 + dx
                window = padded[:, top : top + height : stride, left : left + width : stride, c]
                out[..., c] += weight_y * weight_x * window
    return out


def group_shifts(channels, k, dilation, assignment):
    """y and x of every channel, out of the definitions: the authors' kernel, and Chainer's."""
    each, shifts = channels // (k * k), np.zeros((2, channels))
    for c in range(each * k * k):
        if assignment == "interleaved":
            shifts[:, c] = c // k % k - k // 2, c % k - k // 2
        else:
            direction = c // each
            centre, last = k * k // 2, k * k - 1
            direction = {centre: last, last: centre}.get(direction, direction)
            shifts[:, c] = k // 2 - direction // k, k // 2 - direction % k
    return shifts * dilation


def build(layer, shifts=None, *, size=(15, 14), channels=9, around=()):
    """A model of one shift layer, between the layers `around` (in front, behind), its shifts set."""
    before, behind = around or ((), ())
    image = keras.Input((*size, channels))
    x = image
    for each in (*before, layer, *behind):
        x = each(x)
    if isinstance(layer, ActiveShift2D):
        layer.set_shifts(shifts)
    elif isinstance(layer, SparseShift2D):
        layer.shift.assign(shifts)
    return keras.Model(image, x)


def rewritten(model, rewrite, places=1):
    new, found = rewrite_once(model, load_rewrite(rewrite))
    assert found == places
    assert not any(isinstance(layer, KINDS) for layer in new.layers)
    assert all(type(layer).__module__.startswith("keras.") for layer in new.layers)
    assert all(not layer.trainable_variables for layer in new.layers)
    return new


def images(*shape):
    return RNG.normal(size=shape).astype("float32")


# Equality in Keras


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("shifts", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(15, 14), (7, 5), (3, 8)])
def test_active_shift(rewrite, shifts, stride, size):
    x = images(2, *size, 9)
    new = rewritten(build(ActiveShift2D(stride), shifts, size=size), rewrite)
    np.testing.assert_allclose(new(x), moved(x, shifts, stride), atol=1e-5)


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("stride", [1, 2])
def test_sparse_shift_is_whole(rewrite, stride):
    x, shifts = images(2, 15, 14, 9), FAR + np.float32(0.1)
    rounded = np.sign(shifts) * np.floor(np.abs(shifts) + 0.5)
    new = rewritten(build(SparseShift2D(stride), shifts), rewrite)
    np.testing.assert_array_equal(new(x), moved(x, rounded, stride).astype("float32"))


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("assignment", ["interleaved", "contiguous"])
@pytest.mark.parametrize(("kernel", "dilation", "channels"), [(3, 1, 9), (3, 1, 22), (5, 1, 60), (3, 3, 20), (1, 1, 4)])
def test_group_shift(rewrite, assignment, kernel, dilation, channels):
    x = images(2, 9, 8, channels)
    new = rewritten(build(GroupShift2D(kernel, dilation, assignment), size=(9, 8), channels=channels), rewrite)
    expected = moved(x, group_shifts(channels, kernel, dilation, assignment))
    np.testing.assert_array_equal(new(x), expected.astype("float32"))


def test_open_sizes_are_frozen_but_not_sliced():
    model = build(ActiveShift2D(2), FAR, size=(None, None))
    x = images(1, 11, 6, 9)
    np.testing.assert_allclose(rewritten(model, "freeze_shift")(x), moved(x, FAR, 2), atol=1e-5)
    assert rewrite_once(model, load_rewrite("slice_shift")) == (model, 0)


def kernels(model):
    return [layer.kernel_size for layer in model.layers if isinstance(layer, layers.DepthwiseConv2D)]


def test_kernels_are_as_large_as_the_shifts():
    """Beyond 3x3 a column and a row, for XNNPACK's kernels end at 25 taps; no larger than the map."""
    assert kernels(rewritten(build(ActiveShift2D(), NEAR), "freeze_shift")) == [(3, 3)]
    two = np.tile(np.float32([[1.5], [-0.5]]), 9)
    assert kernels(rewritten(build(ActiveShift2D(), two), "freeze_shift")) == [(5, 1), (1, 3)]
    column = np.tile(np.float32([[-4.5], [0]]), 9)
    assert kernels(rewritten(build(ActiveShift2D(), column), "freeze_shift")) == [(11, 1)]
    assert kernels(rewritten(build(ActiveShift2D(), FAR, size=(3, 4)), "freeze_shift")) == [(5, 1), (1, 7)]
    assert kernels(rewritten(build(ActiveShift2D(), FAR), "slice_shift")) == [(2, 2)]
    assert kernels(rewritten(build(ActiveShift2D(), column), "slice_shift")) == [(2, 1)]
    assert kernels(rewritten(build(SparseShift2D(), FAR), "slice_shift")) == []


# Slices take the order of their channels from the layers around


def conv(name, **options):
    return layers.Conv2D(18, 1, name=name, **options)


def names(model):
    return {type(operation).__name__ for operation in model.operations}


AROUND = {
    "bn-relu-before": ([conv("a"), layers.BatchNormalization(), layers.ReLU()], [conv("b")]),
    "relu-in-conv": ([conv("a", activation="relu")], [layers.Conv2D(5, 3, strides=2)]),
    "bn-relu-behind": ([conv("a", use_bias=False)], [layers.BatchNormalization(), layers.ReLU(), conv("b")]),
    "bias-and-bn-behind": ([conv("a")], [layers.BatchNormalization(), layers.ReLU(), conv("b")]),
    "bn-everywhere": (
        [layers.Conv2D(18, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0)],
        [layers.BatchNormalization(scale=False), layers.Activation("hard_silu"), conv("b")],
    ),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("kind", KINDS)
def test_channels_are_reordered_at_no_cost(kind, around):
    shifts = None if kind is GroupShift2D else np.concatenate([FAR, NEAR], axis=1)
    around = [[type(layer).from_config(layer.get_config()) for layer in part] for part in around]
    model = build(kind(name="shift"), shifts, around=around)
    randomize(model)
    x = images(4, 15, 14, 9)
    new, (applied,) = apply_rewrites(model, [load_rewrite("slice_shift")], {"image": x})
    assert applied.relative_error < 2e-6
    assert "Take" not in names(new)
    assert names(new) >= {"GetItem", "Concatenate"}


def test_bn_behind_the_shift_melts_into_the_convolution():
    """The map is padded in front of the convolution, so that BN follows it at once."""
    around = ([conv("a", use_bias=False)], [layers.BatchNormalization(name="bn"), conv("b")])
    new, _ = rewrite_once(build(GroupShift2D(3, name="shift"), around=around), load_rewrite("slice_shift"))
    assert new.get_layer("bn").input is new.get_layer("a").output
    assert new.get_layer("a").input is new.get_layer("shift_pad").output


def test_layers_that_others_read_are_left_alone():
    image = keras.Input((8, 8, 9))
    x = conv("a")(image)
    y = SparseShift2D(name="shift")(x)
    z = layers.ReLU(name="relu")(y)
    model = keras.Model(image, layers.Concatenate()([x, y, conv("b")(z)]))  # x and y are read twice
    randomize(model)
    new, (applied,) = apply_rewrites(model, [load_rewrite("slice_shift")], {"image": images(4, 8, 8, 9)})
    assert applied.places == 1
    assert [type(operation).__name__ for operation in new.operations].count("Take") == 2
    np.testing.assert_array_equal(new.get_layer("a").kernel, model.get_layer("a").kernel)


def test_models_inside_and_two_shifts_in_a_row():
    inner = keras.Sequential([keras.Input((8, 8, 18)), SparseShift2D(), conv("c")])
    image = keras.Input((8, 8, 9))
    x = SparseShift2D(2)(GroupShift2D(3)(conv("a")(image)))
    y = inner(conv("b", padding="same")(layers.UpSampling2D()(x)))
    model = keras.Model(image, y)
    randomize(model)
    for rewrite in REWRITES:
        new, (applied,) = apply_rewrites(model, [load_rewrite(rewrite)], {"image": images(4, 8, 8, 9)})
        assert applied.places == 3
        assert not any(isinstance(layer, KINDS) for layer in new.layers)


def randomize(model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "variance")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(0.1 * rng.standard_normal(variable.shape))


# Files


CASES = {
    "group": (lambda: GroupShift2D(3), None),
    "group5": (lambda: GroupShift2D(5, assignment="contiguous"), None),
    "sparse": (lambda: SparseShift2D(2), np.tile(np.round(FAR), 4)),
    "active": (lambda: ActiveShift2D(2), np.tile(FAR, 4)),
    "active-near": (lambda: ActiveShift2D(), np.tile(NEAR, 4)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(case, rewrite, precision) -> file of one shift and nothing else."""
    folder = tmp_path_factory.mktemp("shifts")
    np.save(folder / "c.npy", calibration())
    jobs, found = [], {}
    for case, (make, shifts) in CASES.items():
        model = build(make(), shifts, size=(9, 12), channels=36)
        for rewrite in REWRITES:
            saved = folder / f"{case}-{rewrite}"
            save_image_model(rewritten(model, rewrite), saved, (9, 12, 36))
            for precision in ("float32", "int8"):
                found[case, rewrite, precision] = folder / f"{saved.name}-{precision}.tflite"
                jobs.append(Job(str(saved), precision, precision, str(found[case, rewrite, precision])))
    convert(jobs, {"image": folder / "c.npy"}, folder)
    return found


def calibration():
    """Values on the int8 grid of scale 1/128 and zero point 0, the largest of them where every shift still reads it."""
    x = RNG.integers(-100, 100, (8, 9, 12, 36)).astype("float32") / 128
    x[:, ::2] = np.where(RNG.random(x[:, ::2].shape) < 0.2, np.float32(-1), x[:, ::2])
    x[:, ::2] = np.where(RNG.random(x[:, ::2].shape) < 0.2, np.float32(127 / 128), x[:, ::2])
    return x


def shifts_of(case):
    kernel = {"group": (3, "interleaved"), "group5": (5, "contiguous")}.get(case)
    return CASES[case][1] if kernel is None else group_shifts(36, kernel[0], 1, kernel[1])


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("case", CASES)
def test_float_file_is_equal(files, case, rewrite):
    runner, x = Runner(files[case, rewrite, "float32"]), calibration()[:2]
    stride = 2 if case in ("sparse", "active") else 1
    expected = moved(x, shifts_of(case), stride)
    np.testing.assert_allclose(
        np.stack([runner(image)["logits"] for image in x]).reshape(expected.shape), expected, atol=1e-5
    )


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("case", CASES)
def test_int8_file_has_no_float_and_whole_pixels_are_exact(files, case, rewrite):
    path = files[case, rewrite, "int8"]
    graph = read_graph(path)
    assert graph.float_operations() == []
    allowed = {"freeze_shift": {"DEPTHWISE_CONV_2D", "PAD"}}.get(
        rewrite, {"GATHER", "PAD", "STRIDED_SLICE", "CONCATENATION", "DEPTHWISE_CONV_2D"}
    )
    assert {op.name for op in graph.operations} <= allowed
    (given,), (got,) = graph.inputs, graph.outputs
    assert given.scale == pytest.approx(1 / 128)
    assert got.scale == pytest.approx(given.scale, rel=1e-6)
    assert got.zero_point == given.zero_point == 0
    runner, x = Runner(path), calibration()[:2]
    expected = moved(x, shifts_of(case), 2 if case in ("sparse", "active") else 1)
    outputs = np.stack([runner(image)["logits"] for image in x]).reshape(expected.shape)
    whole = (np.floor(shifts_of(case)) == shifts_of(case)).all(axis=0)
    np.testing.assert_array_equal(outputs[..., whole], expected[..., whole])
    np.testing.assert_allclose(outputs, expected, atol=1.6 / 128)  # taps to 1/127, and a rounding for each convolution
    assert Path(path).stat().st_size < 40_000
