"""Random events for the views of a schema: few people and few values, so that everything meets everything."""

import math

from google.protobuf.descriptor import FieldDescriptor as F

import view_model

TEXTS = ["", "a", "b", "c", "d", "Ä", "it's"]
NUMBERS = [0, 0, 1, 2, 3, 5, 7, 12, 20]
REALS = [0.0, 0.5, 1.0, 2.0, 2.25, -1.5, 0.1, 1e10]
EXTREMES = {
    "real": [math.inf, -math.inf, math.nan, 1.7976931348623157e308, -0.0, 5e-324, 3.4028234663852886e38, 9007199254740993.0],
    "seconds": [-62135596800, 253402300799, -62135596801, 253402300800, 2**63 - 1, -(2**63), -1, -86400],
}


class EventMaker:
    def __init__(self, schema, rng, people=4, wildness=0.02, topic_of=None, is_framed=False):
        self.schema, self.rng, self.wildness, self.is_framed = schema, rng, wildness, is_framed
        self.people = [f"u{n}" for n in range(people)]
        self.mortal = self.people[: (people + 1) // 2]  # the others are never erased, but by mistakes
        self.handlers = [handler for view in schema.views for handler in view.handlers]
        self.events = sorted({handler.event.full_name for handler in self.handlers})
        self.stream = {handler.event.full_name: handler.stream for handler in self.handlers}
        self.erasing = {handler.event.full_name for handler in self.handlers if handler.apply == "ERASE"}
        self.topic_of = topic_of or {stream: stream for stream in self.stream.values()}
        self.offsets = {}

    def wild(self):
        return self.rng.random() < self.wildness

    def scalar(self, field):
        rng, kind = self.rng, view_model.kind_of(field)
        if kind == "bool":
            return rng.random() < 0.5
        if kind == "text":
            return rng.choice(TEXTS[1:]) if rng.random() < 0.95 else ""
        if kind == "bytes":
            return rng.choice(TEXTS[1:]).encode() if rng.random() < 0.95 else b""
        if kind == "enum":
            return rng.choice([value.number for value in field.enum_type.values])
        if kind == "real":
            value = rng.choice(EXTREMES["real"]) if self.wild() else rng.choice(REALS)
            return view_model.as_float32(value) if field.type == F.TYPE_FLOAT and abs(value) < 3e38 else (
                value if field.type != F.TYPE_FLOAT or not math.isfinite(value) else 0.1)
        low, high = view_model.INTEGERS[field.type]
        if self.wild():
            return rng.choice([low, high, low + 1, high - 1])
        value = rng.choice(NUMBERS)
        return -value if low < 0 and rng.random() < 0.2 else value

    def fill(self, message, depth=0):
        rng, type_ = self.rng, message.DESCRIPTOR
        if type_.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            if self.wild():
                message.seconds = rng.choice(EXTREMES["seconds"])
            else:
                message.seconds = 1700000000 + rng.randrange(12) * 86400 * 13
                message.nanos = rng.choice([0, 0, 500000000])
            return message
        for field in type_.fields:
            if field.is_repeated:
                if depth > 3:
                    continue
                for _ in range(rng.choice([0, 1, 1, 2, 3])):
                    self.fill_item(message, field, depth)
            elif field.type == F.TYPE_MESSAGE:
                if field.is_required or (depth < 4 and rng.random() < 0.7):
                    getattr(message, field.name).SetInParent()
                    self.fill(getattr(message, field.name), depth + 1)
            elif rng.random() < (0.999 if field.is_required else 0.85):
                setattr(message, field.name, self.scalar(field))
        return message

    def fill_item(self, message, field, depth):
        if view_model.is_map(field):
            key = self.scalar(field.message_type.fields_by_name["key"])
            value = field.message_type.fields_by_name["value"]
            if value.type == F.TYPE_MESSAGE:
                self.fill(getattr(message, field.name)[key], depth + 1)
            else:
                getattr(message, field.name)[key] = self.scalar(value)
        elif field.type == F.TYPE_MESSAGE:
            self.fill(getattr(message, field.name).add(), depth + 1)
        else:
            getattr(message, field.name).append(self.scalar(field))

    def owner_field(self, view):
        return view.type.fields_by_name[view.keys[0]]

    def set_owner(self, message, handler, owner):
        """Writes the owner where the handler looks for it: into the event, or into each element."""
        name = handler.sources.get(handler.view.keys[0], handler.view.keys[0]).strip()
        starts = [message]
        if handler.each is not None and name.split(".")[0] in handler.each.message_type.fields_by_name:
            starts = list(getattr(message, handler.each.name))
        for at in starts:
            *way, last = name.split(".")
            for step in way:
                if step not in at.DESCRIPTOR.fields_by_name:
                    return
                at = getattr(at, step)
            if last in at.DESCRIPTOR.fields_by_name:
                field = at.DESCRIPTOR.fields_by_name[last]
                kind = view_model.kind_of(field)
                number = int(owner[1:])
                value = {"text": owner, "bytes": owner.encode()}.get(kind)
                if kind == "enum":
                    value = field.enum_type.values[number % len(field.enum_type.values)].number
                setattr(at, last, value if value is not None else number)

    def record_key(self, handler, owner):
        """The record key that goes with an owner, as the view's first key field writes it."""
        field = self.owner_field(handler.view)
        kind = view_model.kind_of(field)
        number = int(owner[1:])
        if kind == "enum":
            return view_model.owner_text(field, field.enum_type.values[number % len(field.enum_type.values)].number)
        return view_model.owner_text(field, {"text": owner, "bytes": owner.encode()}.get(kind, number))

    def record(self):
        rng = self.rng
        name, owner = rng.choice(self.events), rng.choice(self.people)
        if name in self.erasing and (owner not in self.mortal or rng.random() < 0.9):
            name = rng.choice(sorted(set(self.events) - self.erasing))
        handlers = [handler for handler in self.handlers if handler.event.full_name == name]
        message = self.fill(self.schema.cls(name)())
        for handler in handlers:
            self.set_owner(message, handler, owner)
        key = self.record_key(handlers[0], owner if not self.wild() else rng.choice(self.people))
        value = message.SerializePartialToString()
        if owner in self.mortal and any(handler.tombstone for handler in handlers) and rng.random() < 0.05:
            value = None
        record = {"topic": self.topic_of[self.stream[name]], "partition": 0, "key": key if rng.random() < 0.999 else None,
                  "type": name, "value": value, "time_ms": 1700000000000 + rng.randrange(10**10)}
        if self.wild():
            self.spoil(record)
        if self.is_framed and record["value"] is not None:
            record["value"] = self.framed(record["value"])
        self.offsets[record["topic"]] = self.offsets.get(record["topic"], -1) + 1
        record["offset"] = self.offsets[record["topic"]]
        return record

    def spoil(self, record):
        """Something that producers do wrong."""
        rng, value = self.rng, record["value"] or b""
        wrongs = {
            "cut short": {"value": value[:-1]}, "longer": {"value": value + b"\x08"}, "garbage": {"value": b"\xff" * 4},
            "empty": {"value": b""}, "null": {"value": None}, "not UTF-8": {"key": b"\xff\xfe"}, "empty key": {"key": b""},
            "long key": {"key": b"k" * 300}, "no key": {"key": None}, "no type": {"type": ""},
            "unknown type": {"type": "nobody.v1.Knows"}, "another type": {"type": rng.choice(self.events)},
            "another topic": {"topic": rng.choice(sorted(set(self.topic_of.values())))},
        }
        record.update(wrongs[rng.choice(sorted(wrongs))])

    def framed(self, value):
        """The Schema Registry's framing, most often as it should be."""
        rng = self.rng
        if self.wild():
            return rng.choice([value, b"\0\0\0\0\1", b"\1\0\0\0\1\0" + value, b"\0\0\0\0\1\1" + value])
        return b"\0\0\0\0" + bytes([rng.randrange(256)]) + rng.choice([b"\0", b"\2\0", b"\4\2\4"]) + value
