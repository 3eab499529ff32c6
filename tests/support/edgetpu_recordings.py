"""What `edgetpu_compiler` prints and logs, in the shapes that were recorded."""

HEADER = "Edge TPU Compiler version 16.0.384591198\nStarted a compilation timeout timer of 180 seconds.\n\n"
WHOLE = """Model compiled successfully in 96 ms.

Input model: m.tflite
Input size: 7.02MiB
Output model: m_edgetpu.tflite
Output size: 7.14MiB
On-chip memory used for caching model parameters: 80.00KiB
On-chip memory remaining for caching model parameters: 6.04MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 3
Operation log: m_edgetpu.log

"""
PARTLY = """Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the \
model will instead run on the CPU, which is slower. If possible, consider updating your model to use only operations \
supported by the Edge TPU. For details, visit g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 1
Number of operations that will run on CPU: 2
See the operation log file for individual operation details.
"""
DONE = "Compilation child process completed within timeout period.\nCompilation succeeded! \n"
TABLE = """Operator                       Count      Status

QUANTIZE                       2          Mapped to Edge TPU
DEPTHWISE_CONV_2D              1          Mapped to Edge TPU
"""
LOG = "Edge TPU Compiler version 16.0.384591198\nInput: test/m.tflite\nOutput: test/m_edgetpu.tflite\n\n" + TABLE
MIXED = """Operator                       Count      Status

CONV_2D                        4          Mapped to Edge TPU
CONV_2D                        30         More than one subgraph is not supported
HARD_SWISH                     2          Operation not supported
TRANSPOSE                      1          Operation is otherwise supported, but not mapped due to some unspecified \
limitation
DEQUANTIZE                     1          Operation is working on an unsupported data type
FULLY_CONNECTED                1          Operation version not supported
RESHAPE                        3          Tensor has unsupported rank (up to 3 innermost dimensions mapped)
CUSTOM                         1          A status nobody has seen: yet
"""
TOO_NEW = """ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'. An older version of this builtin might be \
supported. Are you using an old TFLite binary with a newer model?

ERROR: Registration failed.

Invalid model: m.tflite
Model could not be parsed
"""
OUT_OF_RANGE = (
    "ERROR: Op builtin_code out of range: 150. Are you using old TFLite binary with newer model?\n"
    "ERROR: Registration failed.\n\nInvalid model: m.tflite\nModel could not be parsed\n"
)
DYNAMIC = (
    "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph that has dynamic-sized "
    "tensors.\nCompilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite "
    "interpreter.\nCompilation child process completed within timeout period.\nCompilation failed! \n"
)
GROUPS = (
    "ERROR: :349 input->dims->data[3] != filter->dims->data[3] (128 != 1)\n"
    "Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite "
    "interpreter.\nCompilation failed! \n"
)
TOO_LARGE = (
    "ERROR: Restored original execution plan after delegate application failure.\n"
    "Compilation failed: Compilation failed due to large activation tensors in model.\n"
    "Compilation child process completed within timeout period.\nCompilation failed! \n"
)
OLD_FAILURE = "Edge TPU Compiler version 15.0.340273435\nInternal compiler error. Aborting! \n"
SEARCH = (
    "Searching for valid delegate with step 30\nTry to compile segment with 191 ops\n"
    f"Intermediate tensors: a\n{TOO_LARGE}Try to compile segment with 161 ops\nIntermediate tensors: b,c\n"
)
