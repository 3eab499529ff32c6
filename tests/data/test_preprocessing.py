"""Preprocessing against the same steps written out independently."""

import json
import resource

import numpy as np
import pytest
from PIL import Image

from tfeff import TfeffError
from tfeff.data import Preprocessing

RAMP = np.arange(256, dtype=np.uint8)


def colourful(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    """A plane without noise, whose resized form is known: value = 2 x column + row."""
    return (2 * np.arange(width)[None, :] + np.arange(height)[:, None]).astype(np.uint8)


def test_default_is_minus_1_to_1():
    image = np.stack([np.full((2, 2), v, np.uint8) for v in (0, 128, 255)], axis=-1)
    result = Preprocessing(size=(2, 2))(image)
    assert result.dtype == np.float32
    assert result.shape == (2, 2, 3)
    np.testing.assert_array_equal(result[0, 0], [-1, 0, np.float32(127 / 128)])


@pytest.mark.parametrize("resize", ["exact", "cover"])
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 1), (64, 3)])
def test_constant_image_stays_constant(shape, resize):
    image = np.full((*shape, 3), (7, 100, 250), np.uint8)
    result = Preprocessing(size=(16, 24), resize=resize).pixels(image)
    assert result.shape == (16, 24, 3)
    assert (result == (7, 100, 250)).all()


def test_same_size_is_not_resampled():
    image = colourful(16, 24)
    for resize in ("exact", "cover"):
        np.testing.assert_array_equal(Preprocessing(size=(16, 24), resize=resize).pixels(image), image)


def test_exact_resize_is_bilinear_over_the_whole_image():
    """Enlarging by 2: the new pixel centres lie a quarter of a pixel beside the old ones."""
    row = np.array([[0, 100, 200]], np.uint8)
    result = Preprocessing(size=(1, 6), colour="gray", mean=(0,), std=(1,))(row)
    np.testing.assert_allclose(result[0, :, 0], [0, 25, 75, 125, 175, 200], atol=0.5)


def test_shrinking_averages():
    """Pillow's bilinear filter is a triangle as wide as the scale, so a chequerboard becomes grey."""
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    result = Preprocessing(size=(8, 8)).pixels(board)
    assert np.abs(result[2:-2, 2:-2].astype(int) - 127).max() <= 2


@pytest.mark.parametrize(
    ("shape", "resized"),
    [((40, 80), (20, 40)), ((80, 40), (40, 20)), ((10, 10), (20, 20)), ((30, 41), (20, 27)), ((41, 30), (27, 20))],
)
def test_cover_keeps_proportions_and_cuts_the_centre(shape, resized):
    image = colourful(*shape)
    result = Preprocessing(size=(20, 20), resize="cover").pixels(image)
    picture = Image.fromarray(image).resize(resized[::-1], Image.Resampling.BILINEAR)
    top, left = (resized[0] - 20) // 2, (resized[1] - 20) // 2
    np.testing.assert_array_equal(result, np.asarray(picture)[top : top + 20, left : left + 20])


@pytest.mark.parametrize(
    ("shape", "resized"),
    [((40, 80), (10, 20)), ((80, 40), (20, 10)), ((10, 10), (20, 20)), ((30, 41), (15, 20)), ((1, 300), (1, 20))],
)
def test_fit_keeps_proportions_and_fills_up(shape, resized):
    image = colourful(*shape)
    result = Preprocessing(size=(20, 20), resize="fit", fill=7).pixels(image).copy()
    picture = Image.fromarray(image).resize(resized[::-1], Image.Resampling.BILINEAR)
    top, left = (20 - resized[0]) // 2, (20 - resized[1]) // 2
    inside = np.s_[top : top + resized[0], left : left + resized[1]]
    np.testing.assert_array_equal(result[inside], np.asarray(picture))
    result[inside] = 7
    assert (result == 7).all()
    grey = Preprocessing((20, 20), "fit", colour="gray", mean=(0,), std=(1,)).pixels(image[..., 0])
    assert (np.delete(grey[..., 0], np.s_[top : top + resized[0]], axis=0) == 114).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("resize", "extra"), [("exact", (0, 0)), ("exact", (9, 20)), ("cover", (0, 0)), ("cover", (12, 5)), ("fit", (0, 0))]
)
def test_a_box_is_where_the_thing_is_seen(resize, extra, seed):
    """A white rectangle, looked for in what the network is given."""
    random = np.random.default_rng(seed)
    height, width = (int(each) for each in random.integers(60, 200, 2))
    steps = Preprocessing((90, 70), resize, (90 + extra[0], 70 + extra[1]))
    place = steps.placement(height, width)
    top, left = height // 2 - 14, width // 2 - 18  # the middle, which no rule cuts off
    image = np.zeros((height, width), np.uint8)
    image[top : top + 25, left : left + 31] = 255
    box = np.array([[left, top, left + 31, top + 25]])
    seen = steps.pixels(image)[..., 0] > 127  # what is filled up is darker
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    found = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]])
    assert place.there(box) == pytest.approx(found, abs=1.1)
    assert place.back(place.there(box)) == pytest.approx(box.astype(float), abs=1e-9)
    far = place.back(np.array([[-1e6, -1e6, 1e6, 1e6]]))
    assert far.tolist() == [[0, 0, width, height]]


