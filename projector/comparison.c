/* The rows of a stretch of owners lie side by side in both stores, in the same order: owner, view, key. View numbers follow
 * the names, so that the views that both sets have come in the same order on both sides even where a set has more. Two
 * cursors go through each stretch that isn't equal, passing over the rows of views that are. */
#include "projector/comparison.h"

#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/json/render.h"
#include "schema/view/key.h"

enum { BUCKET_COUNT = 1 << BUCKET_BITS };
#define NO_PAIR SIZE_MAX

/* One side while it is walked. */
struct walk {
    const struct comparison_side *side;
    size_t *pair_of_view;    /* by view number; NO_PAIR */
    struct digest *sums;     /* pair by pair, a digest for each bucket */
    struct store_cursor *cursor;
    /* The row under the cursor; is_there: it is of this bucket. */
    bool is_there;
    uint64_t owner_hash;
    size_t pair;
    struct span key, value;
};

struct comparing {
    struct walk a, b;
    const struct comparison_options *options;
    struct comparison_result *comparison;
    bool *is_open; /* by pair: the bucket's sums differ */
    struct arena arena;
    uint64_t number; /* of views that were compared byte by byte */
};

static int walk_bucket(struct comparing *comparing, unsigned bucket, struct err *err);

/* --- sums --- */

static void map_views(struct walk *walk, const struct comparison_plan *plan, bool is_a)
{
    walk->pair_of_view = mem_alloc((walk->side->views->view_count + 1) * sizeof(*walk->pair_of_view));
    for (size_t i = 0; i < walk->side->views->view_count; i++)
        walk->pair_of_view[i] = NO_PAIR;
    for (size_t i = 0; i < plan->view_count; i++)
        walk->pair_of_view[is_a ? plan->views[i].a->number : plan->views[i].b->number] = i;
}

static int read_sums(struct walk *walk, size_t pair_count, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value;
    uint16_t number;
    unsigned bucket;

    walk->sums = mem_zero(pair_count * BUCKET_COUNT, sizeof(*walk->sums));
    int rc = store_cursor_open(walk->side->reader, TABLE_BUCKETS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        struct digest digest;
        rc = layout_parse_bucket_key(key, &number, &bucket, err);
        if (rc == 0)
            rc = layout_parse_digest(value, &digest, err);
        if (rc == 0 && (number >= walk->side->views->view_count || bucket >= BUCKET_COUNT))
            rc = err_set(err, ERR_BROKEN, "a digest of view number %u, which the schema doesn't have",
                         (unsigned)number);
        if (rc == 0 && walk->pair_of_view[number] != NO_PAIR)
            walk->sums[walk->pair_of_view[number] * BUCKET_COUNT + bucket] = digest;
    }
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

static struct digest total(const struct walk *walk, size_t pair)
{
    struct digest sum = {0, {0, 0}};

    for (size_t i = 0; i < BUCKET_COUNT; i++)
        sum = digest_plus(sum, walk->sums[pair * BUCKET_COUNT + i]);
    return sum;
}

/* --- the whole --- */

/* What readers of A would miss: the keys of views that B doesn't have, or not under such keys. */
static int count_missing(const struct walk *a, struct comparison_result *result, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->side->views->view_count; i++) {
        struct digest digest = {0, {0, 0}};
        if (a->pair_of_view[i] != NO_PAIR)
            continue;
        rc = digest_of_view(a->side->reader, (uint16_t)i, &digest, err);
        result->keys_missing += digest.count;
    }
    return rc;
}

static bool find_open(struct comparing *comparing, unsigned bucket)
{
    bool has_open = false;

    for (size_t i = 0; i < comparing->comparison->plan.view_count; i++) {
        comparing->is_open[i] = !digest_equal(comparing->a.sums[i * BUCKET_COUNT + bucket],
                                              comparing->b.sums[i * BUCKET_COUNT + bucket]);
        has_open |= comparing->is_open[i];
    }
    return has_open;
}

