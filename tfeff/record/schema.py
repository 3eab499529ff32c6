"""The record, schema 2, as types. `msgspec` decodes it strictly: an unknown key or a value of another kind is an error.

What only one tool writes and nobody computes with (the settings of a compiler, the steps of a tuning) stays a plain JSON
object; all that a command reads has a type here.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

SCHEMA_VERSION = 2

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
# The name of a file beside the record, never a path.
FileName = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[^/\\\x00]+$", max_length=255)]
Interval = tuple[float, float]
Details = dict[str, Any]


class Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of the record."""


class Resize(Part, kw_only=True):
    """Pillow's resize: `exact` to height x width, or `cover`, proportions kept."""

    mode: Literal["exact", "cover"]
    height: Annotated[int, Meta(ge=1)]
    width: Annotated[int, Meta(ge=1)]
    filter: Literal["bilinear"] = "bilinear"


class Crop(Part, kw_only=True):
    """The centre is cut out."""

    mode: Literal["center"] = "center"
    height: Annotated[int, Meta(ge=1)]
    width: Annotated[int, Meta(ge=1)]


class Preprocessing(Part, kw_only=True):
    """How an 8-bit image becomes an input: see `tfeff.data.Preprocessing`."""

    resize: Resize
    crop: Crop
    colour: Literal["rgb", "bgr", "gray"]
    mean: list[float]
    std: list[float]


class Port(Part, kw_only=True):
    """A named input or output of the file.

    Attributes:
        name: in the signature `serving_default`.
        shape: with the batch, which is 1.
        dtype: numpy's name of it.
        scale, zero_point: real = (stored - zero_point) * scale; 0.0 and 0 where the numbers are not quantized.
        preprocessing: of an image input; null for any other port.
    """

    name: str
    shape: list[int]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0
    preprocessing: Preprocessing | None = None


class TaskSpec(Part, kw_only=True):
    """What some outputs mean.

    Attributes:
        name: of a file in `tfeff.tasks`.
        outputs: names of the ports that it reads, in the order in which it reads them.
        labels: names of the classes; empty when unknown, or where there are none.
        decode: the numbers by which outputs become an answer; each task says which.
    """

    name: str
    outputs: list[str]
    labels: list[str] = []
    decode: Details = {}


class FloatTwin(Part, kw_only=True):
    """The float file that the artifact is compared with."""

    file: FileName
    sha256: Sha256
    size_bytes: Count | None = None
    rewrites: list[str] = []
    max_abs_error: NotNegative | None = None
    relative_error: NotNegative | None = None


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


class Finding(Part, kw_only=True):
    """What an audit found about calibration inputs."""

    code: str
    severity: str
    text: str
    images: list[str] = []


class Trial(Part, kw_only=True):
    """A calibration method that `auto` tried, and the criterion of its int8 file (`Calibration.criterion`)."""

    method: str
    loss: float


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
    stability: Details | None = None


class Proof(Part, kw_only=True):
    """What rewrites and the float file were proven on."""

    inputs: Count
    source: str


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


class Group(Part, kw_only=True):
    """A class, or another part of the images, in a task's metric."""

    label: str
    float_value: float = field(name="float")
    quantized: float
    delta: float
    samples: Annotated[int, Meta(ge=1)]


class Accuracy(Part, kw_only=True):
    """A task's metric of both files on the same inputs.

    Attributes:
        task, outputs: which entry of `tasks` it is of.
        metric, unit, higher_is_better: what the figures are.
        float_value, quantized: the metric of both files.
        delta: quantized - float.
        ci95: paired bootstrap interval of `delta`.
        p: of the null hypothesis that quantizing changes nothing; `test` says by which test.
        worst: the groups that lost most; `groups`: all of them.
        details: what the task adds, by name.
    """

    task: str
    outputs: list[str]
    metric: str
    unit: str
    higher_is_better: bool
    float_value: float = field(name="float")
    quantized: float
    delta: float
    ci95: Interval
    samples: Annotated[int, Meta(ge=1)]
    dataset: str
    quantized_sha256: Sha256
    float_sha256: Sha256
    p: Share | None = None
    test: str | None = None
    worst: list[Group] = []
    groups: list[Group] = []
    details: Details = {}
    runtime: str | None = None
    version: str | None = None


class PortAgreement(Part, kw_only=True):
    """An output port of the file against a reference on the same inputs.

    Attributes:
        reference: `float file` or `model`.
        sqnr_db: 10 log10 of the reference's energy over that of the error; null without an error.
        equal_share: of values that are the same; of integer ports.
    """

    name: str
    reference: str
    samples: Count
    source: str
    sqnr_db: float | None = None
    max_abs_error: NotNegative | None = None
    cosine: Annotated[float, Meta(ge=-1.001, le=1.001)] | None = None
    equal_share: Share | None = None


class LatencyOfMixed(Part, kw_only=True):
    """What keeping layers in float costs in time."""

    device: str
    ratio: Positive
    ci95: Interval
    of: str


