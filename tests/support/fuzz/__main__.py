"""`python -m fuzz KIND SEED FIRST LAST FOLDER`, with `tests/support` on PYTHONPATH: runs cases and tells of each.

Cases run one after the other in this process, by what `python -m tfeff` calls; who started it sees which one killed
it. A line of JSON on the real stdout before each command, and after it what was wrong, if anything was.
"""

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Before anything that reads them is imported. What a command keeps in a home lies beside the cases.
FOLDER = Path(sys.argv[5])
os.environ |= {"HOME": str(FOLDER / "home"), "TMPDIR": str(FOLDER / "tmp"), "CUDA_VISIBLE_DEVICES": "-1",
               "XDG_CACHE_HOME": str(FOLDER / "home" / "cache"), "XDG_CONFIG_HOME": str(FOLDER / "home" / "config"),
               "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "TFEFF_DATA": "/nonexistent"}  # fmt: skip

from fuzz import kills  # noqa: E402
from fuzz.cases import KINDS  # noqa: E402
from fuzz.watch import Watch  # noqa: E402
from tfeff.cli.endings import Endings  # noqa: E402

_MOST_BYTES = 6 * 2**30


def main() -> None:
    first, last = map(int, sys.argv[3:5])
    for name in ("home", "tmp", "originals"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))  # who reads /dev/zero takes no more
    told = os.fdopen(os.dup(1), "w", buffering=1)
    if sys.argv[1] == "kills":
        _kills(first, last, lambda value: told.write(json.dumps(value) + "\n"))
    else:
        _cases(first, last, lambda value: told.write(json.dumps(value) + "\n"))


def _cases(first: int, last: int, tell: Callable[[dict], object]) -> None:
    kind, originals = KINDS[sys.argv[1]], FOLDER / "originals"
    kind.prepare(originals)
    Endings.wait = lambda self: None  # type: ignore[method-assign]  # `serve` ends as soon as it serves
    watch = Watch(FOLDER)
    for number in range(first, last):
        place = FOLDER / f"{number}"
        place.mkdir()
        case, faults = kind.make(f"{sys.argv[1]} {sys.argv[2]} {number}", originals, place), 0
        for arguments in case.commands:
            words = [str(word) for word in arguments]
            tell({"number": number, "what": case.what, "command": words})
            ran = watch.run(words, place, case.written)
            tell({"code": ran.code, "seconds": ran.seconds, "faults": ran.faults})
            faults += len(ran.faults)
        if not faults:
            shutil.rmtree(place)


def _kills(first: int, last: int, tell: Callable[[dict], object]) -> None:
    took = kills.prepare(FOLDER / "originals")
    for number in range(first, last):
        tell({"number": number, "what": "a kill", "command": []})
        begun = time.monotonic()
        command, what, faults = kills.kill_one(
            f"kills {sys.argv[2]} {number}", FOLDER / "originals", took, FOLDER / f"{number}"
        )
        tell({"code": what, "seconds": round(time.monotonic() - begun, 2), "faults": faults, "command": command})
        if not faults:
            shutil.rmtree(FOLDER / f"{number}")


main()
