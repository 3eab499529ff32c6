"""Layers out of tensors' names: names as converters have written them."""

import pytest

from tfeff.tensor_names import find_scope, layer_names, names_a_layer

KERAS = [
    "serving_default_image:0",
    "net_1/stem_relu_1/Relu;net_1/stem_bn_1/batchnorm/add_1;net_1/stem_1/convolution;net_1/stem_bn_1/batchnorm/sub1",
    "net_1/block1_dw_1/depthwise",
    "net_1/pool_1/Mean",
    "PartitionedCall:0",
]
SLIM = [
    "MobilenetV1/MobilenetV1/Conv2d_0/Relu6",
    *[f"MobilenetV1/MobilenetV1/Conv2d_{n}_depthwise/Relu6" for n in range(1, 6)],
    "MobilenetV1/Logits/AvgPool_1a/AvgPool",
    "MobilenetV1/Predictions/Reshape_1",
]


@pytest.mark.parametrize(
    ("names", "scope", "layers"),
    [
        (KERAS, "net_1", [("image",), ("stem_relu", "stem_bn", "stem"), ("block1_dw",), ("pool",), None]),
        (
            SLIM,
            "MobilenetV1/MobilenetV1",
            [("Conv2d_0",), *[(f"Conv2d_{n}_depthwise",) for n in range(1, 6)], None, None],
        ),
        (["conv/Relu", "dense/BiasAdd"], "", [("conv",), ("dense",)]),
        (["net/bn/batchnorm/mul_1", "net/bn/batchnorm/add_1", "net/out/Add"], "net", [("bn",), ("bn",), ("out",)]),
    ],
    ids=["keras", "slim", "no scope", "one layer of many operations is no scope"],
)
def test_layers(names, scope, layers):
    assert find_scope(names) == scope
    for name, expected in zip(names, layers, strict=True):
        if expected is not None:
            assert layer_names(name, scope) == expected


def test_names_without_a_layer():
    assert not any(map(names_a_layer, ("", "PartitionedCall:0", "StatefulPartitionedCall_1:0", "arith.constant11")))
    assert names_a_layer("net_1/logits_1/MatMul")


def test_an_empty_name_has_no_layer():
    assert layer_names("", "net") == ()
