/* A set is made in three rounds: every message and enum of every file gets its place and its full name; then each is
 * built with all names known (message_type.c, enum_type.c), since types may refer to each other in circles; then what
 * a type inherits from the messages inside it (groups, required fields) is spread against the references. protoc has
 * checked most of this before, but the file may not come from protoc: what is relied on here is checked again. */
#include "schema/message/type.h"

#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"
#include "schema/message/type_set.h"

enum { TYPES_MAX = 50000, NAME_BYTES_MAX = 1000, VIEW_OPTION = 50701 };

/* Where the first two rounds stand. */
struct build {
    struct type_set *set;
    const char **file_names; /* sorted */
    size_t file_count;
    const FileDescriptor *file;
    const char *package;
    bool is_proto3;
    const MessageDescriptor **descriptors; /* beside set->messages */
    bool *message_is_proto3;
    const EnumDescriptor **enum_descriptors; /* beside set->enums */
    const char **enum_packages;
};

static int build_set(struct type_set *set, const FileDescriptorSet *files, struct err *err);
static int compare_texts(const void *left, const void *right);
static int check_file(const struct build *build, const FileDescriptor *file, struct err *err);
static int place_message(struct build *build, const char *scope, const MessageDescriptor *descriptor, struct err *err);
static int place_enum(struct build *build, const char *scope, const EnumDescriptor *descriptor, struct err *err);
static int sort_names(struct type_set *set, struct err *err);
static void spread(struct type_set *set);

int type_set_load(struct span descriptor_set, struct type_set **ret_set, struct err *err)
{
    FileDescriptorSet *files = NULL;

    int rc = descriptor_set_unpack(descriptor_set, &files, err);
    if (rc < 0)
        return rc;

    struct type_set *set = mem_zero(1, sizeof(*set));
    rc = build_set(set, files, err);
    descriptor_set_free(&files);
    if (rc < 0)
        type_set_free(&set);
    else
        *ret_set = set;
    return rc;
}

void type_set_free(struct type_set **set)
{
    if (*set == NULL)
        return;
    arena_release(&(*set)->arena);
    free(*set);
    *set = NULL;
}

const struct message_type *type_set_find(const struct type_set *set, struct span full_name)
{
    const struct named_type *named = type_set_find_name(set, full_name);

    return named != NULL ? named->message : NULL;
}

size_t type_set_count(const struct type_set *set)
{
    return set->message_count;
}

const struct message_type *type_set_at(const struct type_set *set, size_t index)
{
    return &set->messages[index];
}

