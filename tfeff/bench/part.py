"""Parts of files, timed in place of them: devices get a file whose first subgraph and sizes are the chosen ones."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tfeff.artifact import Artifact
from tfeff.bench.outcome import CountRatio, Outcome, Ratio
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.part import PartOptions, is_plain, refuse_open, take_part


@contextmanager
def parts_timed(artifacts: Sequence[Artifact], part: PartOptions) -> Iterator[list[Artifact]]:
    """What is timed of each artifact: itself, or its part in a temporary folder.

    Raises:
        TfeffError: no such part, or an input's size is open.
    """
    if not part.given:
        for artifact in artifacts:
            if not is_plain(data := artifact.path.read_bytes()):
                refuse_open(TfliteFile(data, artifact.path), artifact.path)
        yield list(artifacts)
        return
    with tempfile.TemporaryDirectory(prefix="tfeff-part-") as folder:
        timed = []
        for number, artifact in enumerate(artifacts):
            data = take_part(artifact.path.read_bytes(), artifact.path, part).data
            path = Path(folder, str(number), artifact.path.name)
            path.parent.mkdir()
            path.write_bytes(data)
            timed.append(replace(artifact, path=path, sha256=hashlib.sha256(data).hexdigest()))
        yield timed


def of_the_files(outcome: Outcome, timed: Sequence[Artifact], artifacts: Sequence[Artifact]) -> Outcome:
    """The outcome in the names of the files that parts were taken of."""
    names = {str(part.path): whole for part, whole in zip(timed, artifacts, strict=True)}
    for one in outcome.results:
        if one.file in names:
            one.file, one.sha256 = str(names[one.file].path), names[one.file].sha256
    ratios: list[Ratio | CountRatio] = [*outcome.ratios, *outcome.counted]
    for ratio in ratios:
        ratio.a, ratio.b = (str(names[name].path) if name in names else name for name in (ratio.a, ratio.b))
    return outcome
