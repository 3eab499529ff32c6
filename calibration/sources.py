"""From what a user types after --calibration to samples, one at a time.

A source gives uint8 images, which the preprocessing turns into inputs, or arrays, which are inputs already; several of
them by name or in order where a model has several inputs.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration.video import count_frames, is_video, read_frames
from tfeff.data import Dataset, open_dataset
from tfeff.data.files import exists
from tfeff.data.sources import NAMED
from tfeff.errors import TfeffError
from tfeff.own_code import import_named

PATIENCE_S = 120.0  # how long a function may take for one sample

Sample = tuple[str, Any, int | None]  # its name for messages; what `data.feed` takes; number of its class or None


@dataclass(frozen=True)
class Source:
    """Calibration samples.

    Attributes:
        found: how many there are; None when only the end of a function's iterable will tell.
        samples: those that were chosen.
        classes: names of the classes, empty when unknown.
        notes: lines to say about it, such as which files were left out.
    """

    found: int | None
    samples: Iterable[Sample]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def open_source(spec: str, samples: int | None, default: int, seed: int, noun: str = "image") -> Source:
    """Opens a calibration source.

    Args:
        spec: a dataset's name (its training images are used), a folder, a `.csv`, an `.npz` (images, or one array an
            input by name), a video file, or `module:function`; the function takes no argument and returns an iterable
            of images or arrays, or of dicts or tuples of them where the model has several inputs.
        samples: how many are wanted; None takes up to `default`.
        seed: chooses the samples when there are more.
        noun: what messages call one.

    Raises:
        TfeffError: not found, empty, unreadable, or fewer than `samples`.
    """
    path = Path(spec)
    if ":" in spec and not exists(path):
        return Source(None, _from_function(spec, noun))
    if is_video(path):
        found = count_frames(path)
        numbers = _choose(spec, found, samples, default, seed, noun)
        frames = read_frames(path, [int(number) for number in numbers])
        return Source(found, ((f"frame {number} of {path.name}", frame, None) for number, frame in frames))
    dataset = open_dataset(spec, "train", labelled=False)
    numbers = _choose(spec, len(dataset), samples, default, seed, noun)
    labels = _class_numbers(dataset)
    return Source(
        len(dataset),
        (
            (dataset.names[n], dataset.sample(int(n)), None if labels is None else int(labels[n]))
            for n in map(int, numbers)
        ),
        dataset.classes,
        dataset.notes,
    )


def check_source(spec: str) -> None:
    """Raises TfeffError for a source that is not there, as far as that is known without reading it."""
    if not exists(Path(spec)) and ":" not in spec and spec not in NAMED:
        raise TfeffError(
            f"calibration {spec[:200]!r} not found: neither a name ({', '.join(NAMED)}) nor a folder or file",
            "check the spelling of the path; or give module:function",
        )


def _class_numbers(dataset: Dataset) -> np.ndarray | None:
    """(n,), where the labels are numbers of classes."""
    labels = dataset.labels
    return labels if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu" else None


def _choose(spec, found, samples, default, seed, noun):
    """Numbers of the samples to take, ascending."""
    if samples is not None and found < samples:
        raise TfeffError(
            f"calibration {spec}: {found} {noun}s, {samples} were asked for", f"add {noun}s, or --samples {found}"
        )
    wanted = samples or default
    if found <= wanted:
        return np.arange(found)
    return np.sort(np.random.default_rng([seed, found]).choice(found, wanted, replace=False))


def _from_function(spec: str, noun: str) -> Iterator[Sample]:
    module, _, name = spec.partition(":")
    try:
        function = getattr(import_named(module)[0], name)
    except (Exception, SystemExit) as error:  # the user's own code
        raise TfeffError(
            f"calibration {spec}: {error or type(error).__name__}",
            "give `module:function`, importable from this folder",
        ) from None
    try:
        with _patience(spec, f"{noun} 0"):
            samples = iter(function())
    except TfeffError:
        raise
    except Exception as error:  # the user's own code
        raise TfeffError(f"calibration {spec}: the function failed ({type(error).__name__}: {error})") from error
    number = 0
    while True:
        try:
            with _patience(spec, f"{noun} {number}"):
                sample = next(samples)
        except StopIteration:
            return
        except TfeffError:
            raise
        except Exception as error:  # the user's own code
            raise TfeffError(
                f"calibration {spec}: failed at {noun} {number} ({type(error).__name__}: {error})"
            ) from error
        yield f"{noun} {number} of {spec}", sample, None
        number += 1


@contextmanager
def _patience(spec, which):
    """Ends the user's code when it gives nothing for too long; only the main thread has an alarm clock."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(_, __):
        raise TfeffError(
            f"calibration {spec}: no {which} within {PATIENCE_S:g} s", "see whether the function ever yields"
        )

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