int comparison_make(const struct comparison_side *a, const struct comparison_side *b,
                    const struct comparison_options *options, struct comparison_result *ret_comparison, struct err *err)
{
    struct comparison_result comparison = {.differences = 0};
    struct comparing comparing = {.a = {.side = a}, .b = {.side = b}, .options = options, .arena = ARENA_INIT};

    comparing.comparison = &comparison;
    comparison_plan_make(a->views, b->views, &comparison.plan);
    size_t pairs = comparison.plan.view_count;
    comparison.views = mem_zero(pairs, sizeof(*comparison.views));
    comparing.is_open = mem_zero(pairs, sizeof(*comparing.is_open));
    map_views(&comparing.a, &comparison.plan, true);
    map_views(&comparing.b, &comparison.plan, false);
    int rc = read_sums(&comparing.a, pairs, err);
    if (rc == 0)
        rc = read_sums(&comparing.b, pairs, err);
    if (rc == 0)
        rc = count_missing(&comparing.a, &comparison, err);
    for (size_t i = 0; rc == 0 && i < pairs; i++) {
        comparison.views[i].pair = &comparison.plan.views[i];
        comparison.views[i].a = total(&comparing.a, i);
        comparison.views[i].b = total(&comparing.b, i);
    }
    for (unsigned bucket = 0; rc == 0 && bucket < BUCKET_COUNT; bucket++)
        if (find_open(&comparing, bucket))
            rc = walk_bucket(&comparing, bucket, err);
    comparison.differences = comparison.keys_missing;
    for (size_t i = 0; i < pairs; i++)
        comparison.differences +=
            comparison.views[i].only_a + comparison.views[i].only_b + comparison.views[i].different;
    arena_release(&comparing.arena);
    free(comparing.is_open);
    free(comparing.a.pair_of_view);
    free(comparing.b.pair_of_view);
    free(comparing.a.sums);
    free(comparing.b.sums);
    if (rc == 0)
        *ret_comparison = comparison;
    else
        comparison_release(&comparison);
    return rc;
}

void comparison_release(struct comparison_result *comparison)
{
    for (size_t i = 0; comparison->views != NULL && i < comparison->plan.view_count; i++) {
        struct compared_view *view = &comparison->views[i];
        for (size_t k = 0; k < view->example_count; k++) {
            free(view->examples[k].key);
            free(view->examples[k].a);
            free(view->examples[k].b);
        }
        free(view->examples);
        differing_fields_release(&view->fields);
    }
    free(comparison->views);
    comparison_plan_release(&comparison->plan);
    *comparison = (struct comparison_result){.views = NULL};
}

/* --- what is told of one view --- */

static char *json_of(const struct view *view, struct span value)
{
    struct render_plan *plan = render_plan_new_message(view->type);
    struct stored_view stored;
    struct buf json = BUF_INIT;
    struct err err;
    char *text = NULL;

    if (layout_parse_view_value(value, &stored, &err) == 0 && render_json(plan, NULL, stored.bytes, &json, &err) == 0)
        text = mem_text(buf_text(&json));
    buf_release(&json);
    render_plan_free(&plan);
    return text;
}

static void add_example(struct comparing *comparing, size_t pair, enum example_kind kind)
{
    const struct comparison_options *options = comparing->options;
    struct compared_view *view = &comparing->comparison->views[pair];
    const struct walk *a = &comparing->a, *b = &comparing->b;
    struct buf text = BUF_INIT;
    struct err ignored;

    if (view->example_count >= options->examples_max)
        return;
    if (view->examples == NULL)
        view->examples = mem_zero(options->examples_max, sizeof(*view->examples));
    struct comparison_example *example = &view->examples[view->example_count++];
    if (key_text(view->pair->a, kind == EXAMPLE_ONLY_B ? b->key : a->key, &text, &ignored) < 0) {
        buf_clear(&text);
        buf_add_literal(&text, "?");
    }
    *example = (struct comparison_example){
        .kind = kind,
        .key = mem_text(buf_text(&text)),
        .a = options->with_values && kind != EXAMPLE_ONLY_B ? json_of(view->pair->a, a->value) : NULL,
        .b = options->with_values && kind != EXAMPLE_ONLY_A ? json_of(view->pair->b, b->value) : NULL,
    };
    buf_release(&text);
}

/* A key that the other side can't have, because it is a sample without that owner, is no difference. */
static void only_one(struct comparing *comparing, const struct walk *walk, const struct walk *other)
{
    struct compared_view *view = &comparing->comparison->views[walk->pair];
    bool is_a = walk == &comparing->a;

    if (!generation_takes_owner(other->side->settings, walk->owner_hash))
        return;
    *(is_a ? &view->only_a : &view->only_b) += 1;
    add_example(comparing, walk->pair, is_a ? EXAMPLE_ONLY_A : EXAMPLE_ONLY_B);
}

