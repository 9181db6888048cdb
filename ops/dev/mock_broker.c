/* A Kafka broker for trying Tarn out: librdkafka's mock cluster behind a real socket. Nothing is written to disk, about
 * 5 MB a partition are kept, and everything is gone with the process.
 *
 *     mock_broker PARTITIONS TOPIC...     prints "127.0.0.1:PORT" once it answers; ends with SIGTERM or its parent */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    if (level <= 3)
        fprintf(stderr, "mock_broker: %s: %s\n", facility, text);
}

int main(int argc, char **argv)
{
    sigset_t ends;
    char reason[300];
    int signal_number;
    int partitions = argc > 2 ? atoi(argv[1]) : 0;

    if (partitions < 1) {
        fprintf(stderr, "usage: mock_broker PARTITIONS TOPIC...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* also in librdkafka's threads */

    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (!client) {
        fprintf(stderr, "mock_broker: %s\n", reason);
        return 1;
    }
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, 1);
    if (!cluster) {
        fprintf(stderr, "mock_broker: the mock cluster doesn't start\n");
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(cluster, argv[i], partitions, 1);
        if (code) {
            fprintf(stderr, "mock_broker: topic %s: %s\n", argv[i], rd_kafka_err2str(code));
            return 1;
        }
    }
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);

    sigwait(&ends, &signal_number);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
