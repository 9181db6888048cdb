/* tests/unit/served_world.h - a query server without a network: tests/protos/served.proto over a store of its own,
 * requests handed straight to the routes, with a clock that the test sets.
 *
 * Topics: 0 "branches" (stream branch), 1 "people" (people), 2 "shop.events" (shop). Another process writes, as it is in
 * life: LMDB allows an environment only once in a process. */
#ifndef TARN_TESTS_SERVED_WORLD_H
#define TARN_TESTS_SERVED_WORLD_H

#include "query/loop.h"

enum { TOPIC_BRANCHES, TOPIC_PEOPLE, TOPIC_SHOP, SERVED_TOPICS };

struct served_world {
    char *folder;
    char *directory;                     /* DIR */
    struct view_set *set;                /* for writing */
    char writes_to[GENERATION_NAME_MAX]; /* "": to the incumbent */
    struct clock_port clock;
    int64_t now_ms;
    struct query query;
    struct query_loop *loop;
    struct arena arena;
    struct buf request_text;
    struct buf headers, body; /* of the last answer; NUL-terminated */
    struct http_field fields[32];
    struct http_request request;
    struct http_wait wait;
    struct http_answer answer;
    enum http_outcome outcome;
};

/* One row to be written. */
struct served_change {
    enum {
        CHANGE_VIEW,      /* view, keys, json */
        CHANGE_UNMADE,    /* the same, not made */
        CHANGE_GONE,      /* view, keys */
        CHANGE_POSITION,  /* topic, partition; range -1: all */
        CHANGE_PARTITION, /* topic, partition, row */
        CHANGE_PARKED,    /* topic, record_key */
        CHANGE_ID,        /* topic, partition, record_key, id */
        CHANGE_GARBAGE,   /* view, keys: bytes that are no view */
    } kind;
    const char *view, *key1, *key2, *key3;
    const char *json; /* as in message_json.h */
    uint16_t topic;
    int32_t partition;
    int range;
    struct position position;
    struct partition_row row;
    const char *record_key;
    const char *id;
};

/* DIR exists and holds nothing. */
void served_world_open(struct served_world *world);
void served_world_close(struct served_world *world);

/* A generation with one partition a topic, caught up with 10 records at now_ms, and served. */
void served_world_fill(struct served_world *world);
/* The same without any partition: nobody has read anything yet. */
void served_world_make(struct served_world *world);

/* Another generation beside what is served, caught up as served_world_fill() does, of a schema of tests/protos.
 * What is written from now on goes to it. */
void served_world_add(struct served_world *world, const char *schema);
/* Writes DIR/serving: the generation gets its share, as promote gives it. */
void served_world_promote(struct served_world *world, const char *generation, unsigned percent);

/* A loop more of the same server, for a thread of its own: what it is asked with and what it answers is in *ret_other. */
void served_world_open_loop(struct served_world *world, struct served_world *ret_other);
void served_world_close_loop(struct served_world *other);

/* Commits in one transaction. */
void served_world_change(struct served_world *world, const struct served_change *changes, size_t count);
void served_world_put(struct served_world *world, const char *view, const char *key, const char *json);

/* Looks at DIR again and fails the test when that fails. */
void served_world_refresh(struct served_world *world);

/* "GET /v1/shelf/u1" and header lines behind it, each with its CR LF. Returns the status, or 0 while it waits. */
int served_world_ask(struct served_world *world, const char *request_line, const char *header_lines);
/* Once more, for a request that waits. */
int served_world_resume(struct served_world *world, bool is_last);

/* A header field of the last answer, or NULL. */
const char *served_world_header(struct served_world *world, const char *name);
const char *served_world_body(struct served_world *world);

#endif
