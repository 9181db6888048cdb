#!/usr/bin/env python3
"""Compares Tarn's messages and JSON with protobuf's own, on random messages with extreme values.

    json_compare.py JSON_TOOL SET.binpb [--count N] [--seed N]

Each message goes to json_tool (see json_tool.c) as protobuf's Python wrote it, and again with bytes changed at random.
Held to be equal: whether the bytes are refused; the message that the canonical bytes stand for; its JSON. What Tarn
refuses on purpose though protobuf takes it (groups, missing required fields) counts as refused here too.
"""
import argparse
import difflib
import json
import math
import random
import struct
import subprocess
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory

FieldType = descriptor_pb2.FieldDescriptorProto

INT_EDGES = [0, 1, -1, 127, 128, 300, -128, 2**31 - 1, -2**31, 2**31, 2**32 - 1, 2**53, 2**53 + 1, 2**63 - 1, -2**63,
             2**64 - 1, 99, 100, 1000, 12345678901234567]
DOUBLE_EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 0.25, 99.95, 1e21, 1e22, 1e23, 1e-7, 5e-324, 2.2250738585072014e-308,
                1.7976931348623157e308, 123456789.123456789, 0.1 + 0.2, 2.0**53, 2.0**53 + 2, 4.35, 1 / 3,
                9007199254740993.0, 1e15, 1e16, 1e17, 123456.789e-10, math.inf, -math.inf, math.nan]
FLOAT_EDGES = [0.0, -0.0, 0.1, 1e10, 1e-10, 3.4028234663852886e38, 1.401298464324817e-45, 1.1754943508222875e-38,
               16777216.0, 16777218.0, 0.3, 1 / 3, 4.35, math.inf, -math.inf, math.nan]
STRINGS = ["", "a", "plain ascii text", "\u0000", "quote \" and \\ back", "\n\r\t\b\f\u0001\u001f\u007f", "한국어 텍스트",
           "\u07ff\u0800\uffff\U00010000\U0010ffff", "x" * 100, "0123456789abcde\"f", "0123456789abcdef\u00e9" * 3, "</script>"]
INT_RANGES = {
    FieldType.TYPE_INT32: (-2**31, 2**31 - 1), FieldType.TYPE_SINT32: (-2**31, 2**31 - 1),
    FieldType.TYPE_SFIXED32: (-2**31, 2**31 - 1), FieldType.TYPE_UINT32: (0, 2**32 - 1),
    FieldType.TYPE_FIXED32: (0, 2**32 - 1), FieldType.TYPE_INT64: (-2**63, 2**63 - 1),
    FieldType.TYPE_SINT64: (-2**63, 2**63 - 1), FieldType.TYPE_SFIXED64: (-2**63, 2**63 - 1),
    FieldType.TYPE_UINT64: (0, 2**64 - 1), FieldType.TYPE_FIXED64: (0, 2**64 - 1),
}


