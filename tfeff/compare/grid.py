"""Whether what a quantized file is fed lies on the grids of its inputs: what does not is clipped, without an error."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfeff.compare.runner import FilePort
from tfeff.data.feeds import InputPort
from tfeff.data.preprocessing import Preprocessing
from tfeff.errors import GateFailed

_SLACK = 0.01  # of the grid's range, beyond its ends
_SOME, _MANY = 0.01, 0.1  # of the values, clipped
_LITTLE, _HARDLY = 0.6, 0.1  # of the grid's range, used by what the preprocessing can give
_USUAL = ((127.5, 127.5), (0.0, 255.0), (0.0, 1.0), (128.0, 128.0), (128.0, 1.0))  # mean and std


def check_grids(
    path: Path,
    inputs: Sequence[InputPort],
    ports: Sequence[FilePort],
    feeds: Sequence[Mapping[str, np.ndarray]],
    *,
    allow: bool,
) -> list[str]:
    """Looks at the quantized inputs of a file.

    Args:
        path: of the file, for messages.
        inputs: what is fed; the file's only input may have another name.
        ports: the file's inputs.
        feeds: some samples, by input.
        allow: whether values that cannot be meant are only said.

    Returns:
        A line for each input that should be looked at.

    Raises:
        GateFailed: a tenth of the values or more is clipped, or all that images can be is hardly a tenth of the grid.
    """
    notes = []
    by_name = {port.name: port for port in ports}
    for port in inputs:
        of_file = ports[0] if len(ports) == len(inputs) == 1 else by_name[port.name]
        if not of_file.quantized:
            continue
        for text, grave in _findings(port, of_file, [feed[port.name] for feed in feeds]):
            said = f"{path}: input {of_file.name}: {text}"
            if grave and not allow:
                raise GateFailed(said, f"{_mend(port, of_file)}; --allow-audit goes on all the same")
            notes.append(said)
    return notes


def _findings(port: InputPort, of_file: FilePort, values: Sequence[np.ndarray]) -> Iterator[tuple[str, bool]]:
    """(what, whether it is grave) about one input."""
    low, high = _ends(of_file)
    grid, slack = f"the file's own grid goes from {low:.4g} to {high:.4g}", _SLACK * (high - low)
    given = np.concatenate([each.reshape(-1) for each in values])
    clipped = float(np.mean((given < low - slack) | (given > high + slack)))
    if clipped > _SOME:
        what = f"{given.min():.4g} to {given.max():.4g}"
        if port.preprocessing is not None:
            what = "{:.4g} to {:.4g} by the preprocessing".format(*_reach(port.preprocessing))
        yield f"{100 * clipped:.0f} % of the values are clipped: they are {what}, {grid}", clipped > _MANY
    elif port.preprocessing is not None:
        start, end = _reach(port.preprocessing)
        used = (min(end, high) - max(start, low)) / (high - low)
        if used < _LITTLE:
            what = f"the preprocessing gives {start:.4g} to {end:.4g}, {100 * max(used, 0):.0f} % of it"
            yield f"{grid}; {what}", used < _HARDLY


def _ends(port: FilePort) -> tuple[float, float]:
    limits = np.iinfo(port.dtype)
    return (limits.min - port.zero_point) * port.scale, (limits.max - port.zero_point) * port.scale


def _reach(preprocessing: Preprocessing) -> tuple[float, float]:
    """The least and the largest value that an image can give."""
    black, white = (
        preprocessing.normalize(np.full((1, 1, preprocessing.channels), value, np.uint8)) for value in (0, 255)
    )
    return float(black.min()), float(white.max())


def _mend(port: InputPort, of_file: FilePort) -> str:
    low, high = _ends(of_file)
    if port.preprocessing is None:
        return "give inputs as the network takes them"
    std = 255 / (high - low)
    mean = -low * std
    for usual in _USUAL:
        if abs(-usual[0] / usual[1] - low) < 0.02 * (high - low) > abs((255 - usual[0]) / usual[1] - high):
            mean, std = usual
            break
    return f"give the preprocessing of training; --mean {mean:.5g} --std {std:.5g} would fill the grid"
