/* The hashes of the clients, with the vectors of their own tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/base/compiler.h"
#include "schema/store/partitioner.h"

/* A prime near 2^31: with it, the partition tells nearly all of the hash. */
enum { MANY = INT32_MAX };

/* org.apache.kafka.common.utils.UtilsTest.testMurmur2; librdkafka takes the same. */
static void murmur2_is_that_of_the_java_client(void **state)
{
    static const struct {
        const char *key;
        int32_t hash;
    } vectors[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct span key = span_of_text(vectors[i].key);
        int32_t positive = (int32_t)((uint32_t)vectors[i].hash & 0x7fffffff);
        assert_int_equal(partitioner_partition(PARTITIONER_MURMUR2, key, MANY), positive % MANY);
        assert_int_equal(partitioner_partition(PARTITIONER_MURMUR2, key, 12), positive % 12);
    }
}

/* The check value of CRC-32/ISO-HDLC, and what zlib says of others. */
static void crc32_is_that_of_librdkafkas_consistent_partitioner(void **state)
{
    static const struct {
        const char *key;
        uint32_t hash;
    } vectors[] = {
        {"123456789", 0xcbf43926},
        {"The quick brown fox jumps over the lazy dog", 0x414fa339},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct span key = span_of_text(vectors[i].key);
        assert_int_equal(partitioner_partition(PARTITIONER_CRC32, key, MANY), vectors[i].hash % MANY);
        assert_int_equal(partitioner_partition(PARTITIONER_CRC32, key, 6), vectors[i].hash % 6);
    }
}

/* librdkafka's rdfnv1a.c, unittest_fnv1a() */
static void fnv1a_is_that_of_librdkafka(void **state)
{
    static const struct {
        const char *key;
        uint32_t hash;
    } vectors[] = {
        {"kafka", 0xd33c4e1}, {"giberish123456789", 0x77a58295}, {"1234", 0x23bdd03},
        {"234", 0x2dea3cd2},  {"34", 0x740fa83e},                {"4", 0x310ca263},
        {"", 0x7ee3623b},     {"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65cbd69c},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct span key = span_of_text(vectors[i].key);
        assert_int_equal(partitioner_partition(PARTITIONER_FNV1A, key, MANY), vectors[i].hash % MANY);
    }
}

static void a_partitioner_that_is_not_known_tells_no_partition(void **state)
{
    (void)state;
    assert_int_equal(partitioner_partition(PARTITIONER_UNKNOWN, SPAN_LITERAL("u1"), 6), -1);
    assert_int_equal(partitioner_partition(PARTITIONER_MIXED, SPAN_LITERAL("u1"), 6), -1);
    assert_int_equal(partitioner_partition(PARTITIONER_MURMUR2, SPAN_LITERAL("u1"), 0), -1);
}

static void partitioners_have_names(void **state)
{
    (void)state;
    assert_string_equal(partitioner_name(PARTITIONER_UNKNOWN), "unknown");
    assert_string_equal(partitioner_name(PARTITIONER_MURMUR2), "murmur2");
    assert_string_equal(partitioner_name(PARTITIONER_CRC32), "crc32");
    assert_string_equal(partitioner_name(PARTITIONER_FNV1A), "fnv1a");
    assert_string_equal(partitioner_name(PARTITIONER_MIXED), "mixed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmur2_is_that_of_the_java_client),
        cmocka_unit_test(crc32_is_that_of_librdkafkas_consistent_partitioner),
        cmocka_unit_test(fnv1a_is_that_of_librdkafka),
        cmocka_unit_test(a_partitioner_that_is_not_known_tells_no_partition),
        cmocka_unit_test(partitioners_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
