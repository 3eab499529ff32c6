"""How near two runs of one network can be: networks with random weights may magnify rounding a thousandfold, and each
processor sums in its own order. Their bars are set by their own floor, measured where the fixed bar is passed."""

import keras
import numpy as np

CHANGE = 2e-7  # of every input: a step or two of float32
FACTOR = 10  # every layer rounds anew, not only the first


def floor(network, images):
    """What `CHANGE` more or less in the images does to the outputs, of the largest output.

    Args:
        network: what maps a float32 batch to one output, or to several.
        images: float32 (n, ...).
    """
    signs = np.random.default_rng(0).choice([-1, 1], (2, *images.shape))
    expected = _flat(network(images))
    moved = [_flat(network((images * (1 + CHANGE * sign)).astype(np.float32))) for sign in (1, -1, *signs)]
    return max(np.abs(each - expected).max() for each in moved) / np.abs(expected).max()


def assert_same(got, expected, network, images, bar=1e-4):
    """Two ways to compute one network give the same outputs, but for rounding.

    Args:
        got, expected: an output (n, ...), or several.
        network: one of the two ways, to measure its floor.
        images: what both were given, as `network` takes it.
        bar: of the largest output; what the difference may always be.
    """
    got, expected = _flat(got), _flat(expected)
    largest = np.abs(expected).max()
    assert largest > 0.01
    assert got.shape == expected.shape
    difference = np.abs(got - expected).max() / largest
    assert np.isfinite(difference)
    assert_rounding(difference, network, images, bar)


def assert_rounding(difference, network, images, bar):
    """A difference, of the largest output, is no more than `bar` or what rounding makes of this network."""
    if difference > bar:
        allowed = FACTOR * floor(network, images)
        assert difference <= allowed, f"{difference:.1e} of the largest output; rounding makes up to {allowed:.1e}"


def _flat(outputs):
    return np.concatenate([np.ravel(each) for each in keras.tree.flatten(outputs)])
