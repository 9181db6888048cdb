"""Random schemas: views whose fields, handlers and rules are drawn by lot, valid by construction as far as possible.

A field's name says what it is about, on both sides: "n1" is a number wherever it stands, of a kind drawn anew each time.
So whatever event meets whatever target, what goes by name converts, in one of many ways.
"""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
INTEGERS = ["int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"]
NUMBERS = INTEGERS + ["double", "float", "int64", "int64", "double"]
# name -> what a target and a source of that name may be
CONCEPTS = {
    **{f"n{i}": (NUMBERS, NUMBERS) for i in range(1, 6)},
    **{f"i{i}": (INTEGERS, INTEGERS) for i in range(1, 3)},
    "s1": (["string"], ["string", "string", "EnumA", "int64", "uint32"]),
    "s2": (["string"], ["string"]),
    "e1": (["EnumA", "EnumB"], ["EnumA", "EnumB"]),
    "b1": (["bool"], ["bool"]),
    "y1": (["bytes"], ["bytes"]),
    "t1": (["google.protobuf.Timestamp"], ["google.protobuf.Timestamp"]),
    "m1": (["PlainA", "PlainB"], ["PlainA", "PlainB"]),
    "r1": (["repeated int32", "repeated double", "repeated uint64"], ["repeated int32", "repeated int64", "repeated float"]),
    "r2": (["repeated PlainA", "repeated PlainB"], ["repeated PlainA", "repeated PlainB"]),
    "p1": (["map<string, int64>", "map<string, double>"], ["map<string, int32>", "map<string, uint64>"]),
    "p2": (["map<int32, PlainA>", "map<int32, PlainB>"], ["map<int32, PlainA>", "map<int32, PlainB>"]),
}
SCALARS = [name for name in CONCEPTS if name[0] in "nisebyt"]
PREAMBLE = """syntax = "proto3";
package made.v1;
import "google/protobuf/timestamp.proto";
import "tarn/view.proto";
enum EnumA { A_ZERO = 0; ONE = 1; TWO = 2; THREE = 3; }
message Wrap { enum E { B_ZERO = 0; THREE = 1; ONE = 7; FOUR = 3; } }
message PlainA { string s1 = 1; optional int32 n1 = 2; EnumA e1 = 3; PlainB deeper = 4; repeated int64 r1 = 5; }
message PlainB { int64 n1 = 1; optional string s1 = 2; Wrap.E e1 = 3; PlainA deeper = 4; repeated double r1 = 5;
                 map<string, int64> p1 = 6; }
"""