class Maker:
    """Random messages of a type."""

    def __init__(self, rng):
        self.rng = rng

    def scalar(self, field):
        rng = self.rng
        if field.type in INT_RANGES:
            low, high = INT_RANGES[field.type]
            edges = [edge for edge in INT_EDGES if low <= edge <= high]
            return rng.choice(edges) if rng.random() < 0.6 else rng.randint(low, high)
        if field.type == FieldType.TYPE_DOUBLE:
            kind = rng.random()
            if kind < 0.4:
                return rng.choice(DOUBLE_EDGES)
            if kind < 0.7:
                return round(rng.uniform(-1e6, 1e6), rng.randint(0, 8))
            return struct.unpack("<d", rng.randbytes(8))[0]
        if field.type == FieldType.TYPE_FLOAT:
            kind = rng.random()
            if kind < 0.4:
                return rng.choice(FLOAT_EDGES)
            if kind < 0.7:
                return struct.unpack("<f", struct.pack("<f", round(rng.uniform(-1e4, 1e4), rng.randint(0, 4))))[0]
            return struct.unpack("<f", rng.randbytes(4))[0]
        if field.type == FieldType.TYPE_BOOL:
            return rng.random() < 0.5
        if field.type == FieldType.TYPE_STRING:
            return rng.choice(STRINGS)
        if field.type == FieldType.TYPE_BYTES:
            return rng.randbytes(rng.choice([0, 1, 2, 3, 4, 17, 60]))
        if field.type == FieldType.TYPE_ENUM:
            numbers = [value.number for value in field.enum_type.values]
            if not field.enum_type.is_closed and rng.random() < 0.2:
                return rng.choice([77, -77, 2**31 - 1, -2**31])
            return rng.choice(numbers)
        raise AssertionError(field.full_name)

    def well_known(self, target):
        """Fills the types whose values are mostly outside what JSON can show when they are just random."""
        rng = self.rng
        name = target.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp" and rng.random() < 0.9:
            target.seconds = rng.choice([0, 1, -1, -62135596800, 253402300799, 951782400, 951868799, 1709164800,
                                         rng.randint(-62135596800, 253402300799)])
            target.nanos = rng.choice([0, 1, 999999999, 500000000, 120000, 1000])
            return True
        if name == "google.protobuf.Duration" and rng.random() < 0.9:
            sign = rng.choice([1, -1])
            target.seconds = sign * rng.choice([0, 0, 1, 315576000000, rng.randint(0, 315576000000)])
            target.nanos = sign * rng.choice([0, 1, 999999999, 500000000, 120000, 1000])
            return True
        if name == "google.protobuf.FieldMask" and rng.random() < 0.9:
            target.paths.extend(rng.choices(["a", "a_b", "one.two_three", "x1.y_z"], k=rng.randint(0, 3)))
            return True
        return False

    def fill(self, target, depth=0):
        if self.well_known(target):
            return
        for field in target.DESCRIPTOR.fields:
            if field.type == FieldType.TYPE_GROUP or self.rng.random() < (0.35 + 0.15 * depth):
                if not (field.is_required and self.rng.random() < 0.9):
                    continue
            is_message = field.type == FieldType.TYPE_MESSAGE
            if is_message and depth > 4 and not field.is_required:
                continue
            count = self.rng.choice([0, 1, 1, 2, 3, 9])
            if is_message and field.message_type.GetOptions().map_entry:
                key, value = field.message_type.fields_by_number[1], field.message_type.fields_by_number[2]
                entries = getattr(target, field.name)
                for _ in range(count):
                    if value.type == FieldType.TYPE_MESSAGE:
                        self.fill(entries[self.scalar(key)], depth + 1)
                    else:
                        entries[self.scalar(key)] = self.scalar(value)
            elif field.is_repeated:
                values = getattr(target, field.name)
                for _ in range(count):
                    if is_message:
                        self.fill(values.add(), depth + 1)
                    else:
                        values.append(self.scalar(field))
            elif is_message:
                inner = getattr(target, field.name)
                inner.SetInParent()
                self.fill(inner, depth + 1)
            else:
                setattr(target, field.name, self.scalar(field))

    def damaged(self, data):
        rng = self.rng
        data = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(data) + 1)
            kind = rng.randrange(6)
            if kind == 0 and place < len(data):
                data[place] = rng.randrange(256)
            elif kind == 1:
                data[place:place] = rng.randbytes(rng.randint(1, 3))
            elif kind == 2:
                del data[place:place + rng.randint(1, 4)]
            elif kind == 3:
                del data[place:]
            elif kind == 4:  # twice: merged, or the last wins
                data += bytes(data)
            elif kind == 5 and place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            if len(data) > 20000:
                break
        return bytes(data)


def wire_fields(data):
    """[(number, wire type, payload)]; the payload of a group is such a list. IndexError, KeyError: it isn't well-formed."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    def fields(group):
        nonlocal at
        found = []
        while at < len(data) or group is not None:
            tag = varint()
            number, wire = tag >> 3, tag & 7
            if wire == 4 and number == group:
                return found
            payload = b""
            if wire == 0:
                varint()
            elif wire == 3:
                payload = fields(number)
            else:
                length = {1: 8, 5: 4}[wire] if wire != 2 else varint()
                payload = data[at:at + length]
                at += length
            found.append((number, wire, payload))
        return found

    return fields(None)


WIRE_TYPES = {FieldType.TYPE_DOUBLE: 1, FieldType.TYPE_FIXED64: 1, FieldType.TYPE_SFIXED64: 1, FieldType.TYPE_FLOAT: 5,
              FieldType.TYPE_FIXED32: 5, FieldType.TYPE_SFIXED32: 5, FieldType.TYPE_STRING: 2, FieldType.TYPE_BYTES: 2,
              FieldType.TYPE_MESSAGE: 2}


def holds(descriptor, data, is_odd, unreadable):
    """Is any message in it odd: is_odd(descriptor, [(field or None, payload)])? What isn't well-formed is `unreadable`."""
    try:
        found = []
        for number, wire, payload in wire_fields(data):
            field = descriptor.fields_by_number.get(number)
            is_known = field is not None and wire == WIRE_TYPES.get(field.type, 0)
            found.append((field if is_known else None, payload))
            is_message = is_known and field.type == FieldType.TYPE_MESSAGE
            if is_message and holds(field.message_type, payload, is_odd, unreadable):
                return True
        return is_odd(descriptor, found)
    except (KeyError, IndexError):
        return unreadable


