/* Who may open a store, and what is refused at the door because it would break LMDB. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "isolated.h"
#include "schema/base/mem.h"
#include "schema/store/file_system.h"
#include "scratch_folder.h"
#include "store_world.h"
#include "tests/unit/assert_ok.h"

/* --- what is refused at the door --- */

static void a_folder_without_a_store_is_absent_to_a_reader_and_stays_untouched(void **state)
{
    char *folder = scratch_folder_make();
    char *missing = mem_format("%s/missing", folder);
    struct store *store = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(store_open(folder, &store_world_read_only, &store, &err), ERR_ABSENT);
    assert_int_equal(store_open(missing, &store_world_read_only, &store, &err), ERR_ABSENT);
    assert_null(store);
    assert_int_equal(rmdir(folder), 0); /* still empty */
    free(missing);
    scratch_folder_remove(&folder);
}

static void a_folder_is_open_once_in_a_process(void **state)
{
    struct store_world *world = *state;
    struct store *second = NULL;
    struct err err = {0};

    assert_int_equal(store_open(world->folder, &store_world_read_only, &second, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "open in this process already"));
    store_world_put_mark(world, "a", "still writable");
}

static int claim_network(void *self, const char *path, int64_t *ret_type)
{
    int64_t *type = self;

    (void)path;
    if (*type < 0)
        return (int)*type;
    *ret_type = *type;
    return 0;
}

static void a_network_file_system_is_refused(void **state)
{
    static const struct {
        int64_t type;
        const char *name; /* NULL: fine */
    } systems[] = {
        {0x6969, "NFS"},      {0x517b, "SMB"},    {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x01021997, "9p"},
        {0x65735546, "FUSE"}, {0xc36400, "Ceph"}, {0x5346414f, "AFS"},  {0xef53, NULL},       {0x01021994, NULL},
        {0x794c7630, NULL},   {0x58465342, NULL}, {0x9123683e, NULL},
    };
    char *folder = scratch_folder_make();
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(systems); i++) {
        int64_t type = systems[i].type;
        struct store_platform platform = {.file_system_type = claim_network, .self = &type};
        struct store_options options = {.access = STORE_READ_WRITE, .platform = &platform};
        struct store *store = NULL;
        int rc = store_open(folder, &options, &store, &err);
        if (systems[i].name == NULL) {
            assert_ok(rc);
        } else {
            assert_int_equal(rc, ERR_INPUT);
            assert_non_null(strstr(err.text, systems[i].name));
            assert_non_null(strstr(err.text, "use a local disk"));
        }
        store_close(&store);
    }
    scratch_folder_remove(&folder);
}

static void a_file_system_that_can_not_be_asked_is_an_error(void **state)
{
    int64_t type = -EIO;
    struct store_platform platform = {.file_system_type = claim_network, .self = &type};
    struct err err = {0};

    (void)state;
    assert_int_equal(file_system_check(&platform, "/", &err), ERR_BROKEN);
}

static void read_file(const char *folder, const char *name, struct buf *bytes)
{
    char *path = mem_format("%s/%s", folder, name);
    int fd = open(path, O_RDONLY);
    ssize_t got;

    assert_true(fd >= 0);
    while ((got = read(fd, buf_reserve(bytes, 65536), 65536)) > 0)
        bytes->len += (size_t)got;
    assert_int_equal(got, 0);
    close(fd);
    free(path);
}

static void another_format_version_is_refused_and_left_as_it_is(void **state)
{
    struct store_world *world = *state;
    struct buf before = BUF_INIT;
    struct buf after = BUF_INIT;
    struct err err = {0};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    uint32_t version = FORMAT_VERSION + 1;
    char *told = mem_format("format version %d, and this program knows version %d", FORMAT_VERSION + 1, FORMAT_VERSION);
    MDB_val key = {6, (void *)(uintptr_t) "format"};
    MDB_val value = {sizeof(version), &version};

    store_reader_close(&world->reader);
    store_close(&world->store);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_open(env, world->folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    read_file(world->folder, "data.mdb", &before);
    assert_int_equal(store_open(world->folder, &store_world_read_only, &world->store, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, told));
    free(told);
    assert_int_equal(store_open(world->folder, &store_world_read_write, &world->store, &err), ERR_INPUT);
    read_file(world->folder, "data.mdb", &after);
    assert_true(span_equal(buf_span(&before), buf_span(&after)));
    buf_release(&before);
    buf_release(&after);
}

static void a_data_file_of_something_else_is_refused(void **state)
{
    char *folder = scratch_folder_make();
    char *path = mem_format("%s/data.mdb", folder);
    struct store *store = NULL;
    struct err err = {0};
    FILE *file = fopen(path, "w");

    (void)state;
    assert_non_null(file);
    for (int i = 0; i < 10000; i++)
        fputs("not a store", file);
    fclose(file);
    assert_int_equal(store_open(folder, &store_world_read_only, &store, &err), ERR_INPUT);
    assert_int_equal(store_open(folder, &store_world_read_write, &store, &err), ERR_INPUT);
    free(path);
    scratch_folder_remove(&folder);
}

/* --- PID namespaces --- */

static int open_elsewhere_and_wait(void *argument)
{
    const struct store_opening *opening = argument;
    struct store *store = NULL;
    struct err err = {0};

    if (store_open(opening->folder, &opening->options, &store, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

static void a_process_of_another_pid_namespace_is_refused_with_what_to_do(void **state)
{
    struct store_world *world = *state;
    struct store_opening refused = {world->folder, store_world_read_only, ERR_INPUT, "shareProcessNamespace: true"};
    struct store_opening accepted = {world->folder, store_world_read_only, 0, NULL};
    struct err err = {0};

    store_world_put_mark(world, "a", "1");
    assert_int_equal(isolated_run(ISOLATED_PID_NAMESPACE, store_world_open_elsewhere, &refused), 0);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, store_world_open_elsewhere, &accepted), 0);
    /* Whoever was there goes on. */
    store_world_put_mark(world, "a", "2");
    assert_ok(store_read_begin(world->reader, &err));
    store_world_assert_mark(world, "a", "2");
}

static void two_first_processes_of_pid_namespaces_do_not_share_a_store(void **state)
{
    struct store_world *world = *state;
    struct store_opening accepted = {world->folder, store_world_read_write, 0, NULL};
    struct store_opening refused = {world->folder, store_world_read_only, ERR_INPUT, "another PID namespace"};
    struct isolated child;

    store_world_put_mark(world, "a", "1");
    store_reader_close(&world->reader);
    store_close(&world->store);
    isolated_start(ISOLATED_PID_NAMESPACE, open_elsewhere_and_wait, &accepted, &child);
    assert_int_equal(isolated_run(ISOLATED_PID_NAMESPACE, store_world_open_elsewhere, &refused), 0);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, store_world_open_elsewhere, &refused), 0);
    isolated_kill(&child);
}

