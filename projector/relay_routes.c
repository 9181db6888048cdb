/* A handful of streams: looked for one by one. The type that was asked for last is remembered, as outboxes bring runs of
 * one type. */
#include "projector/relay_routes.h"

#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/view/stream.h"

struct route {
    char *stream; /* NULL: all streams */
    char *topic;
};

struct relay_routes {
    struct route *routes;
    size_t count;
    size_t capacity;
    const struct view_set *views;
};

int relay_routes_new(const struct config_list *topics, const struct view_set *views, struct relay_routes **ret_routes,
                     struct err *err)
{
    struct relay_routes *routes = mem_zero(1, sizeof(*routes));
    int rc = 0;

    routes->views = views;
    for (size_t i = 0; rc == 0 && i < topics->count; i++) {
        const char *item = topics->items[i];
        const char *equals = strchr(item, '=');
        struct route route = {equals ? mem_text_of(span_of(item, (size_t)(equals - item))) : NULL,
                              mem_text(equals ? equals + 1 : item)};
        routes->routes = mem_grow(routes->routes, routes->count, &routes->capacity, sizeof(*routes->routes));
        routes->routes[routes->count++] = route;
        if (route.topic[0] == '\0')
            rc = err_set(err, ERR_INPUT, "--topics: \"%s\" names no topic", item);
        else if (route.stream == NULL && topics->count > 1)
            rc = err_set(err, ERR_INPUT, "--topics: topic %s has no stream (STREAM=TOPIC)", item);
        else if (route.stream != NULL && route.stream[0] == '\0')
            rc = err_set(err, ERR_INPUT, "--topics: \"%s\" names no stream", item);
        for (size_t k = 0; rc == 0 && route.stream != NULL && k + 1 < routes->count; k++)
            if (strcmp(routes->routes[k].stream, route.stream) == 0)
                rc = err_set(err, ERR_INPUT, "--topics: stream %s has two topics", route.stream);
    }
    if (rc < 0)
        relay_routes_free(&routes);
    else
        *ret_routes = routes;
    return rc;
}

void relay_routes_free(struct relay_routes **routes)
{
    if (*routes == NULL)
        return;
    for (size_t i = 0; i < (*routes)->count; i++) {
        free((*routes)->routes[i].stream);
        free((*routes)->routes[i].topic);
    }
    free((*routes)->routes);
    free(*routes);
    *routes = NULL;
}

static struct span stream_of(const struct relay_routes *routes, struct span type)
{
    const struct event_plan *plan = routes->views != NULL ? view_set_event(routes->views, type) : NULL;
    if (plan != NULL)
        return span_of_text(plan->stream->name);

    char package[300];
    const char *dot = type.len > 0 ? memrchr(type.at, '.', type.len) : NULL;
    size_t len = dot != NULL ? (size_t)(dot - (const char *)type.at) : 0;
    if (len >= sizeof(package))
        return span_of(NULL, 0);
    memcpy(package, type.len ? type.at : "", len);
    package[len] = '\0';
    /* It answers with a part of what it is given: the same part of the type lives longer. */
    return span_of(type.at, stream_default_name(package).len);
}

int relay_routes_topic(const struct relay_routes *routes, struct span type, const char **ret_topic, struct err *err)
{
    if (routes->count == 1 && routes->routes[0].stream == NULL) {
        *ret_topic = routes->routes[0].topic;
        return 0;
    }
    struct span stream = stream_of(routes, type);
    for (size_t i = 0; i < routes->count; i++) {
        if (span_equal_text(stream, routes->routes[i].stream)) {
            *ret_topic = routes->routes[i].topic;
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, "--topics names no topic for stream %.*s (of type %.*s)", SPAN_ARGS(stream),
                   type.len < 200 ? (int)type.len : 200, (const char *)type.at);
}
