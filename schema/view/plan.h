/* schema/view/plan.h - the views of a descriptor set, checked and compiled: what the projection runs and the readers
 * serve.
 *
 * view_set_load() is the only way to make one: a set with a mistake is never made, so whoever holds a plan relies on
 * everything `check` promises (types convert, paths exist, one stream per field, keys complete). Immutable, may be read
 * from any thread; all that a plan points at dies with view_set_free(). */
#ifndef TARN_VIEW_PLAN_H
#define TARN_VIEW_PLAN_H

#include "schema/message/message.h"
#include "schema/message/type.h"

enum effect { EFFECT_MERGE, EFFECT_REPLACE, EFFECT_UPSERT, EFFECT_REMOVE, EFFECT_APPEND, EFFECT_ADD, EFFECT_DELETE,
              EFFECT_ERASE };

const char *effect_name(enum effect effect); /* "MERGE" */

/* --- sources and conditions ----------------------------------------------------------------------------------- */

/* A way through singular messages: customer.id is two fields. The first belongs to the message it starts from. */
struct field_path {
    const struct field_type **fields;
    size_t count;
};

enum source_kind {
    SOURCE_PATH,
    SOURCE_NEGATED_PATH,
    SOURCE_LITERAL, /* text, number, true or false, already of the kind that the target takes */
    SOURCE_TIME,    /* the record's time, as a Timestamp */
    SOURCE_DAY,     /* "2026-11-22" of the Timestamp at path, in the view's time zone */
    SOURCE_MONTH,   /* "2026-11" */
};

/* Whether path's last field converts to the target is checked (convert.h has the table); whether a value fits is a
 * matter of the value. A literal is of exactly the target's kind, value_kind_of(), with two exceptions: ADD of a
 * negative number to an unsigned field holds VALUE_INT, and a condition's number that the left field's kind can't
 * hold is the first of VALUE_INT, VALUE_UINT and VALUE_DOUBLE that can. */
struct source {
    enum source_kind kind;
    bool from_element; /* path starts at the element (of `each`, of a rule's list), not at the event */
    struct field_path path;
    struct value literal;
};

enum comparison { COMPARE_EQUAL, COMPARE_NOT_EQUAL, COMPARE_LESS, COMPARE_LESS_EQUAL, COMPARE_GREATER,
                  COMPARE_GREATER_EQUAL };

/* `path op source`: a field with presence that isn't set compares as absent: only != holds. Comparable are: numbers
 * with numbers of any kind; strings with strings, bytes with bytes (as unsigned bytes); Timestamps with Timestamps
 * and time(), Durations with Durations; bools, and enums of one type with each other and with 'NAME', by = and !=
 * only. */
struct condition {
    bool left_from_element;
    struct field_path left;
    enum comparison comparison;
    struct source right;
    bool is_plain; /* left is one field of 4 bytes that is always there, right is `plain`: as most conditions are */
    bool is_plain_unsigned;
    int64_t plain;
};

/* --- handlers --------------------------------------------------------------------------------------------------- */

/* How most values get where they belong: copied as they stand. Offsets into the event's, or the element's, message and
 * into the target's. */
struct shortcut {
    uint8_t bytes;  /* of the value in memory: 4, 8 or 16; 0: no shortcut, it is evaluated and converted */
    bool is_behind; /* bytes is 0, and `from` a pointer to a message: while that is NULL there is nothing to evaluate */
    bool is_asked;  /* from_has says whether there is a value */
    bool is_marked; /* to_has says that there is */
    uint32_t from, from_has;
    uint32_t to, to_has;
};

/* One field of a target and where its value comes from. */
struct assignment {
    const struct field_type *target;
    struct source source;
    struct shortcut shortcut;
};

/* One step of `into`: a sub-message, or a list with the fields that identify its element. Neither is ever a map or a
 * field with a rule. Bracket fields are single scalars, no floats, no members of a oneof. */