static void a_killed_process_of_another_pid_namespace_blocks_nobody(void **state)
{
    struct store_world *world = *state;
    struct store_opening accepted = {world->folder, store_world_read_write, 0, NULL};
    struct err err = {0};
    struct isolated child;

    store_reader_close(&world->reader);
    store_close(&world->store);
    isolated_start(ISOLATED_PID_NAMESPACE, open_elsewhere_and_wait, &accepted, &child);
    isolated_kill(&child);
    assert_ok(store_open(world->folder, &store_world_read_write, &world->store, &err));
    store_world_put_mark(world, "a", "1");
    /* And in the other direction. */
    store_close(&world->store);
    assert_int_equal(isolated_run(ISOLATED_PID_NAMESPACE, store_world_open_elsewhere, &accepted), 0);
}

/* --- address space, mounts, full disks --- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need all of it themselves */
static int open_in_little_space(void *argument)
{
    const struct store_opening *opening = argument;
    struct rlimit limit = {(rlim_t)200 << 30, (rlim_t)200 << 30};

    if (opening->expected != 0)
        limit.rlim_cur = limit.rlim_max = (rlim_t)1 << 30;
    return setrlimit(RLIMIT_AS, &limit) != 0 ? 2 : store_world_open_elsewhere(argument);
}

static void a_process_with_little_address_space_takes_what_it_can_get(void **state)
{
    struct store_world *world = *state;
    struct store_opening enough = {world->folder, store_world_read_only, 0, NULL};
    struct store_opening too_little = {world->folder, store_world_read_only, ERR_FULL, "ulimit -v"};

    store_reader_close(&world->reader);
    store_close(&world->store);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_in_little_space, &enough), 0);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_in_little_space, &too_little), 0);
}
#endif
/* No room even for an empty store, nor for the lock file. */
static int open_on_a_full_disk(void *argument)
{
    const char *folder = argument;
    struct store *store = NULL;
    struct err err = {0};

    if (mount("none", folder, "tmpfs", 0, "size=64k") != 0)
        return store_world_complain("mount", &err);
    if (store_open(folder, &store_world_read_write, &store, &err) != ERR_FULL)
        return store_world_complain("should have been full", &err);
    return 0;
}

static void a_store_can_not_be_made_on_a_full_disk(void **state)
{
    char *folder = scratch_folder_make();

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_MOUNTS, open_on_a_full_disk, folder), 0);
    scratch_folder_remove(&folder);
}

static int open_read_only_mount(void *argument)
{
    const char *folder = argument;
    struct store *store = NULL;
    struct err err = {0};

    if (mount("none", folder, "tmpfs", 0, "size=16m") != 0)
        return store_world_complain("mount", &err);
    if (store_open(folder, &store_world_read_write, &store, &err) != 0)
        return store_world_complain("open", &err);
    store_close(&store);
    if (mount("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return store_world_complain("remount", &err);
    if (store_open(folder, &store_world_read_only, &store, &err) != ERR_INPUT ||
        strstr(err.text, "mount it read-write") == NULL)
        return store_world_complain("should have been refused", &err);
    return 0;
}

static void a_read_only_mount_is_refused_because_readers_write_to_the_lock_table(void **state)
{
    char *folder = scratch_folder_make();

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_MOUNTS, open_read_only_mount, folder), 0);
    scratch_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_without_a_store_is_absent_to_a_reader_and_stays_untouched),
        with_store(a_folder_is_open_once_in_a_process),
        cmocka_unit_test(a_network_file_system_is_refused),
        cmocka_unit_test(a_file_system_that_can_not_be_asked_is_an_error),
        with_store(another_format_version_is_refused_and_left_as_it_is),
        cmocka_unit_test(a_data_file_of_something_else_is_refused),
        with_store(a_process_of_another_pid_namespace_is_refused_with_what_to_do),
        with_store(two_first_processes_of_pid_namespaces_do_not_share_a_store),
        with_store(a_killed_process_of_another_pid_namespace_blocks_nobody),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        with_store(a_process_with_little_address_space_takes_what_it_can_get),
#endif
        cmocka_unit_test(a_store_can_not_be_made_on_a_full_disk),
        cmocka_unit_test(a_read_only_mount_is_refused_because_readers_write_to_the_lock_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
