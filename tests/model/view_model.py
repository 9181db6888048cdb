"""The view language again, in plain Python, written from its description and from nothing else.

Everything is a dict or a list, everything is done the slowest obvious way, and nothing is shared with the C code but
the protobuf library of Python: what both agree on for thousands of random events is what the language says.

view_values.py says how messages and values are held.
"""

import datetime
import functools
import math
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as F

from view_values import (  # noqa: F401: those who use the model use some of these
    DERIVED_FIELDS, Fault, INTEGERS, ZERO, as_float32, assign, compare, convert, convert_message,
    convert_number, copy, from_pb, get, get_or_zero, is_map, is_nan, kind_of, put, rank, to_pb,
)


# --- the language -----------------------------------------------------------------------------------------------


def find_path(text, start):
    """The fields of a path through messages, or None."""
    fields = []
    for name in text.split("."):
        if start is None or name not in start.fields_by_name:
            return None
        fields.append(start.fields_by_name[name])
        start = fields[-1].message_type if not fields[-1].is_repeated else None
    return fields


def read_path(fields, message):
    for field in fields[:-1]:
        message = message.get(field.name)
        if message is None:
            return None
    return get(message, fields[-1])


class Scope:
    """What a source may look at: an element first, then the event."""

    def __init__(self, event_type, event, element_type=None, element=None, time_ms=0, offset_s=0):
        self.places = [(element_type, element)] if element_type else []
        self.places.append((event_type, event))
        self.time_ms = time_ms
        self.offset_s = offset_s

    def path(self, text):
        for kind, message in self.places:
            fields = find_path(text, kind)
            if fields is not None:
                return read_path(fields, message) if message is not None else None
        raise KeyError(text)

    def has(self, text):
        return any(find_path(text, kind) is not None for kind, _ in self.places)

    def source(self, text):
        text = text.strip()
        if text == "":
            return None
        if text[0] == "'":
            return ("text", text[1:-1].replace("''", "'"), None)
        if text in ("true", "false"):
            return ("bool", text == "true", None)
        if re.fullmatch(r"-?\d+", text):
            return ("int", int(text), None)
        if re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text):
            return ("real", float(text), None)
        if text == "time()":
            seconds, rest = divmod(self.time_ms, 1000)
            return ("message", {"seconds": seconds, "nanos": rest * 1000000}, None)
        called = re.fullmatch(r"(day|month)\(\s*([\w.]+)\s*\)", text)
        if called:
            return self.date(called.group(1), self.path(called.group(2)))
        if text[0] == "-":
            found = self.path(text[1:].strip())
            if found is None:
                return None
            return ("real", 0.0 - found[1], None) if found[0] == "real" else ("int", -found[1], None)
        return self.path(text)

    def date(self, function, source):
        if source is None:
            return None
        try:
            at = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=source[1].get("seconds", 0))
            at = at + datetime.timedelta(seconds=self.offset_s)
        except OverflowError:
            raise Fault("overflow", function) from None
        text = f"{at.year:04}-{at.month:02}-{at.day:02}"
        return ("text", text if function == "day" else text[:7], None)


def conditions_hold(conditions, scope):
    for condition in conditions:
        left, operator, right = re.fullmatch(r"\s*([\w.]+)\s*(=|!=|<=|>=|<|>)\s*(.*?)\s*", condition).groups()
        if not compare(scope.path(left), operator, scope.source(right)):
            return False
    return True


def split_into(text):
    """"a[b,c].d" -> [("a", ["b", "c"]), ("d", None)]"""
    steps = []
    for name, _, brackets in re.findall(r"(\w+)(\[([^\]]*)\])?", text):
        steps.append((name, [b.strip() for b in brackets.split(",")] if brackets else None))
    return steps


KEY_BYTES_MAX = 255
MAKING = ("MERGE", "REPLACE", "UPSERT", "APPEND", "ADD")
DERIVED = ("count", "sum", "min", "max", "first")


