"""What can be asked of a phone beside what every device understands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

DELEGATES = ("xnnpack", "gpu", "nnapi")
CORES = ("auto", "big", "middle", "little", "all")


@dataclass(frozen=True)
class AppFiles:
    """What timing in the demo app takes.

    Attributes:
        application: the app's id.
        write: writes the signed app, without a model, to a path; called where the phone has none.
        models: by the artifact's sha256 what goes beside it, by suffix: `.json`, `.selftest.json`, `.selftest.png`.
    """

    application: str
    write: Callable[[Path], None]
    models: dict[str, dict[str, bytes]]


@dataclass(frozen=True)
class PhoneOptions:
    """Settings of `bench` that only a phone has.

    Attributes:
        benchmark_binary: a `benchmark_model` for the phone: a path, or `https://...#sha256=HEX`.
        delegate: one of `DELEGATES`; None is XNNPACK or nothing, as `xnnpack` of `bench` says.
        require_full_delegation: whether a graph that the delegate did not take whole is a missed gate.
        cores: kind of cores to stay on. "auto" takes the big ones while they are as many as the threads, then the
            middle ones too, then all.
        cool_down_s: how long to wait, before a block, for a phone that is throttled.
        inputs: by the file's sha256, values of every input by name; random values for files without.
        app: times in the demo app instead of the tool.
    """

    benchmark_binary: str | None = None
    delegate: str | None = None
    require_full_delegation: bool = False
    cores: str = "auto"
    cool_down_s: float = 120.0
    inputs: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    app: AppFiles | None = None
