"""Values of the model: messages as dicts, conversion between types, comparing.

A message is a dict of its fields: one without presence (proto3 scalars) is always there when it comes from an event and
may be missing in a view, where missing and zero are the same. Maps are lists of {"key", "value"}, sorted by key. A value
on its own is a pair (kind, value); kinds are "bool", "int", "real", "text", "bytes", "enum", "message", "list".
"""

import math
import struct

from google.protobuf.descriptor import FieldDescriptor as F


class Fault(Exception):
    """The event can't be applied; reason is the word that `parked list` prints."""

    def __init__(self, reason, text=""):
        super().__init__(f"{reason}: {text}")
        self.reason = reason


INTEGERS = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    F.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_FIXED32: (0, 2**32 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_SINT64: (-(2**63), 2**63 - 1),
    F.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
    F.TYPE_FIXED64: (0, 2**64 - 1),
}


def kind_of(field):
    if field.type in INTEGERS:
        return "int"
    return {
        F.TYPE_BOOL: "bool",
        F.TYPE_FLOAT: "real",
        F.TYPE_DOUBLE: "real",
        F.TYPE_STRING: "text",
        F.TYPE_BYTES: "bytes",
        F.TYPE_ENUM: "enum",
        F.TYPE_MESSAGE: "message",
    }[field.type]


# By descriptor pool: the full names of fields that follow a rule and are never written.
DERIVED_FIELDS = {}

ZERO = {"int": 0, "bool": False, "real": 0.0, "text": "", "bytes": b"", "enum": 0}


def is_map(field):
    return field.is_repeated and field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


# --- messages as dicts ------------------------------------------------------------------------------------------


def from_pb(message):
    out = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if is_map(field):
            entry = field.message_type.fields_by_name["value"]
            items = []
            for key in sorted(value):
                inner = from_pb(value[key]) if entry.type == F.TYPE_MESSAGE else value[key]
                items.append({"key": key, "value": inner})
            out[field.name] = items
        elif field.is_repeated:
            out[field.name] = [from_pb(v) if field.type == F.TYPE_MESSAGE else v for v in value]
        elif field.has_presence:
            if message.HasField(field.name):
                out[field.name] = from_pb(value) if field.type == F.TYPE_MESSAGE else value
        else:
            out[field.name] = value
    return out


def to_pb(value, message):
    for name, item in value.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if is_map(field):
            for entry in item:
                if field.message_type.fields_by_name["value"].type == F.TYPE_MESSAGE:
                    to_pb(entry.get("value", {}), getattr(message, name)[entry["key"]])
                else:
                    zero = ZERO[kind_of(field.message_type.fields_by_name["value"])]
                    getattr(message, name)[entry["key"]] = entry.get("value", zero)
        elif field.is_repeated and field.type == F.TYPE_MESSAGE:
            for element in item:
                to_pb(element, getattr(message, name).add())
        elif field.is_repeated:
            getattr(message, name).extend(item)
        elif field.type == F.TYPE_MESSAGE:
            getattr(message, name).SetInParent()
            to_pb(item, getattr(message, name))
        else:
            setattr(message, name, item)
    return message


def get(message, field):
    """The value of a field as a source sees it: (kind, value), or None when it isn't set."""
    if field.is_repeated:
        return ("list", message.get(field.name, []), field)
    if field.name in message:
        return (kind_of(field), message[field.name], field)
    if field.has_presence:
        return None
    return (kind_of(field), ZERO[kind_of(field)], field)


def put(message, field, value):
    """Sets a field; the other members of its oneof go."""
    if field.containing_oneof is not None:
        for other in field.containing_oneof.fields:
            message.pop(other.name, None)
    message[field.name] = value


# --- conversion -------------------------------------------------------------------------------------------------


def as_float32(number):
    if math.isnan(number) or math.isinf(number):
        return number
    try:
        return struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        raise Fault("overflow", "float") from None


