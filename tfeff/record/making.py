"""How an artifact was made."""

from typing import Any

from msgspec import field

from tfeff.record.base import Count, Details, FileName, Interval, NotNegative, Part, Positive, Sha256, Share
from tfeff.record.measured import Accuracy


class SourceFile(Part, kw_only=True):
    """The user's own file that the model came from.

    Attributes:
        file: its name, without the folder.
        format: `keras` (`.keras`), `h5`, `saved-model` (a folder, whose `sha256` is null) or `tflite`.
        signature: the one that was chosen; null where nothing was.
    """

    file: FileName
    format: str
    sha256: Sha256 | None = None
    signature: str | None = None


class Operations(Part, kw_only=True):
    """`int8` counts operations on 8-bit tensors; `float` names those still in float."""

    total: Count
    int8: Count | None = None
    float_: list[str] = field(name="float", default_factory=list)
    by_name: dict[str, Count] = {}


class Rewrite(Part, kw_only=True):
    """A rewrite that was applied, and the largest difference that it made."""

    name: str
    places: Count
    form: str | None = None
    max_abs_error: NotNegative | None = None
    relative_error: NotNegative | None = None
    because: str | None = None


class TunedForm(Part, kw_only=True):
    """The time of one form of a rewrite at one place."""

    median_ms: Positive
    ci95_ms: Interval
    sha256: Sha256 | None = None


class TunedPlace(Part, kw_only=True):
    """One place (the first of its shape) at which the forms of a rewrite were timed; `table` is the target's own."""

    rewrite: str
    layer: str
    places: Count
    chosen: str
    forms: dict[str, TunedForm]
    input: list[int] | None = None
    table: str | None = None
    wrong: dict[str, Any] = {}


class Tuning(Part, kw_only=True):
    """What `--tune` timed and chose."""

    places: list[TunedPlace]
    device: str | None = None
    runtime: str | None = None
    version: str | None = None
    threads: Count | None = None
    cpu: str | None = None


class Link(Part, kw_only=True):
    """One link of the chain from the model as it was brought to the float network that was quantized.

    Attributes:
        of, to: what was compared: `model`, `float32 copy` or `rebuilt` (of a float file), `inlined`, `rewritten`,
            `float file`, `simulation` (before it rounds).
        max_abs_error, relative_error: of the output port that is farthest; over that port's largest output.
        allowed: what `relative_error` may be.
        of_logits: the relative error of the logits behind a port's probabilities, where that was judged in its place.
    """

    of: str
    to: str
    max_abs_error: NotNegative
    relative_error: NotNegative
    allowed: NotNegative
    of_logits: NotNegative | None = None


class Proof(Part, kw_only=True):
    """What rewrites and the float file were proven on, and the links of the chain."""

    inputs: Count
    source: str
    links: list[Link] = []


class Finding(Part, kw_only=True):
    """What an audit found about calibration inputs."""

    code: str
    severity: str
    text: str
    images: list[str] = []


class OutputRatio(Part, kw_only=True):
    """The signal-to-noise ratio of an output of an int8 file against the float network."""

    name: str
    sqnr_db: float


class Trial(Part, kw_only=True):
    """A way to quantize that was tried: a calibration method, whether biases were corrected, the criterion of its int8
    file (`Calibration.criterion`) and each output's ratio, on the samples that were held out."""

    method: str
    loss: float
    bias_correction: bool | None = None
    outputs: list[OutputRatio] = []


class Refit(Part, kw_only=True):
    """What was chosen on samples held out, made anew of all samples, against plain min-max with biases as they are,
    of all samples too. Where an output is farther from float by it, it is not `kept` and the plain way is taken."""

    samples: Count
    method: str
    bias_correction: bool
    kept: bool
    outputs: list[OutputRatio]
    plain: list[OutputRatio]


class Calibration(Part, kw_only=True):
    """Where activation ranges come from."""

    source: str
    asked: Count | None = None
    found: Count | None = None
    used: Count | None = None
    method: str | None = None
    criterion: str | None = None
    tried: list[Trial] | None = None
    findings: list[Finding] = []
    left_out: list[str] = []
    held_out: Count | None = None
    refit: Refit | None = None
    stability: Details | None = None


class UnitDifference(Part, kw_only=True):
    """A unit whose values differ from the simulation: the largest difference in steps, and the share that differs."""

    unit: str
    max_lsb: NotNegative
    differing: Share


class Simulation(Part, kw_only=True):
    """How the int8 file agrees with the fake-quant graph, unit by unit."""

    images: Count | None = None
    units: Count | None = None
    max_lsb: NotNegative | None = None
    beyond: list[str] = []
    rescaled: list[str] = []
    missing: list[str] = []
    float_: list[str] = field(name="float", default_factory=list)
    differing: list[UnitDifference] = []


class MixedTrial(Part, kw_only=True):
    """A number of layers in float, and the task's delta with them."""

    kept: Count
    delta: float


class LatencyOfMixed(Part, kw_only=True):
    """What keeping layers in float costs in time."""

    device: str
    ratio: Positive
    ci95: Interval
    of: str


class KeptFloat(Part, kw_only=True):
    """Layers kept in float for `--max-drop`, or because `--allow-float` named them (`allowed`, its words); the
    operations without an int8 kernel that these `left` in float; or why `--max-drop` was `refused`."""

    layers: list[str] = []
    allowed: list[str] = []
    left: list[str] = []
    refused: str | None = None
    all_int8: list[Accuracy] | None = None
    tried: list[MixedTrial] = []
    latency: list[LatencyOfMixed] = []


class Quantization(Part, kw_only=True):
    """How int8 was made."""

    quantizer: str | None = None
    per_tensor: bool = False
    equalization: Details | None = None
    bias_correction: Details | None = None
    weight_rounding: Details | None = None
    simulation: Simulation | None = None
    kept_float: KeptFloat | None = None
    training: Details | None = None


class CheckedOperation(Part, kw_only=True):
    """Operations with the same verdict."""

    op: str
    count: Count
    status: str
    reason: str | None = None
    mend: str | None = None
    first: str | None = None
    subgraph: str | None = None


class Problem(Part, kw_only=True):
    """Why a file as a whole would not be taken."""

    reason: str
    mend: str | None = None


class Check(Part, kw_only=True):
    """What the target makes of the file."""

    target: str
    basis: str
    ok: bool
    mapped: Count
    total: Count
    operations: list[CheckedOperation] = []
    problems: list[Problem] = []
    first_break: str | None = None
    facts: Details = {}
    notes: list[str] = []


class Compiled(Part, kw_only=True):
    """What the target's compiler made of the file; `estimates` are its model's, not measured."""

    file: FileName
    sha256: Sha256
    size_bytes: Count
    compiler: str | None = None
    version: str | None = None
    accelerator: str | None = None
    estimates: Details | None = None
    details: Details = {}


class Gates(Part, kw_only=True):
    """Limits that were given, and which were missed."""

    max_drop: float | None = None
    max_latency_ms: NotNegative | None = None
    strict: bool = False
    failed: list[str] = []
