"""What the samples themselves say: copies, classes, the range of values, channels, damage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfeff.calibration.collect import Calibration
from tfeff.calibration.findings import GRAVE, NOTE, finding
from tfeff.data import InputPort, Preprocessing
from tfeff.record.schema import Finding

_THUMBNAIL = 16  # pixels
_NEAR = 0.06  # distance of two thumbnails over their own contrast; 1 in 5,000 different Fashion-MNIST images is nearer
_BLOCK = 256  # images compared with each other at a time
_SLACK = 0.01  # of the range that the preprocessing gives
# Noise, by two signs. What of a pixel's variance the mean of its neighbours does not know: 1.125 in white noise, at
# most 0.56 in Fashion-MNIST. And the share of pixels that all 8 neighbours differ from, to one side, by a fifth of the
# range: at most 0.0056 there, above 0.0067 in 99 % of these images with a twentieth of the pixels salted.
_UNKNOWN, _LONELY, _APART = 0.6, 0.006, 0.2
# What a network's inputs are called, and the values that pixels of 0 and 255 get.
_ENCODINGS = {
    "pixel values 0 to 255, not normalized": (0.0, 255.0),
    "pixels scaled to 0..1, without mean and std": (0.0, 1.0),
    "pixels scaled to -1..1": (-1.0, 1.0),
    "pixels normalized by ImageNet's mean and std": (-2.118, 2.640),
    "pixel values minus ImageNet's mean": (-123.68, 151.06),
}


@dataclass(frozen=True)
class Images:
    """Figures of an image input; all of the size of a few numbers an image.

    Attributes:
        port: the input.
        preprocessing: what it wants.
        lows, highs: (n, c), smallest and largest value.
        means: (n, c).
        noise: (n,), whether pixels are unlike their neighbours.
        flat: (n,), whether all pixels are the same.
        thumbnails: file of float32 (n, 256), grey.
    """

    port: str
    preprocessing: Preprocessing
    lows: np.ndarray
    highs: np.ndarray
    means: np.ndarray
    noise: np.ndarray
    flat: np.ndarray
    thumbnails: Path


def measure(calibration: Calibration, port: InputPort, folder: Path) -> Images:
    """Reads all images of an image input once; thumbnails go into the folder."""
    preprocessing = port.preprocessing
    assert preprocessing is not None, port.name
    apart = _APART * 255 * float(np.mean(1 / np.array(preprocessing.std)))
    lows, highs, means = np.empty((3, calibration.used, preprocessing.channels), np.float32)
    noise = np.empty(calibration.used, bool)
    thumbnails = folder / f"thumbnails-{list(calibration.paths).index(port.name)}.f32"
    with thumbnails.open("wb") as file:
        for number, image in enumerate(calibration.values(port.name)):
            lows[number], highs[number], means[number] = image.min((0, 1)), image.max((0, 1)), image.mean((0, 1))
            grey = image.mean(-1)
            noise[number] = _is_noise(grey, apart)
            small = Image.fromarray(grey).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
            file.write(np.asarray(small, np.float32).tobytes())
    return Images(port.name, preprocessing, lows, highs, means, noise, (lows == highs).all(1), thumbnails)


def image_findings(calibration: Calibration, images: Images) -> list[Finding]:
    """All that is said of an image input."""
    return [*value_range(calibration, images), *channels(calibration, images), *blank_and_noise(calibration, images)]


def _is_noise(grey, apart):
    height, width = grey.shape
    if min(height, width) < 3 or grey.var() == 0:
        return False
    apart = max(apart, _APART * float(np.ptp(grey)))  # what was never normalized has other units, not other neighbours
    inner = grey[1:-1, 1:-1]
    around = np.stack(
        [grey[y : height - 2 + y, x : width - 2 + x] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    )
    unknown = np.mean((inner - around.mean(0)) ** 2) / grey.var()
    lonely = np.mean(np.maximum(inner - around.max(0), around.min(0) - inner) > apart)
    return bool(unknown > _UNKNOWN or lonely > _LONELY)


def near_duplicates(calibration: Calibration, images: Images) -> list[Finding]:
    """Images that are another one recompressed or a little brighter; exact copies are counted elsewhere."""
    count, size = calibration.used, _THUMBNAIL**2
    near: list[int] = []

    def block(number):
        values = np.fromfile(images.thumbnails, np.float32, _BLOCK * size, offset=4 * _BLOCK * size * number)
        values = values.reshape(-1, size).astype(np.float64)
        return values, np.linalg.norm(values - values.mean(1, keepdims=True), axis=1)

    for later in range(-(-count // _BLOCK)):
        values, contrast = block(later)
        found = np.zeros(len(values), bool)
        for earlier in range(later + 1):
            others, their = block(earlier)
            squares = (values**2).sum(1)[:, None] + (others**2).sum(1) - 2 * values @ others.T
            allowed = _NEAR**2 * contrast[:, None] * their
            # Below the rounding of these sums two are the same; a blank image is like any other blank one.
            close = (squares < allowed) & (squares > 1e-9 * (1 + (values**2).sum(1)[:, None]))
            if earlier == later:
                close &= np.tri(len(values), len(others), -1, dtype=bool)
            found |= close.any(1)
        near += [later * _BLOCK + int(number) for number in np.nonzero(found)[0]]
    if not near:
        return []
    text = f"{len(near)} of {count} images are nearly the same as another one: they count as fewer than they are"
    return [finding("near-duplicates", NOTE, text, calibration.names, near)]


def class_coverage(calibration: Calibration) -> list[Finding]:
    """Whether the classes are all there, where they are known."""
    if calibration.labels is None or len(calibration.classes) < 2:
        return []
    counts = np.bincount(calibration.labels, minlength=len(calibration.classes))
    names, used, noun = calibration.classes, calibration.used, calibration.noun
    missing = [names[number] for number in np.nonzero(counts == 0)[0]]
    if (counts > 0).sum() == 1:
        only = names[int(counts.argmax())]
        return [finding("class-coverage", GRAVE, f"all {used} {noun}s are of one class, {only}")]
    if missing and used >= 4 * len(names):  # fewer could not be expected to hold every class
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        text = f"{len(missing)} of {len(names)} classes have no {noun}: {shown}"
        return [finding("class-coverage", NOTE, text)]
    if used >= 4 * len(names) and counts.max() > 0.5 * used and len(names) > 2:
        text = f"{counts.max()} of {used} {noun}s are of one class, {names[int(counts.argmax())]}"
        return [finding("class-coverage", NOTE, text)]
    return []


def outside(images: Images) -> np.ndarray:
    """Numbers of the images that hold values which the preprocessing cannot give."""
    low, high = _ends(images.preprocessing)
    slack = _SLACK * (high - low)
    return np.nonzero(((images.lows < low - slack) | (images.highs > high + slack)).any(1))[0]


def _ends(preprocessing):
    """What pixels of 0 and of 255 become: (c,) each."""
    return [preprocessing.normalize(np.full((1, 1, preprocessing.channels), v, np.uint8))[0, 0] for v in (0, 255)]


def value_range(calibration: Calibration, images: Images) -> list[Finding]:
    """Whether the inputs are what the preprocessing gives; a usual other one is called by its name."""
    ends = _ends(images.preprocessing)
    wanted = f"the network wants {ends[0].min():.4g} to {ends[1].max():.4g}"
    span, which = ends[1] - ends[0], outside(images)
    # What all but the oddest images hold, so that one bad one does not name the others.
    low, high = np.percentile(images.lows.min(1), 5), np.percentile(images.highs.max(1), 95)
    filled = float(np.median((np.percentile(images.highs, 95, 0) - np.percentile(images.lows, 5, 0)) / span))
    if len(which) > 0.1 * calibration.used:
        what = _encoding(low, high) or "not what the preprocessing gives"
        text = f"values {low:.4g} to {high:.4g} in {len(which)} of {calibration.used} images: {what}; {wanted}"
        return [finding("input-range", GRAVE, text, calibration.names, which)]
    found = []
    if len(which):
        reach = f"{images.lows[which].min():.4g} to {images.highs[which].max():.4g}"
        text = f"{len(which)} of {calibration.used} images hold values that the preprocessing cannot give, {reach}"
        found.append(finding("input-range", GRAVE, f"{text}; {wanted}", calibration.names, which))
    if images.port in calibration.floats and filled < 0.6 and (what := _encoding(low, high)):
        found.append(finding("input-range", GRAVE, f"values {low:.4g} to {high:.4g}: {what}; {wanted}"))
    elif filled < 0.05:
        pixels = filled * 255
        text = f"the images use {100 * filled:.1f} % of the range: about {pixels:.0f} of 255 grey levels"
        text += ", as when 0..1 was made 8-bit" if round(pixels) == 1 else ""
        found.append(finding("input-range", GRAVE, text))
    elif filled < 0.25:
        found.append(finding("low-contrast", NOTE, f"the images use {100 * filled:.0f} % of the input's range"))
    return found


def _encoding(low, high):
    """The usual form whose range these values fill, the narrowest that holds them; None without one."""
    fitting = []
    for name, (start, end) in _ENCODINGS.items():
        slack = 0.02 * (end - start)
        if start - slack <= low and high <= end + slack and high - low >= 0.8 * (end - start):
            fitting.append((end - start, name))
    return min(fitting)[1] if fitting else None


def channels(calibration: Calibration, images: Images) -> list[Finding]:
    """Channels that never change, and means that fit the preprocessing's better the other way round."""
    found, preprocessing = [], images.preprocessing
    constant = np.nonzero(images.lows.min(0) == images.highs.max(0))[0]
    if len(constant):
        which = ", ".join(str(number) for number in constant)
        found.append(finding("constant-input", GRAVE, f"channel {which} of the input has one value in all images"))
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    if len(mean) == 3 and abs(mean[0] - mean[2]) > 5:
        pixels = images.means.mean(0) * std + mean
        given, turned = np.abs(pixels - mean).sum(), np.abs(pixels[::-1] - mean).sum()
        if abs(pixels[0] - pixels[2]) > 5 and turned < 0.5 * given:
            order, other = ("RGB", "BGR") if preprocessing.colour == "rgb" else ("BGR", "RGB")
            text = f"the channels' means fit the preprocessing's in reverse: {other} images for {order}?"
            found.append(finding("channel-order", NOTE, text))
    return found