class Handler:
    def __init__(self, schema, view, ordinal, options):
        self.view, self.ordinal = view, ordinal
        self.event = schema.pool.FindMessageTypeByName(options.event)
        self.apply = options.DESCRIPTOR.fields_by_name["apply"].enum_type.values_by_number[options.apply].name
        self.into = split_into(options.into)
        self.each = self.event.fields_by_name[options.each] if options.each else None
        self.sources = {name: options.__getattribute__("from")[name] for name in options.__getattribute__("from")}
        self.when = list(options.when)
        self.tombstone = options.tombstone
        package = self.event.file.package.split(".")
        if len(package) > 1 and re.fullmatch(r"v\d+\w*", package[-1]):
            package = package[:-1]
        self.stream = options.stream or ".".join(package)
        self.target = view.type
        for name, _ in self.into:
            self.target = self.target.fields_by_name[name].message_type

    def named_source(self, name, scope):
        if name in self.sources:
            return scope.source(self.sources[name])
        return scope.path(name) if scope.has(name) else None

    def has_source(self, name, scope):
        if name in self.sources:
            return self.sources[name].strip() != ""
        return scope.has(name)

    def empty_scope(self):
        return Scope(self.event, None, self.each.message_type if self.each else None, None)

    def assigned(self):
        """The fields that MERGE writes."""
        if self.apply in ("REMOVE", "DELETE", "ERASE"):
            return []
        taken = set()
        if not self.into:
            taken.update(self.view.keys)
        elif self.into[-1][1] and self.apply != "APPEND":
            taken.update(self.into[-1][1])
        scope = self.empty_scope()
        fields = []
        for field in self.target.fields:
            rules = self.view.schema.rules(field)
            ruled = rules is not None and (any(getattr(rules, d) for d in DERIVED) or rules.lookup)
            if self.apply == "ADD" and (field.is_repeated or kind_of(field) not in ("int", "real")):
                continue
            if field.name not in taken and not ruled and self.has_source(field.name, scope):
                fields.append(field)
        return fields

    def written(self):
        """The view's own fields that this handler writes."""
        if self.apply in ("DELETE", "ERASE"):
            return []
        return [self.into[0][0]] if self.into else [field.name for field in self.assigned()]


class View:
    def __init__(self, schema, descriptor, options):
        self.schema, self.type = schema, descriptor
        kebab = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", descriptor.name).lower()
        self.name = options.name or kebab
        self.keys = list(options.key)
        zone = re.fullmatch(r"([+-])(\d\d):(\d\d)", options.time_zone or "+00:00").groups()
        self.offset_s = (int(zone[1]) * 60 + int(zone[2])) * 60 * (-1 if zone[0] == "-" else 1)
        self.handlers = [Handler(schema, self, i, on) for i, on in enumerate(options.on)]
        self.home = self.handlers[0].stream
        self.streams = {}
        for handler in self.handlers:
            for name in handler.written():
                self.streams[name] = handler.stream
        # Bracket fields break ties; REMOVE may pick elements by fewer.
        self.brackets = {}
        for handler in self.handlers:
            if handler.apply == "REMOVE":
                continue
            at = self.type
            for name, brackets in handler.into:
                if brackets:
                    self.brackets[(at.full_name, name)] = brackets
                at = at.fields_by_name[name].message_type


