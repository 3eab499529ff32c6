"""Compilers of targets, one file each: they take the finished `.tflite` and leave a compiled one beside it."""
