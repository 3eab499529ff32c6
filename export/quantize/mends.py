"""What the converter's quantizer leaves undone, mended before and behind it. Runs in the converter's process.

- Of an operation with several outputs of which one is never read (SPLIT in a recurrent layer's first step) it leaves
  all in float, in some runs and not in others: such outputs are kept alive while it works.
- ARG_MAX and ARG_MIN stay in float, though their kernels take int8: which value is largest is the same there.
"""

from tfeff.tflite.file import TfliteFile, pack
from tfeff.tflite.writer import named_tensor

_DEAD = "tfeff_unread_"


def with_dead_outputs(calibrated: bytes) -> tuple[bytes, int]:
    """A calibrated file in which such outputs are outputs of the network, behind its own; and how many they are."""
    file = TfliteFile(calibrated)
    read = {number for operator in file.operators for number in operator.inputs} | set(file.outputs)
    dead = [
        number
        for operator in file.operators
        if len(operator.outputs) > 1
        for number in operator.outputs
        if number not in read and file.measured_range(number) is not None
    ]
    if not dead:
        return calibrated, 0
    file.tree.outputs = [*file.outputs, *dead]
    for signature in file.model.signatureDefs or ():  # one that does not name them all would be dropped
        signature.outputs = [*signature.outputs, *(named_tensor(f"{_DEAD}{number}", number) for number in dead)]
    return bytes(pack(file.model)), len(dead)


def without_dead_outputs(quantized: bytes, count: int) -> bytes:
    """The quantized file with its own outputs only, without what turns the others into the door's type."""
    if not count:
        return quantized
    file = TfliteFile(quantized)
    named = {entry.tensorIndex for each in file.model.signatureDefs or () for entry in each.outputs if _is_dead(entry)}
    dead = named or set(file.outputs[-count:])
    file.tree.outputs = [number for number in file.outputs if number not in dead]
    for signature in file.model.signatureDefs or ():
        signature.outputs = [entry for entry in signature.outputs if not _is_dead(entry)]
    file.tree.operators = [
        tree
        for tree, operator in zip(file.tree.operators, file.operators, strict=True)
        if not (operator.name in ("QUANTIZE", "DEQUANTIZE") and set(operator.outputs) <= dead)
    ]
    return bytes(pack(file.model))


def _is_dead(entry):
    return entry.name.decode("utf-8", "replace").startswith(_DEAD)


def with_integer_arg_max(quantized: bytes) -> bytes:
    """The quantized file in which ARG_MAX and ARG_MIN read the int8 values themselves."""
    file = TfliteFile(quantized)
    changed = False
    for tree, operator in zip(file.tree.operators, file.operators, strict=True):
        maker = file.producers.get(operator.inputs[0]) if operator.name in ("ARG_MAX", "ARG_MIN") else None
        if maker is not None and file.operators[maker].name == "DEQUANTIZE":
            tree.inputs = [file.operators[maker].inputs[0], *operator.inputs[1:]]
            changed = True
    if not changed:
        return quantized
    read = {int(number) for tree in file.tree.operators for number in tree.inputs} | set(file.outputs)
    file.tree.operators = [
        tree
        for tree, operator in zip(file.tree.operators, file.operators, strict=True)
        if operator.name != "DEQUANTIZE" or operator.outputs[0] in read
    ]
    return bytes(pack(file.model))
