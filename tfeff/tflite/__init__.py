"""The `.tflite` file format, once: `verify` (is a file whole), `graph` and `file` (reading), `writer` (writing).

A light room: `verify` needs the standard library alone, the others NumPy and the schema that LiteRT brings.
"""