class SchemaMaker:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, names, low, high):
        names = list(names)
        return self.rng.sample(names, min(len(names), self.rng.randint(low, high)))

    def field(self, name, side, number, options=""):
        kind = self.rng.choice(CONCEPTS[name][side])
        kind = {"EnumB": "Wrap.E"}.get(kind, kind)
        optional = ""
        if name in SCALARS and name != "t1" and self.rng.random() < 0.35:
            optional = "optional "
        return f"  {optional}{kind} {name} = {number}{options};\n"

    def rules(self, list_name, element_fields, number):
        """Derived fields over a list, as text; the list's own options."""
        rng, text = self.rng, ""
        numbers = [name for name in element_fields if name[0] in "ni"]
        ordered = [name for name in element_fields if name in SCALARS]
        for index in range(rng.randint(0, 4)):
            name = f"d_{list_name}_{index}"
            rule = rng.choice(["count", "count", "sum", "min", "max", "first", "first whole"])
            where = ""
            if rng.random() < 0.4 and element_fields:
                condition = self.condition(element_fields)
                where = f' where: "{condition}"' if condition else ""
            optional = rng.choice(["", "optional "])
            if rule == "count":
                kind, rule = optional + rng.choice(["uint32", "int64", "sint32"]), f'count: "{list_name}"'
            elif rule == "sum" and numbers:
                kind, rule = optional + rng.choice(["int64", "double", "double"]), f'sum: "{list_name}.{rng.choice(numbers)}"'
                if "int64" in kind:
                    integers = [n for n in numbers if n[0] == "i"]
                    if not integers:
                        continue
                    rule = f'sum: "{list_name}.{rng.choice(integers)}"'
            elif rule in ("min", "max") and numbers:
                kind, rule = optional + "double", f'{rule}: "{list_name}.{rng.choice(numbers)}"'
            elif rule == "first" and "s2" in element_fields:
                kind, rule = optional + "string", f'first: "{list_name}.s2"'
            elif rule == "first whole":
                kind, rule = self.element_type[list_name], f'first: "{list_name}"'
            else:
                continue
            text += f"  {kind} {name} = {number + index} [(tarn.field) = {{ {rule}{where} }}];\n"
        options = []
        if rng.random() < 0.7 and ordered:
            options.append(f'order_by: "{rng.choice(["", "-"])}{rng.choice(ordered)}"')
        if rng.random() < 0.25:
            options.append(f"keep: {rng.randint(1, 4)}")
        if rng.random() < 0.2:
            options.append(f"limit: {rng.randint(1, 3)}")
        return text, f" [(tarn.field) = {{ {' '.join(options)} }}]" if options else ""

    def condition(self, fields):
        rng = self.rng
        usable = [name for name in fields if name[0] in "nib" or name == "s2"]
        if not usable:
            return None
        name = rng.choice(usable)
        if name[0] == "b":
            return f"{name} {rng.choice(['=', '!='])} {rng.choice(['true', 'false'])}"
        operator = rng.choice(["=", "!=", "<", "<=", ">", ">="])
        if name == "s2":
            return f"{name} {operator} '{rng.choice(['a', 'b', 'c', ''])}'"
        others = [other for other in usable if other[0] in "ni" and other != name]
        if others and rng.random() < 0.3:
            return f"{name} {operator} {rng.choice(others)}"
        return f"{name} {operator} {rng.choice([0, 1, 2, 5, 7])}"

    def element(self, name, brackets, inner=None):
        """A message for a list: its bracket fields, some values, sometimes a list of its own."""
        fields = [f for f in self.pick(CONCEPTS, 3, 8) if f not in brackets]
        text, number = f"message {name} {{\n", 1
        for bracket in brackets:
            text += self.field(bracket, 0, number)
            number += 1
        for field in fields:
            text += self.field(field, 0, number)
            number += 1
        if inner:
            derived, options = self.rules("inner", self.fields[inner], 50)
            text += f"  repeated {inner} inner = 40{options};\n" + derived
        self.fields[name] = brackets + fields
        return text + "}\n"

    def sources(self, fields, targets, is_added):
        """Some `from` entries for targets of an event (or element) that has those fields."""
        rng, out = self.rng, ""
        for target in targets:
            if rng.random() > 0.2:
                continue
            same = [name for name in fields if name[0] == target[0] and name in SCALARS]
            choices = []
            if target[0] in "ni":
                choices += [rng.choice(["1", "3"])] if target[0] == "i" and rng.random() < 0.3 else []
                choices += ["-" + name for name in same] + same
            elif target[0] == "s":
                choices += ["'it''s'", "'x'"] + [f"{f}(t1)" for f in ("day", "month") if "t1" in fields]
                choices += ["m1.s1"] if "m1" in fields else []
            elif target == "b1":
                choices += ["true", "false"]
            elif target == "t1":
                choices += ["time()"]
            if rng.random() < 0.15 and not is_added:
                choices = [""]
            if choices:
                out += f' from {{ key: "{target}" value: "{rng.choice(choices)}" }}'
        return out

    def text(self):
        rng = self.rng
        self.fields, self.element_type = {}, {}
        out = PREAMBLE
        brackets = rng.choice([["s2"], ["i1"], ["s1"], ["e1"], ["s2", "i1"], ["b1", "s1"]])
        inner_brackets = rng.choice([["i2"], ["y1"], ["s1"]])
        self.element_type.update(lines="Line", inner="Inner", history="Note")
        out += self.element("Inner", inner_brackets)
        out += self.element("Line", brackets, "Inner")
        out += self.element("Note", [])
        # Events: the owner, everything that brackets may ask for, and a draw of the rest; some carry elements.
        events = []
        for index in range(6):
            item = f"Item{index}"
            item_fields = list(dict.fromkeys(brackets + inner_brackets + self.pick(CONCEPTS, 2, 7)))
            out += f"message {item} {{\n" + "".join(self.field(f, 1, i + 1) for i, f in enumerate(item_fields)) + "}\n"
            fields = list(dict.fromkeys(brackets + inner_brackets + self.pick(CONCEPTS, 3, 10)))
            out += f"message Event{index} {{\n  string who = 1;\n  repeated {item} items = 2;\n  string part = 3;\n"
            out += "".join(self.field(f, 1, i + 4) for i, f in enumerate(fields)) + "}\n"
            events.append((f"Event{index}", fields, item_fields))
        out += "message Other { string who = 1; string part = 2; string o1 = 3; optional int32 o2 = 4; repeated string o3 = 5; }\n"
        out += "message Erased { string who = 1; }\n"
        for index in range(rng.randint(1, 2)):
            out += self.view(f"View{index}", events, brackets, inner_brackets)
        return out

    def view(self, name, events, brackets, inner_brackets):
        rng = self.rng
        two_keys = rng.random() < 0.3
        own = self.pick(CONCEPTS, 2, 9)
        handlers = []
        into_line = f"lines[{','.join(brackets)}]"
        into_inner = f"{into_line}.inner[{','.join(inner_brackets)}]"
        for _ in range(rng.randint(3, 8)):
            event, fields, item_fields = rng.choice(events)
            apply = rng.choice(["MERGE", "REPLACE", "UPSERT", "UPSERT", "UPSERT INNER", "REMOVE", "REMOVE INNER", "APPEND",
                                "ADD", "ADD LINE", "DELETE"])
            if not handlers and apply in ("DELETE", "REMOVE", "REMOVE INNER"):
                apply = "MERGE"
            each = apply not in ("MERGE", "REPLACE", "DELETE") and rng.random() < 0.4
            seen = list(dict.fromkeys(item_fields + fields)) if each else fields
            into, targets = "", []
            if apply in ("MERGE", "REPLACE", "ADD"):
                targets = own
            elif apply in ("UPSERT", "REMOVE", "ADD LINE"):
                into, targets = into_line, [f for f in self.fields["Line"] if f not in brackets]
            elif apply in ("UPSERT INNER", "REMOVE INNER"):
                into, targets = into_inner, [f for f in self.fields["Inner"] if f not in inner_brackets]
            elif apply == "APPEND":
                into, targets = "history", self.fields["Note"]
            if apply.startswith("ADD"):
                targets = [t for t in targets if t[0] in "ni"]
                # Something has to be added, and brackets are no targets.
                taken = brackets if into else []
                targets = [t for t in targets if t not in taken]
                if not any(t in seen for t in targets):
                    continue
            if apply.startswith("REMOVE") or apply == "DELETE":
                targets = []
            text = f'    on {{ event: "made.v1.{event}" apply: {apply.split()[0]}'
            text += f' into: "{into}"' if into else ""
            text += ' each: "items"' if each else ""
            text += self.sources(item_fields if each else fields, targets, apply.startswith("ADD"))
            condition = self.condition(seen) if rng.random() < 0.3 else None
            if apply == "DELETE" and not two_keys and not condition and rng.random() < 0.5:
                text += " tombstone: true"
            handlers.append(text + (f' when: "{condition}"' if condition else "") + " }\n")
        while len(handlers) < 2:
            handlers.append(f'    on {{ event: "made.v1.{rng.choice(events)[0]}" }}\n')
        handlers.append('    on { event: "made.v1.Other" stream: "other" }\n')
        if rng.random() < 0.7:
            tombstone = rng.choice(["", " tombstone: true"])
            handlers.append(f'    on {{ event: "made.v1.Erased" apply: ERASE stream: "other"{tombstone} }}\n')
        derived, line_options = self.rules("lines", self.fields["Line"], 100)
        history_derived, history_options = self.rules("history", self.fields["Note"], 110)
        out = f"message {name} {{\n  option (tarn.view) = {{\n    key: \"who\"" + (' key: "part"' if two_keys else "") + "\n"
        out += f'    time_zone: "{rng.choice(["+00:00", "+09:00", "-03:30"])}"\n' + "".join(handlers) + "  };\n"
        out += "  string who = 1;\n" + ("  string part = 2;\n" if two_keys else "")
        for index, field in enumerate(own):
            out += self.field(field, 0, 10 + index)
        out += f"  repeated Line lines = 50{line_options};\n  repeated Note history = 51{history_options};\n"
        out += "  string o1 = 60;\n  optional int64 o2 = 61;\n  repeated string o3 = 62;\n"
        return out + derived + history_derived + "}\n"


def compile_schema(text, folder):
    """The path of its descriptor set."""
    path = pathlib.Path(folder) / "made.proto"
    path.write_text(text)
    set_path = path.with_suffix(".binpb")
    subprocess.run(["protoc", "-I", ROOT / "schema", "-I", folder, "--include_imports",
                    f"--descriptor_set_out={set_path}", path], check=True, stderr=subprocess.PIPE)
    return str(set_path)
