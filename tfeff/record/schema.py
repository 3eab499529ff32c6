"""The record, schema 2, as types. `msgspec` decodes it strictly: an unknown key or a value of another kind is an error.

What only one tool writes and nobody computes with (the settings of a compiler, the steps of a tuning) stays a plain
JSON object; all that a command reads has a type, here or in the files beside this one.
"""

from typing import Literal

from msgspec import field

from tfeff.record.base import Count, Details, FileName, Part, Sha256
from tfeff.record.making import (
    Calibration,
    Check,
    CheckedOperation,
    Compiled,
    Finding,
    Gates,
    KeptFloat,
    LatencyOfMixed,
    Link,
    MixedTrial,
    Operations,
    OutputRatio,
    Problem,
    Proof,
    Quantization,
    Refit,
    Rewrite,
    Simulation,
    SourceFile,
    Trial,
    TunedForm,
    TunedPlace,
    Tuning,
    UnitDifference,
)
from tfeff.record.measured import (
    Accuracy,
    Browser,
    Debug,
    DebugLayer,
    DebugSimulation,
    Group,
    Kernels,
    Latency,
    OfFloat,
    PortAgreement,
)
from tfeff.record.ports import Crop, FloatTwin, Port, Preprocessing, Resize, TaskSpec

__all__ = [
    "SCHEMA_VERSION",
    "Accuracy",
    "Browser",
    "Calibration",
    "Check",
    "CheckedOperation",
    "Compiled",
    "Crop",
    "Debug",
    "DebugLayer",
    "DebugSimulation",
    "Finding",
    "FloatTwin",
    "Gates",
    "Group",
    "KeptFloat",
    "Kernels",
    "Latency",
    "LatencyOfMixed",
    "Link",
    "MixedTrial",
    "OfFloat",
    "Operations",
    "OutputRatio",
    "Part",
    "Port",
    "PortAgreement",
    "Preprocessing",
    "Problem",
    "Proof",
    "Quantization",
    "Record",
    "Refit",
    "Resize",
    "Rewrite",
    "Simulation",
    "SourceFile",
    "TaskSpec",
    "Trial",
    "TunedForm",
    "TunedPlace",
    "Tuning",
    "UnitDifference",
]

SCHEMA_VERSION = 2


class Record(Part, kw_only=True):
    """How an artifact was made and all that was measured on it. `docs/record.md` says what each part is."""

    schema_version: Literal[2] = 2
    file: FileName
    sha256: Sha256
    network: str | None = None
    preset: str | None = None
    source: SourceFile | None = None
    target: str | None = None
    size_bytes: Count | None = None
    float_twin: FloatTwin | None = None
    inputs: list[Port] = []
    outputs: list[Port] = []
    heads: list[Port] = []
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
