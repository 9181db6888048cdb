/* A list of what is refused and not of what is allowed: an unknown local file system is more likely than an unknown
 * network one. FUSE is refused whole: sshfs, s3fs and the shared folders of desktop virtual machines look alike to
 * statfs(), and none of them keeps a map coherent with writes that come from elsewhere. */
#include "schema/store/file_system.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

static const struct {
    int64_t type; /* statfs(2), linux/magic.h */
    const char *name;
} refused[] = {
    {0x6969, "NFS"},         {0x517b, "SMB"},           {0xff534d42, "CIFS"},      {0xfe534d42, "SMB2"},
    {0x01021997, "9p"},      {0x65735546, "FUSE"},      {0x00c36400, "Ceph"},      {0x5346414f, "AFS"},
    {0x6b414653, "kAFS"},    {0x73757245, "Coda"},      {0x564c, "NCP"},           {0x0bd00bd0, "Lustre"},
    {0x47504653, "GPFS"},    {0x01161970, "GFS2"},      {0x7461636f, "OCFS2"},     {0x786f4256, "VirtualBox"},
    {0xbacbacbc, "VMware"},  {0xaad7aaea, "PanFS"},     {0x20030528, "OrangeFS"},  {0x19830326, "BeeGFS"},
};

static int file_system_type(void *self, const char *path, int64_t *ret_type)
{
    struct statfs status;

    (void)self;
    if (statfs(path, &status) != 0)
        return -errno;
    *ret_type = (int64_t)status.f_type;
    return 0;
}

static int boot_id(void *self, char ret_id[STORE_BOOT_ID_SIZE])
{
    (void)self;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got = read(fd, ret_id, STORE_BOOT_ID_SIZE - 1);
    int failure = got < 0 ? errno : 0;
    close(fd);
    if (got < 0)
        return -failure;
    ret_id[got] = '\0';
    ret_id[strcspn(ret_id, "\n")] = '\0';
    return 0;
}

const struct store_platform store_platform_system = {file_system_type, boot_id, NULL};

int file_system_check(const struct store_platform *platform, const char *path, struct err *err)
{
    int64_t type;

    int rc = platform->file_system_type(platform->self, path, &type);
    if (rc < 0)
        return err_set_errno(err, ERR_BROKEN, -rc, "%s: can't ask for the kind of file system", path);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        /* f_type is a signed word: on some machines the magics with the top bit come out negative. */
        if ((uint32_t)type == (uint32_t)refused[i].type)
            return err_set(err, ERR_INPUT,
                           "%s lies on a network or shared file system (%s), where the memory map and the locks of a "
                           "store don't work; use a local disk",
                           path, refused[i].name);
    }
    return 0;
}

int file_system_boot_id(const struct store_platform *platform, char ret_id[STORE_BOOT_ID_SIZE], struct err *err)
{
    const struct store_platform *asked = platform != NULL && platform->boot_id != NULL ? platform : &store_platform_system;

    memset(ret_id, 0, STORE_BOOT_ID_SIZE);
    int rc = asked->boot_id(asked->self, ret_id);
    return rc < 0 ? err_set_errno(err, ERR_BROKEN, -rc, "can't tell one boot of this machine from the next") : 0;
}
