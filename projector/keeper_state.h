/* projector/keeper_state.h - what the files of the keeper share; for nobody else. keeper.c: phases and looks at logs;
 * keeper_topics.c: which topics and partitions there are. */
#ifndef TARN_PROJECTOR_KEEPER_STATE_H
#define TARN_PROJECTOR_KEEPER_STATE_H

#include "projector/keeper.h"

enum {
    RETRY_MS = 500,
    NOT_TO_HEAL = -1,
    SENTENCE_SIZE = 600,
};

enum phase { DOUBTED, ASKED, READING, STOPPED };

struct kept {
    struct partition *partition;
    enum phase phase;
    bool is_asked;      /* READING too: a look is under way */
    bool had_complaint; /* said already; until it is read again */
    int64_t due_ms;     /* the next look, or the next try */
    struct anchor trusted;
    struct log_memory memory; /* as of the question */
    struct anchor newest;     /* likewise */
};

struct kept_topic {
    struct kept *kept;
    size_t count;
    struct watched_topic watched;
    bool said_missing;
    int64_t survey_due_ms;
};

struct keeper {
    struct keeper_options options;
    struct kept_topic *topics;
    uint64_t states_version;
    int64_t topics_due_ms;
    bool knows_topics; /* Kafka has told of each, were it that it isn't there */
    bool is_asking;
    bool is_survey; /* what is under way */
    struct log_check checks[LOG_CHECKS_MAX];
    char problem[SENTENCE_SIZE];
};

/* --- keeper.c --- */

/* "topic T, partition P: text" for the log. */
void keeper_say(struct keeper *keeper, enum log_level level, const struct kept *kept, const char *text);
/* The source reads it no more; its phase is the caller's to change. */
void keeper_drop(struct keeper *keeper, struct kept *kept);
void keeper_doubt(struct keeper *keeper, struct kept *kept, int64_t due_ms);

/* --- keeper_topics.c --- */

/* Takes in partitions that positions has got. */
void keeper_sync_partitions(struct keeper *keeper, uint16_t topic);
/* Topics that are missing or there again, and partitions that are gone. ERR_INPUT: more partitions than are read. */
MUST_CHECK int keeper_look_at_topics(struct keeper *keeper, struct err *err);
/* Asks about topics with new partitions. False: there is nothing to ask, or the watch is busy. */
bool keeper_ask_survey(struct keeper *keeper, int64_t now);
MUST_CHECK int keeper_take_survey(struct keeper *keeper, size_t count, struct err *err);

#endif