class Schema:
    def __init__(self, descriptor_set):
        self.pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
        for file in files.file:
            self.pool.Add(file)
        # Read again with the pool's own descriptor.proto, which knows the extensions.
        self.view_option = self.pool.FindExtensionByName("tarn.view")
        self.field_option = self.pool.FindExtensionByName("tarn.field")
        self.message_options = self.cls("google.protobuf.MessageOptions")
        self.field_options = self.cls("google.protobuf.FieldOptions")
        self.view_class = self.cls("tarn.View")
        self.field_class = self.cls("tarn.Field")
        self.options, self.field_rules = {}, {}
        for file in files.file:
            for message in file.message_type:
                self.read_options(file.package, message)
        DERIVED_FIELDS[self.pool] = {
            ".".join(name) for name, rules in self.field_rules.items() if any(getattr(rules, d) for d in DERIVED)
        }
        self.views = [View(self, self.pool.FindMessageTypeByName(name), o) for name, o in self.options.items()]
        self.views.sort(key=lambda view: view.name)

    def cls(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def read_options(self, scope, message):
        full_name = f"{scope}.{message.name}" if scope else message.name
        options = self.message_options.FromString(message.options.SerializeToString())
        if options.HasExtension(self.view_option):
            self.options[full_name] = options.Extensions[self.view_option]
        for field in message.field:
            options = self.field_options.FromString(field.options.SerializeToString())
            if options.HasExtension(self.field_option):
                self.field_rules[(full_name, field.name)] = options.Extensions[self.field_option]
        for nested in message.nested_type:
            self.read_options(full_name, nested)

    def rules(self, field):
        return self.field_rules.get((field.containing_type.full_name, field.name))

    def handlers_of(self, event_name):
        return [h for view in self.views for h in view.handlers if h.event.full_name == event_name]


# --- effects ----------------------------------------------------------------------------------------------------


def targets(handler, message, at, steps, bracket_values, remove):
    """Every message at the end of `into` (REMOVE: every list with what to remove); made on the way if not removing."""
    if not steps:
        yield message
        return
    (name, brackets), rest = steps[0], steps[1:]
    field = at.fields_by_name[name]
    if not field.is_repeated:
        if name not in message:
            if remove:
                return
            put(message, field, {})
        yield from targets(handler, message[name], field.message_type, rest, bracket_values[1:], remove)
        return
    wanted = bracket_values[0]
    items = message.setdefault(name, [])
    matches = []
    if wanted is not None:
        element = field.message_type
        for item in items:
            found = [get(item, element.fields_by_name[b]) for b in brackets]
            if all(f is not None and rank(f) == rank(w) for f, w in zip(found, wanted)):
                matches.append(item)
    if remove:
        for match in matches:
            if rest:
                yield from targets(handler, match, field.message_type, rest, bracket_values[1:], True)
            else:
                items[:] = [item for item in items if item is not match]
        return
    if matches:
        chosen = matches[0]
    else:
        chosen = {}
        for bracket, value in zip(brackets or [], wanted or []):
            put(chosen, field.message_type.fields_by_name[bracket], value[1])
        items.append(chosen)
    yield from targets(handler, chosen, field.message_type, rest, bracket_values[1:], False)


def apply_handler(handler, scope, view_message):
    view = handler.view
    if handler.apply == "DELETE":
        for name, stream in view.streams.items():
            if stream == view.home:
                view_message.pop(name, None)
        return

    bracket_values, at = [], view.type
    for name, brackets in handler.into:
        at = at.fields_by_name[name].message_type
        values = None
        if brackets:
            values = []
            for bracket in brackets:
                field = at.fields_by_name[bracket]
                source = handler.named_source(bracket, scope)
                if source is None:
                    raise Fault("bad value", bracket)
                values.append((kind_of(field), convert(source, field), field))
        bracket_values.append(values)

    for target in targets(handler, view_message, view.type, handler.into, bracket_values, handler.apply == "REMOVE"):
        if handler.apply == "REMOVE":
            continue
        if handler.apply == "REPLACE":
            for field in handler.target.fields:
                mine = view.streams.get(field.name) == handler.stream if not handler.into else True
                if mine:
                    target.pop(field.name, None)
        for field in handler.assigned():
            source = handler.named_source(field.name, scope)
            if handler.apply != "ADD":
                assign(target, field, source)
            elif source is not None:
                add(target, field, source)


def add(target, field, source):
    before = get(target, field)
    before = 0 if before is None else before[1]
    number = source[1]
    if kind_of(field) == "int":
        if isinstance(number, float):
            if not math.isfinite(number) or number != math.floor(number):
                raise Fault("overflow")
            number = int(number)
        put(target, field, convert_number(before + number, field))
        return
    total = float(before) + float(number)
    if math.isinf(total) and math.isfinite(before) and math.isfinite(number):
        raise Fault("overflow")
    put(target, field, convert_number(total, field))


# --- rules ------------------------------------------------------------------------------------------------------


def apply_rules(schema, view, kind, message):
    for field in kind.fields:
        if field.type == F.TYPE_MESSAGE and field.name in message:
            children = message[field.name] if field.is_repeated else [message[field.name]]
            for child in children:
                apply_rules(schema, view, field.message_type, child)
    for field in kind.fields:
        rules = schema.rules(field)
        if rules is None or not field.is_repeated:
            continue
        if rules.order_by:
            brackets = view.brackets.get((kind.full_name, field.name), [])
            message[field.name] = sorted_list(message.get(field.name, []), field.message_type, rules.order_by, brackets)
        if rules.keep:
            message[field.name] = message.get(field.name, [])[: rules.keep]
    for field in kind.fields:
        rules = schema.rules(field)
        for derivation in DERIVED:
            if rules is not None and getattr(rules, derivation):
                derive(derivation, getattr(rules, derivation), list(rules.where), kind, message, field)


def sorted_list(items, kind, order_by, brackets):
    descending = order_by.startswith("-")
    by = kind.fields_by_name[order_by.lstrip("-").strip()]

    def order(a, b):
        left, right = rank(get(a, by)), rank(get(b, by))
        if left != right:
            return (1 if left > right else -1) * (-1 if descending else 1)
        left = [rank(get(a, kind.fields_by_name[name])) for name in brackets]
        right = [rank(get(b, kind.fields_by_name[name])) for name in brackets]
        return (left > right) - (left < right)

    return sorted(items, key=functools.cmp_to_key(order))


def derive(derivation, path, where, kind, message, field):
    name, _, inner = path.partition(".")
    listed = kind.fields_by_name[name]
    chosen = []
    for item in message.get(name, []):
        if listed.type != F.TYPE_MESSAGE:
            chosen.append((kind_of(listed), item, listed))
            continue
        if not conditions_hold(where, Scope(listed.message_type, item)):
            continue
        if inner:
            chosen.append(read_path(find_path(inner, listed.message_type), item))
        else:
            chosen.append(("message", item, listed))

    if derivation == "count":
        put(message, field, convert_number(len(chosen), field))
        return
    values = [value for value in chosen if value is not None]
    if derivation == "sum":
        total = 0
        for value in values:
            before = total
            total = total + value[1]
            if isinstance(total, float) and math.isinf(total) and math.isfinite(before) and math.isfinite(value[1]):
                raise Fault("overflow")
        put(message, field, convert_number(total, field))
        return
    message.pop(field.name, None)
    if derivation == "first":
        values = chosen[:1] if chosen and chosen[0] is not None else []
    if not values:
        return
    best = values[0]
    for value in values[1:]:
        if (derivation == "min" and rank(value) < rank(best)) or (derivation == "max" and rank(value) > rank(best)):
            best = value
    put(message, field, convert(best, field))


# --- views and records ------------------------------------------------------------------------------------------


def owner_text(field, value):
    kind = kind_of(field)
    if kind == "text":
        return value.encode()
    if kind == "bytes":
        return value
    if kind == "enum":
        name = field.enum_type.values_by_number.get(value)
        return (name.name if name is not None else str(value)).encode()
    return str(value).encode()


def parse_owner(field, text):
    kind = kind_of(field)
    try:
        if kind == "text":
            value = text.decode()
        elif kind == "bytes":
            value = text
        elif kind == "enum":
            named = field.enum_type.values_by_name.get(text.decode())
            value = named.number if named is not None else int(text.decode())
        else:
            value = int(text.decode())
    except (UnicodeDecodeError, ValueError):
        raise Fault("foreign key") from None
    if owner_text(field, value) != text:
        raise Fault("foreign key")
    return value


def unframed(value):
    """Without the Schema Registry's framing: 0, four bytes of schema id, message indexes. None: it isn't there."""
    if len(value) < 6 or value[0] != 0:
        return None
    at = 5

    def varint():
        nonlocal at
        number = 0
        for shift in range(0, 70, 7):
            if at >= len(value):
                return None
            byte = value[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return (number >> 1) ^ -(number & 1)
        return None

    count = varint()
    if count is None or not 0 <= count <= 100:
        return None
    indexes = [varint() for _ in range(count)]
    return None if any(index is None or index < 0 for index in indexes) else value[at:]


class Row:
    def __init__(self, view, key):
        self.made = False
        self.message = {name: value for name, value in zip(view.keys, key)}


class Model:
    """Views by (view name, key), erasure marks, and records that could not be applied with those that wait behind."""

    def __init__(self, schema, max_view_bytes=1 << 62, topic_of=None, is_framed=False, dedupe_window=0):
        """topic_of: {stream: topic}; without it each stream has a topic of its name. dedupe_window: in offsets."""
        self.schema = schema
        self.topic_of = topic_of or {h.stream: h.stream for view in schema.views for h in view.handlers}
        self.is_framed = is_framed
        self.rows = {}
        self.marks = set()
        self.parked = []
        self.max_view_bytes = max_view_bytes
        self.left_out = 0  # how often a handler found its view erased
        self.dedupe_window = dedupe_window
        self.id_offsets = {}  # (topic, partition, key, id) -> where it stood last
        self.duplicates = 0

    # A record: dict of topic, offset, key (bytes or None), time_ms, type (empty: none), value (bytes or None); with an id,
    # if it has one, also partition and id.

    def judge(self, record):
        """The handlers that a record is for, and why it is bad whatever it holds (or None)."""
        of_topic = [h for view in self.schema.views for h in view.handlers if self.topic_of[h.stream] == record["topic"]]
        if record["value"] is None:
            handlers = [h for h in of_topic if h.tombstone]
        elif not record["type"]:
            return of_topic, "no type"
        else:
            handlers = self.schema.handlers_of(record["type"])
            if handlers and self.is_framed and unframed(record["value"]) is None:
                return handlers, "unparseable"
        return handlers, "no key" if handlers and record["key"] is None else None

    def handle(self, record, is_again=False):
        """is_again: it was parked, and is tried anew."""
        handlers, fault = self.judge(record)
        if not handlers or self.all_erased(handlers, record) or (not is_again and self.is_duplicate(record)):
            return
        if fault is not None:
            self.park(record, fault)
            return
        waits = any(p["unit"] == (record["topic"], record["key"]) for p in self.parked)
        try:
            event = self.decode(record)
            self.apply([h for h in handlers if h.apply == "ERASE"], event, record)
        except Fault as fault:
            self.park(record, fault.reason if not waits else "waiting")
            return
        rest = [h for h in handlers if h.apply != "ERASE"]
        if not rest or self.all_erased(rest, record):
            return
        if waits:
            waits = any(p["unit"] == (record["topic"], record["key"]) for p in self.parked)
        if waits:
            if not self.pointless(record):
                self.park(record, "waiting")
            return
        try:
            self.apply(rest, event, record)
        except Fault as fault:
            self.park(record, fault.reason)

    def is_duplicate(self, record):
        """Whether its id stood within the window before it; from here on it stands where this one does."""
        if not record.get("id") or record["key"] is None or self.dedupe_window == 0:
            return False
        at = record["topic"], record["partition"], record["key"], record["id"]
        last = self.id_offsets.get(at)
        self.id_offsets[at] = record["offset"]
        is_known = last is not None and record["offset"] - last <= self.dedupe_window
        self.duplicates += is_known
        return is_known

    def decode(self, record):
        if record["value"] is None:
            return None
        if self.topic_of[self.schema.handlers_of(record["type"])[0].stream] != record["topic"]:
            raise Fault("wrong topic")
        value = unframed(record["value"]) if self.is_framed else record["value"]
        try:
            event = self.schema.cls(record["type"]).FromString(value)
        except Exception:
            raise Fault("unparseable") from None
        if not event.IsInitialized():  # proto2: a required field is missing
            raise Fault("unparseable")
        return from_pb(event)

    def park(self, record, reason):
        unit = (record["topic"], record["key"]) if record["key"] is not None else (record["topic"], record["offset"], "")
        self.parked.append({"unit": unit, "record": record, "reason": reason})

    def all_erased(self, handlers, record):
        """Whether the owner of the record is erased in all views that these handlers feed."""
        if record["key"] is None:
            return False
        try:
            return all((h.view.name, (parse_owner(h.view.type.fields_by_name[h.view.keys[0]], record["key"]),)) in
                       self.marks for h in handlers)
        except Fault:
            return False

    def erased(self, view, key):
        return any((view.name, tuple(key[: n + 1])) in self.marks for n in range(len(key)))

    def apply(self, handlers, event, record):
        work, marks = {}, set()
        for handler in sorted(handlers, key=lambda h: h.apply != "ERASE"):
            self.run(handler, event, record, work, marks)
        for (name, key), row in work.items():
            view = next(v for v in self.schema.views if v.name == name)
            if any((name, key[: n + 1]) in marks for n in range(len(key))):
                continue
            self.check_size(view, handlers, row)
            if not row.made and not any(self.is_set(view, row, f) for f in view.streams):
                self.rows.pop((name, key), None)
                work[(name, key)] = None
        for at, row in work.items():
            if row is not None:
                self.rows[at] = row
        self.erase(marks)

    def is_set(self, view, row, name):
        field = view.type.fields_by_name[name]
        if name not in row.message:
            return False
        if field.is_repeated:
            return len(row.message[name]) > 0
        if field.has_presence:
            return True
        # A double is zero when its bits are: -0.0 is something.
        return row.message[name] != ZERO[kind_of(field)] or str(row.message[name]) == "-0.0"

    def check_size(self, view, handlers, row):
        if not handlers:
            return
        part = {n: v for n, v in row.message.items() if view.streams.get(n) == handlers[0].stream}
        if to_pb(part, self.schema.cls(view.type.full_name)()).ByteSize() > self.max_view_bytes:
            raise Fault("too large")

    def run(self, handler, event, record, work, marks):
        view = handler.view
        elements = [None]
        if handler.each is not None:
            elements = event.get(handler.each.name, []) if event is not None else []
        touched = []
        for element in elements:
            scope = Scope(handler.event, event, handler.each.message_type if handler.each else None, element,
                          record["time_ms"], view.offset_s)
            if not conditions_hold(handler.when, scope):
                continue
            if handler.apply == "ERASE":
                key = self.key(handler, scope, record, event)
                marks.add((view.name, key))
                continue
            try:
                key = self.key(handler, scope, record, event)
            except Fault as fault:
                if self.gives_owner(handler, scope, record) and self.all_erased([handler], record):
                    self.left_out += 1
                    continue
                raise
            if self.erased(view, key) or any((view.name, key[: n + 1]) in marks for n in range(len(key))):
                self.left_out += 1
                continue
            at = (view.name, key)
            if at not in work:
                row = Row(view, key)
                if at in self.rows:
                    row.made, row.message = self.rows[at].made, copy(self.rows[at].message)
                work[at] = row
            if at not in touched:
                touched.append(at)
            apply_handler(handler, scope, work[at].message)
            if handler.stream == view.home:
                if handler.apply in MAKING:
                    work[at].made = True
                elif handler.apply == "DELETE":
                    work[at].made = False
        for at in touched:
            apply_rules(self.schema, view, view.type, work[at].message)

    def gives_owner(self, handler, scope, record):
        """Whether the event says itself whose it is, and the record's key agrees."""
        name = handler.view.keys[0]
        field = handler.view.type.fields_by_name[name]
        try:
            source = handler.named_source(name, scope)
            return source is not None and owner_text(field, convert(source, field)) == record["key"]
        except Fault:
            return False

    def key(self, handler, scope, record, event):
        view = handler.view
        owner_field = view.type.fields_by_name[view.keys[0]]
        if event is None:
            if not record["key"]:
                raise Fault("no key")
            if len(record["key"]) > KEY_BYTES_MAX:
                raise Fault("bad value")
            return (parse_owner(owner_field, record["key"]),)
        key, scope_type = [], handler.empty_scope()
        for position, name in enumerate(view.keys):
            field = view.type.fields_by_name[name]
            if handler.apply == "ERASE" and not handler.has_source(name, scope_type):
                break
            source = handler.named_source(name, scope)
            if source is None:
                raise Fault("no key", name)
            value = convert(source, field)
            if value in ("", b""):
                raise Fault("no key", name)
            if position == 0 and owner_text(field, value) != record["key"]:
                raise Fault("foreign key")
            key.append(value)
        return tuple(key)

    def erase(self, marks):
        if marks <= self.marks:
            return
        self.marks |= marks
        for name, key in marks:
            for at in [a for a in self.rows if a[0] == name and a[1][: len(key)] == key]:
                del self.rows[at]
        # Parked events whose views are all erased go. The others are tried anew: what failed may have failed in a view
        # that is erased now, and what waited behind it may run.
        self.parked, again = [], self.parked
        for entry in again:
            if self.pointless(entry["record"]):
                continue
            if any(p["unit"] == entry["unit"] for p in self.parked):
                self.parked.append(entry)
            else:
                self.handle(entry["record"], is_again=True)

    def pointless(self, record):
        """Whether all views that the event asks for are erased."""
        handlers, fault = self.judge(record)
        if self.all_erased(handlers, record):
            return True
        self.left_out, work = 0, {}
        try:
            if fault is not None:
                return False
            event = self.decode(record)
            for handler in handlers:
                if handler.apply != "ERASE":
                    self.run(handler, event, record, work, set())
        except Fault:
            return False
        return not work and self.left_out > 0

    def view_message(self, view, row):
        return to_pb(row.message, self.schema.cls(view.type.full_name)())
