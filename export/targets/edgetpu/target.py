"""Coral's Edge TPU: one part of the graph, from the input to the first operation that it does not take.

What its compiler makes of a file is predicted from the published table of operations. Where `edgetpu_compiler` is
installed, it is asked, and the compiled file lies beside the artifact.
"""

import os

from tfeff.errors import TfeffError
from tfeff.export.targets import Compiled, Target
from tfeff.export.targets.edgetpu import rules


def _compile(path, folder, options):
    """Compiles where there is a compiler; without one, and none named, the prediction stands."""
    compiler = _compiler(options)
    if compiler is None:
        return None
    from tfeff.export.targets.edgetpu.compiler import compile

    timeout = {} if options.timeout_s is None else {"timeout_s": options.timeout_s}
    made = compile(path, folder, compiler=compiler, **timeout)
    return Compiled(made.path, "_edgetpu.tflite", made.verdict, made.as_dict())


def _compiler(options):
    """The compiler; None where there is none and the user named none."""
    from tfeff.export.targets.edgetpu.compiler import VARIABLE, find_compiler

    try:
        return find_compiler(options.path)
    except TfeffError:
        if options.path is not None or os.environ.get(VARIABLE):
            raise
        return None


TARGET = Target(
    name="edgetpu",
    summary="Coral Edge TPU: everything in one part of the graph, checked against the compiler's rules",
    check=rules.check,
    rewrites=(
        "split_output",
        "silu:multiply",
        "freeze_shift",
        "channel_shuffle:fold",
        "hard_swish:add_mul",
        "prelu:add",
        "leaky_relu:add",
        "strided_dilated:max_pool",
        "average_pool:depthwise",
        "relu_pool:ahead",
        "batch_norm:depthwise",
        "group_conv:merge64",
        "classifier:conv",
    ),
    because={
        "split_output": "scores and boxes of one convolution would share a scale; each gets its own",
        "silu": "LOGISTIC and MUL are in the compiler's table, nothing else is that SiLU could become",
        "freeze_shift": "no converter takes a learned shift; one DEPTHWISE_CONV_2D in place of slices",
        "channel_shuffle": "a TRANSPOSE that moves channels is refused",
        "hard_swish": "HARD_SWISH is not in the compiler's table",
        "prelu": "PRELU is in the table, but large ones were reported left on the CPU",
        "leaky_relu": "LEAKY_RELU is not in the compiler's table",
        "strided_dilated": "STRIDED_SLICE takes strides of 1 only; a pooling of one pixel changes no value",
        "average_pool": "the converter puts a ReLU into AVERAGE_POOL_2D, and one with a ReLU is refused",
        "relu_pool": "the converter puts a ReLU into MAX_POOL_2D, and one with a ReLU is refused",
        "batch_norm": "MUL by a number a channel is refused in some shapes",
        "group_conv": "a grouped CONV_2D makes the compiler refuse the file; 64 is the width of its array",
        "classifier": "FULLY_CONNECTED is quantized a channel at a time now, of which the compiler's age knows nothing",
    },
    rests_on="nothing: Coral's published table and users' reports, no device and no compiler were at hand",
    refuses=("group_conv:native", "hard_swish:native", "channel_shuffle:native", "strided_dilated:slice"),
    # In int8 both are of version 2; the compiler reads the first of them.
    unable={
        **dict.fromkeys(("elu", "celu", "selu", "exponential", "exp"), "EXP"),
        **dict.fromkeys(("softplus", "log_sigmoid", "logsigmoid", "log"), "LOG"),
    },
    precisions=("int8",),
    no_nms="takes no float operation, TFLite_Detection_PostProcess and what leads to it would stay on the CPU",
    whole=True,
    compile=_compile,
    check_compiler=_compiler,
    compiler_options=("path", "timeout_s"),
    compiled_suffix="_edgetpu.tflite",
)
