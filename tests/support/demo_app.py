"""The demo app on the in-process phone: it does with files and intents what docs/android-demo.md says, in Python.

Times, bytes and self-test come from a real run of this machine's runtime. That the real app writes the same answer is
seen in `test_android_demo.py`, which reads what the Java sources wrote under Robolectric. What a phone does wrong is
injected by the word in the file `app-does`.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import pytest

APPLICATION = "org.tfeff.demo"
FILES = f"sdcard/Android/data/{APPLICATION}/files"
_HOME = '"$(dirname "$0")/.."'
SCRIPTS = {
    "input": "true",
    "wm": "true",
    "pm": f"""cd {_HOME}
    case "$1" in
      path) [ -f installed ] && echo "package:/data/app/$2/base.apk" || exit 1;;
      install) for apk; do :; done
        [ "$(cat app-does)" = refuse ] && {{ echo "Failure [INSTALL_FAILED_USER_RESTRICTED: by user]"; exit 1; }}
        # Android 8's package manager is another user, who must come through to the file.
        case $(stat -c %a "$(dirname "$apk")") in *[1357]) ;; *) echo "Error: Can't open non-file: $apk"; exit 1;; esac
        [ -s "$apk" ] || exit 2; cp "$apk" installed; echo install >>pm-log; echo Success;;
      uninstall) rm -rf installed {FILES}; echo uninstall >>pm-log; echo Success;;
    esac""",
    "pidof": f"cd {_HOME}; [ -f app-pid ] && kill -0 $(cat app-pid) 2>/dev/null && cat app-pid",
    "am": f"""cd {_HOME}
    case "$1" in
      force-stop) [ -f app-pid ] && kill -9 $(cat app-pid) 2>/dev/null; rm -f app-pid; exit 0;;
    esac
    [ -f installed ] || {{ echo "Error: Activity class {{{APPLICATION}/.BenchmarkActivity}} does not exist."; exit 0; }}
    echo "$@" >>intents
    {sys.executable} {__file__} . "$@" >app-log 2>&1 &
    echo $! >app-pid; echo "Status: ok" """,
}


def main(root, words):
    """The app's process: an intent's words in, a JSON file out."""
    files = root / FILES
    for name in ("models", "benchmarks"):
        (files / name).mkdir(parents=True, exist_ok=True)
    extras = {words[at + 1]: words[at + 2] for at, word in enumerate(words) if word in ("--es", "--ei", "--ez")}
    does = (root / "app-does").read_text() if extras["model"] != "nothing" else ""
    if does == "die":
        return
    if does == "hang":
        time.sleep(60)
    if does == "old":
        error = f"{extras['model']}.json: record.schema_version: this app reads 1, found 2.0"
        answer = {"schema_version": 1, "status": "error", "model": extras["model"], "error": error}
    elif (files / "models" / f"{extras['model']}.tflite").exists():
        answer = _measure(files / "models", extras, does)
    else:
        answer = {"schema_version": 1, "status": "error", "model": extras["model"], "error": "no model; there are: []"}
    answer["device"] = {"model": "Stand-in", "locked": does == "lock", "screen_on": True}
    text = json.dumps(answer) if does != "garble" else "{"
    part = files / "benchmarks" / f"{extras['out']}.part"
    part.write_text(text)
    part.rename(part.with_suffix(""))


def _measure(folder, extras, does):
    import numpy as np
    from PIL import Image

    from tfeff.artifact import read_record
    from tfeff.compare.runner import Runner
    from tfeff.data.preprocessing import from_record

    path = folder / f"{extras['model']}.tflite"
    record = read_record(path.with_suffix(".json"))
    test = json.loads(path.with_suffix(".selftest.json").read_text())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert sha256 == record.sha256 == test["sha256"]
    runner = Runner(path, threads=int(extras["threads"]))
    rule = from_record(record.inputs[0].preprocessing)
    with Image.open(path.with_suffix(".selftest.png")) as image:
        pixels = np.asarray(image)
    times = {"preprocessing": [], "inference": [], "postprocessing": []}
    for _ in range(int(extras["warmup"]) + int(extras["runs"])):
        start = time.perf_counter()
        real = rule(pixels)
        middle = time.perf_counter()
        outputs = runner(real)
        times["preprocessing"].append(1e3 * (middle - start))
        times["inference"].append(1e3 * (time.perf_counter() - middle))
        times["postprocessing"].append(0.01)
    fed = runner.inputs[0].store(real) + (does == "wrong input")
    stored = [port.store(outputs[port.name]) + (60 if does == "wrong output" else 0) for port in runner.outputs]
    told = {name: {"all_ms": each[int(extras["warmup"]) :]} for name, each in times.items()}
    return {
        "schema_version": 1 if does != "another version" else 9,
        "status": "ok", "model": extras["model"], "sha256": sha256, "runtime": "tensorflow-lite 2.16.1",
        "threads": int(extras["threads"]), "xnnpack": extras["xnnpack"] == "true", "warmup": int(extras["warmup"]),
        "open_ms": 1.5, "first_inference_ms": times["inference"][0],
        **told,
        "input_sha256": hashlib.sha256(fed.tobytes()).hexdigest(),
        "output_hex": b"".join(one.tobytes() for one in stored).hex(),
        "self_test": {"passed": True},
    }  # fmt: skip


class App:
    """The app of one phone.

    Attributes:
        files: its folder here.
    """

    def __init__(self, phone):
        self._root, self.files = phone.root, phone.root / FILES
        self.does("")
        for name, text in SCRIPTS.items():
            phone.program(name, text)
        (phone.root / "sdcard").mkdir()

    def does(self, word):
        """What goes wrong: "die", "hang", "lock", "garble", "wrong input", "wrong output", "another version", "old" (it
        knows no record of today), "refuse" (to be installed)."""
        (self._root / "app-does").write_text(word)

    def install(self):
        (self._root / "installed").write_bytes(b"by hand")

    @property
    def apk(self):
        """What was installed; None where nothing is."""
        path = self._root / "installed"
        return path.read_bytes() if path.exists() else None

    @property
    def pm_log(self):
        path = self._root / "pm-log"
        return path.read_text().split() if path.exists() else []

    @property
    def intents(self):
        path = self._root / "intents"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def left(self):
        """Models and answers that lie in its folder."""
        return sorted(path.name for path in self.files.rglob("*") if path.is_file()) if self.files.exists() else []


@pytest.fixture
def demo_app(phone):
    """The app's stand-in on `phone`, not installed yet."""
    return App(phone)


if __name__ == "__main__":
    os.setpgid(0, 0)
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