class MixedTrial(Part, kw_only=True):
    """A number of layers in float, and the task's delta with them."""

    kept: Count
    delta: float


class KeptFloat(Part, kw_only=True):
    """Layers kept in float for `--max-drop`; or why that was `refused`."""

    layers: list[str] = []
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
    simulation: Simulation | None = None
    kept_float: KeptFloat | None = None
    training: Details | None = None


class Kernels(Part, kw_only=True):
    """Which kernels ran the graph."""

    xnnpack: str | None = None
    delegated: Count | None = None
    total: Count | None = None
    left: list[Details] = []
    delegate: str | None = None
    taken: str | None = None


class OfFloat(Part, kw_only=True):
    """The ratio of this file's time to its float twin's, of one interleaved run."""

    ratio: Positive
    ci95: Interval
    verdict: Literal["faster", "slower", "no difference"]
    sha256: Sha256


class Browser(Part, kw_only=True):
    """What a browser that sent its times told of itself, and how its outputs agree with ours."""

    user_agent: str | None = None
    cores: Count | None = None
    accelerator: str | None = None
    isolated: bool | None = None
    max_abs_difference: NotNegative | None = None
    same_top1: Count | None = None
    images: Count | None = None


class Latency(Part, kw_only=True):
    """Time of one inference on one device."""

    device: str
    median_ms: Positive
    ci95_ms: Interval
    sha256: Sha256
    cpu: str | None = None
    runtime: str | None = None
    version: str | None = None
    threads: Count | None = None
    xnnpack: bool | None = None
    p90_ms: Positive | None = None
    quantiles_ms: Annotated[list[Positive], Meta(min_length=5, max_length=5)] | None = None
    runs: Count | None = None
    rounds: Count | None = None
    kernels: Kernels | None = None
    core_class: str | None = None
    of_float: OfFloat | None = None
    browser: Browser | None = None


class DebugLayer(Part, kw_only=True):
    """A layer of `tfeff debug`."""

    position: Count
    layer: str
    op: str
    error_share: float | None = None
    range_use: NotNegative | None = None
    clipped_share: Share | None = None
    scale: float | None = None
    zero_point: float | None = None
    range: Interval | None = None
    seen: Interval | None = None
    sqnr_db: float | None = None
    local_sqnr_db: float | None = None
    error_share_se: NotNegative | None = None


class DebugSimulation(Part, kw_only=True):
    """Whether numpy's simulation agrees with the file."""

    agrees: bool
    top1_agreement: Share | None = None


class Debug(Part, kw_only=True):
    """Which layers make the error of an int8 file."""

    sha256: Sha256
    images: str
    samples: Count
    layers: list[DebugLayer]
    float_sha256: Sha256 | None = None
    output_sqnr_db: float | None = None
    reference: str | None = None
    runtime: str | None = None
    version: str | None = None
    notes: list[str] = []
    simulation: DebugSimulation | None = None


class CheckedOperation(Part, kw_only=True):
    """Operations with the same verdict."""

    op: str
    count: Count
    status: str
    reason: str | None = None
    mend: str | None = None
    first: str | None = None


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


class Gates(Part, kw_only=True):
    """Limits that were given, and which were missed."""

    max_drop: NotNegative | None = None
    max_latency_ms: NotNegative | None = None
    failed: list[str] = []


class Record(Part, kw_only=True):
    """How an artifact was made and all that was measured on it. `docs/record.md` says what each part is."""

    schema_version: Literal[2] = SCHEMA_VERSION
    file: FileName
    sha256: Sha256
    network: str | None = None
    preset: str | None = None
    target: str | None = None
    size_bytes: Count | None = None
    float_twin: FloatTwin | None = None
    inputs: list[Port] = []
    outputs: list[Port] = []
    tasks: list[TaskSpec] = []
    precision: str | None = None
    weights: str | None = None
    dataset: str | None = None
    ops: Operations | None = None
    min_runtime_version: str | None = None
    parameters: Count | None = None
    macs: Count | None = None
    rewrites: list[Rewrite] = []
    tuning: Tuning | None = None
    proof: Proof | None = None
    calibration: Calibration | None = None
    quantization: Quantization | None = None
    accuracy: list[Accuracy] = []
    ports: list[PortAgreement] = []
    latency: list[Latency] = []
    debug: Debug | None = None
    check: Check | None = None
    compiled: Compiled | None = None
    pruning: Details | None = None
    clustering: Details | None = None
    gates: Gates = field(default_factory=Gates)
    notes: list[str] = []
    command: str | None = None
    versions: dict[str, str] = {}

    @property
    def name(self) -> str:
        """What people call it: the preset, the network or the file."""
        return self.preset or self.network or self.file

    @property
    def images(self) -> list[Port]:
        """The inputs that are images, with their preprocessing."""
        return [port for port in self.inputs if port.preprocessing is not None]