def convert_number(number, field):
    if field.type == F.TYPE_DOUBLE:
        return float(number)
    if field.type == F.TYPE_FLOAT:
        return as_float32(float(number))
    if isinstance(number, float):
        if not math.isfinite(number) or number != math.floor(number):
            raise Fault("overflow", "fraction")
        number = int(number)
    low, high = INTEGERS[field.type]
    if not low <= number <= high:
        raise Fault("overflow", field.name)
    return number


def convert(source, field):
    """(kind, value, field it came from or None) -> what a single `field` holds."""
    kind, value, origin = source
    target = kind_of(field)
    if target in ("int", "real"):
        if kind in ("int", "real", "enum"):
            return convert_number(value, field)
    elif target == "enum":
        if kind == "enum":
            name = origin.enum_type.values_by_number.get(value)
            if origin.enum_type is not field.enum_type and name is not None:
                same = field.enum_type.values_by_name.get(name.name)
                value = same.number if same is not None else value
        elif kind == "text" and origin is None:  # a literal
            return field.enum_type.values_by_name[value].number
        elif kind != "int" or not -(2**31) <= value < 2**31:
            raise Fault("overflow", field.name)
        if field.enum_type.is_closed and value not in field.enum_type.values_by_number:
            raise Fault("overflow", field.name)
        return value
    elif target == "text":
        if kind == "text":
            return value
        if kind == "enum":
            name = origin.enum_type.values_by_number.get(value)
            return name.name if name is not None else str(value)
        if kind == "int":
            return str(value)
    elif target == "message" and kind == "message":
        return convert_message(value, origin.message_type if origin else None, field.message_type)
    elif target == kind:
        return value
    raise Fault("bad value", field.name)


def convert_message(value, origin, target):
    if origin is None or origin is target:
        return copy(value)
    out = {}
    derived = DERIVED_FIELDS[target.file.pool]
    for field in target.fields:
        if field.name in origin.fields_by_name and field.full_name not in derived:
            source = get(value, origin.fields_by_name[field.name])
            if source is not None:
                assign(out, field, source)
    return out


def copy(value):
    if isinstance(value, dict):
        return {name: copy(item) for name, item in value.items()}
    if isinstance(value, list):
        return [copy(item) for item in value]
    return value


def assign(message, field, source):
    """MERGE of one field."""
    if source is None:
        return
    if not field.is_repeated:
        put(message, field, convert(source, field))
        return
    _, items, origin = source
    element_kind = kind_of(origin)
    message[field.name] = [convert((element_kind, item, origin), field) for item in items]
    if is_map(field):
        key = field.message_type.fields_by_name["key"]
        by_key = {}
        for entry in message[field.name]:
            by_key[get_or_zero(entry, key)] = entry
        message[field.name] = [by_key[k] for k in sorted(by_key)]


def get_or_zero(message, field):
    return message.get(field.name, None if field.type == F.TYPE_MESSAGE else ZERO[kind_of(field)])


# --- comparing --------------------------------------------------------------------------------------------------


def rank(source):
    """A key such that sorting by it is the order of values: not set first, NaN before numbers."""
    if source is None:
        return (0,)
    kind, value, field = source
    if kind == "message":  # Timestamp, Duration
        return (1, value.get("seconds", 0), value.get("nanos", 0))
    if kind == "text":
        return (1, value.encode())
    if kind == "real" and math.isnan(value):
        return (1, 0, 0)
    if kind in ("int", "real", "enum"):
        return (1, 1, value)
    return (1, value)


def compare(left, operator, right):
    if left is None or right is None or is_nan(left) or is_nan(right):
        return operator == "!="
    if left[0] == "enum" and right[0] == "text":
        named = left[2].enum_type.values_by_name.get(right[1])
        right = ("enum", named.number, left[2]) if named is not None else right
    a, b = rank(left), rank(right)
    return {"=": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


def is_nan(source):
    return source[0] == "real" and math.isnan(source[1])
