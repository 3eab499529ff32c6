"""How files are timed, whatever the device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfeff.bench.delegate import parse_delegate

Tick = Callable[[], None]  # called now and then, so that progress can be shown


@dataclass(frozen=True)
class Settings:
    """Settings of `bench`.

    Attributes:
        threads: that the runtime may use; several numbers are timed one after the other (on a phone in one go).
        xnnpack: whether the runtime may hand the graph to XNNPACK, as it does by default.
        max_seconds: per device, start-up included. It ends the rounds early, but never before 15 of them: slow models
            take longer.
        seed: of the input values, the order in rounds and the bootstrap.
        delegate: a library that the runtimes of local, python and ssh devices load (`delegate.parse_delegate`).
    """

    threads: int | tuple[int, ...] = 1
    xnnpack: bool = True
    max_seconds: float = 6.0
    seed: int = 0
    delegate: str | None = None

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of threads, each once."""
        return (self.threads,) if isinstance(self.threads, int) else tuple(dict.fromkeys(self.threads))

    def load_options(self, threads: int) -> dict[str, Any]:
        """What `Handle.load` takes of it; a delegate only where one was asked for, for not every device takes one."""
        options = {"threads": threads, "xnnpack": self.xnnpack, "seed": self.seed}
        return options | ({"delegate": parse_delegate(self.delegate)} if self.delegate else {})