def test_odd_remainder_is_left_at_the_bottom_and_right():
    image = smooth(7, 9)
    result = Preprocessing(size=(4, 4), resize_size=(7, 9)).pixels(image)
    np.testing.assert_array_equal(result[..., 0], image[1:5, 2:6])  # 3 rows over: 1 above, 2 below; 5: 2 left, 3 right


def test_resize_then_crop_of_imagenet():
    image = colourful(300, 500)
    recipe = Preprocessing(size=(224, 224), resize="cover", resize_size=(256, 256))
    picture = Image.fromarray(image).resize((427, 256), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(recipe.pixels(image), np.asarray(picture)[16:240, 101:325])


def test_colour_orders():
    image = colourful(4, 4)
    rgb = Preprocessing(size=(4, 4)).pixels(image)
    bgr = Preprocessing(size=(4, 4), colour="bgr").pixels(image)
    gray = Preprocessing(size=(4, 4), colour="gray", mean=(0,), std=(1,))
    np.testing.assert_array_equal(rgb, image)
    np.testing.assert_array_equal(bgr, image[..., ::-1])
    assert gray.shape == (4, 4, 1)
    np.testing.assert_allclose(gray.pixels(image)[..., 0], image @ [0.299, 0.587, 0.114], atol=0.51)


def test_mean_and_std_follow_the_colour_order():
    image = np.full((1, 1, 3), (10, 20, 30), np.uint8)
    recipe = Preprocessing(size=(1, 1), colour="bgr", mean=(30, 0, 10), std=(1, 2, 4))
    np.testing.assert_array_equal(recipe(image)[0, 0], [0, 10, 0])


def test_grey_images_are_repeated():
    image = RAMP.reshape(16, 16)
    for form in (image, image[..., None]):
        for colour in ("rgb", "bgr"):
            result = Preprocessing(size=(16, 16), colour=colour).pixels(form)
            np.testing.assert_array_equal(result, np.repeat(image[..., None], 3, axis=2))
        gray = Preprocessing(size=(16, 16), colour="gray", mean=(0,), std=(1,)).pixels(form)
        np.testing.assert_array_equal(gray[..., 0], image)


def test_grey_in_three_channels_is_the_same_grey():
    image = RAMP.reshape(16, 16)
    gray = Preprocessing(size=(16, 16), colour="gray", mean=(0,), std=(1,))
    np.testing.assert_array_equal(gray.pixels(np.repeat(image[..., None], 3, axis=2)), gray.pixels(image))


def test_normalize_takes_batches():
    recipe = Preprocessing(size=(2, 2), mean=(1, 2, 3), std=(4, 5, 6))
    batch = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 3), dtype=np.uint8)
    result = recipe.normalize(batch)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (batch - np.array([1.0, 2, 3])) / [4, 5, 6], rtol=1e-6)


def test_image_is_not_changed():
    image = colourful(8, 8)
    before = image.copy()
    for colour, values in (("rgb", 3), ("bgr", 3), ("gray", 1)):
        Preprocessing(size=(4, 4), colour=colour, mean=(9,) * values, std=(2,) * values)(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "recipe",
    [
        Preprocessing(size=(32, 32)),
        Preprocessing((224, 192), resize="cover", resize_size=(256, 256), colour="bgr", mean=(1, 2, 3), std=(4, 5, 6)),
        Preprocessing(size=(28, 28), colour="gray", mean=(72.9,), std=(90.02,)),
        Preprocessing(size=(28, 24), resize="fit", fill=0),
    ],
)  # fmt: skip
def test_dict_round_trip_through_json(recipe):
    again = Preprocessing.from_dict(json.loads(json.dumps(recipe.as_dict())))
    assert again == recipe


