"""The protocol on devices whose clock the test holds, and once on this machine."""

from collections import Counter
from itertools import cycle

import numpy as np
import pytest

from tfeff.artifact import check_tflite
from tfeff.bench import Settings, bench, protocol
from tfeff.bench.devices import BaseDevice, Handle, Loaded
from tfeff.bench.protocol import MAX_BLOCK, MIN_ROUNDS, warm_up
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels

pytest_plugins = ["bench_models", "phone_files"]

ALL = Kernels(xnnpack="all", delegated=3, total=3)
PARTLY = Kernels(xnnpack="partly", delegated=2, total=4, left=[{"op": "CUMSUM", "count": 2}])
NONE = Kernels(xnnpack="none", delegated=0, total=1, left=[{"op": "GATHER", "count": 1}])


class Machine(BaseDevice):
    """A device on which an invocation takes as long as the test says, times a noise that all processes share.

    Args:
        means_ns: by file stem.
        layouts: by file stem, what the process of each launch multiplies every time by.
    """

    def __init__(self, means_ns, noise=0.003, layouts=None, kernels=None, load=0.0):
        self.means_ns, self.noise, self.layouts, self.kernels = means_ns, noise, layouts or {}, kernels or {}
        self.load_average, self.random = load, np.random.default_rng(0)
        self.cores = []  # that each load was told to stay on
        self.name, self.launched, self.running, self.log, self.sha256 = "machine", Counter(), 0, [], None

    def start(self):
        self.running += 1
        return Process(self)


class Process(Handle):
    def __init__(self, machine):
        self.machine = machine
        self.environment = {
            "runtime": "r",
            "version": "1",
            "cpu": "c",
            "cores": 2,
            "fast_cores": [4, 6],
            "load_average": machine.load_average,
        }

    def load(self, path, *, threads, xnnpack, seed, core):
        layouts = self.machine.layouts.get(path.stem, [1.0])
        self.stem, self.layout = path.stem, layouts[self.machine.launched[path.stem] % len(layouts)]
        self.machine.launched[path.stem] += 1
        self.machine.cores.append(core)
        kernels = self.machine.kernels.get(path.stem, ALL)
        return Loaded(self.machine.sha256 or check_tflite(path), (), (), kernels, core is not None)

    def run(self, count):
        self.machine.log.append((self.stem, count))
        drift = 1 + 0.05 * np.sin(len(self.machine.log) / 20)  # the machine's temper, slower than a round
        noise = self.machine.random.lognormal(0, self.machine.noise, count)
        return [int(t) for t in self.machine.means_ns[self.stem] * self.layout * drift * noise]

    def outputs(self, inputs):
        raise AssertionError("not timed")

    def close(self):
        self.machine.running -= 1


@pytest.fixture
def on(monkeypatch, models):
    """Benches `float` against `int8` (or other models) on a `Machine`."""

    def run(machine, names=("float", "int8"), **options):
        monkeypatch.setattr(protocol, "find_device", lambda spec: machine)
        settings = Settings(**{"max_seconds": 0.3, **options})
        return bench([models[name] for name in names], ["machine"], settings)

    return run


def test_the_true_ratio_is_found_through_a_drifting_machine(on):
    machine = Machine({"float": 2e6, "int8": 1.6e6})
    outcome = on(machine)
    (ratio,) = outcome.ratios
    assert ratio.a.endswith("int8.tflite")
    assert ratio.b.endswith("float.tflite")
    assert ratio.ratio == pytest.approx(0.8, rel=0.01)
    assert ratio.ci95[0] <= ratio.ratio <= ratio.ci95[1]
    assert ratio.verdict == "faster"
    assert on(machine, ("int8", "float")).ratios[0].verdict == "slower"
    for times, mean in zip([one.times for one in outcome.results], (2.0, 1.6), strict=True):
        assert times.median_ms == pytest.approx(mean, rel=0.06)
        assert times.ci95_ms[0] <= times.median_ms <= times.ci95_ms[1]
        assert times.p90_ms > times.median_ms
        _, _, half, upper, most = times.quantiles_ms
        assert list(times.quantiles_ms) == sorted(times.quantiles_ms)
        assert half == pytest.approx(times.median_ms, rel=0.1)
        assert upper <= times.p90_ms <= most
        assert times.rounds >= 3 * MIN_ROUNDS


def test_a_file_against_itself_is_no_difference(on):
    assert on(Machine({"float": 1e6}), ("float", "float")).ratios[0].verdict == "no difference"


def test_one_process_with_an_unlucky_memory_layout_is_no_difference(on):
    unlucky = Machine({"float": 1e6, "int8": 1e6}, layouts={"int8": [1.06, 0.999, 1.0]})
    assert on(unlucky).ratios[0].verdict == "no difference"
    slower = Machine({"float": 1e6, "int8": 1e6}, layouts={"int8": [1.06, 1.05, 1.06]})
    assert on(slower).ratios[0].verdict == "slower"


