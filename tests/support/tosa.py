"""An independent word on a file: what Arm's `tosa-converter-for-tflite` cannot express in TOSA.

TOSA is the operator set that compilers of Arm and others take in. A file that converts whole holds nothing that only
TFLite knows.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

# `%3 = tfl.greater(...`, `%3 = "tfl.cumsum"(...`; attributes (`tfl.schema_version = 3`) stand on the first line.
_LEFT = re.compile(r'^\s+(?:%[^=\n]*= )?"?(tfl\.[a-z0-9_]+)', re.MULTILINE)


def left_over(path: Path) -> list[str]:
    """Operations of a `.tflite` file for which TOSA has nothing, such as `tfl.l2_normalization`, one entry for each.

    Raises:
        RuntimeError: the converter is not there, or refused the file as a whole.
    """
    beside = str(Path(sys.executable).parent)
    converter = shutil.which("tosa-converter-for-tflite", path=beside) or shutil.which("tosa-converter-for-tflite")
    if converter is None:
        raise RuntimeError("tosa-converter-for-tflite is not installed: pip install -e '.[test]'")
    done = subprocess.run([converter, str(path), "--text"], capture_output=True, text=True, timeout=300)
    if done.returncode or "func.func @main" not in done.stdout:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(f"{path}: {' '.join(said[-2:])[:400]}")
    return _LEFT.findall(done.stdout)
