"""The word of a page on which a thread sleeps as on macOS: c/futex.h is compiled as it is there, and a futex stands in
for os_sync_wait_on_address, as Apple documents it."""

cdef extern from *:
    """
    #include <errno.h>
    #include <linux/futex.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    #define FP_SLEEP 2

    static long long naps = 0, sleeps = 0, wakes = 0;
    static int there = 1, fails_with = 0; /* whether the system has it; the errno of the next sleep */
    static uint32_t said[4];              /* of the last sleep and wake: bytes, flags, clock, flags of the wake */

    static int nap(const struct timespec *t, struct timespec *left)
    {
        __atomic_fetch_add(&naps, 1, __ATOMIC_SEQ_CST);
        return nanosleep(t, left);
    }
    #define nanosleep nap

    static int as_os_wait(void *at, uint64_t seen, size_t size, uint32_t flags, uint32_t clock, uint64_t ns)
    {
        struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        said[0] = (uint32_t)size;
        said[1] = flags;
        said[2] = clock;
        __atomic_fetch_add(&sleeps, 1, __ATOMIC_SEQ_CST);
        if (fails_with) {
            errno = fails_with;
            return -1;
        }
        if (syscall(SYS_futex, at, FUTEX_WAIT, (uint32_t)seen, &t, NULL, 0) != 0 && errno != EAGAIN)
            return -1;
        return 0; /* how many still wait there; so many it was at least */
    }
    static int as_os_wake(void *at, size_t size, uint32_t flags)
    {
        said[3] = flags;
        wakes++;
        return syscall(SYS_futex, at, FUTEX_WAKE, 1, NULL, NULL, 0) > 0 ? 0 : (errno = ENOENT, -1);
    }
    static void *as_dlsym(const char *name)
    {
        if (!there)
            return NULL;
        if (strcmp(name, "os_sync_wait_on_address_with_timeout") == 0)
            return (void *)as_os_wait;
        return strcmp(name, "os_sync_wake_by_address_any") == 0 ? (void *)as_os_wake : NULL;
    }
    #include <dlfcn.h>
    #ifndef RTLD_DEFAULT
    #define RTLD_DEFAULT NULL
    #endif
    #define dlsym(where, name) as_dlsym(name)
    """
    long long naps_begun "naps"
    long long sleeps_begun "sleeps"
    long long wakes_done "wakes"
    int is_there "there"
    int next_errno "fails_with"
    unsigned int said[4]

include "_page_word.pxi"


cdef class Word(SleptOn):
    """A word, and what was slept on it since this was made."""

    def __init__(self, bint there=True, int fails_with=0):
        global naps_begun, sleeps_begun, wakes_done, is_there, next_errno
        naps_begun = sleeps_begun = wakes_done = 0
        is_there, next_errno = there, fails_with

    @property
    def counts(self):
        """Sleeps by the system's call, wake-ups by it, and naps."""
        return sleeps_begun, wakes_done, naps_begun

    @property
    def said(self):
        """The arguments of the last calls: bytes, flags and clock of the sleep, flags of the wake-up."""
        return said[0], said[1], said[2], said[3]
