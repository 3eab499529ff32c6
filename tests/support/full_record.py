"""A record of schema 2 that has every field of every part, none at its default."""

import msgspec

from tfeff.record.schema import Record

SHA256 = "a" * 64
# Values that must go with others; everything else is made from its type.
_TEXTS = {"^[0-9a-f]{64}$": SHA256, "^(bool": "int8", r"^(?!": "net.tflite"}
_NUMBERS = {"total": 9, "delta": 0.0}
_NAMES = {"Port": "logits", "PortAgreement": "logits"}


def full_record() -> Record:
    """Made anew from the types, so that a new field is in it without being told."""
    return msgspec.convert(_object(msgspec.inspect.type_info(Record)), Record)


def _object(info):
    return {field.encode_name: _value(field.type, field.encode_name, info.cls.__name__) for field in info.fields}


def _value(info, name, owner):
    match info:
        case msgspec.inspect.StructType():
            return _object(info)
        case msgspec.inspect.UnionType(types=types):
            return _value(next(each for each in types if not isinstance(each, msgspec.inspect.NoneType)), name, owner)
        case msgspec.inspect.ListType(item_type=item):
            return [_value(item, name, owner)] * (info.min_length or 1)
        case msgspec.inspect.TupleType(item_types=items):
            return [_value(item, name, owner) for item in items]
        case msgspec.inspect.DictType(value_type=item):
            return {"key": _value(item, name, owner)}
        case msgspec.inspect.LiteralType(values=values):
            return "faster" if "faster" in values else values[-1]
        case msgspec.inspect.StrType(pattern=pattern):
            if name == "outputs" or (name == "name" and owner in _NAMES):
                return "logits"
            return next((text for start, text in _TEXTS.items() if pattern and pattern.startswith(start)), f"a {name}")
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.IntType():
            return _NUMBERS.get(name, 2)
        case msgspec.inspect.FloatType():
            return _NUMBERS.get(name, 0.5)
        case msgspec.inspect.AnyType():
            return {"anything": [1, "two", None]}
    raise TypeError(f"{owner}.{name}: {info}")
