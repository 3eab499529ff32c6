"""Where artifacts are timed. A device is one file in this folder, named as it is written before the colon.

`local` is `local.py`, `python:PATH` is `python.py`. Such a file defines a class `Device` that derives from
`BaseDevice`; nothing else has to be told of it.
"""

import difflib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels, Port


@dataclass(frozen=True)
class Loaded:
    """A file on a device.

    Attributes:
        sha256: of what was loaded.
        inputs, outputs: its ports, in the order of the file; shapes with the batch.
        kernels: who runs its operations.
        pinned: whether the process is kept on one core.
    """

    sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    kernels: Kernels
    pinned: bool = False


class Handle(ABC):
    """One model on one device; closes itself as a context manager.

    Attributes:
        environment: `runtime`, `version`, `python`, `numpy`, `os`, `machine`, `cpu`, `cores`, `governor` (None where
            there is none), `load_average` (before anything was timed), `fast_cores` (numbers of the cores that a
            process can be kept on; empty where it cannot be).
        counting: whether `count` can be called.
    """

    environment: dict[str, Any]
    counting = False

    @abstractmethod
    def load(
        self,
        path: Path,
        *,
        threads: int = 1,
        xnnpack: bool = True,
        seed: int = 0,
        core: int | None = None,
        delegate: dict[str, Any] | None = None,
    ) -> Loaded:
        """Loads a .tflite file, fills its inputs from `seed` (`inputs.seeded_inputs`) and keeps the process on one
        core, if one is given.

        `delegate` is what `delegate.parse_delegate` returns.
        """

    @abstractmethod
    def run(self, count: int) -> list[int]:
        """Invokes the model `count` times and returns how long each took, in nanoseconds."""

    @abstractmethod
    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name, in the order of the file, for values of every input by name.

        Args:
            inputs: of the file's own shapes (with the batch) and dtypes.

        Raises:
            TfeffError: an input that is missing, unknown or of another shape or dtype; the file fails.
        """

    def count(self, runs: int) -> list[int]:
        """Invokes the model and returns how many instructions each time took.

        Raises:
            TfeffError: it counts none.
        """
        raise TfeffError("this device counts no instructions", "emulated:aarch64 does")

    @abstractmethod
    def close(self) -> None:
        """Ends whatever was started; safe to call again."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class BaseDevice(ABC):
    """A device as the user named it. As a context manager it keeps what its workers share.

    Attributes:
        usage: how its spec is written, for messages.
        name: the spec.
        timeout_s: how long a worker may stay silent.
        counts: whether it counts instructions instead of reading a clock (`bench/instructions.py`).
        has_tool: whether a program there times itself, in place of a worker (`bench/adb/protocol.py`).
    """

    usage: str
    counts = False
    has_tool = False
    timeout_s = 60.0

    def __init__(self, argument: str):
        """Takes what stands after the colon (empty when nothing does); raises TfeffError when it cannot be right."""
        self.name = f"{type(self).__module__.rpartition('.')[2]}{':' if argument else ''}{argument}"

    @abstractmethod
    def start(self) -> Handle:
        """Starts a worker there; raises TfeffError when it cannot."""

    def connect(self) -> Any:
        """The phone, of a device that `has_tool`; a context manager (`adb.client.Phone`)."""
        raise TfeffError(f"{self.name}: is no phone")

    def check(self, benchmark_binary: str | None = None) -> None:
        """Raises TfeffError where it cannot be used; leaves nothing behind.

        Args:
            benchmark_binary: the program that times itself there (`has_tool`): a path, or an address with its hash.
        """
        self.start().close()

    def open(self) -> None:  # noqa: B027 - most have nothing to keep
        """Several workers are about to be started: what they share may be kept until `close`."""

    def close(self) -> None:  # noqa: B027
        """Ends what `open` began; safe to call again."""

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *error):
        self.close()


def device_names() -> list[str]:
    """The kinds of device there are: the files of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_device(spec: str) -> BaseDevice:
    """The device that a spec such as `local` or `python:/usr/bin/python3` names.

    Raises:
        TfeffError: there is no such kind of device, or its argument is wrong.
    """
    kind, _, argument = spec.partition(":")
    names = device_names()
    if kind not in names:
        near = difflib.get_close_matches(kind, names, n=2, cutoff=0.5) or names
        raise TfeffError(f"{spec}: unknown device", "did you mean " + " or ".join(usage(name) for name in near) + "?")
    return import_module(f"{__name__}.{kind}").Device(argument)


def usage(name: str) -> str:
    """How the spec of a kind of device is written."""
    return import_module(f"{__name__}.{name}").Device.usage
