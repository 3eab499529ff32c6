"""From what a user types after --calibration to network inputs, one at a time.

A source gives uint8 images, which the preprocessing turns into inputs, or float32 arrays, which are inputs already.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from tfeff.data import open_dataset
from tfeff.errors import TfeffError


def open_source(spec: str, samples: int | None, default: int, seed: int) -> tuple[int | None, Iterator]:
    """Opens a calibration source.

    Args:
        spec: a dataset's name (its training images are used), a folder, an `.npz`, or `module:function`; the function
        takes
            no argument and returns an iterable of images.
        samples: how many images are wanted; None takes up to `default`.
        seed: chooses the images when there are more.

    Returns:
        How many images there are (None when only the end of a function's iterable will tell) and pairs of
        (name for messages, image).

    Raises:
        TfeffError: not found, empty, unreadable, or fewer images than `samples`.
    """
    if ":" in spec and not Path(spec).exists():
        return None, _from_function(spec)
    dataset = open_dataset(spec, "train", labelled=False)
    found = len(dataset)
    if samples is not None and found < samples:
        raise TfeffError(
            f"calibration {spec}: {found} images, {samples} were asked for", f"add images, or --samples {found}"
        )
    numbers = np.arange(found)
    if found > (samples or default):
        numbers = np.sort(np.random.default_rng([seed, found]).choice(found, samples or default, replace=False))
    return found, ((dataset.names[n], dataset.image(int(n))) for n in numbers)


def _from_function(spec):
    module, _, name = spec.partition(":")
    sys.path.insert(0, "")  # a module in the current folder, as `python -m` finds it
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TfeffError(
            f"calibration {spec}: {error}", "give `module:function`, importable from this folder"
        ) from None
    finally:
        sys.path.remove("")
    try:
        images = iter(function())
    except Exception as error:  # the user's own code
        raise TfeffError(f"calibration {spec}: the function failed ({type(error).__name__}: {error})") from error
    number = 0
    while True:
        try:
            image = next(images)
        except StopIteration:
            return
        except Exception as error:  # the user's own code
            raise TfeffError(
                f"calibration {spec}: failed at image {number} ({type(error).__name__}: {error})"
            ) from error
        yield f"image {number} of {spec}", image
        number += 1
