"""A `benchmark_model` on LiteRT's Python interface: flags and lines of TensorFlow Lite's tool, real times and bytes.

Run by path; needs NumPy and ai_edge_litert or tflite_runtime. What it does not know of the tool's flags it says as the
tool does.
"""

import sys
import time

FLAGS = {
    "graph": "", "num_threads": "-1", "num_runs": "50", "min_secs": "1", "max_secs": "150", "warmup_runs": "1",
    "warmup_min_secs": "0.5", "use_xnnpack": "", "input_layer": "", "input_layer_shape": "",
    "input_layer_value_files": "", "output_filepath": "", "report_peak_memory_footprint": "false",
}  # fmt: skip


def main():
    flags, unknown = dict(FLAGS), []
    for argument in sys.argv[1:]:
        name, _, value = argument.lstrip("-").partition("=")
        if name == "help":
            print("usage: benchmark_model\nFlags:")
            for known, default in FLAGS.items():
                print(f"\t--{known}={default}\tstring\toptional\t")
            return 1
        if name in flags:
            flags[name] = value
        else:
            unknown.append(argument)
    print("INFO: STARTING!")
    if unknown:
        print("WARN: Unconsumed cmdline flags: " + " ".join(unknown))
    start = time.perf_counter()
    interpreter = load(flags)
    init_us = 1e6 * (time.perf_counter() - start)
    print(f"INFO: Initialized session in {init_us / 1e3:.3f}ms.")
    warm = measure(interpreter, flags["warmup_runs"], flags["warmup_min_secs"], flags["max_secs"])
    timed = measure(interpreter, flags["num_runs"], flags["min_secs"], flags["max_secs"])
    means = [sum(times) / len(times) for times in (warm, timed)]
    print(f"INFO: Inference timings in us: Init: {init_us:.6g}, First inference: {warm[0]:.6g}, "
          f"Warmup (avg): {means[0]:.6g}, Inference (avg): {means[1]:.6g}")  # fmt: skip
    if flags["report_peak_memory_footprint"] == "true":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"INFO: Overall peak memory footprint (MB) via periodic monitoring: {peak:.6g}")
    if flags["output_filepath"]:
        with open(flags["output_filepath"], "wb") as file:
            for detail in interpreter.get_output_details():
                file.write(interpreter.get_tensor(detail["index"]).tobytes())
    return 0


def load(flags):
    import numpy

    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        from tflite_runtime.interpreter import Interpreter, OpResolverType

    options = {"num_threads": max(int(flags["num_threads"]), 1)}
    if flags["use_xnnpack"] == "false":
        options["experimental_op_resolver_type"] = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    print(f"INFO: Loaded model {flags['graph']}")
    interpreter = Interpreter(model_path=flags["graph"], **options)
    interpreter.allocate_tensors()
    own = [op for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE"]
    groups = len(interpreter._get_ops_details()) - len(own)
    if flags["use_xnnpack"] == "true" and groups:
        # A graph that one delegate node stands for, and whose outputs are the graph's, was taken whole.
        node = next(op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE")
        ends = {int(detail["index"]) for detail in interpreter.get_output_details()}
        begins = {int(detail["index"]) for detail in interpreter.get_input_details()}
        whole = groups == 1 and ends <= set(map(int, node["outputs"])) and begins <= set(map(int, node["inputs"]))
        how = "completely executed by the delegate." if whole else (
            f"partially executed by the delegate w/ {groups} delegate kernels.")  # fmt: skip
        print(f"INFO: Explicitly applied XNNPACK delegate, and the model graph will be {how}")
    elif flags["use_xnnpack"] == "true":
        print(
            "INFO: Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate."
        )
    details = interpreter.get_input_details()
    files = dict(pair.split(":") for pair in flags["input_layer_value_files"].split(",") if pair)
    for number, detail in enumerate(details):
        if files:
            name = flags["input_layer"].split(",")[number]
            values = numpy.fromfile(files[name], detail["dtype"]).reshape(detail["shape"])
        else:
            values = numpy.zeros(detail["shape"], detail["dtype"])
        interpreter.set_tensor(detail["index"], values)
    return interpreter


def measure(interpreter, runs, seconds, most):
    import numpy

    runs, seconds, most, times = int(runs), float(seconds), float(most), []
    print(f"INFO: Running benchmark for at least {runs} iterations and at least {seconds} seconds but terminate if "
          f"exceeding {most} seconds.")  # fmt: skip
    start = time.perf_counter()
    while (len(times) < runs or time.perf_counter() - start < seconds) and time.perf_counter() - start < most:
        before = time.perf_counter()
        interpreter.invoke()
        times.append(1e6 * (time.perf_counter() - before))
    low, middle, high = numpy.quantile(times, [0.05, 0.5, 0.95])
    head = f"first={times[0]:.0f} curr={times[-1]:.0f} min={min(times):.0f} max={max(times):.0f} "
    head += f"avg={numpy.mean(times):.6g} std={numpy.std(times):.0f}"
    if len(times) == 1:
        head = f"curr={times[0]:.0f}"
    print(f"INFO: count={len(times)} {head} p5={low:.0f} median={middle:.0f} p95={high:.0f}\n")
    return times


if __name__ == "__main__":
    sys.exit(main())