def blank_and_noise(calibration: Calibration, images: Images) -> list[Finding]:
    """Images of one colour, and images whose pixels do not know their neighbours (some sensors' are like that)."""
    found = []
    for code, which, text in (
        ("blank-images", np.nonzero(images.flat)[0], "are of one colour"),
        ("noise-images", np.nonzero(images.noise)[0], "are noise, or damaged: pixels unlike their neighbours"),
    ):
        if len(which):
            severity = GRAVE if code == "blank-images" and len(which) > calibration.used / 2 else NOTE
            text = f"{len(which)} of {calibration.used} images {text}"
            found.append(finding(code, severity, text, calibration.names, which))
    return found


def array_findings(calibration: Calibration, port: InputPort) -> list[Finding]:
    """An input that is no image: whether it, or some of what it holds by its last axis, ever changes."""
    lows: Any = None
    highs: Any = None
    for value in calibration.values(port.name):
        rows = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
        low, high = rows.min(0), rows.max(0)
        lows, highs = (low, high) if lows is None else (np.minimum(lows, low), np.maximum(highs, high))
    if lows is None or calibration.used < 2:
        return []
    (same,) = np.nonzero(lows == highs)
    if len(same) == len(lows) and len(set(lows.tolist())) == 1:
        return [finding("constant-input", GRAVE, f"all values are {lows[0]:.4g}, in all samples")]
    if not len(same):
        return []
    shown = ", ".join(str(number) for number in same[:5]) + (", ..." if len(same) > 5 else "")
    text = f"{len(same)} of {len(lows)} columns (by the last axis) have one value in all samples: {shown}"
    return [finding("constant-columns", NOTE, text)]
