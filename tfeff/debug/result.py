"""What debugging a file found, as values."""

from dataclasses import dataclass

import msgspec

from tfeff.record.schema import PortAgreement


@dataclass(frozen=True)
class LayerError:
    """A layer.

    Attributes:
        position: along the network, from 0.
        layer: Keras name; `names` are all that were fused.
        op: TFLite's names, joined by "+"; "INPUT" for an input's own grid.
        operations: their numbers; negative for an input's own grid, -1 for the first input.
        tensor: its output's name in the file; `tensors` are all its quantized ones.
        scale, zero_point, range: of its output's grid; the range is the lowest and the highest real value.
        seen: lowest and highest value of the int8 file's output on these samples.
        sqnr_db: 10 log10 of the float values' energy over that of their error; None when there is no error.
        local_sqnr_db: the same when only this layer is quantized.
        range_use: share of the grid's levels between the lowest and the highest that occurred.
        clipped_share: of the float values, beyond the grid's ends.
        error_share: how much of the outputs' error goes when this layer alone is in float; negative where it makes up
            for another's error. They need not sum to 1.
        error_share_se: its standard error over the samples.
        reference: "float file" or "simulation", for `sqnr_db`.
    """

    position: int
    layer: str
    names: list[str]
    op: str
    operations: list[int]
    tensor: str
    tensors: list[str]
    scale: float
    zero_point: int
    range: tuple[float, float]
    seen: tuple[float, float]
    sqnr_db: float | None
    local_sqnr_db: float | None
    range_use: float
    clipped_share: float
    error_share: float
    error_share_se: float
    reference: str


@dataclass(frozen=True)
class Agreement:
    """Whether the simulation stands for the file.

    Attributes:
        agrees: it errs as much, and answers alike or is as near as no matter.
        same_answers: share of the samples of which both give the same answer by the record's tasks; None where these
            know no such thing.
        sqnr_db: of the simulation's outputs against the file's; None without a difference.
        mean_lsb, max_lsb: difference of outputs in steps of their grids; None for outputs without one.
        mse: of the simulation against the reference, as `DebugResult.output_mse`.
        float_sqnr_db: of the int8 file all in float against the float file; None without one, or when equal.
    """

    agrees: bool
    same_answers: float | None
    sqnr_db: float | None
    mean_lsb: float | None
    max_lsb: float | None
    mse: float | None
    float_sqnr_db: float | None


@dataclass(frozen=True)
class Constants:
    """How many constants are rounded, and of how many the float file tells what they were."""

    rounded: int
    found: int


@dataclass(frozen=True)
class DebugResult:
    """Where a file departs from float.

    Attributes:
        file, sha256: of the quantized file; float_file, float_sha256: of the float one, None without it.
        reference: "float file", or "simulation" where the float side is the int8 file with all grids left out (its
            weights remain rounded).
        images: where the samples are from, images or not; `samples` is how many.
        output: the output port that shares of the error are of; None for all together.
        output_sqnr_db: of these outputs: signal over error, the mean over ports of the errors relative to their port's
            energy (of integers: of the share of values that differ); None without an error.
        output_mse: their mean squared error; None where there are several ports, or integers.
        ports: each output of the file against the reference.
        simulation: whether it stands for the file.
        weights: constants.
        layers: the largest `error_share` first.
        notes: what is to be known beside.
        runtime, version: that ran the files.
    """

    file: str
    sha256: str
    float_file: str | None
    float_sha256: str | None
    reference: str
    images: str
    samples: int
    output: str | None
    output_sqnr_db: float | None
    output_mse: float | None
    ports: list[PortAgreement]
    simulation: Agreement
    weights: Constants
    layers: list[LayerError]
    notes: list[str]
    runtime: str
    version: str

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        found: dict[str, object] = msgspec.to_builtins(self)
        return found
