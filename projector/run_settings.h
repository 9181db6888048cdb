/* projector/run_settings.h - what `run` can be told; the table of its options is in run_settings.c. */
#ifndef TARN_PROJECTOR_RUN_SETTINGS_H
#define TARN_PROJECTOR_RUN_SETTINGS_H

#include "projector/command.h"

struct run_settings {
    struct command_common common;
    const char *schema;
    const char *store;
    const char *brokers;
    struct config_list topics;
    const char *listen;
    int64_t memory_bytes;
    struct config_list type_headers;
    int64_t dedupe_window;
    struct config_list id_headers;
    struct config_list topic_types;
    const char *framing;
    int64_t max_view_bytes;
    int64_t park_limit;
    int64_t fold_threads; /* 0: as the machine has */
    int64_t disk_reserve_bytes;
    int64_t read_ahead_bytes;
    struct config_list partitioners;
    struct config_list kafka;
    const char *group;
    const char *announce_topic; /* NULL: nothing is announced */
    int64_t announce_backlog;
    const char *refused; /* where the values of refused options would go */
};

enum { RUN_OPTION_COUNT = 24 };
extern const struct config_option run_options[];

#endif
