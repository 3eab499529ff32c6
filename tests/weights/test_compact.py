"""Kernels in few bits: the rounding against its definition, and the way through a file."""

import keras
import numpy as np
import pytest

from tfeff import TfeffError
from tfeff.weights import load_weights, save_weights
from tfeff.weights.compact import pack, unpack

# 1 + 2^-6 is the first number above 1 with 6 bits of mantissa; halves go to the even side, carries into the exponent.
ROUNDED = {
    1.0: 1.0, 1 + 2**-7: 1.0, 1 + 3 * 2**-7: 1 + 2**-5, 1.01: 1 + 2**-6, -1.99999: -2.0, 0.0: 0.0, 1000.0: 1000.0,
}  # fmt: skip


def test_values_are_rounded_to_the_nearest():
    name, packed = pack("kernel", np.array(list(ROUNDED), "float32"), 6)
    assert (packed.dtype, packed.shape) == (np.uint8, (2, len(ROUNDED)))
    np.testing.assert_array_equal(unpack({name: packed})["kernel"], list(ROUNDED.values()))


@pytest.mark.parametrize("bits", [1, 5, 6, 10])
def test_error_and_bits(bits):
    value = np.random.default_rng(0).standard_normal((3, 3, 8, 16)).astype("float32")
    name, packed = pack("a/kernel", value, bits)
    ((key, got),) = unpack({name: packed}).items()
    assert (key, got.dtype, got.shape) == ("a/kernel", np.float16, value.shape)
    # float16's own rounding, and its subnormal numbers below 2^-14
    np.testing.assert_allclose(got, value, rtol=2.0 ** -(bits + 1) + 2**-11, atol=2.0 ** -(bits + 14))
    assert not np.any(got.view(np.uint16) & ((1 << (10 - bits)) - 1))
    if bits == 10:
        np.testing.assert_array_equal(got, value.astype("float16"))


def test_other_entries_pass():
    arrays = {"gamma": np.ones(3, "float32")}
    assert unpack(arrays) == arrays


@pytest.mark.parametrize("bits", [0, 11])
def test_bits_that_float16_has_not(bits):
    with pytest.raises(ValueError, match="1 to 10"):
        pack("kernel", np.zeros(3), bits)


def network():
    image = keras.Input((8, 8, 16))
    return keras.Model(image, keras.layers.Conv2D(64, 3, name="conv")(image))


def test_file_is_smaller_and_vectors_are_whole(tmp_path):
    keras.utils.set_random_seed(0)
    model = network()
    model.layers[1].bias.assign(np.random.default_rng(1).normal(size=64))
    save_weights(model, tmp_path / "half.npz", half=True)
    save_weights(model, tmp_path / "few.npz", mantissa_bits=6)
    sizes = [(tmp_path / name).stat().st_size for name in ("half.npz", "few.npz")]
    assert sizes[1] < 0.8 * sizes[0]
    other = network()
    load_weights(other, tmp_path / "few.npz")
    np.testing.assert_array_equal(other.layers[1].bias, model.layers[1].bias)
    kernel, rounded = (np.asarray(m.layers[1].kernel) for m in (model, other))
    np.testing.assert_allclose(rounded, kernel, rtol=2**-7 + 2**-11, atol=2**-20)
    assert np.any(rounded != kernel.astype("float16"))


def test_damaged_planes(tmp_path):
    np.savez(tmp_path / "a.npz", **{"conv/kernel|float16-bytes": np.zeros((3, 4), "uint8")})
    with pytest.raises(TfeffError, match="not two planes"):
        load_weights(network(), tmp_path / "a.npz")
