"""Files with a custom operator, as the compilers of accelerators leave them."""

from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


def put_custom_operator(path: Path, name: str) -> Path:
    """Puts a custom operator in the place of a file's last operation."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    code = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = name
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path