def is_odd_entry(descriptor, fields):
    """A map's entry with an unknown field: upb (Python) drops it whole, what it requires too; C++, Java and Tarn keep what
    they know of it."""
    return descriptor.GetOptions().map_entry and any(field is None for field, _ in fields)


def has_number_zero(descriptor, fields):
    """There is no field 0: C++, Java and Tarn refuse it anywhere, upb takes it inside of an unknown group."""
    def inside(group):
        return any(number == 0 or (wire == 3 and inside(payload)) for number, wire, payload in group)

    return any(isinstance(payload, list) and inside(payload) for _, payload in fields)


def same(ours, theirs):
    """Equal JSON; numbers also when they are the same float32 (its shortest text has several forms)."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        if ours == theirs:
            return math.copysign(1, ours) == math.copysign(1, theirs)
        try:
            return struct.pack("<f", ours) == struct.pack("<f", theirs) and struct.pack("<f", ours) != b"\0\0\0\0"
        except OverflowError:
            return False
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def without_repeats(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key twice: {keys}")
    return dict(pairs)


def compare(message_class, data, answer, is_proto2):
    """What differs, or None."""
    verdict, *rest = answer.rstrip("\n").split("\t")
    theirs = message_class()
    try:
        theirs.ParseFromString(data)
        refused = not theirs.IsInitialized() and "required"
    except message.DecodeError as error:
        refused = str(error)
    if verdict == "refused":
        # Groups, and in proto2 strings that aren't UTF-8, are refused by Tarn alone.
        descriptor = message_class.DESCRIPTOR
        allowed = ("groups aren't supported" in rest[0] or (is_proto2 and "isn't UTF-8" in rest[0]) or
                   ("required, and missing" in rest[0] and holds(descriptor, data, is_odd_entry, True)) or
                   ("doesn't parse" in rest[0] and holds(descriptor, data, has_number_zero, False)))
        return None if refused or allowed else f"refused ({rest[0]}), protobuf takes it"
    if verdict == "broken":
        return rest[0]
    if refused:
        return f"taken, protobuf refuses it: {refused}"
    if holds(message_class.DESCRIPTOR, data, is_odd_entry, True):
        return None
    theirs.DiscardUnknownFields()
    try:
        expected = json_format.MessageToDict(theirs, always_print_fields_with_no_presence=True)
    except (ValueError, json_format.Error) as error:
        return None if verdict == "unshown" else f"shown as {rest[1]}, protobuf says {error}"
    if verdict == "unshown":
        return f"not shown ({rest[0]}), protobuf shows {expected}"

    ours = message_class()
    ours.ParseFromString(bytes.fromhex(rest[0]))
    if ours.SerializeToString(deterministic=True) != theirs.SerializeToString(deterministic=True):
        lines = difflib.unified_diff(str(theirs).splitlines(), str(ours).splitlines(), "protobuf", "tarn", lineterm="")
        return "\n  ".join(["another message:", *lines])
    shown = json.loads(rest[1], object_pairs_hook=without_repeats)
    return None if same(shown, expected) else f"another JSON:\n  {rest[1]}\n  {json.dumps(expected)}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("tool")
    arguments.add_argument("set")
    arguments.add_argument("--count", type=int, default=3000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()

    with open(options.set, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for proto in files.file:
        pool.Add(proto)
    proto2_files = {proto.name for proto in files.file if proto.syntax != "proto3"}
    names = []
    for proto in files.file:
        prefix = proto.package + "." if proto.package else ""
        # An Any shows its bytes in ours: protobuf's would need to know every type.
        names += [prefix + m.name for m in proto.message_type if not proto.name.startswith("google/")
                  and m.name != "Enveloped"]

    rng = random.Random(options.seed)
    maker = Maker(rng)
    tool = subprocess.Popen([options.tool, options.set], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    differences = 0
    for number in range(options.count):
        name = rng.choice(names)
        message_class = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        made = message_class()
        maker.fill(made)
        data = made.SerializePartialToString(deterministic=True)
        for sent in (data, maker.damaged(data)):
            tool.stdin.write(b"%s\n%d\n%s" % (name.encode(), len(sent), sent))
            tool.stdin.flush()
            answer = tool.stdout.readline().decode()
            if not answer:
                print(f"json_tool ended ({tool.wait()}) at {name} {sent.hex()}")
                return 1
            is_proto2 = message_class.DESCRIPTOR.file.name in proto2_files
            difference = compare(message_class, sent, answer, is_proto2)
            if difference:
                differences += 1
                print(f"{name} {sent.hex()}\n  {difference}")
                if differences == 10:
                    return 1
    tool.stdin.close()
    status = tool.wait()
    print(f"{options.count} messages and as many damaged ones: {differences} differences (seed {options.seed})")
    return 1 if differences or status else 0


if __name__ == "__main__":
    sys.exit(main())
