"""Timing in the demo app: a block is one run of its benchmark intent, in a process of its own.

What an app's user gets differs from what the tool tells: Java's runtime, the cores that Android gives an app in front,
pre- and post-processing beside the inference. Where the phone has no demo app it is installed, and removed at the end;
models lie in the app's folder under names of their own while they are timed.
"""

import hashlib
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfeff.artifact import Artifact, check_tflite
from tfeff.bench.adb.answer import Reference
from tfeff.bench.adb.app_answer import AppAnswer, read_answer
from tfeff.bench.adb.client import Phone, Timeout, quoted
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.adb.state import Facts
from tfeff.bench.adb.variant import Variant
from tfeff.bench.answer import Answer
from tfeff.bench.outcome import Block
from tfeff.bench.settings import Settings
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels

WARMUP = 5
FIRST_RUNS = 10  # before anything is known of a model
BLOCK_MS = 300.0
WHOLE_MS = 3000.0  # of a block, pre- and post-processing included, where a model is small beside them
RUNS = (5, 1000)  # of a block, least and most
ENDS_S = 120.0  # that a run may take
STARTS_S = 60.0  # until the app is in front
_ACTIVITY = ".BenchmarkActivity"
# What a phone says when it does not let adb install.
_FORBIDDEN = ("USER_RESTRICTED", "VERIFICATION_FAILURE", "INSTALL_FAILED_ABORTED")


