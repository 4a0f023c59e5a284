"""Sparkplug's payload as Google's protocol buffers see it: another implementation, which tests hold ours to.

Field numbers and types are facts of the specification (6.4.1).
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = descriptor_pb2.FieldDescriptorProto
_SCHEMA = {
    "PropertyValue": [
        ("type", 1, "UINT32"), ("is_null", 2, "BOOL"), ("int_value", 3, "UINT32"), ("long_value", 4, "UINT64"),
        ("float_value", 5, "FLOAT"), ("double_value", 6, "DOUBLE"), ("boolean_value", 7, "BOOL"),
        ("string_value", 8, "STRING"), ("propertyset_value", 9, "PropertySet"),
    ],
    "PropertySet": [("keys", 1, "STRING*"), ("values", 2, "PropertyValue*")],
    "MetaData": [("content_type", 2, "STRING"), ("size", 3, "UINT64"), ("description", 8, "STRING")],
    "DataSet": [("num_of_columns", 1, "UINT64"), ("columns", 2, "STRING*"), ("types", 3, "UINT32*")],
    "Template": [("version", 1, "STRING"), ("metrics", 2, "Metric*"), ("is_definition", 5, "BOOL")],
    "Metric": [
        ("name", 1, "STRING"), ("alias", 2, "UINT64"), ("timestamp", 3, "UINT64"), ("datatype", 4, "UINT32"),
        ("is_historical", 5, "BOOL"), ("is_transient", 6, "BOOL"), ("is_null", 7, "BOOL"), ("metadata", 8, "MetaData"),
        ("properties", 9, "PropertySet"), ("int_value", 10, "UINT32"), ("long_value", 11, "UINT64"),
        ("float_value", 12, "FLOAT"), ("double_value", 13, "DOUBLE"), ("boolean_value", 14, "BOOL"),
        ("string_value", 15, "STRING"), ("bytes_value", 16, "BYTES"), ("dataset_value", 17, "DataSet"),
        ("template_value", 18, "Template"),
    ],
    "Payload": [
        ("timestamp", 1, "UINT64"), ("metrics", 2, "Metric*"), ("seq", 3, "UINT64"), ("uuid", 4, "STRING"),
        ("body", 5, "BYTES"),
    ],
}  # fmt: skip
VALUES = {"PropertyValue": range(3, 12), "Metric": range(10, 20)}  # fields of `oneof value`


def _file() -> descriptor_pb2.FileDescriptorProto:
    found = descriptor_pb2.FileDescriptorProto(name="spb.proto", package="spb", syntax="proto2")
    for message, fields in _SCHEMA.items():
        kind = found.message_type.add(name=message)
        if message in VALUES:
            kind.oneof_decl.add(name="value")
        for name, number, type_name in fields:
            base = type_name.rstrip("*")
            field = kind.field.add(name=name, number=number)
            field.label = _TYPES.LABEL_REPEATED if type_name.endswith("*") else _TYPES.LABEL_OPTIONAL
            if base in _SCHEMA:
                field.type, field.type_name = _TYPES.TYPE_MESSAGE, f".spb.{base}"
            else:
                field.type = getattr(_TYPES, f"TYPE_{base}")
            if number in VALUES.get(message, ()):
                field.oneof_index = 0
    return found


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
Payload: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("spb.Payload"))
FIELDS = {  # of the datatypes that are taken
    "Int8": (1, "int_value"), "Int16": (2, "int_value"), "Int32": (3, "int_value"), "Int64": (4, "long_value"),
    "UInt8": (5, "int_value"), "UInt16": (6, "int_value"), "UInt32": (7, "int_value"), "UInt64": (8, "long_value"),
    "Float": (9, "float_value"), "Double": (10, "double_value"), "Boolean": (11, "boolean_value"),
    "String": (12, "string_value"),
}  # fmt: skip


def message(*metrics: dict, seq: int | None = None, time_ms: int | None = 1_000) -> bytes:
    """A payload. A metric's `type` is a datatype's name, its `value` goes into that type's field."""
    payload = Payload()
    if seq is not None:
        payload.seq = seq
    if time_ms is not None:
        payload.timestamp = time_ms
    for given in metrics:
        metric = payload.metrics.add()
        datatype, field = FIELDS[given.get("type", "Double")]
        if given.get("is_born", True):
            metric.datatype = datatype
        if "value" in given:
            setattr(metric, given.get("field", field), given["value"])
        for key in ("name", "alias", "timestamp", "is_historical", "is_null"):
            if key in given:
                setattr(metric, key, given[key])
        for key, (name, value) in given.get("properties", {}).items():
            metric.properties.keys.append(key)
            setattr(metric.properties.values.add(type=3), name, value)
    return payload.SerializeToString()


def bd_seq(number: int) -> dict:
    """The metric that ties a death to its birth."""
    return {"name": "bdSeq", "type": "Int64", "value": number}
