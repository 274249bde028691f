/* The operating system: Linux, or any POSIX system with getrandom. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "ltl_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int ltlPortLock(void) { return pthread_mutex_lock(&lock); }
int ltlPortUnlock(void) { return pthread_mutex_unlock(&lock); }
const char *ltlPortSetting(const char *name) { return getenv(name); }

int ltlPortRandom(unsigned char *out, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = getrandom(out + have, len - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        have += (size_t)n;
    }
    return 0;
}

int ltlPortReadFile(const char *path, unsigned char *out, size_t size, size_t *len)
{
    unsigned char beyond;
    size_t have = 0;
    ssize_t n;
    /* Not the stream functions: their buffers would keep a copy of the key. A pipe without a writer must not block. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    for (;;) {
        n = have < size ? read(fd, out + have, size - have) : read(fd, &beyond, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || have == size)
            break;
        have += (size_t)n;
    }
    if (close(fd) != 0 || n != 0)
        return -1;
    *len = have;
    return 0;
}
