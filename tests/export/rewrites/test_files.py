"""What the converter makes of each rewrite's forms in int8: the operations, none of them float, and close to Keras."""

from collections import Counter

import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import images, stack
from saving import save_image_model

from tfeff.compare import Runner
from tfeff.export.quantize import Job, convert
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D
from tfeff.tflite.graph import read_graph

SHAPE = (10, 10, 8)


def between(*middle):
    """The layers between two convolutions, so that nothing stands at the door."""
    return stack(layers.Conv2D(8, 1, name="a"), *middle, layers.Conv2D(4, 1, name="b"), shape=SHAPE)


def prelu(slopes):
    model = between(layers.PReLU(shared_axes=[1, 2], name="prelu"))
    model.get_layer("prelu").set_weights([np.reshape(slopes, (1, 1, 8))])
    return model


def top(*behind):
    return stack(layers.Conv2D(8, 1, name="a"), layers.GlobalAveragePooling2D(), *behind, shape=SHAPE)


def two_paths(x):
    return layers.Concatenate()([layers.Conv2D(4, 1)(x), layers.MaxPooling2D(3, 1, "same")(x[..., :4])])


MIXED = [0.25, 1.5, 1, -0.5, 3, 0, 0.01, 0.9]
CONV, DEPTHWISE, DENSE = "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"
AROUND = [CONV, CONV]
# Model, rewrite, operations of the int8 file in any order. FULLY_CONNECTED takes one pixel without a RESHAPE.
CASES = {
    "prelu": (lambda: prelu(np.minimum(MIXED, 1)), "prelu:add", [*AROUND, DEPTHWISE, "ADD"]),
    "prelu-any": (lambda: prelu(MIXED), "prelu:add", [*AROUND, DEPTHWISE, DEPTHWISE, "ADD", "SUB"]),
    # Equal slopes: where a maximum would cut x off at the smallest y.
    "prelu-maximum": (lambda: prelu([0.25] * 8), "prelu:maximum", [*AROUND, DEPTHWISE, DEPTHWISE, "MAXIMUM"]),
    "prelu-vector": (lambda: top(layers.PReLU(), layers.Dense(4)), "prelu:add",
                     [CONV, "MEAN", "MUL", "ADD", "RESHAPE", DENSE]),
    "leaky": (lambda: between(layers.LeakyReLU(0.25)), "leaky_relu:add", [*AROUND, DEPTHWISE, "ADD"]),
    "silu": (lambda: between(layers.Activation("silu")), "silu:multiply", [*AROUND, "LOGISTIC", "MUL"]),
    "silu-operation": (lambda: between(ops.silu), "silu:multiply", [*AROUND, "LOGISTIC", "MUL"]),
    "bn": (lambda: between(two_paths, layers.BatchNormalization(), layers.ReLU()), "batch_norm:depthwise",
           [*AROUND, CONV, "STRIDED_SLICE", "MAX_POOL_2D", "CONCATENATION", DEPTHWISE]),
    "bn-dense": (lambda: top(layers.Dense(8), layers.BatchNormalization()), "batch_norm:depthwise",
                 [CONV, "MEAN", DENSE]),
    "bn-fold": (lambda: between(StridedDilatedDepthwiseConv2D(3, 2, 3), layers.BatchNormalization()),
                "batch_norm:fold", [*AROUND, DEPTHWISE, "STRIDED_SLICE"]),
    "padding": (lambda: between(layers.ZeroPadding2D(1), layers.Conv2D(8, 3, 2)), "padding:merge", [*AROUND, CONV]),
    "padding-depthwise": (lambda: between(layers.ZeroPadding2D(2), layers.DepthwiseConv2D(5, 2)), "padding:merge",
                          [*AROUND, DEPTHWISE]),
    "keepdims": (lambda: top(layers.Dense(4)), "global_pool:keepdims", [CONV, "MEAN", DENSE]),
    "average-pool": (lambda: top(layers.Dense(4)), "global_pool:average_pool",
                     [CONV, "AVERAGE_POOL_2D", DENSE]),
    "pool-depthwise": (lambda: between(layers.ZeroPadding2D(1), layers.AveragePooling2D(3, 2)),
                       "average_pool:depthwise", [*AROUND, "PAD", DEPTHWISE]),
    "classifier": (lambda: top(layers.Dense(8, activation="relu"), layers.Dense(4)), "classifier:conv",
                   [CONV, "MEAN", CONV, CONV, "RESHAPE"]),
    "strided-dilated": (lambda: between(StridedDilatedDepthwiseConv2D(3, 2, 4)), "strided_dilated:depthwise",
                        [*AROUND, DEPTHWISE, DEPTHWISE]),
    "strided-dilated-3": (lambda: between(StridedDilatedDepthwiseConv2D(3, 2, 3)), "strided_dilated:max_pool",
                          [*AROUND, DEPTHWISE, "MAX_POOL_2D"]),
    "slice": (lambda: between(lambda x: x[:, ::2, ::2]), "strided_dilated:max_pool", [*AROUND, "MAX_POOL_2D"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Case -> its int8 file, the images, what Keras makes of them before the rewrite."""
    folder = tmp_path_factory.mktemp("rewrites")
    x = images(64, *SHAPE)
    np.save(folder / "calibration.npy", x)
    jobs, outputs = [], {}
    for case, (build, spec, _) in CASES.items():
        model = build()
        outputs[case] = np.asarray(model(x[:8], training=False))
        new, (applied,) = apply_rewrites(model, [load_rewrite(spec)], {"image": x[:8]})
        assert applied.places == 1
        save_image_model(new, folder / case, SHAPE)
        jobs.append(Job(str(folder / case), "int8", "int8", str(folder / f"{case}.tflite")))
    convert(jobs, {"image": folder / "calibration.npy"}, folder)
    return {case: (folder / f"{case}.tflite", x[:8], outputs[case]) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_operations(exported, case):
    graph = read_graph(exported[case][0])
    assert graph.float_operations() == []
    assert Counter(op.name for op in graph.operations) == Counter(CASES[case][2])
    if case == "keepdims":
        assert next(op for op in graph.operations if op.name == "MEAN").options["keep_dims"]


@pytest.mark.parametrize("case", CASES)
def test_int8_is_close_to_keras(exported, case):
    path, x, expected = exported[case]
    runner = Runner(path)
    got = np.stack([runner(image)["logits"] for image in x]).reshape(expected.shape)
    noise = np.square(got - expected).mean() / np.square(expected).mean()
    floor = 20 if case == "average-pool" else 28  # its means have the scale of the pixels
    assert noise < 10 ** (-floor / 10), f"{-10 * np.log10(noise):.1f} dB"
