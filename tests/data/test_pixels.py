"""What the options of an image's preprocessing come to, for an input of some size."""

import pytest

from tfeff import TfeffError
from tfeff.cli.source import parse_pixels
from tfeff.data import Preprocessing

WORDS = dict.fromkeys(("mean", "std", "colour", "resize", "crop"))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({}, ("exact", (4, 6))),
        ({"resize": "cover"}, ("cover", (4, 6))),
        ({"resize": "8"}, ("cover", (8, 8))),
        ({"resize": "cover:8x9"}, ("cover", (8, 9))),
        ({"resize": "8X9"}, ("exact", (8, 9))),
        ({"resize": "exact:8", "crop": "4x6"}, ("exact", (8, 8))),
        ({"crop": "4x6"}, ("cover", (4, 6))),
        ({"crop": "0.5"}, ("cover", (8, 12))),
        ({"crop": "0.875"}, ("cover", (5, 7))),
        ({"crop": "0.5", "resize": "exact"}, ("exact", (8, 12))),
        ({"resize": "fit"}, ("fit", (4, 6))),
    ],
)
def test_resize_and_crop(words, wanted):
    found = parse_pixels(WORDS | words).prepare((4, 6, 3))
    assert (found.resize, found.resize_size, found.size) == (*wanted, (4, 6))


def test_colour_mean_and_std():
    assert parse_pixels(WORDS).prepare((4, 4, 3)) == Preprocessing((4, 4))
    assert not parse_pixels(WORDS).given
    found = parse_pixels(WORDS | {"mean": "1,2,3", "std": "4", "colour": "bgr"})
    assert found.given
    assert found.prepare((4, 4, 3)) == Preprocessing((4, 4), colour="bgr", mean=(1, 2, 3), std=(4, 4, 4))
    assert parse_pixels(WORDS | {"mean": "7"}).prepare((4, 4, 1)).mean == (7,)
    with pytest.raises(TfeffError, match="1 channels"):
        found.prepare((4, 4, 1))


def test_what_fit_fills_up_with():
    assert parse_pixels(WORDS | {"resize": "fit"}).prepare((4, 6, 3)).fill == 114
    assert parse_pixels(WORDS | {"resize": "fit:fill=0"}).prepare((4, 6, 3)).fill == 0
    for text in ("fit:256", "fit:0", "fit:fill=256", "fit:fill=-1", "fit:"):
        with pytest.raises(TfeffError, match="fit is to the input's size"):
            parse_pixels(WORDS | {"resize": text})
    with pytest.raises(TfeffError, match="cuts nothing off"):
        parse_pixels(WORDS | {"resize": "fit", "crop": "0.5"}).prepare((4, 6, 3))


@pytest.mark.parametrize("words", [{"crop": "0"}, {"crop": "-1"}, {"crop": "nan"}, {"resize": ":"}, {"resize": "8x"}])
def test_words_that_mean_nothing(words):
    with pytest.raises(TfeffError, match="is not a size"):
        parse_pixels(WORDS | words)
