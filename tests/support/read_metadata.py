"""Reads TensorFlow Lite metadata by the schema (metadata_schema.fbs 1.5.0), field by field as it declares them: another
way than the one that writes it, which goes by slots."""

import struct

TABLES = {
    "ModelMetadata": [
        ("name", "text"), ("description", "text"), ("version", "text"), ("subgraph_metadata", ["SubGraphMetadata"]),
        ("author", "text"), ("license", "text"), ("associated_files", ["AssociatedFile"]),
        ("min_parser_version", "text"),
    ],
    "SubGraphMetadata": [
        ("name", "text"), ("description", "text"), ("input_tensor_metadata", ["TensorMetadata"]),
        ("output_tensor_metadata", ["TensorMetadata"]), ("associated_files", ["AssociatedFile"]),
        ("input_process_units", ["ProcessUnit"]), ("output_process_units", ["ProcessUnit"]),
        ("input_tensor_groups", ["TensorGroup"]), ("output_tensor_groups", ["TensorGroup"]),
    ],
    "TensorMetadata": [
        ("name", "text"), ("description", "text"), ("dimension_names", ["text"]), ("content", "Content"),
        ("process_units", ["ProcessUnit"]), ("stats", "Stats"), ("associated_files", ["AssociatedFile"]),
    ],
    "Content": [
        ("content_properties", ("FeatureProperties", "ImageProperties", "BoundingBoxProperties", "AudioProperties")),
        ("range", "ValueRange"),
    ],
    "FeatureProperties": [],
    "ImageProperties": [("color_space", "<b"), ("default_size", "ImageSize")],
    "BoundingBoxProperties": [("index", ["<I"]), ("type", "<b"), ("coordinate_type", "<b")],
    "ValueRange": [("min", "<i"), ("max", "<i")],
    "ProcessUnit": [("options", ("NormalizationOptions", "ScoreCalibrationOptions", "ScoreThresholdingOptions"))],
    "NormalizationOptions": [("mean", ["<f"]), ("std", ["<f"])],
    "Stats": [("max", ["<f"]), ("min", ["<f"])],
    "TensorGroup": [("name", "text"), ("tensor_names", ["text"])],
    "AssociatedFile": [
        ("name", "text"), ("description", "text"), ("type", "<b"), ("locale", "text"), ("version", "text")
    ],
}  # fmt: skip


def read_metadata(file):
    """The metadata of a `.tflite` file as dictionaries; fields that are left out are not there. A union is (the name of
    its member, that)."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(file, 0)
    entries = {model.Metadata(n).Name(): model.Metadata(n).Buffer() for n in range(model.MetadataLength())}
    data = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    assert data[4:8] == b"M001"
    return _table(data, _number(data, 0, "<I"), "ModelMetadata")


def _number(data, at, form):
    return struct.unpack_from(form, data, at)[0]


def _table(data, at, name):
    slots = at - _number(data, at, "<i")
    count = (_number(data, slots, "<H") - 4) // 2
    found, slot = {}, 0

    def place(number):
        offset = _number(data, slots + 4 + 2 * number, "<H") if number < count else 0
        return at + offset if offset else None

    for field, kind in TABLES[name]:
        if isinstance(kind, tuple):  # a union takes two slots
            member, where = place(slot), place(slot + 1)
            if member is not None and where is not None:
                chosen = kind[_number(data, member, "<B") - 1]
                found[field] = chosen, _table(data, where + _number(data, where, "<I"), chosen)
            slot += 2
            continue
        where, slot = place(slot), slot + 1
        if where is not None:
            found[field] = _value(data, where, kind)
    return found


def _value(data, at, kind):
    if isinstance(kind, list):
        start = at + _number(data, at, "<I")
        size = struct.calcsize(kind[0]) if kind[0].startswith("<") else 4
        return [_value(data, start + 4 + size * n, kind[0]) for n in range(_number(data, start, "<I"))]
    if kind.startswith("<"):
        return _number(data, at, kind)
    start = at + _number(data, at, "<I")
    if kind == "text":
        return data[start + 4 : start + 4 + _number(data, start, "<I")].decode()
    return _table(data, start, kind)