class AppTimer:
    """The demo app on a phone.

    Attributes:
        runtime, version: of the app's, once something ran.
        about: `application`, `installed` (whether it had to be).

    Raises:
        TfeffError: no Android; the app cannot be installed or does not start; the screen is off or locked.
    """

    def __init__(self, phone: Phone, facts: Facts, options: PhoneOptions, settings: Settings):
        assert options.app is not None
        self._phone, self._app, self._inputs = phone, options.app, options.inputs
        self._seed, self._xnnpack = settings.seed, settings.xnnpack
        self._files = f"/sdcard/Android/data/{self._app.application}/files"
        self._mark = f"tfeff-run-{secrets.token_hex(4)}"
        self.runtime, self.version = "tensorflow-lite", "unknown"
        installed = self._install()
        self.about = {"application": self._app.application, "installed": installed}
        folders = f"{self._files}/models {self._files}/benchmarks"
        phone.leave(
            f"am force-stop {self._app.application} >/dev/null 2>&1\n"
            f"find {folders} -name '{self._mark}*' -exec rm -f {{}} + 2>/dev/null\n"
            # of commands that were killed; a younger one may still run
            f"find {folders} -name 'tfeff-run-*' -mtime +0 -exec rm -f {{}} + 2>/dev/null",
            f"{self._mark}* in {self._files}",
        )
        # It makes its folders when it first starts; what it says of a model that is not there shows that it lives.
        said = self._run("nothing", "the app", runs=1)
        if not said.error:
            raise TfeffError(
                f"{phone.name}: the demo app ran a model that is not there", "uninstall it, then try again"
            )

    def put(self, artifact: Artifact, threads: Sequence[int]) -> list[Variant]:
        """An artifact, its record and its self-test in the app's folder, once for each number of threads.

        Raises:
            TfeffError: it cannot be copied, or was replaced meanwhile.
        """
        name = f"{self._mark}-{artifact.sha256[:12]}"
        files = {".tflite": self._phone.push(artifact.path)}
        if check_tflite(artifact.path) != artifact.sha256:
            raise TfeffError(
                f"{self._phone.name}: {artifact.path} was replaced while it was timed", "run the command again"
            )
        for suffix, data in self._app.models[artifact.sha256].items():
            files[suffix] = self._phone.put_bytes(data)
        there = f"{self._files}/models/{name}"
        # The model last (so they are sorted): the app must not see it without its record. The app is another user, whom
        # some phones' shared storage does not let read what the shell wrote; others refuse to be asked.
        copies = [
            f"cp {path} {there}{suffix} && {{ chmod 644 {there}{suffix} 2>/dev/null || true; }}"
            for suffix, path in sorted(files.items())
        ]
        code, said = self._phone.shell(" && ".join([f"mkdir -p {self._files}/models", *copies]))
        if code:
            last = said.strip().splitlines()[-1:] or [""]
            mend = "make room on the phone" if "No space left" in said else "start the app once by hand, then try again"
            raise TfeffError(
                f"{self._phone.name}: cannot copy {artifact.path.name} into the app's folder ({last[0][-200:]})", mend
            )
        reference = Reference(artifact, self._inputs[artifact.sha256], self._seed)
        # Times come as they were measured, so no step of the clock limits what can be seen.
        return [Variant(artifact, count, name, (), reference, None, "app's", step_ms=0.0) for count in threads]

    def check(self, variant: Variant) -> None:
        """The run whose input and output bytes are compared."""
        assert variant.reference is not None
        answer = self._ask(variant, FIRST_RUNS)
        self.runtime, self.version = answer.runtime, answer.version
        # Java's interpreter does not tell what a delegate took.
        variant.kernels = Kernels(xnnpack="unknown" if self._xnnpack else "none")
        variant.answer = variant.reference.compare(answer.outputs, variant.kernels)
        given = b"".join(values.tobytes() for values in variant.reference.values.values())  # one image
        if answer.input_sha256 != hashlib.sha256(given).hexdigest():
            why = "the app made another input of the self-test's picture than this machine"
            variant.answer = Answer(False, why, (), variant.answer.family, variant.answer.runtime)
        variant.runs = _runs(answer)

    def require_full(self, device: str, variants: list[Variant]) -> None:
        """Raises TfeffError: the app does not tell it."""
        raise TfeffError(f"{device}: the demo app does not tell whether a delegate took the graph", "leave out --app")

    def measure(self, variant: Variant) -> Block:
        """One block."""
        answer = self._ask(variant, variant.runs)
        times = np.array(answer.inference)
        variant.runs = _runs(answer)
        return Block(
            median_ms=float(np.median(times)),
            mean_ms=float(times.mean()),
            p5_ms=float(np.quantile(times, 0.05)),
            p90_ms=float(np.quantile(times, 0.9)),
            p95_ms=float(np.quantile(times, 0.95)),
            runs=len(times),
            warmup_runs=WARMUP,
            init_ms=answer.open_ms,
            first_ms=answer.first_ms,
            preprocessing_ms=float(np.median(answer.preprocessing)),
            postprocessing_ms=float(np.median(answer.postprocessing)),
        )

    def _ask(self, variant: Variant, runs: int) -> AppAnswer:
        name = variant.artifact.path.name
        answer = self._run(variant.there, name, runs=runs, threads=variant.threads)
        if answer.error:
            older = "schema_version" in answer.error  # it stops at a record of a newer schema than it knows
            mend = f"it is an older app: `adb uninstall {self._app.application}`, then run the command again"
            raise TfeffError(
                f"{self._phone.name}: {name}: the demo app says: {answer.error}",
                mend if older else "`tfeff check` the file",
            )
        if answer.sha256 != variant.artifact.sha256:
            raise TfeffError(f"{self._phone.name}: {name}: the demo app ran another file", "run the command again")
        return answer

    def _run(self, model: str, name: str, *, runs: int, threads: int = 1) -> AppAnswer:
        """One intent, in a new process of the app."""
        out = f"{self._mark}-{secrets.token_hex(4)}.json"
        extras = {"--es model": model, "--ei threads": threads, "--ez xnnpack": str(self._xnnpack).lower()}
        extras |= {"--ei warmup": WARMUP, "--ei runs": runs, "--es out": out}
        words = " ".join(f"{option} {quoted(str(value))}" for option, value in extras.items())
        script = _RUN.format(
            folder=f"{self._files}/benchmarks",
            application=self._app.application,
            activity=f"{self._app.application}/{_ACTIVITY}",
            extras=words,
            out=f"{self._files}/benchmarks/{out}",
            tries=int(ENDS_S / 0.2),
        )
        where = f"{self._phone.name}: {name}: the demo app"
        try:
            code, said = self._phone.shell(script, STARTS_S + 2 * ENDS_S)
        except Timeout:
            raise TfeffError(f"{where} does not start or end", "is the screen on and unlocked?") from None
        if code:
            last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
            told = f" ({last[-200:]})" if last else ""
            what, mend = {
                3: ("cannot be started", "`adb uninstall org.tfeff.demo`, then run the command again"),
                4: (f"did not end within {ENDS_S:.0f} s", "is the screen on and unlocked? try fewer --threads"),
                5: ("died", "`adb logcat -d -s AndroidRuntime:E tfeff:E` tells why; try --no-xnnpack"),
                6: ("wrote an answer that adb may not read", f"`adb shell ls -la {self._files}/benchmarks` tells why"),
            }.get(code, (f"failed ({code})", "run the command again"))
            raise TfeffError(f"{where} {what}{told}", mend)
        try:
            answer = read_answer(said)
        except TfeffError as error:
            raise TfeffError(f"{self._phone.name}: {name}: {error.what}", error.mend) from None
        if answer.device["locked"] or not answer.device["screen_on"]:
            state = "locked" if answer.device["locked"] else "off"
            raise TfeffError(
                f"{self._phone.name}: the screen is {state}: Android gives an app that is not in front few cores",
                "unlock it and keep it on (Developer options: stay awake)",
            )
        return answer

    def _install(self) -> bool:
        """Whether the app had to be installed."""
        phone, application = self._phone, self._app.application
        code, said = phone.shell(
            f"command -v pm >/dev/null && command -v am >/dev/null || exit 9; pm path {application}"
        )
        if code == 9:
            raise TfeffError(f"{phone.name}: is no Android: it has no pm and am", "leave out --app")
        if "package:" in said:
            return False
        with tempfile.TemporaryDirectory(prefix="tfeff-") as folder:
            apk = Path(folder) / "app.apk"
            self._app.write(apk)
            there = phone.push(apk)
        phone.leave(f"pm uninstall {application} >/dev/null 2>&1", f"the demo app ({application})")
        # Android 8's package manager opens the file as a user of its own, for whom our folder is closed.
        script = f"chmod 711 {phone.folder}; pm install -r -t {there}; code=$?; chmod 700 {phone.folder}; rm -f {there}"
        code, said = phone.shell(f"{script}; exit $code", STARTS_S + ENDS_S)
        if code or "Success" not in said:
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            told = f" ({lines[-1][-200:]})" if lines else ""
            mend = (
                "make room on it"
                if "INSUFFICIENT_STORAGE" in said
                else "`tfeff demo` writes the app to install by hand"
            )
            if any(sign in said for sign in _FORBIDDEN):
                mend = "allow `Install via USB` in its Developer options, and answer what its screen asks"
            raise TfeffError(f"{phone.name}: the demo app cannot be installed{told}", mend)
        return True


