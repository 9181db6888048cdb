/* Rows are a list that is searched from the front. An erasure is a row too: find() sees marks as a store does. */
#include "tests/unit/view_fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/view/key.h"
#include "tests/unit/message_json.h"

struct folded_row {
    const struct view *view;
    uint8_t *key;
    size_t key_len;
    bool is_mark;
    bool is_made;
    uint8_t *bytes;
    size_t len;
};

static struct span read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s isn't there: make unit-tests", path);
    struct buf buf = BUF_INIT;
    size_t len;
    do {
        len = fread(buf_reserve(&buf, 4096), 1, 4096, file);
        buf.len += len;
    } while (len > 0);
    fclose(file);
    return buf_span(&buf);
}

void fold_open(struct fold *fold, const char *name)
{
    char path[256];
    struct mistakes mistakes = {NULL, 0, 0};

    *fold = (struct fold){.limits = {.max_view_bytes = 1 << 20}, .part = PROJECT_ALL, .time_ms = 1700000000000};
    snprintf(path, sizeof(path), "build/protos/%s.binpb", name);
    struct span set = read_file(path);
    int rc = view_set_load(set, &fold->set, &mistakes, &fold->err);
    for (size_t i = 0; i < mistakes.count; i++)
        print_error("%s\n", mistakes.lines[i]);
    assert_int_equal(rc, 0);
    mistakes_release(&mistakes);
    free((void *)(uintptr_t)set.at);
}

static void drop_row(struct fold *fold, size_t index)
{
    free(fold->rows[index].key);
    free(fold->rows[index].bytes);
    fold->rows[index] = fold->rows[--fold->row_count];
}

void fold_close(struct fold *fold)
{
    while (fold->row_count > 0)
        drop_row(fold, 0);
    free(fold->rows);
    arena_release(&fold->arena);
    view_set_free(&fold->set);
}

static struct span row_key(const struct folded_row *row)
{
    return span_of(row->key, row->key_len);
}

static int find(void *self, const struct view *view, struct span key, struct stored_view *ret_view,
                bool *ret_is_erased, struct err *err)
{
    struct fold *fold = self;

    fold->finds++;
    if (fold->find_failure != 0)
        return err_set(err, fold->find_failure, "the store");
    for (size_t i = 0; i < fold->row_count; i++) {
        const struct folded_row *row = &fold->rows[i];
        if (row->is_mark && row->view == view && span_starts_with(key, row_key(row))) {
            *ret_is_erased = true;
            return ERR_ABSENT;
        }
    }
    *ret_is_erased = false;
    for (size_t i = 0; i < fold->row_count; i++) {
        const struct folded_row *row = &fold->rows[i];
        if (!row->is_mark && row->view == view && span_equal(key, row_key(row))) {
            *ret_view = (struct stored_view){row->is_made, span_of(row->bytes, row->len)};
            return 0;
        }
    }
    return ERR_ABSENT;
}

static void put_row(struct fold *fold, const struct view *view, struct span key, bool is_mark,
                    const struct stored_view *stored)
{
    fold->rows = mem_resize(fold->rows, fold->row_count + 1, sizeof(*fold->rows));
    fold->rows[fold->row_count++] = (struct folded_row){
        .view = view,
        .key = mem_copy(key.at, key.len),
        .key_len = key.len,
        .is_mark = is_mark,
        .is_made = stored && stored->is_made,
        .bytes = stored ? mem_copy(stored->bytes.at, stored->bytes.len) : NULL,
        .len = stored ? stored->bytes.len : 0,
    };
}

