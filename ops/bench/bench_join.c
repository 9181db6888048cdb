/* The peer that Tarn takes the reads from: the same screen as a join of three tables, prepared, over a unix socket.
 *
 *     bench-join SOCKET DATABASE CONNECTIONS SECONDS PEOPLE
 *
 * One thread a connection, one query at a time, every row fetched. Prints one line of JSON. */
#include <inttypes.h>
#include <mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/clock.h"
#include "schema/base/mem.h"

static const char statement_text[] =
    "SELECT r.report_id, r.user_name, c.category, m.code, m.trait, m.risk, m.score, m.advice FROM report r "
    "JOIN category c ON c.report_id = r.report_id JOIN marker m ON m.category_id = c.category_id "
    "WHERE r.user_id = ? ORDER BY c.category, m.score DESC";

enum { COLUMNS = 8, TEXT_BYTES = 256 };

struct worker {
    pthread_t thread;
    const char *socket;
    const char *database;
    uint32_t people;
    uint64_t seed;
    int64_t end_us;
    int64_t queries;
    int64_t rows;
    int64_t *latencies_us;
    size_t latency_capacity;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-join: %s: %s\n", what, why);
    exit(1);
}

static void *work(void *self)
{
    struct worker *worker = self;
    MYSQL *mysql = mysql_init(NULL);
    char texts[COLUMNS][TEXT_BYTES];
    unsigned long lengths[COLUMNS];
    MYSQL_BIND results[COLUMNS] = {0};
    char user[16];
    unsigned long user_length = 0;
    MYSQL_BIND parameter = {.buffer_type = MYSQL_TYPE_STRING, .buffer = user, .length = &user_length};

    if (mysql_real_connect(mysql, NULL, "root", "", worker->database, 0, worker->socket, 0) == NULL)
        fail("connect", mysql_error(mysql));
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    if (mysql_stmt_prepare(statement, statement_text, sizeof(statement_text) - 1) != 0)
        fail("prepare", mysql_stmt_error(statement));
    for (size_t i = 0; i < COLUMNS; i++)
        results[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = texts[i], .buffer_length = TEXT_BYTES,
                                  .length = &lengths[i]};
    mysql_stmt_bind_param(statement, &parameter);
    mysql_stmt_bind_result(statement, results);

    for (int64_t now_us; (now_us = clock_monotonic_us(&clock_system)) < worker->end_us;) {
        worker->seed = worker->seed * 6364136223846793005u + 1442695040888963407u;
        int length = snprintf(user, sizeof(user), "u-%07" PRIu32, (uint32_t)((worker->seed >> 33) % worker->people));
        user_length = (unsigned long)length;
        if (mysql_stmt_execute(statement) != 0 || mysql_stmt_store_result(statement) != 0)
            fail("query", mysql_stmt_error(statement));
        while (mysql_stmt_fetch(statement) == 0)
            worker->rows++;
        mysql_stmt_free_result(statement);
        worker->latencies_us = mem_grow(worker->latencies_us, (size_t)worker->queries, &worker->latency_capacity,
                                        sizeof(*worker->latencies_us));
        worker->latencies_us[worker->queries++] = clock_monotonic_us(&clock_system) - now_us;
    }
    mysql_stmt_close(statement);
    mysql_close(mysql);
    return NULL;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bench-join SOCKET DATABASE CONNECTIONS SECONDS PEOPLE\n");
        return 2;
    }
    size_t count = strtoull(argv[3], NULL, 10);
    double seconds = strtod(argv[4], NULL);
    struct worker *workers = mem_zero(count, sizeof(*workers));
    int64_t start_us = clock_monotonic_us(&clock_system);
    int64_t queries = 0, rows = 0;

    mysql_library_init(0, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        workers[i] = (struct worker){.socket = argv[1], .database = argv[2], .seed = i + 1,
                                     .people = (uint32_t)strtoul(argv[5], NULL, 10),
                                     .end_us = start_us + (int64_t)(seconds * 1e6)};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("thread", "can't be started");
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        queries += workers[i].queries;
        rows += workers[i].rows;
    }
    int64_t *all = mem_alloc((size_t)(queries ? queries : 1) * sizeof(*all));
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (workers[i].queries > 0)
            memcpy(all + at, workers[i].latencies_us, (size_t)workers[i].queries * sizeof(*all));
        at += (size_t)workers[i].queries;
        free(workers[i].latencies_us);
    }
    qsort(all, at, sizeof(*all), compare_numbers);
    printf("{\"queries\": %" PRId64 ", \"rows_per_query\": %.1f, \"per_second\": %.0f, \"p99_ms\": %.2f}\n", queries,
           (double)rows / (double)(queries ? queries : 1), (double)queries / seconds,
           at ? (double)all[at * 99 / 100] / 1e3 : 0);
    free(all);
    free(workers);
    mysql_library_end();
    return 0;
}