const struct field_type *message_type_field(const struct message_type *type, struct span name)
{
    size_t low = 0;
    size_t high = type->field_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct field_type *field = &type->fields[type->pb.fields_sorted_by_name[middle]];
        int order = span_compare(name, span_of_text(field->name));
        if (order == 0)
            return field;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct field_type *message_type_field_far(const struct message_type *type, uint32_t number)
{
    size_t low = 0;
    size_t high = type->field_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (type->fields[middle].number == number)
            return &type->fields[middle];
        if (number < type->fields[middle].number)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* --- making a set ------------------------------------------------------------------------------------------------- */

static size_t count_enums(const MessageDescriptor *descriptor)
{
    size_t count = descriptor->n_enum_type;

    for (size_t i = 0; i < descriptor->n_nested_type; i++)
        count += count_enums(descriptor->nested_type[i]);
    return count;
}

static size_t count_messages(const MessageDescriptor *descriptor)
{
    size_t count = 1;

    for (size_t i = 0; i < descriptor->n_nested_type; i++)
        count += count_messages(descriptor->nested_type[i]);
    return count;
}

static int build_set(struct type_set *set, const FileDescriptorSet *files, struct err *err)
{
    size_t messages = 0;
    size_t enums = 0;
    struct arena scratch = ARENA_INIT;
    int rc = 0;

    for (size_t i = 0; i < files->n_file; i++) {
        enums += files->file[i]->n_enum_type;
        for (size_t k = 0; k < files->file[i]->n_message_type; k++) {
            messages += count_messages(files->file[i]->message_type[k]);
            enums += count_enums(files->file[i]->message_type[k]);
        }
    }
    if (messages + enums > TYPES_MAX)
        return err_set(err, ERR_INPUT, "%zu types: a descriptor set has at most %d", messages + enums, TYPES_MAX);

    set->messages = arena_zero(&set->arena, messages * sizeof(*set->messages));
    set->enums = arena_zero(&set->arena, enums * sizeof(*set->enums));
    set->names = arena_zero(&set->arena, (messages + enums) * sizeof(*set->names));
    struct build build = {
        .set = set,
        .file_names = arena_zero(&scratch, files->n_file * sizeof(*build.file_names)),
        .file_count = files->n_file,
        .descriptors = arena_zero(&scratch, messages * sizeof(*build.descriptors)),
        .message_is_proto3 = arena_zero(&scratch, messages * sizeof(*build.message_is_proto3)),
        .enum_descriptors = arena_zero(&scratch, enums * sizeof(*build.enum_descriptors)),
        .enum_packages = arena_zero(&scratch, enums * sizeof(*build.enum_packages)),
    };

    for (size_t i = 0; i < files->n_file; i++)
        build.file_names[i] = files->file[i]->name != NULL ? files->file[i]->name : "";
    if (build.file_count > 0)
        qsort(build.file_names, build.file_count, sizeof(*build.file_names), compare_texts);

    for (size_t i = 0; i < files->n_file && rc == 0; i++) {
        build.file = files->file[i];
        rc = check_file(&build, build.file, err);
        if (rc < 0)
            break;
        build.package = build.file->package != NULL ? build.file->package : "";
        build.package = arena_copy(&set->arena, build.package, strlen(build.package) + 1);
        build.is_proto3 = build.file->syntax != NULL && strcmp(build.file->syntax, "proto3") == 0;
        for (size_t k = 0; k < build.file->n_enum_type && rc == 0; k++)
            rc = place_enum(&build, build.package, build.file->enum_type[k], err);
        for (size_t k = 0; k < build.file->n_message_type && rc == 0; k++)
            rc = place_message(&build, build.package, build.file->message_type[k], err);
    }
    if (rc == 0)
        rc = sort_names(set, err);
    for (size_t i = 0; i < set->enum_count && rc == 0; i++)
        rc = enum_type_build(set, &set->enums[i], build.enum_descriptors[i], build.enum_packages[i], err);
    for (size_t i = 0; i < set->message_count && rc == 0; i++)
        rc = message_type_build(set, &set->messages[i], build.descriptors[i], build.message_is_proto3[i], err);
    for (size_t i = 0; i < set->message_count && rc == 0; i++)
        rc = well_known_of(&set->messages[i], &set->messages[i].well_known, err);
    if (rc == 0)
        spread(set);
    arena_release(&scratch);
    return rc;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int check_file(const struct build *build, const FileDescriptor *file, struct err *err)
{
    const char *name = file->name != NULL ? file->name : "";

    if (file->syntax != NULL && strcmp(file->syntax, "proto2") != 0 && strcmp(file->syntax, "proto3") != 0)
        return err_set(err, ERR_INPUT, "%.200s: syntax \"%.40s\" isn't supported: write proto2 or proto3", name,
                       file->syntax);

    for (size_t i = 0; i < file->n_dependency; i++) {
        if (bsearch(&file->dependency[i], build->file_names, build->file_count, sizeof(char *), compare_texts) == NULL)
            return err_set(err, ERR_INPUT, "%.200s: its import \"%.200s\" isn't in the descriptor set: make it with "
                           "--include_imports", name, file->dependency[i]);
    }

    /* Dotted identifiers; the empty package is one too. */
    for (const char *part = file->package; part != NULL && *part != '\0';) {
        const char *dot = strchrnul(part, '.');
        char identifier[NAME_BYTES_MAX + 1] = {0};
        if ((size_t)(dot - part) <= NAME_BYTES_MAX)
            memcpy(identifier, part, (size_t)(dot - part));
        if (!is_identifier(identifier) || (*dot == '.' && dot[1] == '\0'))
            return err_set(err, ERR_INPUT, "%.200s: its package isn't a name", name);
        part = *dot == '.' ? dot + 1 : dot;
    }
    return 0;
}

bool is_identifier(const char *name)
{
    size_t length = 0;

    if (name == NULL || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (; name[length] != '\0'; length++) {
        char c = name[length];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return length > 0 && length <= NAME_BYTES_MAX;
}

/* The type's full name, entered into set->names; NULL when it has no proper name. */
static const char *place_name(struct build *build, const char *scope, const char *name)
{
    size_t scope_length = strlen(scope);
    size_t separator = scope_length > 0 ? 1 : 0;

    if (!is_identifier(name) || scope_length > NAME_BYTES_MAX)
        return NULL;
    char *full_name = arena_zero(&build->set->arena, scope_length + separator + strlen(name) + 1);
    memcpy(full_name, scope, scope_length);
    if (separator)
        full_name[scope_length] = '.';
    memcpy(full_name + scope_length + separator, name, strlen(name));
    build->set->names[build->set->name_count++].full_name = full_name;
    return full_name;
}

static int place_message(struct build *build, const char *scope, const MessageDescriptor *descriptor, struct err *err)
{
    struct type_set *set = build->set;
    const char *full_name = place_name(build, scope, descriptor->name);

    if (full_name == NULL)
        return err_set(err, ERR_INPUT, "%.200s: a message without a proper name", scope);
    struct message_type *type = &set->messages[set->message_count];
    build->descriptors[set->message_count] = descriptor;
    build->message_is_proto3[set->message_count] = build->is_proto3;
    set->message_count++;
    set->names[set->name_count - 1].message = type;

    const char *file = build->file->name != NULL ? build->file->name : "";
    const ProtobufCMessage *options = descriptor->options != NULL ? &descriptor->options->base : NULL;
    type->full_name = full_name;
    type->name = full_name + strlen(full_name) - strlen(descriptor->name);
    type->package = build->package;
    type->file = arena_copy(&set->arena, file, strlen(file) + 1);
    type->is_map_entry = descriptor->options != NULL && descriptor->options->map_entry;
    type->tarn_options = descriptor_set_option(options, VIEW_OPTION, &set->arena);
    type->set = set;

    int rc = 0;
    for (size_t i = 0; i < descriptor->n_enum_type && rc == 0; i++)
        rc = place_enum(build, full_name, descriptor->enum_type[i], err);
    for (size_t i = 0; i < descriptor->n_nested_type && rc == 0; i++)
        rc = place_message(build, full_name, descriptor->nested_type[i], err);
    return rc;
}

static int place_enum(struct build *build, const char *scope, const EnumDescriptor *descriptor, struct err *err)
{
    struct type_set *set = build->set;
    const char *full_name = place_name(build, scope, descriptor->name);

    if (full_name == NULL)
        return err_set(err, ERR_INPUT, "%.200s: an enum without a proper name", scope);
    struct enum_type *type = &set->enums[set->enum_count];
    build->enum_descriptors[set->enum_count] = descriptor;
    build->enum_packages[set->enum_count] = build->package;
    set->enum_count++;
    set->names[set->name_count - 1].enumeration = type;
    type->full_name = full_name;
    type->is_closed = !build->is_proto3;
    return 0;
}

static int compare_names(const void *left, const void *right)
{
    const struct named_type *a = left;
    const struct named_type *b = right;

    return strcmp(a->full_name, b->full_name);
}

static int sort_names(struct type_set *set, struct err *err)
{
    if (set->name_count > 0)
        qsort(set->names, set->name_count, sizeof(*set->names), compare_names);
    for (size_t i = 1; i < set->name_count; i++) {
        if (strcmp(set->names[i - 1].full_name, set->names[i].full_name) == 0)
            return err_set(err, ERR_INPUT, "%.500s is there twice", set->names[i].full_name);
    }
    return 0;
}

const struct named_type *type_set_find_name(const struct type_set *set, struct span full_name)
{
    size_t low = 0;
    size_t high = set->name_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = span_compare(full_name, span_of_text(set->names[middle].full_name));
        if (order == 0)
            return &set->names[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A type inherits from what its fields refer to, so a mark goes from a type to those that refer to it: `users` holds
 * them, in one array for all types, sorted by the type referred to. */
static void spread_mark(struct type_set *set, const uint32_t *users, const size_t *users_from, uint32_t *queue,
                        bool *(*mark)(struct message_type *type))
{
    size_t queued = 0;

    for (uint32_t i = 0; i < set->message_count; i++) {
        if (*mark(&set->messages[i]))
            queue[queued++] = i;
    }
    for (size_t next = 0; next < queued; next++) {
        uint32_t type = queue[next];
        for (size_t i = users_from[type]; i < users_from[type + 1]; i++) {
            bool *is_marked = mark(&set->messages[users[i]]);
            if (!*is_marked)
                queue[queued++] = users[i];
            *is_marked = true;
        }
    }
}

static bool *mark_of_group(struct message_type *type)
{
    return &type->has_group;
}

static bool *mark_of_required(struct message_type *type)
{
    return &type->needs_required;
}

static void spread(struct type_set *set)
{
    struct arena scratch = ARENA_INIT;
    size_t *users_from = arena_zero(&scratch, (set->message_count + 2) * sizeof(*users_from));
    uint32_t *queue = arena_alloc(&scratch, set->message_count * sizeof(*queue));

    /* Counted one place further on, so that the sums, and then the filling, end where they should. */
    for (size_t i = 0; i < set->message_count; i++) {
        for (size_t k = 0; k < set->messages[i].field_count; k++) {
            const struct message_type *used = set->messages[i].fields[k].message;
            if (used != NULL)
                users_from[(size_t)(used - set->messages) + 2]++;
        }
    }
    for (size_t i = 1; i < set->message_count + 2; i++)
        users_from[i] += users_from[i - 1];
    uint32_t *users = arena_alloc(&scratch, users_from[set->message_count + 1] * sizeof(*users));
    for (size_t i = 0; i < set->message_count; i++) {
        for (size_t k = 0; k < set->messages[i].field_count; k++) {
            const struct message_type *used = set->messages[i].fields[k].message;
            if (used != NULL)
                users[users_from[(size_t)(used - set->messages) + 1]++] = (uint32_t)i;
        }
    }
    spread_mark(set, users, users_from, queue, mark_of_group);
    spread_mark(set, users, users_from, queue, mark_of_required);
    arena_release(&scratch);
}
