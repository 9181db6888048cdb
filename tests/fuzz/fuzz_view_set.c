/* Any bytes as a schema: refused with mistakes that say where and what, or views that hold what plan.h promises. A set
 * that is taken is compiled again, to the same, and its views can be served. */
#include <assert.h>
#include <string.h>

#include "schema/json/render.h"
#include "schema/view/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VIEWS_LOOKED_AT = 20 };

static void check_mistakes(const struct mistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->count; i++) {
        assert(mistakes->lines[i][0] != '\0');
        assert(strchr(mistakes->lines[i], '\n') == NULL);
    }
}

static void check_handler(const struct view *view, const struct handler *handler)
{
    assert(handler->view == view && handler->stream != NULL && handler->target != NULL && handler->event != NULL);
    assert(handler->key_count >= 1 && handler->key_count <= view->key_count);
    assert(handler->effect == EFFECT_ERASE || handler->key_count == view->key_count ||
           (handler->effect == EFFECT_DELETE && handler->is_tombstone));
    for (size_t i = 0; i < handler->assignment_count; i++)
        assert(message_type_field_number(handler->target, handler->assignments[i].target->number) ==
               handler->assignments[i].target);
}

static void check_view(const struct view_set *set, const struct view *view)
{
    struct render_plan *plan = render_plan_new(view);
    struct buf json = BUF_INIT;
    struct err err;

    assert(view_set_find(set, span_of_text(view->name)) == view);
    assert(view->key_count > 0 && view->handler_count > 0 && view->home == view->handlers[0].stream);
    for (size_t i = 0; i < view->handler_count; i++)
        check_handler(view, &view->handlers[i]);
    int rc = render_json(plan, NULL, span_of(NULL, 0), &json, &err); /* a view of which nothing is set */
    assert(rc == 0 && json.len >= 2);
    buf_release(&json);
    render_plan_free(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mistakes mistakes = {NULL, 0, 0}, again = {NULL, 0, 0};
    struct view_set *set = NULL, *second = NULL;
    struct err err = {0};

    int rc = view_set_load(span_of(data, size), &set, &mistakes, &err);
    check_mistakes(&mistakes);
    if (rc < 0) {
        assert(rc == ERR_INPUT && err.text[0] != '\0' && set == NULL);
    } else {
        assert(mistakes.count == 0);
        for (size_t i = 0; i < set->view_count && i < VIEWS_LOOKED_AT; i++)
            check_view(set, &set->views[i]);
        for (size_t i = 0; i < set->event_count; i++)
            assert(view_set_event(set, span_of_text(set->events[i].event->full_name)) == &set->events[i]);
        rc = view_set_load(span_of(data, size), &second, &again, &err);
        assert(rc == 0 && second->view_count == set->view_count && second->event_count == set->event_count);
        view_set_free(&second);
        view_set_free(&set);
    }
    mistakes_release(&mistakes);
    mistakes_release(&again);
    return 0;
}