struct path_step {
    const struct field_type *field;
    const struct assignment *brackets; /* NULL for a sub-message, and for the list that APPEND ends in */
    size_t bracket_count;
    const struct message_rules *rules; /* of the message that the step leads to; NULL: none there or below */
};

struct view;
struct stream;

struct handler {
    const struct view *view;
    size_t ordinal; /* in the view, as written, from 0: the N of `GeneticResult.on[N]` */
    const struct message_type *event;
    enum effect effect; /* UPSERT behind brackets (`legs[leg].carrier`) is a MERGE here: both make what is missing */
    const struct stream *stream;
    bool is_home;      /* of the view's home stream */
    bool is_tombstone; /* runs for a record with a null value too; the record's key is the owner. No `each`, no `when`;
                        * of DELETE only where the owner is the whole key */
    const struct field_type *each; /* a repeated message field of the event, or NULL */
    const struct path_step *into;  /* NULL for the view itself */
    size_t into_count;
    const struct message_type *target; /* what the assignments write: the view's type, or that of the last step */
    /* By field number; from `from`, else from the field of the same name. Without the view's key fields (when the
     * target is the view), the last step's bracket fields, and fields with a rule. ADD: single numbers alone. REMOVE,
     * DELETE, ERASE: none. */
    const struct assignment *assignments;
    size_t assignment_count;
    /* REPLACE, whether or not the event gives them: of the view, the fields that some handler of this stream writes; of
     * a message inside, all fields. No key, no field with a rule. */
    const struct field_type *const *replaced;
    size_t replaced_count;
    const struct assignment *keys; /* of the view, in its order; ERASE may have fewer, the owner at least */
    size_t key_count;
    const struct condition *when;
    size_t when_count;
    const struct message_rules *target_rules; /* NULL: none there or below */
    bool makes_all_due;    /* puts messages into the target that have never held their rules */
    bool makes_target_due; /* changes lists of the target */
};

/* --- rules ------------------------------------------------------------------------------------------------------ */

enum derivation { DERIVE_COUNT, DERIVE_SUM, DERIVE_MIN, DERIVE_MAX, DERIVE_FIRST };

/* What most derived fields are: a whole number of 4 bytes, or a text, that is always there, and comes of such. */
enum derived_shortcut {
    DERIVED_SHORTCUT_NONE,
    DERIVED_SHORTCUT_COUNT,       /* of all elements */
    DERIVED_SHORTCUT_COUNT_WHERE, /* with one condition, which is plain */
    DERIVED_SHORTCUT_SUM,         /* of one field of all elements */
    DERIVED_SHORTCUT_FIRST_TEXT,  /* one field of the first element */
};

/* A field that is a function of a list of the same message. Never a list itself, nor a member of a oneof. `sum` takes
 * numbers, but no fractions into an integer; `min` and `max` numbers, strings, bytes, Timestamps and Durations; `first`
 * whatever converts, messages of the target's own type alone, none of which holds the target's message again. */
struct derived_field {
    const struct field_type *target;
    enum derivation derivation;
    const struct field_type *list;
    struct field_path value; /* inside an element; empty for count, and where a whole element or scalar is the value */
    const struct condition *where; /* left and right start at the element; no time() */
    size_t where_count;
    enum derived_shortcut shortcut;
};

/* A list has a rule when it has order_by, limit or keep; without order_by it stays in the order of arrival, brackets
 * or not. Brackets are those of the view's handlers, REMOVE aside: all others name an element of the list by the
 * same ones, in the same order. A list is its field: wherever its message stands inside the view, it is under the
 * same rule. */
struct list_rule {
    const struct field_type *list;
    const struct field_type *order_by; /* of an element: a single scalar, Timestamp or Duration; or NULL */
    bool is_descending;
    uint32_t limit; /* 0: none */
    uint32_t keep;  /* 0: none */
    const struct field_type *const *brackets; /* break ties; NULL when none */
    size_t bracket_count;
};