static void install(struct fold *fold)
{
    for (size_t i = 0; i < fold->effects.change_count; i++) {
        const struct view_change *change = &fold->effects.changes[i];
        for (size_t n = fold->row_count; n-- > 0;)
            if (fold->rows[n].view == change->view && span_equal(row_key(&fold->rows[n]), change->key))
                drop_row(fold, n);
        if (!change->is_gone)
            put_row(fold, change->view, change->key, false, &change->after);
    }
    for (size_t i = 0; i < fold->effects.erasure_count; i++) {
        const struct view_erasure *erasure = &fold->effects.erasures[i];
        for (size_t n = fold->row_count; n-- > 0;)
            if (fold->rows[n].view == erasure->view && span_starts_with(row_key(&fold->rows[n]), erasure->key_prefix))
                drop_row(fold, n);
        put_row(fold, erasure->view, erasure->key_prefix, true, NULL);
    }
}

int fold_event(struct fold *fold, const char *owner, const char *event, const char *json)
{
    const struct view_port port = {find, fold};
    const struct event_plan *plan = view_set_event(fold->set, span_of_text(event));

    if (plan == NULL)
        fail_msg("no handler names %s", event);
    arena_reset(&fold->arena);
    ProtobufCMessage *message = json ? message_of_json(plan->event, json, &fold->arena) : NULL;
    const struct record_facts facts = {fold->time_ms, span_of_text(owner), hash64(span_of_text(owner))};
    fold->effects = (struct projection_effects){0};
    fold->err = (struct err){0};
    int rc = projection_apply(plan, message, &facts, fold->part, &fold->limits, &port, &fold->arena, &fold->effects,
                              &fold->reason, &fold->err);
    if (rc == 0)
        install(fold);
    return rc;
}

static const struct folded_row *find_row(struct fold *fold, const char *name, const char *key_text)
{
    const struct view *view = view_set_find(fold->set, span_of_text(name));
    struct span segments[8];
    size_t count = 0;
    struct buf key = BUF_INIT, owner = BUF_INIT;
    const struct folded_row *found = NULL;
    char *text = mem_text(key_text);
    char *rest = text;

    if (view == NULL)
        fail_msg("no view %s", name);
    for (char *segment; (segment = strsep(&rest, "/")) != NULL;)
        segments[count++] = span_of_text(segment);
    if (key_parse(view, segments, count, &fold->arena, &key, &owner, &fold->err) < 0)
        fail_msg("%s: %s", key_text, fold->err.text);
    for (size_t i = 0; i < fold->row_count; i++)
        if (!fold->rows[i].is_mark && fold->rows[i].view == view && span_equal(row_key(&fold->rows[i]), buf_span(&key)))
            found = &fold->rows[i];
    buf_release(&key);
    buf_release(&owner);
    free(text);
    return found;
}

void fold_expect(struct fold *fold, const char *view, const char *key, const char *json)
{
    const struct folded_row *row = find_row(fold, view, key);
    ProtobufCMessage *message;
    struct buf bytes = BUF_INIT;
    bool is_made = json == NULL || strncmp(json, "unseen", 6) != 0;

    if (json == NULL || row == NULL) {
        if ((json == NULL) != (row == NULL))
            fail_msg("%s %s is%s there", view, key, row ? "" : "n't");
        return;
    }
    struct span stored = span_of(row->bytes, row->len);
    assert_int_equal(message_decode_own(row->view->type, stored, &fold->arena, &message, &fold->err), 0);
    message_encode(message, &bytes);
    assert_true(span_equal(buf_span(&bytes), stored)); /* what is stored is canonical */
    buf_release(&bytes);

    json_t *wanted = json_of_text(is_made ? json : json + 6);
    json_t *given = json_of_message(message);
    bool is_equal = json_equal(wanted, given) && row->is_made == is_made;
    if (!is_equal) {
        char *a = json_dumps(wanted, JSON_SORT_KEYS), *b = json_dumps(given, JSON_SORT_KEYS);
        print_error("wanted %s%s\ngiven  %s%s\n", is_made ? "" : "unseen ", a, row->is_made ? "" : "unseen ", b);
        free(a);
        free(b);
    }
    json_decref(wanted);
    json_decref(given);
    assert_true(is_equal);
}

size_t fold_count(const struct fold *fold)
{
    size_t count = 0;

    for (size_t i = 0; i < fold->row_count; i++)
        count += !fold->rows[i].is_mark;
    return count;
}