def test_each_artifact_runs_once_a_round_in_shuffled_order(on):
    machine = Machine({"float": 30e6, "int8": 30e6, "gather": 30e6})
    outcome = on(machine, ("float", "int8", "gather"), max_seconds=1e-6)
    rounds = [stem for stem, count in machine.log]
    assert {count for stem, count in machine.log} == {1}  # a block of 30 ms is one invocation here
    last = [tuple(rounds[n : n + 3]) for n in range(len(rounds) - 15, len(rounds), 3)]  # the last launch's
    assert all(set(one) == {"float", "int8", "gather"} for one in last)
    assert len(set(last)) > 1
    assert [(one.times.rounds, one.times.runs) for one in outcome.results] == [(15, 15)] * 3


def test_the_workers_of_a_launch_share_one_core_and_the_next_launch_takes_the_next(on):
    machine = Machine({"float": 30e6, "int8": 30e6})
    assert on(machine, max_seconds=1e-6).results[1].times.pinned is True
    assert machine.cores == [4, 4, 6, 6, 4, 4]
    machine.cores.clear()
    assert on(machine, max_seconds=1e-6, threads=2).results[1].times.pinned is False
    assert machine.cores == [None] * 6


def test_blocks_grow_with_the_models_speed_and_leave_out_the_first_invocation(on):
    machine = Machine({"float": 3e6, "int8": 100.0}, noise=0.0)
    outcome = on(machine, max_seconds=1e-6)
    blocks = {stem: count for stem, count in machine.log}  # the last of each
    assert blocks["float"] in (10, 11)  # 30 ms, and one more
    assert blocks["int8"] == MAX_BLOCK + 1
    assert outcome.results[1].times.runs == 15 * MAX_BLOCK


def test_the_same_seed_gives_the_same_figures(on):
    first, second = (on(Machine({"float": 30e6, "int8": 20e6}), max_seconds=1e-6, seed=4) for _ in range(2))
    assert first == second


def test_more_rounds_where_it_is_noisy(on):
    quiet, noisy = (Machine({"float": 30e6, "int8": 30e6}, noise=noise) for noise in (0.0, 0.3))
    rounds = [on(machine, max_seconds=0.6).results[0].times.rounds for machine in (quiet, noisy)]
    assert rounds[0] < rounds[1]


def test_warm_up_ends_when_blocks_agree_and_says_when_they_never_did():
    falling = iter([50e6, 30e6, 20e6, 12e6, 11e6, 10.9e6, 10.8e6])
    median_ns, runs, steady = warm_up(lambda count: [next(falling)] * count, 60)
    assert (median_ns, runs, steady) == (10.8e6, 7, True)
    restless = cycle([10e6, 12e6])
    assert warm_up(lambda count: [next(restless)] * count, 0.01)[2] is False


def test_warnings_name_what_a_reader_must_know(on):
    kernels = {"float": PARTLY, "gather": NONE}
    machine = Machine({"float": 1e6, "int8": 1e6, "gather": 1e6}, kernels=kernels, load=1.5)
    said = "\n".join(on(machine, ("float", "int8", "gather")).warnings)
    assert "float.tflite: XNNPACK took only 2 of 4 operations; left to built-in kernels: 2 CUMSUM" in said
    assert "load average 1.5, 2 cores" in said
    assert "r 1 ran gather.tflite without XNNPACK, the rest with it" in said
    quiet = Machine({"float": 1e6, "int8": 1e6}, noise=0.0, load=1.0)
    assert not [line for line in on(quiet).warnings if "XNNPACK" in line or "load" in line]


def test_a_file_replaced_meanwhile_is_refused_and_all_workers_closed(on):
    machine = Machine({"float": 1e6, "int8": 1e6})
    machine.sha256 = "0" * 64
    with pytest.raises(TfeffError, match="was replaced"):
        on(machine)
    assert machine.running == 0
    machine.sha256 = None
    on(machine)
    assert machine.running == 0


def test_no_file_and_no_such_file(tmp_path):
    with pytest.raises(TfeffError, match="no file to time"):
        bench([])
    with pytest.raises(TfeffError, match="no such file"):
        bench([tmp_path / "none.tflite"])


def test_on_this_machine_a_file_against_itself_is_no_difference(models):
    seen = []
    settings = Settings(max_seconds=1.5)
    outcome = bench([models["float"], models["float"]], settings=settings, progress=lambda *at: seen.append(at))
    assert outcome.ratios[0].verdict == "no difference"
    for result in outcome.results:
        assert result.sha256 == check_tflite(models["float"])
        assert (result.device, result.runtime, result.threads) == ("local", "ai-edge-litert", 1)
        assert result.kernels == ALL
        assert result.times.runs >= result.times.rounds >= 15
        assert result.times.warmup_runs > 0
    assert all(0 <= done <= total == 1.5 for done, total in seen)
    assert seen == sorted(seen)


def test_which_part_of_a_file_is_timed_is_said_once(on, tmp_path, models, monkeypatch):
    from phone_files import ports_file  # a plugin of pytest, so not before it is loaded

    models["two"] = tmp_path / "two.tflite"
    models["two"].write_bytes(ports_file(signatures=("encode", "decode")))
    said = on(Machine({"float": 1e6, "two": 1e6}), ("float", "two"), threads=(1, 2)).warnings
    assert [line for line in said if "signatures" in line] == [
        "two.tflite: has 2 signatures (encode, decode): encode is timed; --signature chooses one"
    ]