static int both(struct comparing *comparing, struct err *err)
{
    struct compared_view *view = &comparing->comparison->views[comparing->a.pair];
    struct stored_view a, b;
    ProtobufCMessage *own = NULL, *other = NULL;

    int rc = layout_parse_view_value(comparing->a.value, &a, err);
    if (rc == 0)
        rc = layout_parse_view_value(comparing->b.value, &b, err);
    if (rc < 0 || (a.is_made == b.is_made && span_equal(a.bytes, b.bytes)))
        return rc;
    arena_reset(&comparing->arena);
    rc = message_decode_own(view->pair->a->type, a.bytes, &comparing->arena, &own, err);
    if (rc == 0)
        rc = message_decode_own(view->pair->b->type, b.bytes, &comparing->arena, &other, err);
    if (rc < 0)
        return rc;
    comparing->number++;
    bool is_different = comparison_differs(view->pair->type, own, other, comparing->number, &view->fields);
    if (a.is_made != b.is_made) {
        differing_fields_note(&view->fields, SIZE_MAX, NULL, comparing->number);
        is_different = true;
    }
    if (is_different) {
        view->different++;
        add_example(comparing, comparing->a.pair, EXAMPLE_DIFFERENT);
    }
    return 0;
}

/* --- rows --- */

/* To the next row of a view that is compared in this bucket. */
static int step(struct comparing *comparing, struct walk *walk, unsigned bucket, struct err *err)
{
    struct span row_key, value;
    uint16_t number = 0;

    walk->is_there = false;
    for (;;) {
        int rc = store_cursor_next(walk->cursor, &row_key, &value, err);
        if (rc == ERR_ABSENT)
            return 0;
        if (rc == 0)
            rc = layout_parse_view_key(row_key, &walk->owner_hash, &number, &walk->key, err);
        if (rc < 0)
            return rc;
        if (owner_bucket(walk->owner_hash) != bucket)
            return 0;
        comparing->comparison->rows_read++;
        walk->pair = number < walk->side->views->view_count ? walk->pair_of_view[number] : NO_PAIR;
        if (walk->pair != NO_PAIR && comparing->is_open[walk->pair])
            break;
    }
    walk->value = value;
    walk->is_there = true;
    return 0;
}

static int begin(struct comparing *comparing, struct walk *walk, unsigned bucket, struct err *err)
{
    uint64_t first = (uint64_t)bucket << (64 - BUCKET_BITS);
    uint8_t from[8];

    for (unsigned i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(first >> (56 - 8 * i));
    int rc = store_cursor_open(walk->side->reader, TABLE_VIEWS, span_of(NULL, 0), span_of(from, sizeof(from)),
                               &walk->cursor, err);
    return rc < 0 ? rc : step(comparing, walk, bucket, err);
}

static int order(const struct walk *a, const struct walk *b)
{
    if (!a->is_there || !b->is_there)
        return b->is_there - a->is_there;
    if (a->owner_hash != b->owner_hash)
        return a->owner_hash < b->owner_hash ? -1 : 1;
    if (a->pair != b->pair)
        return a->pair < b->pair ? -1 : 1;
    return span_compare(a->key, b->key);
}

static int walk_bucket(struct comparing *comparing, unsigned bucket, struct err *err)
{
    struct walk *a = &comparing->a, *b = &comparing->b;

    comparing->comparison->buckets_read++;
    int rc = begin(comparing, a, bucket, err);
    if (rc == 0)
        rc = begin(comparing, b, bucket, err);
    while (rc == 0 && (a->is_there || b->is_there)) {
        int at = order(a, b);
        if (at < 0)
            only_one(comparing, a, b);
        else if (at > 0)
            only_one(comparing, b, a);
        else
            rc = both(comparing, err);
        if (rc == 0 && at <= 0)
            rc = step(comparing, a, bucket, err);
        if (rc == 0 && at >= 0)
            rc = step(comparing, b, bucket, err);
    }
    store_cursor_close(&a->cursor);
    store_cursor_close(&b->cursor);
    return rc;
}
