/* The watcher's client reads uncommitted: an end may lie behind a transaction that is still open, and whoever waits for it
 * waits for that one too. */
#include "projector/kafka_ends.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum { ANSWER_MS = 10000 };

struct kafka_ends {
    rd_kafka_t *client;
    char *const *topics;
    size_t topic_count;
};

int kafka_ends_open(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                    struct kafka_ends **ret_ends, struct err *err)
{
    struct kafka_callbacks callbacks = {NULL, NULL, NULL};
    rd_kafka_t *client = NULL;

    int rc = kafka_client_new(settings, KAFKA_WATCHER, &callbacks, &client, err);
    if (rc < 0)
        return rc;
    struct kafka_ends *ends = mem_zero(1, sizeof(*ends));
    *ends = (struct kafka_ends){client, topics, topic_count};
    *ret_ends = ends;
    return 0;
}

void kafka_ends_close(struct kafka_ends **ends)
{
    if (*ends == NULL)
        return;
    kafka_client_destroy(&(*ends)->client);
    free(*ends);
    *ends = NULL;
}

static int partitions_of(struct kafka_ends *ends, size_t topic, int32_t *ret_count, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(ends->client, ends->topics[topic], NULL);

    rd_kafka_resp_err_t code = rd_kafka_metadata(ends->client, 0, handle, &metadata, ANSWER_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1)
        code = metadata->topics[0].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *ret_count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(err, ERR_AGAIN, "Kafka: topic %s: %s", ends->topics[topic], rd_kafka_err2str(code));
    return 0;
}

int kafka_ends_ask(struct kafka_ends *ends, struct log_end **ret_list, size_t *ret_count, struct err *err)
{
    struct log_end *list = NULL;
    size_t count = 0, capacity = 0;
    int rc = 0;

    for (size_t topic = 0; rc == 0 && topic < ends->topic_count; topic++) {
        int32_t partitions = 0;
        rc = partitions_of(ends, topic, &partitions, err);
        for (int32_t partition = 0; rc == 0 && partition < partitions; partition++) {
            int64_t low = 0, high = 0;
            rd_kafka_resp_err_t code =
                rd_kafka_query_watermark_offsets(ends->client, ends->topics[topic], partition, &low, &high, ANSWER_MS);
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
                rc = err_set(err, ERR_AGAIN, "Kafka: the end of %s/%d: %s", ends->topics[topic], (int)partition,
                             rd_kafka_err2str(code));
                break;
            }
            list = mem_grow(list, count, &capacity, sizeof(*list));
            list[count++] = (struct log_end){(uint16_t)topic, partition, high};
        }
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}
