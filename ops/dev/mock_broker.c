/* A Kafka broker for trying Tarn out: librdkafka's mock cluster behind a real socket. Nothing is written to disk,
 * about 5 MB a partition are kept, and everything is gone with the process.
 *
 *     mock_broker     prints "127.0.0.1:PORT" once it answers; ends with SIGTERM or its parent
 *
 * A topic is there, with four partitions, as soon as somebody asks for it. (rd_kafka_mock_topic_create() would take up
 * to a second for each: the cluster's thread isn't woken for the second of two requests.) */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    if (level <= 3)
        fprintf(stderr, "mock_broker: %s: %s\n", facility, text);
}

int main(void)
{
    sigset_t ends;
    char reason[300];
    int signal_number;

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
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);

    sigwait(&ends, &signal_number);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
