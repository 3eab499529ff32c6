#!/usr/bin/python3.11
"""Answers TFLite's `benchmark_model` command line with a real runtime: that of /opt/RUNTIME on the stand-in phone, else
this Python's.

The options and the lines are those that public logs of the tool show; the numbers are this run's own. It is pushed as
it is, with the runtime's name in place of the word above the imports.
"""

import sys

RUNTIME = "litert"
sys.path.insert(0, "/opt/" + RUNTIME)

import importlib  # noqa: E402
import math  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402

PERCENTILES = {"p5": 0.05, "median": 0.5, "p95": 0.95}  # tools of 2025 and later
OPTIONS = {
    "graph": "", "num_threads": "-1", "num_runs": "50", "min_secs": "1", "max_secs": "150", "warmup_runs": "1",
    "warmup_min_secs": "0.5", "run_delay": "-1", "use_xnnpack": "", "use_gpu": "false", "use_nnapi": "false",
    "enable_op_profiling": "false", "report_peak_memory_footprint": "false", "input_layer": "", "input_layer_shape": "",
    "input_layer_value_files": "", "output_filepath": "", "require_full_delegation": "false", "verbose": "false",
    "print_preinvoke_state": "false", "memory_footprint_check_interval_ms": "50", "op_profiling_output_mode": "stdout",
    "op_profiling_output_file": "", "max_delegated_partitions": "0",
}  # fmt: skip


def say(text):
    print("INFO: " + text, flush=True)


def options():
    given = dict(OPTIONS)
    if "--help" in sys.argv:
        print("usage: benchmark_model <flags>\nFlags:")
        for name, value in OPTIONS.items():
            print(f"\t--{name}={value}\tstring\toptional\t{name.replace('_', ' ')}")
        sys.exit(0)
    for argument in sys.argv[1:]:
        name, _, value = argument.lstrip("-").partition("=")
        if not argument.startswith("--") or name not in OPTIONS:
            print(f"ERROR: Unrecognized commandline option: {argument}")
            sys.exit(1)
        given[name] = value
    return given


def statistics(times_us):
    """The tool's own line: whole microseconds, the standard deviation of the population."""
    mean = sum(times_us) / len(times_us)
    if len(times_us) == 1:
        return f"count=1 curr={times_us[0]}"
    quantiles = np.quantile(times_us, list(PERCENTILES.values()))
    spread = math.sqrt(sum((one - mean) ** 2 for one in times_us) / len(times_us))
    return (
        f"count={len(times_us)} first={times_us[0]} curr={times_us[-1]} min={min(times_us)} max={max(times_us)} "
        f"avg={mean:.6g} std={spread:.0f} "
        + " ".join(f"{name}={at:.0f}" for name, at in zip(PERCENTILES, quantiles, strict=True))
    )


def runs(invoke, least, least_secs, most_secs):
    times_us, begun = [], time.monotonic()
    while len(times_us) < least or time.monotonic() - begun < least_secs:
        start = time.perf_counter_ns()
        invoke()
        times_us.append((time.perf_counter_ns() - start) // 1000)
        if time.monotonic() - begun > most_secs:
            break
    return times_us


def main():
    given = options()
    global np
    np = importlib.import_module("numpy")
    module = importlib.import_module({"litert": "ai_edge_litert"}.get(RUNTIME, "tflite_runtime") + ".interpreter")
    say("STARTING!")
    say("Log parameter values verbosely: [0]")
    say(f"Graph: [{given['graph']}]")
    choices = {"num_threads": max(int(given["num_threads"]), 1)}
    if given["use_xnnpack"] in ("false", "0"):
        choices["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter_ns()
    try:
        interpreter = module.Interpreter(given["graph"], **choices)
        say(f"Loaded model {given['graph']}")
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        print(f"ERROR: Failed to load/prepare model {given['graph']}: {error}")
        sys.exit(1)
    init_us = (time.perf_counter_ns() - begun) // 1000
    nodes = interpreter._get_ops_details()
    taken = [node for node in nodes if node["op_name"] == "DELEGATE"]
    if given["use_xnnpack"] in ("true", "1"):
        if not taken:
            say("Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.")
        else:
            # One region from the model's inputs to its outputs is all of it.
            ends = {one["index"] for one in interpreter.get_output_details()}
            whole = len(taken) == 1 and ends <= set(map(int, taken[0]["outputs"]))
            how = "completely executed by the delegate." if whole else "partially executed by the delegate w/ "
            how += "" if whole else f"{len(taken)} delegate kernels."
            say(f"Explicitly applied XNNPACK delegate, and the model graph will be {how}")
    say(f"The input model file size (MB): {os.path.getsize(given['graph']) / 1e6:.6g}")
    say(f"Initialized session in {init_us / 1000:.6g}ms.")
    details = interpreter.get_input_details()
    names = [one for one in given["input_layer"].split(",") if one]
    files = dict(one.split(":", 1) for one in given["input_layer_value_files"].split(",") if one)
    random = np.random.RandomState(0)
    for number, detail in enumerate(details):
        shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
        name = names[number] if number < len(names) else ""  # the tool goes by position and only warns
        if name and name != detail["name"]:
            print(f"WARN: Tensor # {detail['index']} is named {detail['name']} but flags call it {name}")
        if name in files:
            values = np.fromfile(files[name], dtype).reshape(shape)
        else:
            limits = (-128, 128) if dtype == np.int8 else (0, 2)
            values = random.randint(*limits, size=shape).astype(dtype)
        interpreter.set_tensor(detail["index"], values)
    warm = runs(
        interpreter.invoke, int(given["warmup_runs"]), float(given["warmup_min_secs"]), float(given["max_secs"])
    )
    say(f"Running benchmark for at least {given['warmup_runs']} iterations and at least {given['warmup_min_secs']} "
        f"seconds but terminate if exceeding {given['max_secs']} seconds.")  # fmt: skip
    say(statistics(warm) + "\n")
    times = runs(interpreter.invoke, int(given["num_runs"]), float(given["min_secs"]), float(given["max_secs"]))
    say(f"Running benchmark for at least {given['num_runs']} iterations and at least {given['min_secs']} seconds but "
        f"terminate if exceeding {given['max_secs']} seconds.")  # fmt: skip
    say(statistics(times) + "\n")
    mean = sum(times) / len(times)
    say(f"Inference timings in us: Init: {init_us}, First inference: {warm[0]}, "
        f"Warmup (avg): {sum(warm) / len(warm):.6g}, Inference (avg): {mean:.6g}")  # fmt: skip
    say("Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual "
        "memory footprint of the model at runtime. Take the information at your discretion.")  # fmt: skip
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before) / 1024
    if given["report_peak_memory_footprint"] == "true":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(f"Overall peak memory footprint (MB) via periodic monitoring: {peak:.6g}")
    say(f"Memory footprint delta from the start of the tool (MB): init={memory:.6g} overall={memory:.6g}")
    if given["output_filepath"]:
        interpreter.invoke()
        with open(given["output_filepath"], "wb") as file:
            for detail in interpreter.get_output_details():
                file.write(np.ascontiguousarray(interpreter.get_tensor(detail["index"])).tobytes())


if __name__ == "__main__":
    main()
