"""Targets, one folder each: what the file must run on, and which rewrites make it so. Found by their folder's name."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tfeff.artifact import check_tflite
from tfeff.errors import TfeffError
from tfeff.export.targets.common.verdict import Verdict
from tfeff.record.schema import Compiled as CompiledPart
from tfeff.record.schema import Details
from tfeff.tflite.graph import Graph

_KNOWN = ("compiler", "version", "accelerator", "estimates")
_OF_THE_FILE = ("file", "sha256", "size_bytes")


@dataclass(frozen=True)
class CompilerOptions:
    """What the user may say to a target's compiler; None is the compiler's own choice.

    Attributes:
        path: its binary.
        accelerator: the chip, where there are several.
        timeout_s: how long it may take.
    """

    path: str | None = None
    accelerator: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True)
class Compiled:
    """What a target's compiler made.

    Attributes:
        path: the compiled file, in the scratch folder.
        suffix: what its name ends in, behind the artifact's own: `_vela.tflite`.
        verdict: of basis "confirmed".
        about: what it says of itself and of the file: `compiler`, `version`, `accelerator`, `estimates`, and any
            others.
    """

    path: Path
    suffix: str
    verdict: Verdict
    about: Details

    def record(self, file: str) -> CompiledPart:
        """The record's `compiled`; `file` is what the compiled file is called beside the artifact."""
        about = {key: value for key, value in self.about.items() if key not in _OF_THE_FILE}
        known = {key: about.pop(key) for key in _KNOWN if key in about}
        size = self.path.stat().st_size
        return CompiledPart(file=file, sha256=check_tflite(self.path), size_bytes=size, details=about, **known)


@dataclass(frozen=True)
class Target:
    """What a device can run.

    Attributes:
        name: as `--target` takes it.
        summary: one line for users.
        check: given the graph read from the finished file, what the target makes of each operation.
        rewrites: specs of the rewrites that it gets, in order (`group_conv:split`); what was measured or is legal.
        finer: for a spec among these the one that takes its place where int8 must not be farther from float than by the
            stock converter: it rounds less, and takes a little longer. A preset, whose accuracy was measured, does
            without.
        because: for each of these, by the rewrite's name, why: the measurement or the rule.
        rests_on: what was measured or read to choose them, and where; no ranking holds on another processor.
        refuses: specs of forms that it cannot run, which `--tune` does not try.
        unable: for functions as Keras calls them the operation that they become, for which it refuses the whole file.
        precisions: that it takes; None is any.
        io: dtype at the door unless the user says otherwise; None is the precision's own.
        no_nms: why it does not run a file that ends in TFLite_Detection_PostProcess; empty where it does.
        whole: whether an operation that is not mapped is a gate that was missed.
        ask: what the runtime itself, which is here, says of a file: from the verdict of `check`, the graph, the bytes
            and the path to a verdict; None where it is not here.
        compile: from the file, a scratch folder and `CompilerOptions` to what the compiler made; None where there is
            no compiler, and from a call where it is not installed and its word is not needed.
        check_compiler: raises TfeffError, before seconds are spent, when the compiler is not there or an option is not
            one that it knows.
        compiler_options: which of the options its compiler has.
        compiled_suffix: of the file that `compile` makes.
    """

    name: str
    summary: str
    check: Callable[..., Verdict]
    rewrites: tuple[str, ...] = ()
    finer: Mapping[str, str] = field(default_factory=dict)
    because: Mapping[str, str] = field(default_factory=dict)
    rests_on: str = ""
    refuses: tuple[str, ...] = ()
    unable: Mapping[str, str] = field(default_factory=dict)
    precisions: tuple[str, ...] | None = None
    io: str | None = None
    no_nms: str = ""
    whole: bool = False
    ask: Callable[[Verdict, Graph, bytes, Path], Verdict] | None = None
    compile: Callable[[Path, Path, CompilerOptions], Compiled | None] | None = None
    check_compiler: Callable[[CompilerOptions], None] | None = None
    compiler_options: tuple[str, ...] = ()
    compiled_suffix: str | None = None


def list_targets() -> dict[str, Target]:
    """All targets by name."""
    names = (module.name for module in iter_modules([str(Path(__file__).parent)]) if module.name != "common")
    targets = [import_module(f"{__name__}.{name}").TARGET for name in names]
    return {target.name: target for target in targets}


def get_target(name: str) -> Target:
    """The target of that name; TfeffError, with the nearest names, when there is none."""
    targets = list_targets()
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=2) or sorted(targets)
        raise TfeffError(f"unknown target {name!r}", f"choose {' or '.join(near)}")
    return targets[name]