def _runs(answer: AppAnswer) -> int:
    """How many runs the next block has."""
    inference, *others = (
        float(np.median(times)) for times in (answer.inference, answer.preprocessing, answer.postprocessing)
    )
    least, most = RUNS
    wanted = min(BLOCK_MS / max(inference, 1e-3), WHOLE_MS / max(inference + sum(others), 1e-3))
    return int(min(max(wanted, least), most))


# `am start -W` returns when the activity is there; the file comes, whole, when the run is done. A process that ended
# without it died, unless it ended between the two looks; its folder in /proc is looked at, for `pidof` reads all of
# /proc, which disturbs what is timed. Exit codes are those of `_run`.
_RUN = """{{ input keyevent KEYCODE_WAKEUP; wm dismiss-keyguard; am force-stop {application}; }} >/dev/null 2>&1
rm -f {out}
said=$(am start -W -n {activity} {extras} 2>&1)
case "$said" in *Error*|*Exception*) echo "$said"; exit 3;; esac
pid=
tries=0
while [ ! -f {out} ]; do
  tries=$((tries + 1))
  [ $tries -gt {tries} ] && {{ am force-stop {application}; ls {folder} >/dev/null || exit 6; exit 4; }}
  if [ -z "$pid" ] || [ ! -d /proc/$pid ]; then
    pid=$(pidof {application}); pid=${{pid%% *}}
    [ -n "$pid" ] || {{ sleep 1; [ -f {out} ] || exit 5; }}
  fi
  sleep 0.2
done
cat {out} || exit 6
rm -f {out}"""
