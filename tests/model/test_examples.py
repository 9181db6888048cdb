"""The example domains together use every construct of the view language, so that each can be learnt from them, and each
is covered by what the golden events mean."""

import re

import pytest
from google.protobuf import message_factory

from tarn import EXAMPLES
from tarn.events import Schema
from tarn.golden import STREAMS, all_golden

NOT_YET = {"ttl", "expires", "lookup", "by", "index"}
DOMAINS = ["balance", "card", "coverage", "credit", "genetics", "loan", "rate"]
SHARED = {"lender.screens.Lender", "institution.screens.Institution"}  # catalogues: of nobody


@pytest.fixture(scope="module")
def options():
    """([(full name, message descriptor, tarn.View)], [tarn.Field]) of all examples."""
    pool = Schema(EXAMPLES).pool
    file_set = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet"))
    view, field = pool.FindExtensionByName("tarn.view"), pool.FindExtensionByName("tarn.field")
    views, rules = [], []
    for file in file_set.FromString(EXAMPLES.read_bytes()).file:
        for message in file.message_type:
            if message.options.HasExtension(view):
                name = f"{file.package}.{message.name}"
                views.append((name, pool.FindMessageTypeByName(name), message.options.Extensions[view]))
            rules += [f.options.Extensions[field] for f in message.field if f.options.HasExtension(field)]
    return views, rules


def handlers(options):
    return [handler for _, _, view in options[0] for handler in view.on]


def set_names(messages):
    return {field.name for message in messages for field, _ in message.ListFields()}


def test_every_option_is_used_and_none_of_a_later_version(options):
    views, rules = options
    used_of = {"View": set_names(view for _, _, view in views), "Handler": set_names(handlers(options)),
               "Field": set_names(rules)}
    descriptors = {"View": views[0][2], "Handler": handlers(options)[0], "Field": rules[0]}
    for kind, message in descriptors.items():
        assert used_of[kind] == {field.name for field in message.DESCRIPTOR.fields} - NOT_YET, kind


def test_every_effect_is_used(options):
    effects = handlers(options)[0].DESCRIPTOR.fields_by_name["apply"].enum_type.values_by_number
    assert {effects[handler.apply].name for handler in handlers(options)} == {e.name for e in effects.values()}


@pytest.mark.parametrize("form, pattern", [
    ("a field", r"^[a-z_]+$"), ("a path", r"^[a-z_]+\.[a-z_]+$"), ("the opposite", r"^-[a-z_]+$"),
    ("a text", r"^'[^']+'$"), ("a quote in a text", r"^'.*''.*'$"), ("an empty text", r"^''$"), ("a number", r"^[0-9]+$"),
    ("a negative number", r"^-[0-9]+$"), ("true", "^true$"), ("false", "^false$"), ("time()", r"^time\(\)$"),
    ("day()", r"^day\(.+\)$"), ("month()", r"^month\(.+\)$"), ("none", "^$")])
def test_every_form_of_a_source_is_used(options, form, pattern):
    sources = [source for handler in handlers(options) for source in getattr(handler, "from").values()]
    assert any(re.match(pattern, source) for source in sources), form


def test_every_comparison_is_used_with_every_kind_of_source(options):
    conditions = [condition for handler in handlers(options) for condition in handler.when]
    conditions += [condition for rule in options[1] for condition in rule.where]
    parts = [re.match(r"^(\S+) (=|!=|<|<=|>|>=) (.+)$", condition).groups() for condition in conditions]
    assert {comparison for _, comparison, _ in parts} == {"=", "!=", "<", "<=", ">", ">="}
    rights = {right for _, _, right in parts}
    for kind, pattern in {"number": r"^\d+$", "text or enum": r"^'\w+'$", "empty text": "^''$", "true": "^true$",
                          "time()": r"^time\(\)$", "field": "^[a-z_]+$"}.items():
        assert any(re.match(pattern, right) and (kind != "field" or right != "true") for right in rights), kind
    assert any("." in left for left, _, _ in parts), "a path on the left"


@pytest.mark.parametrize("form, pattern", [
    ("a list", r"^\w+\[\w+\]$"), ("a list in a list", r"\]\.\w+\[\w+\]$"), ("several brackets", r"\[\w+,\w+\]"),
    ("a message", r"^\w+$"), ("a message in an element", r"\]\.\w+$")])
def test_every_form_of_into_is_used(options, form, pattern):
    assert any(re.search(pattern, handler.into) for handler in handlers(options)), form


def test_keys_are_of_every_kind(options):
    kinds = {descriptor.fields_by_name[key].type for _, descriptor, view in options[0] for key in view.key}
    field = options[0][0][1].fields[0]
    assert {field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_ENUM, field.TYPE_UINT32} <= kinds


def test_erasing_a_person_reaches_every_screen_of_theirs_and_a_new_name_each_that_can_show_it(options):
    for name, descriptor, view in options[0]:
        events = {handler.event for handler in view.on}
        assert ("identity.v1.UserErased" in events) == (name not in SHARED), name
        if "user_name" in descriptor.fields_by_name:
            assert "identity.v1.UserRenamed" in events, name
        else:
            assert name in SHARED or len(view.key) > 1, f"{name} could show the person's name"


def test_the_golden_events_are_many_and_reach_every_event_and_screen(options):
    golden = {golden.domain: golden for golden in all_golden()}
    for domain in DOMAINS:
        assert len(golden[domain].records) >= 30, domain
    published = {record.get("type") for domain in golden.values() for record in domain.records}
    assert {handler.event for handler in handlers(options)} <= published
    assert {record["stream"] for domain in golden.values() for record in domain.records} == set(STREAMS)
