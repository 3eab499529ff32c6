"""Every shape of benchmark_model's output from 2019 to 2026. The lines are those of real logs, the numbers are not."""
# ruff: noqa: E501

import pytest

from tfeff.bench.adb.log import parse_log, parse_tables
from tfeff.errors import TfeffError

OF_2019 = """STARTING!
Min num runs: [10]
Num threads: [2]
Graph: [/data/local/tmp/m.tflite]
nnapi error: unable to open library libneuralnetworks.so
Loaded model /data/local/tmp/m.tflite
resolved reporter
Initialized session in 21.5ms
Running benchmark for at least 4 iterations and at least 0.5 seconds
count=6 first=150000 curr=80000 min=79000 max=150000 avg=91000.5 std=25000

Running benchmark for at least 10 iterations and at least 1 seconds
count=13 first=80100 curr=80200 min=80000 max=80400 avg=80123.4 std=44

Average inference timings in us: Warmup: 91000.5, Init: 21500, no stats: 80123.4
"""
OF_2020 = """Initialized session in 54.2ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=16850512

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=9 first=19048260 curr=19058365 min=18947282 max=19227231 avg=1.90411e+07 std=78842

Average inference timings in us: Warmup: 1.68505e+07, Init: 54200, Inference: 1.90411e+07
"""
PEAK = """count=15 first=55000 curr=38000 min=37000 max=55000 avg=39000.4 std=4400
count=50 first=37100 curr=38300 min=36800 max=38400 avg=37500.6 std=450
Inference timings in us: Init: 855, First inference: 55000, Warmup (avg): 39000.4, Inference (avg): 37500.6
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual.
Peak memory footprint (MB): init=0 overall=14.5
"""
DELTA = PEAK.replace(
    "Peak memory footprint (MB): init=0 overall=14.5",
    "Memory footprint delta from the start of the tool (MB): init=10.25 overall=21.5",
)
PARTLY = """INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
XNNPACK delegate created.
Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 3 delegate kernels.
"""
GPU = """INFO: Created TensorFlow Lite delegate for GPU.
INFO: Replacing 64 out of 66 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 2 partitions for the whole graph.
Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
"""
LOGCAT = """05-31 10:31:13.006 21767 21767 I tflite_BenchmarkModelActivity: Running TensorFlow Lite benchmark with args: --graph=x
05-31 10:31:13.157 21767 21767 I tflite  : Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.
05-31 10:31:13.362  3380  3380 I tflite  : count=40 first=37000 curr=14000 min=12800 max=37000 avg=14200.5 std=3700
05-31 10:31:14.365  3380  3380 I tflite  : count=75 first=14500 curr=13300 min=13300 max=15400 avg=13700.4 std=325
05-31 10:31:14.366  3380  3380 I tflite  : Inference timings in us: Init: 142000, First inference: 37000, Warmup (avg): 14200.5, Inference (avg): 13700.4
"""
OF_2025 = """INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
INFO: count=1 curr=4700 p5=4700 median=4700 p95=4700

INFO: count=240 first=4600 curr=4500 min=4400 max=5800 avg=4550.7 std=88 p5=4450 median=4520 p95=4640

INFO: Inference timings in us: Init: 4700, First inference: 4700, Warmup (avg): 4700, Inference (avg): 4550.7
INFO: Memory footprint delta from the start of the tool (MB): init=3.5 overall=5.1
INFO: Overall peak memory footprint (MB) via periodic monitoring: 14.25
INFO: Memory status at the end of exeution:
INFO: - VmRSS              : 14 MB
"""
LITERT = """========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:92] Signature name:       serving_default
INFO: [benchmark_litert_model.h:94] Model initialization: 268.54 ms
INFO: [benchmark_litert_model.h:96] Warmup (first):       9.50 ms
INFO: [benchmark_litert_model.h:98] Warmup (avg):         8.75 ms (2 runs)
INFO: [benchmark_litert_model.h:100] Inference (avg):      8.25 ms (10 runs)
INFO: [benchmark_litert_model.h:104] Inference (min):      8.00 ms
INFO: [benchmark_litert_model.h:106] Inference (max):      8.90 ms
INFO: [benchmark_litert_model.h:108] Inference (std):      0.12
INFO: [benchmark_litert_model.h:115] Throughput:           31.03 MB/s
INFO: [benchmark_litert_model.h:124] 
Memory Usage:
INFO: [benchmark_litert_model.h:126] Init footprint:       72.50 MB
INFO: [benchmark_litert_model.h:128] Overall footprint:    73.50 MB
INFO: [benchmark_litert_model.h:135] Peak memory usage not available. (peak_mem_mb <= 0)
"""
LITERT_PYTHON = """2026-11-22 02:47:51 INFO benchmark_litert_model: Running 5 warmup iterations...

========================================
 BENCHMARK RESULTS
========================================
Model initialization:  7.20 ms
Warmup (first):        1.10 ms
Warmup (avg):          0.95 ms (5 runs)
Inference (avg):       0.80 ms (20 runs)
Inference (min):       0.75 ms
Inference (max):       0.95 ms
Inference (median):    0.78 ms
Inference (std):       0.05 ms
Inference (p5):        0.76 ms
Inference (p95):       0.92 ms
Throughput:            76.42 MB/s
Fully accelerated:     True
========================================
"""
RUN_ORDER = """Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t ModifyGraphWithDelegate\t            0.000\t    4.000\t    4.000\t 90.000%\t 90.000%\t   100.000\t        1\t[ModifyGraphWithDelegate/0]

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.000\t    2.100\t    2.000\t 40.000%\t 40.000%\t     0.000\t        1\t[net/stem/Relu;net/stem/Conv2D]:0
\t       DEPTHWISE_CONV_2D\t            2.000\t    3.100\t    3.000\t 60.000%\t100.000%\t     0.000\t        1\t[net/dw/Relu]:1

============================== Summary by node type ==============================
\t             [Node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]
\t                 CONV_2D\t        1\t     2.000\t    40.000%\t    40.000%\t     0.000\t        1

Timings (microseconds): count=50 first=5100 curr=5200 min=5000 max=5600 avg=5100 std=21
Memory (bytes): count=0
31 nodes observed
"""


