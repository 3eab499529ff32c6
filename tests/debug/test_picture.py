"""The picture of `tfeff debug`, read back by Pillow and an XML parser."""

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from debug_models import debug_result, layer_error
from PIL import Image

from tfeff.debug.picture import draw_picture
from tfeff.errors import TfeffError

SHARES = {"stem": 0.1, "middle": 0.6, "wide": -0.2, "<last>": 0.3}
WORST = "#c0392b"


def result():
    rows = [
        layer_error(position=n, layer=name, error_share=share, sqnr_db=30.0 - n, local_sqnr_db=None if n else 40.0)
        for n, (name, share) in enumerate(SHARES.items())
    ]
    return debug_result(images="photos", samples=7, output_sqnr_db=20.0, layers=rows)


def shapes(svg, tag):
    return [node.attrib | {"text": node.text} for node in ElementTree.fromstring(svg) if node.tag.endswith(tag)]


def test_svg_bars_are_as_high_as_the_shares():
    svg = draw_picture(result(), Path("p.svg"), top=2)
    bars = [bar for bar in shapes(svg, "rect") if bar["fill"] != "white"][: len(SHARES)]
    heights = [float(bar["height"]) for bar in bars]
    assert [height / heights[1] for height in heights] == pytest.approx([1 / 6, 1, 1 / 3, 1 / 2], rel=0.02)
    lefts = [float(bar["x"]) for bar in bars]
    assert lefts == sorted(lefts)
    assert [bar["fill"] == WORST for bar in bars] == [False, True, False, True]


def test_svg_names_the_worst_layers():
    words = [text["text"] for text in shapes(draw_picture(result(), Path("p.svg"), top=2), "text")]
    assert {"middle 60 %", "<last> 30 %"} <= set(words)
    assert not any("stem" in word for word in words)
    assert any("20.0 dB" in word and "7 samples of photos" in word for word in words)


def test_png_is_the_same_picture():
    picture = Image.open(io.BytesIO(draw_picture(result(), Path("p.PNG"), top=2))).convert("RGB")
    svg = draw_picture(result(), Path("p.svg"), top=2)
    root = ElementTree.fromstring(svg)
    assert picture.size == (int(root.attrib["width"]), int(root.attrib["height"]))
    for bar in [bar for bar in shapes(svg, "rect") if bar["fill"] != "white"][: len(SHARES)]:
        # Off the middle, where the line to a name runs.
        x = float(bar["x"]) + 0.25 * float(bar["width"])
        y = float(bar["y"]) + 0.75 * float(bar["height"])
        colour = tuple(int(bar["fill"][n : n + 2], 16) for n in (1, 3, 5))
        assert picture.getpixel((int(x), int(y))) == colour


def test_other_suffixes_are_refused():
    with pytest.raises(TfeffError, match=r"\.png or \.svg"):
        draw_picture(result(), Path("p.jpg"))
