/* Sets are put together from the generated descriptor.proto types, all on the stack, and packed. An option is an
 * unknown field to them, as it is to whoever reads a descriptor set without knowing tarn/view.proto. */
#include "tests/unit/made_schema.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schema/base/mem.h"

enum { VIEW_OPTION = 50701, FIELD_OPTION = 50702, FIELDS = 3 };

struct buf made_schema_read(const char *path)
{
    struct buf bytes = BUF_INIT;
    FILE *file = fopen(path, "rb");
    size_t got;

    if (file == NULL)
        fail_msg("%s can't be opened", path);
    do {
        got = fread(buf_reserve(&bytes, 65536), 1, 65536, file);
        bytes.len += got;
    } while (got > 0);
    fclose(file);
    return bytes;
}

struct view_set *made_schema_load(struct span descriptor_set)
{
    struct mistakes mistakes = {NULL, 0, 0};
    struct view_set *set = NULL;
    struct err err = {0};

    int rc = view_set_load(descriptor_set, &set, &mistakes, &err);
    for (size_t i = 0; i < mistakes.count; i++)
        print_error("%s\n", mistakes.lines[i]);
    mistakes_release(&mistakes);
    if (rc < 0)
        fail_msg("%s", err.text);
    return set;
}

struct view_set *made_schema_load_file(const char *path)
{
    struct buf bytes = made_schema_read(path);
    struct view_set *set = made_schema_load(buf_span(&bytes));

    buf_release(&bytes);
    return set;
}

struct buf made_schema_pack(const ProtobufCMessage *options)
{
    struct buf bytes = BUF_INIT;

    bytes.len = protobuf_c_message_pack(options, buf_reserve(&bytes, protobuf_c_message_get_packed_size(options)));
    return bytes;
}

/* An unknown field that holds `bytes` as a message: its length, then itself. */
static ProtobufCMessageUnknownField option(uint32_t number, struct span bytes, struct buf *memory)
{
    uint64_t length = bytes.len;

    buf_clear(memory);
    for (; length >= 0x80; length >>= 7)
        buf_add_byte(memory, (uint8_t)(length | 0x80));
    buf_add_byte(memory, (uint8_t)length);
    buf_add_span(memory, bytes);
    return (ProtobufCMessageUnknownField){number, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, memory->len, memory->at};
}

static void make_fields(Google__Protobuf__FieldDescriptorProto *fields, Google__Protobuf__FieldDescriptorProto **list)
{
    static char names[FIELDS][10] = {"user_id", "title", "tags"};

    for (int i = 0; i < FIELDS; i++) {
        google__protobuf__field_descriptor_proto__init(&fields[i]);
        fields[i].name = names[i];
        fields[i].has_number = 1;
        fields[i].number = i + 1;
        fields[i].has_type = 1;
        fields[i].type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING;
        fields[i].has_label = 1;
        fields[i].label = i == 2 ? GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED
                                 : GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL;
        list[i] = &fields[i];
    }
}

struct buf made_schema(struct span view_options, struct span title_rules, size_t view_count)
{
    Google__Protobuf__FileDescriptorSet set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    Google__Protobuf__FileDescriptorProto file = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__FileDescriptorProto *files[] = {&file};
    Google__Protobuf__DescriptorProto *messages = mem_zero(view_count + 1, sizeof(*messages));
    Google__Protobuf__DescriptorProto **list = mem_zero(view_count + 1, sizeof(*list));
    Google__Protobuf__FieldDescriptorProto plain[FIELDS], ruled[FIELDS];
    Google__Protobuf__FieldDescriptorProto *plain_list[FIELDS], *ruled_list[FIELDS];
    Google__Protobuf__MessageOptions view = GOOGLE__PROTOBUF__MESSAGE_OPTIONS__INIT;
    Google__Protobuf__FieldOptions rules = GOOGLE__PROTOBUF__FIELD_OPTIONS__INIT;
    struct buf view_memory = BUF_INIT, rules_memory = BUF_INIT;
    ProtobufCMessageUnknownField view_field = option(VIEW_OPTION, view_options, &view_memory);
    ProtobufCMessageUnknownField rules_field = option(FIELD_OPTION, title_rules, &rules_memory);
    char file_name[] = "made.proto", package[] = "made.v1", syntax[] = "proto3", event_name[] = "Happened";

    make_fields(plain, plain_list);
    make_fields(ruled, ruled_list);
    view.base.n_unknown_fields = 1;
    view.base.unknown_fields = &view_field;
    rules.base.n_unknown_fields = 1;
    rules.base.unknown_fields = &rules_field;
    if (title_rules.len > 0)
        ruled[1].options = &rules;
    for (size_t i = 0; i <= view_count; i++) {
        google__protobuf__descriptor_proto__init(&messages[i]);
        messages[i].name = i == 0 ? event_name : mem_format("View%zu", i - 1);
        messages[i].n_field = FIELDS;
        messages[i].field = i == 0 ? plain_list : ruled_list;
        messages[i].options = i == 0 ? NULL : &view;
        list[i] = &messages[i];
    }
    file.name = file_name;
    file.package = package;
    file.syntax = syntax;
    file.n_message_type = view_count + 1;
    file.message_type = list;
    set.n_file = 1;
    set.file = files;
    struct buf bytes = made_schema_pack(&set.base);
    for (size_t i = 1; i <= view_count; i++)
        free(messages[i].name);
    free(messages);
    free(list);
    buf_release(&view_memory);
    buf_release(&rules_memory);
    return bytes;
}