def test_of_2019_with_no_stats():
    log = parse_log(OF_2019)
    assert (log.times.count, log.times.mean, log.times.first, log.times.std) == (
        13,
        pytest.approx(80.1234),
        80.1,
        0.044,
    )
    assert (log.warmup.count, log.warmup.mean) == (6, 91.0005)
    assert (log.init_ms, log.first_ms) == (21.5, 150.0)
    assert log.times.median is None


def test_of_2020_with_a_single_count_and_powers_of_ten():
    log = parse_log(OF_2020)
    assert (log.times.count, log.times.mean) == (9, pytest.approx(19041.1))
    assert (log.warmup.count, log.warmup.mean) == (1, pytest.approx(16850.512))
    assert log.first_ms == pytest.approx(16850.512)


def test_memory_in_its_three_wordings():
    peak, delta, all_three = parse_log(PEAK), parse_log(DELTA), parse_log(OF_2025)
    assert (peak.init_mb, peak.overall_mb, peak.peak_mb) == (0.0, 14.5, None)
    assert (delta.init_mb, delta.overall_mb, delta.peak_mb) == (10.25, 21.5, None)
    assert (all_three.init_mb, all_three.overall_mb, all_three.peak_mb) == (3.5, 5.1, 14.25)


def test_delegates_and_how_much_they_took():
    assert parse_log(PARTLY + PEAK).delegates == {"XNNPACK": "partly"}
    assert parse_log(PARTLY + PEAK).default_xnnpack
    gpu = parse_log(GPU + PEAK)
    assert gpu.delegates == {"GPU": "all"}
    assert gpu.replaced == {"TfLiteGpuDelegateV2": (64, 66)}
    assert parse_log(OF_2025).delegates == {"XNNPACK": "all"}
    assert not parse_log(PEAK).delegates


def test_logcat_of_the_app():
    log = parse_log(LOGCAT)
    assert (log.times.count, log.times.mean, log.init_ms, log.first_ms) == (75, 13.7004, 142.0, 37.0)
    assert log.delegates == {"NNAPI": "none"}


def test_percentiles():
    log = parse_log(OF_2025)
    assert (log.times.p5, log.times.median, log.times.p95, log.times.count) == (4.45, 4.52, 4.64, 240)
    assert log.warmup.median == 4.7


def test_of_litert():
    log = parse_log(LITERT)
    assert (log.times.count, log.times.mean, log.times.min, log.times.max, log.times.std) == (10, 8.25, 8.0, 8.9, 0.12)
    assert (log.init_ms, log.first_ms, log.warmup.count) == (268.54, 9.5, 2)
    assert (log.init_mb, log.overall_mb, log.peak_mb) == (72.5, 73.5, None)


def test_of_litert_in_python():
    log = parse_log(LITERT_PYTHON)
    assert (log.times.count, log.times.mean, log.times.median, log.times.p95) == (20, 0.8, 0.78, 0.92)
    assert (log.init_ms, log.first_ms) == (7.2, 1.1)
    assert log.delegates == {"accelerator": "all"}


def test_all_alike():
    told = "count=5 curr=4000(all same)\nInference timings in us: Init: 1, Inference (avg): 4000"
    log = parse_log(told)
    assert (log.times.count, log.times.min, log.times.median, log.times.std, log.warmup) == (5, 4.0, 4.0, 0.0, None)


def test_tables_of_the_profile():
    log = parse_log(RUN_ORDER + OF_2025)
    first, order, summary = log.tables
    assert (first["part"], order["part"], summary["title"]) == ("initialization", "run", "Summary by node type")
    assert [row["node type"] for row in order["rows"]] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert order["rows"][0]["name"] == "[net/stem/Relu;net/stem/Conv2D]:0"
    assert (order["rows"][1]["avg ms"], order["rows"][1]["%"], order["rows"][1]["times called"]) == (3.0, 60.0, 1.0)
    assert log.times.median == 4.52  # the table's own count is none of the model's


def test_a_table_of_old_without_times_called():
    old = RUN_ORDER.replace("\t[times called]", "").replace("\t        1\t", "\t")
    rows = parse_tables(old)[1]["rows"]
    assert (rows[0]["avg ms"], "times called" in rows[0]) == (2.0, False)


def test_a_tail_with_the_profiles_count_only():
    tail = RUN_ORDER + "\nAverage inference timings in us: Warmup: 94000, Init: 43000, Inference: 5100.8\n"
    log = parse_log(tail)
    assert (log.times.count, log.times.mean, log.init_ms) == (50, 5.1, 43.0)


def test_unknown_flags_are_told():
    told = "WARN: Unconsumed cmdline flags: --output_filepath=/x --frob=1\n"
    assert parse_log(told + OF_2025).ignored == "--output_filepath=/x --frob=1"


@pytest.mark.parametrize(
    "text",
    ["", "\x00\xff", "count=50 avg=1", OF_2025.replace("avg=4550.7", "avg=-1"), OF_2025.replace("count=240", "count=0"),
     OF_2025.partition("Inference timings")[0], "== BENCHMARK RESULTS ==\nInference (avg): fast",
     "count=1e9\nInference timings in us: Init: 1"],
)  # fmt: skip
def test_what_is_no_result(text):
    with pytest.raises(TfeffError):
        parse_log(text)