/* What keeps one message type in order, wherever it stands inside a view. Children first: messages inside, then lists
 * (sort, keep), then derived fields in an order in which each finds what it needs. */
struct message_rules {
    const struct message_type *type;
    const struct list_rule *lists;
    size_t list_count;
    const struct derived_field *derived;
    size_t derived_count;
    /* Message fields (single, list, map) whose type has rules inside, `first`s of whole elements too: what was copied
     * is in order already, but is served by the same rules. A map's child rules are those of its entry type. */
    const struct field_type *const *children;
    const struct message_rules *const *child_rules; /* beside children; may be recursive */
    size_t child_count;
    const struct field_type *const *hidden;
    size_t hidden_count;
    bool alters_serving; /* hidden or limit here or below: the served bytes differ from the stored ones */
};

/* --- views and streams ------------------------------------------------------------------------------------------ */

struct stream {
    const char *name;
    size_t number; /* in the set, by name */
};

/* SQL on the write database whose rows are events that the view takes; their columns carry the event's field names. */
struct first_load {
    const char *sql;               /* one query; others are put around it */
    const char *key_column;        /* of its result; it is cut into chunks by it */
    const struct handler *handler; /* the view's first for the event; its owner is a path of the event */
};

/* What is told to a topic when a change is visible: all of `when` hold for the view, and one of the fields `changed` has
 * another value than before, or they didn't all hold before. Of a view that nobody could see before, every field was
 * unset, and no condition held. */
struct announcement {
    const char *name;
    const struct field_path *changed; /* of the view */
    size_t changed_count;
    const struct condition *when; /* both sides start at the view */
    size_t when_count;
};

struct view {
    const char *name; /* URL segment */
    uint16_t number;  /* in the set, by name: part of the store's keys */
    const struct message_type *type;
    const struct field_type *const *keys;
    size_t key_count;
    const struct handler *handlers;
    size_t handler_count;
    const struct stream *home;
    /* Beside type->fields: who writes it, and all that lies in it. The members of a oneof that are written have one
     * stream. NULL for keys, rules, unwritten. */
    const struct stream *const *field_streams;
    const struct message_rules *rules; /* never NULL; may be empty */
    int32_t utc_offset_s;
    const struct first_load *first_loads; /* as written */
    size_t first_load_count;
    const struct announcement *announcements; /* as written */
    size_t announcement_count;
    const struct view_set *set;
};

/* What one event type does: its handlers over all views, grouped by view, in the order written. */
struct event_plan {
    const struct message_type *event;
    const struct stream *stream; /* one event type belongs to one stream, and its views' owners are read alike */
    const struct handler *const *handlers;
    size_t handler_count;
    bool has_erase;
    bool only_erases;
};

struct view_set {
    struct type_set *types; /* owned */
    const struct view *views; /* by name */
    size_t view_count;
    const struct stream *streams; /* by name */
    size_t stream_count;
    const struct event_plan *events; /* by the event's full name */
    size_t event_count;
    struct arena *arena; /* owns everything above but types */
};

/* A list of mistakes: each a line such as `GeneticResult.categories.high: count: "marker" is not a list of this
 * message`. */
struct mistakes {
    char **lines;
    size_t count;
    size_t capacity;
};
void mistakes_release(struct mistakes *mistakes);

/* ERR_INPUT: not a descriptor set, or mistakes (every one is in *mistakes, the text names the first and their number).
 * The caller releases mistakes in any case. */
MUST_CHECK int view_set_load(struct span descriptor_set, struct view_set **ret_set, struct mistakes *mistakes,
                             struct err *err);
void view_set_free(struct view_set **set);

/* NULL when there is none. */
const struct view *view_set_find(const struct view_set *set, struct span url_name);
const struct event_plan *view_set_event(const struct view_set *set, struct span full_name);
const struct stream *view_set_stream(const struct view_set *set, struct span name);

#endif
