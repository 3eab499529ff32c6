"""The page's preprocessing against Pillow's and NumPy's, byte for byte."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from web_browser import png

from tfeff.data.preprocessing import Preprocessing
from tfeff.web.site import tall_first

pytest_plugins = ["web_browser"]

SOURCES = Path(__file__).parents[2] / "tfeff" / "web" / "page" / "src"
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
WAYS = {
    "exact": Preprocessing((32, 32)),
    "stretched": Preprocessing((17, 41), mean=MEAN, std=STD),
    "cover": Preprocessing((24, 20), "cover", (28, 26), "bgr", MEAN, STD),
    "cropped": Preprocessing((11, 13), "exact", (16, 14), mean=(0.1, 0.2, 0.3), std=(1 / 3, 0.7, 255)),
    "grey": Preprocessing((30, 50), "cover", colour="gray", mean=(33.3,), std=(78.6,)),
    "fit": Preprocessing((31, 40), "fit", mean=MEAN, std=STD),
    "fit, grey": Preprocessing((32, 32), "fit", colour="gray", mean=(0,), std=(255,), fill=3),
    "imagenet": Preprocessing((224, 224), "cover", (256, 256), mean=MEAN, std=STD),
}
SIZES = [
    (28, 28),
    (32, 32),
    (1, 1),
    (1, 300),
    (300, 1),
    (333, 17),
    (17, 333),
    (97, 251),
    (251, 97),
    (480, 640),
    (16, 14),
    (2, 3),
]

DRIVER = """async ({ how, data, tall }) => {
  const image = await decode(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: 'image/png' }));
  const seen = pixels(image, how, tall);
  const text = (bytes) => {
    let made = '';
    for (let at = 0; at < bytes.length; at += 8192) made += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return btoa(made);
  };
  const values = text(new Uint8Array(normalize(seen, how).buffer));
  const box = boxBack([1.5, -2, 20.25, 17], image, how);
  return { shape: [seen.height, seen.width, seen.channels], pixels: text(seen.data), values, box };
}"""


@pytest.fixture(scope="module")
def page(chromium):
    """An empty page with the functions of preprocess.js and image.js."""
    page = chromium.new_page()
    for name in ("preprocess.js", "image.js"):
        page.add_script_tag(content=(SOURCES / name).read_text(encoding="utf-8").replace("export ", ""))
    yield page
    page.close()


def in_the_browser(page, image, way):
    said = page.evaluate(
        DRIVER, {"how": way.as_dict(), "data": base64.b64encode(png(image)).decode(), "tall": tall_first()}
    )
    pixels = np.frombuffer(base64.b64decode(said["pixels"]), np.uint8).reshape(said["shape"])
    place = way.placement(*image.shape[:2])
    assert said["box"] == pytest.approx(place.back([[1.5, -2, 20.25, 17]])[0], rel=1e-12, abs=1e-12)
    return pixels, np.frombuffer(base64.b64decode(said["values"]), np.float32).reshape(said["shape"])


@pytest.mark.parametrize("way", WAYS)
def test_equal_byte_for_byte(page, way):
    random = np.random.default_rng(list(WAYS).index(way))
    for height, width in SIZES if way != "imagenet" else [(97, 251), (480, 640)]:
        for channels in ((), (3,)):
            noise = random.integers(0, 256, (height, width, *channels), np.uint8)
            # Noise never rounds over 255 or under 0; edges of black and white do.
            for image in (noise, np.where(noise > 127, 255, 0).astype(np.uint8)):
                pixels, values = in_the_browser(page, image, WAYS[way])
                expected = WAYS[way].pixels(image)
                assert (pixels == expected).all(), (height, width, channels)
                assert values.tobytes() == WAYS[way].normalize(expected).tobytes()


def refusal(page, data, kind="image/png"):
    return page.evaluate(
        """async ({ data, kind }) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          try { await decode(new Blob([bytes], { type: kind })); return null; } catch (error) { return error.message; }
        }""",
        {"data": base64.b64encode(data).decode(), "kind": kind},
    )


def test_what_python_refuses_is_refused(page):
    grey = np.full((4, 4), 9, np.uint8)
    assert refusal(page, png(grey)) is None
    assert "16 bits" in refusal(page, png(np.full((4, 4), 40000, np.uint16)))
    clear = np.full((4, 4, 4), 255, np.uint8)
    assert refusal(page, png(clear)) is None
    clear[1, 2, 3] = 254
    assert "transparent" in refusal(page, png(clear))
    assert "not an image" in refusal(page, b"<svg onload=alert(1)>")
    assert "not an image" in refusal(page, png(grey)[:40])
    assert "not an image" in refusal(page, b"")


def test_an_image_that_is_wrong_is_seen(page):
    """The comparison above can fail: another filter gives other bytes."""
    image = np.random.default_rng(9).integers(0, 256, (40, 40, 3), np.uint8)
    how = json.loads(json.dumps(WAYS["exact"].as_dict()))
    other = Preprocessing((32, 32), "exact", (33, 33))
    assert (in_the_browser(page, image, other)[0] != Preprocessing.from_dict(how).pixels(image)).any()
