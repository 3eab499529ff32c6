"""Steps of an export that other ways to a fake-quant graph take too: inputs for calibration and proofs, rewrites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export.context import ExportContext
from tfeff.export.model import Model
from tfeff.export.targets import Target

if TYPE_CHECKING:
    from tfeff.calibration import Calibration

PROOF_SAMPLES = 16  # inputs on which rewrites and the float file are proven
# The float twin is the model as trained but for this: no converter takes a kernel that is computed from a weight.
TWIN_REWRITES = ("freeze_shift",)


@dataclass(frozen=True)
class Rewritten:
    """A model for the converter.

    Attributes:
        callable: the rewritten Keras model; the model's own where nothing was done.
        applied: what was done, `rewrites.core.Applied` each.
        refused: why nothing could be done; None where it could.
        left_out: why a rewrite was left out, a sentence each.
        allowed: how far the rewritten one may be, relative: the sum of what each rewrite may do.
        inlined, rewritten: how far the inlined model is from the one that was given, and the rewritten one from that,
            `rewrites.proving.Distance` each; None where that was not measured.
    """

    callable: Any
    applied: tuple[Any, ...] = ()
    refused: str | None = None
    left_out: tuple[str, ...] = ()
    inlined: Any = None
    rewritten: Any = None
    allowed: float = 0.0

    @property
    def names(self) -> list[str]:
        """Of the rewrites that found a place."""
        return [each.name for each in self.applied]


def specs_for(model: Model, target: Target, precision: str = "int8") -> tuple[str, ...]:
    """The rewrites that a model gets for a target: the finer ones in int8 where its ranges are found by trying."""
    if precision != "int8" or not is_tried(model):
        return target.rewrites
    return tuple(target.finer.get(spec, spec) for spec in target.rewrites)


def is_tried(model: Model) -> bool:
    """Whether ranges of a model are found by trying: not of a preset, whose method is known, and not of one that was
    never trained, for nothing is near its outputs."""
    return model.calibration_method is None and not model.random_weights


def rewrite(
    model: Model,
    specs: Sequence[str],
    proof: Mapping[str, np.ndarray],
    choices: Mapping[str, Mapping[str, str]] | None = None,
    *,
    measured: bool = False,
) -> Rewritten:
    """Rewrites a model, each rewrite proven on some inputs.

    Args:
        specs: of rewrites, in order (`group_conv:split`).
        proof: by input, (n, ...) each.
        choices: by rewrite, the form of single places; see `tune`.
        measured: whether the inlined model is compared with the one given even where no rewrite finds a place.
    """
    if not model.is_keras:
        return Rewritten(model.callable, refused="the model is no Keras model")
    if not specs:
        return Rewritten(model.callable)
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.copying import CannotRewrite
    from tfeff.export.rewrites.core import rewrite_proven

    rewrites = [load_rewrite(spec, (choices or {}).get(spec.partition(":")[0])) for spec in specs]
    try:
        made = rewrite_proven(model.callable, rewrites, proof, measured=measured)
    except CannotRewrite as why:
        return Rewritten(model.callable, refused=why.what)
    return Rewritten(made.model, made.applied, None, made.left_out, made.inlined, made.rewritten, made.allowed)


def some_inputs(ports: Sequence[InputPort], count: int = PROOF_SAMPLES, seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded inputs for proofs where no samples were given: noise, whole numbers up to 255 of an image that is taken as
    its pixels, and 0 or 1 where whole numbers are taken (an embedding has at least two rows)."""
    generator, inputs = np.random.default_rng(seed), {}
    for port in ports:
        shape = (count, *port.shape)
        if port.preprocessing is not None and port.preprocessing.as_it_is:
            inputs[port.name] = generator.integers(0, 256, shape).astype(port.dtype)
        elif np.issubdtype(np.dtype(port.dtype), np.floating):
            inputs[port.name] = generator.standard_normal(shape).astype(port.dtype)
        else:
            inputs[port.name] = generator.integers(0, 2, shape).astype(port.dtype)
    return inputs


def calibrate(context: ExportContext, *, needed: bool, noise: bool) -> "Calibration | None":
    """The calibration inputs (`calibration.Calibration`); None where there are none and none are needed.

    Args:
        needed: whether ranges come from them; where they do not, a few are taken for the proofs if there are any.
        noise: whether seeded noise stands in where there are none and none are needed.

    Raises:
        TfeffError: no source where they are needed, or what `calibration.collect` refuses.
    """
    from tfeff.calibration import collect, from_arrays

    request, ports = context.request, context.model.inputs
    if request.calibration is None:
        if noise:
            return from_arrays(some_inputs(ports), context.folder, "seeded noise")
        if not needed:
            return None
        kind = "images" if context.model.image else "inputs"
        raise TfeffError(
            f"{request.precision} for {request.target} needs representative {kind}",
            "give --calibration (a folder, an .npz, a dataset's name, or module:function)",
        )
    return collect(
        request.calibration,
        ports,
        context.folder,
        **({"samples": request.samples} if needed else {"limit": PROOF_SAMPLES}),
        seed=request.seed,
        progress=lambda done, total: context.progress("calibrating", done, total),
    )
