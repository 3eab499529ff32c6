"""From what a user types after --calibration to images, one at a time.

A source gives uint8 images, which the preprocessing turns into inputs, or float32 arrays, which are inputs already.
"""

import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from tfeff.calibration.video import count_frames, is_video, read_frames
from tfeff.data import open_dataset
from tfeff.errors import TfeffError

PATIENCE_S = 120.0  # how long a function may take for one image


@dataclass(frozen=True)
class Source:
    """Calibration images.

    Attributes:
        found: how many there are; None when only the end of a function's iterable will tell.
        images: (name for messages, image, number of its class or None), those that were chosen.
        classes: names of the classes, empty when unknown.
    """

    found: int | None
    images: Iterable
    classes: tuple[str, ...] = ()


def open_source(spec: str, samples: int | None, default: int, seed: int) -> Source:
    """Opens a calibration source.

    Args:
        spec: a dataset's name (its training images are used), a folder, an `.npz`, a video file, or `module:function`;
            the function takes no argument and returns an iterable of images.
        samples: how many images are wanted; None takes up to `default`.
        seed: chooses the images when there are more.

    Raises:
        TfeffError: not found, empty, unreadable, or fewer images than `samples`.
    """
    path = Path(spec)
    if ":" in spec and not path.exists():
        return Source(None, _from_function(spec))
    if is_video(path):
        found = count_frames(path)
        numbers = _choose(spec, found, samples, default, seed)
        frames = read_frames(path, numbers)
        return Source(found, ((f"frame {number} of {path.name}", frame, None) for number, frame in frames))
    dataset = open_dataset(spec, "train", labelled=False)
    numbers = _choose(spec, len(dataset), samples, default, seed)
    labels = dataset.labels
    return Source(
        len(dataset),
        ((dataset.names[n], dataset.image(int(n)), None if labels is None else int(labels[n])) for n in numbers),
        dataset.classes,
    )


def _choose(spec, found, samples, default, seed):
    """Numbers of the images to take, ascending."""
    if samples is not None and found < samples:
        raise TfeffError(
            f"calibration {spec}: {found} images, {samples} were asked for", f"add images, or --samples {found}"
        )
    wanted = samples or default
    if found <= wanted:
        return np.arange(found)
    return np.sort(np.random.default_rng([seed, found]).choice(found, wanted, replace=False))


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
        with _patience(spec, 0):
            images = iter(function())
    except TfeffError:
        raise
    except Exception as error:  # the user's own code
        raise TfeffError(f"calibration {spec}: the function failed ({type(error).__name__}: {error})") from error
    number = 0
    while True:
        try:
            with _patience(spec, number):
                image = next(images)
        except StopIteration:
            return
        except TfeffError:
            raise
        except Exception as error:  # the user's own code
            raise TfeffError(
                f"calibration {spec}: failed at image {number} ({type(error).__name__}: {error})"
            ) from error
        yield f"image {number} of {spec}", image, None
        number += 1


@contextmanager
def _patience(spec, number):
    """Ends the user's code when it gives no image for too long; only the main thread has an alarm clock."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(_, __):
        raise TfeffError(
            f"calibration {spec}: no image {number} within {PATIENCE_S:g} s", "see whether the function ever yields"
        )

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