def test_dict_has_the_words_of_the_record():
    assert Preprocessing(size=(2, 3)).as_dict() == {
        "resize": {"mode": "exact", "height": 2, "width": 3, "filter": "bilinear"},
        "crop": {"mode": "center", "height": 2, "width": 3},
        "colour": "rgb",
        "mean": [128.0] * 3,
        "std": [128.0] * 3,
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"size": (32, 32), "resize": "stretch"}, "'stretch'"),
        ({"size": (32, 32), "resize": "fit", "resize_size": (64, 64)}, "'fit' fills up to (32, 32)"),
        ({"size": (32, 32), "resize": "fit", "fill": 256}, "fill must be a whole number"),
        ({"size": (32, 32), "colour": "yuv"}, "'yuv'"),
        ({"size": (32, 32), "colour": "gray"}, "1 values each"),
        ({"size": (32, 32), "mean": (0, 0)}, "3 values each"),
        ({"size": (32, 32), "std": (1, 0, 1)}, "std"),
        ({"size": (32, 32), "std": (1, -1, 1)}, "std"),
        ({"size": (32, 32), "std": (1, float("nan"), 1)}, "finite"),
        ({"size": (32, 32), "mean": (0, float("inf"), 0)}, "finite"),
        ({"size": (0, 32)}, "at least 1"),
        ({"size": (32,)}, "(h, w)"),
        ({"size": (32, 32, 3)}, "(h, w)"),
        ({"size": (32, 32), "resize_size": (64,)}, "(h, w)"),
        ({"size": (32, 32), "resize_size": (64, 64, 64)}, "(h, w)"),
        ({"size": (32, 32), "resize_size": (64, 31)}, "cannot cut (32, 32)"),
        ({"size": (10**9, 10**9)}, "no image is so large"),
        ({"size": (32, 32), "resize_size": (32, 2**15 + 1)}, "no image is so large"),
    ],
)
def test_bad_values(arguments, told):
    with pytest.raises(TfeffError) as raised:
        Preprocessing(**arguments)
    assert raised.value.what.startswith("preprocessing:")
    assert told in raised.value.what
    assert "\n" not in raised.value.what


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4), np.uint16), "uint16"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros((4, 4, 4), np.uint8), "(4, 4, 4)"),
        (np.zeros((4, 4, 2), np.uint8), "(4, 4, 2)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "(1, 4, 4, 3)"),
        (np.zeros((4,), np.uint8), "(4,)"),
        (np.zeros((0, 4, 3), np.uint8), "(0, 4, 3)"),
    ],
)
def test_bad_images(image, told):
    with pytest.raises(TfeffError) as raised:
        Preprocessing(size=(4, 4))(image)
    assert told in raised.value.what
    assert raised.value.mend


GOOD = Preprocessing(size=(4, 4)).as_dict()


@pytest.mark.parametrize(
    "value",
    [
        None, [], "resize", {}, {**GOOD, "resize": None}, {**GOOD, "crop": {"mode": "center"}}, {**GOOD, "mean": 0},
        {**GOOD, "mean": ["a", "b", "c"]}, {**GOOD, "resize": {**GOOD["resize"], "filter": "nearest"}},
        {**GOOD, "crop": {**GOOD["crop"], "mode": "random"}}, {**GOOD, "colour": None}, {**GOOD, "colour": []},
        {key: value for key, value in GOOD.items() if key != "std"},
    ],
)  # fmt: skip
def test_bad_dicts(value):
    with pytest.raises(TfeffError, match="preprocessing"):
        Preprocessing.from_dict(value)


@pytest.mark.parametrize("shape", [(1, 300_000), (300_000, 1)])
def test_memory_is_bounded_whatever_the_proportions(shape):
    """A strip of 300,000 x 1 pixels that covers 224 x 224 would be 67 million pixels wide."""
    strip = np.broadcast_to(np.linspace(0, 255, 300_000).astype(np.uint8).reshape(shape), shape)
    steps = Preprocessing((224, 224), resize="cover", resize_size=(256, 256))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = steps.pixels(np.ascontiguousarray(strip))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
    assert pixels.shape == (224, 224, 3)
    assert set(np.unique(pixels)) <= {126, 127, 128}  # the strip's middle


def test_what_is_cut_out_alone_is_as_of_the_whole_image(monkeypatch):
    random = np.random.default_rng(0)
    for _ in range(20):
        image = random.integers(0, 256, (*random.integers(1, 60, 2), 3), dtype=np.uint8)
        height, width = map(int, random.integers(1, 40, 2))
        steps = Preprocessing((height, width), resize="cover", resize_size=(height + 5, width + 2))
        whole = steps.pixels(image).astype(int)
        with monkeypatch.context() as patch:
            patch.setattr("tfeff.data.preprocessing._LARGEST", 0)
            assert np.abs(whole - steps.pixels(image)).max() <= 1  # of 255: rounding, twice
