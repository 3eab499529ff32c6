"""Adaptive average pooling: PyTorch's windows, by hand, and as a file."""

import keras
import numpy as np
import pytest

from tfeff.layers.adaptive_pool import adaptive_average_pool, scaled, windows
from tfeff.layers.keras_private import nodes

# height and width -> height and width: whole windows, alike ones that overlap, three to two, uneven ones, and more.
SIZES = [
    ((8, 12), (4, 3)), ((16, 10), (5, 5)), ((6, 9), (4, 6)), ((32, 13), (5, 7)), ((9, 9), (6, 2)), ((5, 8), (5, 3)),
    ((4, 3), (5, 5)), ((7, 5), (1, 1)), ((6, 6), (6, 6)),
]  # fmt: skip


def by_hand(x, to):
    """The definition: one mean for each output pixel."""
    (_, height, width, _), y = x.shape, np.zeros((len(x), *to, x.shape[-1]))
    for i in range(to[0]):
        for j in range(to[1]):
            rows = slice(int(np.floor(i * height / to[0])), int(np.ceil((i + 1) * height / to[0])))
            columns = slice(int(np.floor(j * width / to[1])), int(np.ceil((j + 1) * width / to[1])))
            y[:, i, j] = x[:, rows, columns].mean((1, 2))
    return y


def pooled(size, to):
    image = keras.Input((*size, 3))
    return keras.Model(image, adaptive_average_pool(image, to, "pool"))


@pytest.mark.parametrize(("size", "to"), SIZES)
def test_mean_of_each_window(size, to):
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype("float32")
    model = pooled(size, to)
    assert model.output_shape == (None, *to, 3)
    np.testing.assert_allclose(model(x), by_hand(x, to), atol=1e-5)


def test_windows_as_pytorch_has_them():
    assert windows(16, 5) == [(0, 4), (3, 7), (6, 10), (9, 13), (12, 16)]
    assert windows(6, 4) == [(0, 2), (1, 3), (3, 5), (4, 6)]
    assert scaled((128, 7), 0.1, 5) == (13, 5)
    assert scaled((128, 7), 1.5) == (192, 11)


def test_alike_windows_are_one_pooling():
    assert [type(node.operation).__name__ for node in nodes(pooled((16, 64), (5, 7)))] == ["AveragePooling2D"]
    assert list(nodes(pooled((6, 6), (6, 6)))) == []


def test_what_it_refuses():
    with pytest.raises(ValueError, match="needs the height and width"):
        adaptive_average_pool(keras.Input((None, 8, 3)), (2, 2), "pool")
    with pytest.raises(ValueError, match="at least 1x1"):
        adaptive_average_pool(keras.Input((8, 8, 3)), (0, 2), "pool")
