"""Arm's Ethos-U NPUs by way of Vela, which is asked about every file and leaves a compiled one beside it.

Vela takes group convolution, hard-swish and PReLU as they are. What it does not take runs on the microcontroller's
core: GATHER, slices with a stride along the channels, and, on U55 and U65, a channel shuffle as a TRANSPOSE of five
dimensions once the map is large (28x28x244 and 56x56x64 are, 28x28x116 is not).
"""

from tfeff.export.targets import Compiled, Target
from tfeff.export.targets.ethos_u import rules


def _compile(path, folder, options):
    from tfeff.export.targets.ethos_u import compiler as vela
    from tfeff.tflite.graph import read_graph

    accelerator = options.accelerator or vela.DEFAULT_ACCELERATOR
    timeout_s = vela.TIMEOUT_S if options.timeout_s is None else options.timeout_s
    made = vela.compile(path, folder, accelerator, compiler=options.path, timeout_s=timeout_s)
    graph = read_graph(path)
    verdict = rules.confirmed(graph, rules.check(graph, accelerator), made)
    return Compiled(made.path, "_vela.tflite", verdict, made.as_dict())


def _check_compiler(options):
    from tfeff.export.targets.ethos_u import compiler as vela

    vela.check_accelerator(options.accelerator or vela.DEFAULT_ACCELERATOR)
    vela.find_vela(options.path)


TARGET = Target(
    name="ethos-u",
    summary="Arm Ethos-U55, U65 and U85 NPUs: compiled by Vela, nothing left to the CPU",
    check=rules.check,
    rewrites=(
        "split_output",
        "freeze_shift",
        "channel_shuffle:fold",
        "prelu:uneven",
        "average_pool:depthwise",
        "batch_norm:depthwise",
        "group_conv:split",
    ),
    because={
        "split_output": "scores and boxes of one convolution would share a scale; each gets its own",
        "freeze_shift": "no converter takes a learned shift; fewer cycles than slices by Vela's model",
        "channel_shuffle": "on U55 and U65 Vela leaves the TRANSPOSE of a large one to the CPU",
        "prelu": "of slopes that differ Vela makes more operations than these; equal ones are one table",
        "average_pool": "fewer cycles by Vela's model",
        "batch_norm": "one operation in place of MUL and ADD",
        "group_conv": "fewer cycles by Vela's model than its own way of taking the groups apart",
    },
    rests_on="Vela's estimates of cycles in [benchmarks.md](benchmarks.md); no hardware",
    precisions=("int8",),
    no_nms="takes no float operation, and Vela leaves TFLite_Detection_PostProcess to the microcontroller",
    whole=True,
    compile=_compile,
    check_compiler=_check_compiler,
    compiler_options=("path", "accelerator", "timeout_s"),
    compiled_suffix="_vela.tflite",
)
