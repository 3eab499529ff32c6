"""Files and images that cannot be debugged: told in one line, with what to do."""

import numpy as np
import pytest
from checking_files import edit
from compare_models import convert
from debug_models import SHAPE

from tfeff.debug import Options, Pixels, debug
from tfeff.errors import GateFailed, TfeffError

pytest_plugins = ["debug_fixtures"]


def refused(path, *words, **options):
    with pytest.raises(TfeffError) as error:
        debug(path, **options)
    assert error.value.exit_code == 2
    for word in words:
        assert word in str(error.value), str(error.value)


def changed(debug_files, change):
    path = debug_files.int8.with_name("changed_int8.tflite")
    path.write_bytes(edit(debug_files.int8.read_bytes(), change))
    return path


def test_a_float_file(debug_files):
    refused(debug_files.float, "is a float file", "give the int8 file", images=str(debug_files.images))


def test_a_dynamic_range_file(debug_files, tmp_path):
    import keras
    import tensorflow as tf

    image = keras.Input(SHAPE, batch_size=1, name="image")
    wide = keras.layers.Dense(64)(keras.layers.Flatten()(image))  # above the 1024 weights from which they are rounded
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, wide))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(converter.convert())
    refused(path, "dynamic-range", "int8 activations", images=str(debug_files.images))


def test_sizes_known_only_at_run_time(debug_files):
    def open_sizes(model):
        model.subgraphs[0].tensors[0].shapeSignature = np.int32([1, -1, -1, 3])

    refused(
        changed(debug_files, open_sizes), "open shape (1, ?, ?, 3)", "--input-shape", images=str(debug_files.images)
    )


def test_a_damaged_file(debug_files, tmp_path):
    path = tmp_path / "cut.tflite"
    path.write_bytes(debug_files.int8.read_bytes()[:2000])
    refused(path, "cut short", images=str(debug_files.images))
    refused(tmp_path / "none.tflite", "no such file")


def test_a_tensor_that_is_not_there(debug_files):
    def stray(model):
        model.subgraphs[0].operators[1].inputs = np.int32([999, 1, 2])

    refused(changed(debug_files, stray), "damaged", images=str(debug_files.images))


def test_nothing_says_the_images(debug_files):
    refused(debug_files.int8, "no record says what images", "--images")


def test_pixels_without_preprocessing(debug_files, tmp_path):
    path = tmp_path / "pixels.npz"
    np.savez(path, images=np.zeros((4, *SHAPE), np.uint8))
    refused(debug_files.int8, "no record says its preprocessing", "--mean and --std", images=str(path))
    refused(
        debug_files.int8, "only one of --mean and --std", images=str(path), options=Options(pixels=Pixels(mean=(0.0,)))
    )
    gray = Options(pixels=Pixels((0.0,), (1.0,), "gray"))
    refused(debug_files.int8, "--colour gray", "3 channels", images=str(path), options=gray)


def test_pixels_off_the_file_s_own_grid(debug_files, tmp_path):
    path = tmp_path / "pixels.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8))
    raw = Pixels((0.0,), (1.0,))
    with pytest.raises(GateFailed, match=r"of the values are clipped: they are 0 to 255 by the preprocessing"):
        debug(debug_files.int8, images=str(path), options=Options(pixels=raw))
    found = debug(debug_files.int8, images=str(path), options=Options(pixels=raw, allow_audit=True))
    assert any("are clipped" in note for note in found.notes)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 5, 5, 3), np.float32), ("shape (5, 5, 3)", "(12, 12, 3)")),
        (np.full((4, *SHAPE), np.nan, np.float32), ("NaN or infinity", "test image 0", "train image 0")),
        (np.zeros((4, *SHAPE), np.complex64), ("complex64",)),
    ],
    ids=["shape", "nan", "dtype"],
)
def test_images_that_do_not_fit(debug_files, tmp_path, values, words):
    path = tmp_path / "images.npz"
    np.savez(path, images=values)
    with pytest.raises(TfeffError) as error:
        debug(debug_files.int8, images=str(path))
    assert any(word in str(error.value) for word in words), str(error.value)


def test_no_samples(debug_files):
    refused(debug_files.int8, "samples must be at least 1", images=str(debug_files.images), samples=0)


def test_a_float_file_that_does_not_fit(debug_files, tmp_path):
    import keras

    options = {"images": str(debug_files.images)}
    refused(debug_files.int8, "is quantized, so it is no float reference", float_file=debug_files.int8, **options)

    def small(shape, classes):
        image = keras.Input(shape, batch_size=1, name="image")
        return keras.Model(image, keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(image)))

    other = convert(small((8, 8, 3), 6), tmp_path / "other.tflite")
    refused(debug_files.int8, "(8, 8, 3)", "two files of the same network", float_file=other, **options)
    other = convert(small(SHAPE, 5), tmp_path / "five.tflite")
    refused(debug_files.int8, "(5,)", "two files of the same network", float_file=other, **options)
