"""What was measured on an artifact."""

from typing import Annotated, Literal

from msgspec import Meta, field

from tfeff.record.base import Count, Details, Interval, NotNegative, Part, Positive, Sha256, Share


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

    @property
    def drop(self) -> float:
        """By how much the quantized file is worse, in the metric's unit; below 0 where it is better."""
        return -self.delta if self.higher_is_better else self.delta

    @property
    def is_share(self) -> bool:
        """Whether it is a share of the samples, and its groups part these."""
        return self.metric in ("top-1", "accuracy")


class PortAgreement(Part, kw_only=True):
    """An output port of the file against a reference on the same inputs.

    Attributes:
        reference: `float file`, `model`, or `simulation` in `debug`.
        sqnr_db: 10 log10 of the reference's energy over that of the error; null without an error.
        equal_share: of values that are the same; of integer ports.
        same_answers: of the samples, those of which both give the same answer by the port's task; null where that is
            numbers.
    """

    name: str
    reference: str
    samples: Count
    source: str
    sqnr_db: float | None = None
    max_abs_error: NotNegative | None = None
    cosine: Annotated[float, Meta(ge=-1.001, le=1.001)] | None = None
    equal_share: Share | None = None
    same_answers: Share | None = None


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
    """Whether the simulation, which layers are switched in, stands for the file.

    Attributes:
        same_answers: of the samples, those of which both give the same answer by the record's tasks; null where these
            know no such thing.
        sqnr_db: of its outputs against the file's; null without a difference.
    """

    agrees: bool
    same_answers: Share | None = None
    sqnr_db: float | None = None


class Debug(Part, kw_only=True):
    """Which layers make the error of an int8 file.

    Attributes:
        images: where the samples are from, images or not.
        output: the output port that the layers' shares are of; null for all together.
        output_sqnr_db: of these outputs together.
        ports: each output against `reference`: `float file`, or `simulation` without one.
    """

    sha256: Sha256
    images: str
    samples: Count
    layers: list[DebugLayer]
    float_sha256: Sha256 | None = None
    output: str | None = None
    output_sqnr_db: float | None = None
    ports: list[PortAgreement] = []
    reference: str | None = None
    runtime: str | None = None
    version: str | None = None
    notes: list[str] = []
    simulation: DebugSimulation | None = None
