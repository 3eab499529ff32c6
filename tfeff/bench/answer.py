"""An answer is every output: what another machine computed from the same inputs, compared with this machine's.

Quantized outputs may differ by some steps, floats by a share of the largest value; other integers and booleans must be
the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfeff.record.schema import Port


@dataclass(frozen=True)
class Allowance:
    """What may differ and is right none the less.

    Attributes:
        steps: of quantized outputs.
        error: of float ones, as a share of the largest value.
        because: what a message says behind the figure.
    """

    steps: int
    error: float
    because: str = ""


@dataclass(frozen=True)
class OutputAnswer:
    """One output, compared.

    Attributes:
        name: of the output.
        equal: whether the bytes are.
        different: share of the values that are not the same.
        max_steps: largest difference of a quantized output, in steps; None for any other.
        max_error: of a float one, as a share of the largest value; infinite where something is no number. None for any
            other.
        allowed: of the one that there is; None for what must be the same.
        why: what is wrong; empty where nothing is.
    """

    name: str
    equal: bool
    different: float
    max_steps: int | None = None
    max_error: float | None = None
    allowed: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Answer:
    """All outputs of a file, compared.

    Attributes:
        ok: None where it could not be compared, because of `why`.
        why: what is wrong; empty where nothing is.
        outputs: each of them, in the order of the file.
        family: whose answer of this machine it was compared with: "XNNPACK", "mixed" or "built-in".
        runtime: this machine's, with its version.
    """

    ok: bool | None
    why: str = ""
    outputs: tuple[OutputAnswer, ...] = ()
    family: str | None = None
    runtime: str | None = None

    @property
    def equal(self) -> bool:
        """Whether all bytes are."""
        return self.ok is not None and bool(self.outputs) and all(one.equal for one in self.outputs)

    @property
    def max_steps(self) -> int | None:
        """The largest difference of all quantized outputs."""
        return max((one.max_steps for one in self.outputs if one.max_steps is not None), default=None)

    @property
    def max_error(self) -> float | None:
        """The largest error of all float outputs."""
        return max((one.max_error for one in self.outputs if one.max_error is not None), default=None)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it; the figures of the worst output lie beside those of each."""
        if self.ok is None:
            return {"ok": None, "why": self.why}
        return {
            "ok": self.ok,
            "why": self.why,
            "equal": self.equal,
            "max_steps": self.max_steps,
            "max_error": _finite(self.max_error),
            "different": max((one.different for one in self.outputs), default=None),
            "family": self.family,
            "runtime": self.runtime,
            "outputs": [asdict(one) | {"max_error": _finite(one.max_error)} for one in self.outputs],
        }

    def words(self) -> str:
        """For people: "equal bytes", "within 2 steps", "within 1e-06", "WRONG" or "not compared"."""
        if self.ok is None:
            return "not compared"
        if self.equal:
            return "equal bytes"
        if not self.ok:
            return "WRONG"
        parts = [f"{self.max_steps} step{'s' * (self.max_steps != 1)}"] if self.max_steps is not None else []
        parts += [f"{self.max_error:.1g}"] if self.max_error is not None else []
        return f"within {', '.join(parts)}"


def compare_output(port: Port, here: np.ndarray, there: np.ndarray, allowance: Allowance) -> OutputAnswer:
    """One output of two machines.

    Args:
        port: what the file says of it: quantized or not.
        here, there: this machine's and the other's, of one dtype; another shape is wrong.
    """
    name, equal = port.name, here.shape == there.shape and here.tobytes() == there.tobytes()
    if here.shape != there.shape:
        why = f"output {name} has shape {list(there.shape)}, this machine's {list(here.shape)}"
        return OutputAnswer(name, False, 1.0, why=why)
    different, _ = differences(here, there)
    if here.dtype.kind in "fc":
        error, limit = 0.0 if equal else largest_error(here, there), allowance.error
        said = f"off this machine's by {error:.2g} of the largest ({limit:.2g} allowed{allowance.because})"
        why = f"output {name} is {said}" if error > limit else ""
        return OutputAnswer(name, equal, different, max_error=error, allowed=limit, why=why)
    if port.scale > 0:
        steps, most = largest_steps(here, there), allowance.steps
        said = f"up to {steps} steps off this machine's ({most} allowed{allowance.because})"
        why = f"output {name} is {said}" if steps > most else ""
        return OutputAnswer(name, equal, different, max_steps=steps, allowed=most, why=why)
    why = "" if equal else f"{100 * different:.2g} % of output {name} ({here.dtype.name}) is not this machine's"
    return OutputAnswer(name, equal, different, why=why)


def judged(outputs: Sequence[OutputAnswer], family: str, runtime: str) -> Answer:
    """The answer of all outputs together; each that is wrong is named."""
    why = "; ".join(one.why for one in outputs if one.why)
    return Answer(not why, why, tuple(outputs), family, runtime)


def split_bytes(data: bytes, here: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Outputs that lie one after the other, in the order of `here`, of its shapes and dtypes; None for another size."""
    if len(data) != sum(one.nbytes for one in here.values()):
        return None
    found, at = {}, 0
    for name, one in here.items():
        found[name] = np.frombuffer(data[at : at + one.nbytes], one.dtype).reshape(one.shape)
        at += one.nbytes
    return found


def largest_steps(a: np.ndarray, b: np.ndarray) -> int:
    """Largest difference of two integer arrays."""
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max(initial=0))


def largest_error(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference as a share of the largest value of `a`; infinite where something is not a number."""
    kind = np.complex128 if a.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        worst = float(np.abs(a.astype(kind) - b.astype(kind)).max(initial=0))
    worst /= max(float(np.abs(a.astype(kind)).max(initial=0)), 1e-30)
    return worst if np.isfinite(worst) else float("inf")


def differences(here: np.ndarray, there: np.ndarray) -> tuple[float, float | None]:
    """Of two arrays: share of the values that are not the same (1 where the shapes are not), and the largest difference
    in their own unit; None where the shapes differ or something is no number."""
    if here.shape != there.shape:
        return 1.0, None
    kind = np.complex128 if here.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        largest = float(np.abs(here.astype(kind) - there.astype(kind)).max(initial=0))
    return float(np.count_nonzero(here != there)) / max(here.size, 1), _finite(largest)


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is None or np.isfinite(value) else None
