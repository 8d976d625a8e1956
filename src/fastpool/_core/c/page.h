/* What several processes share, as far as it differs between systems: the descriptor of a page, locks that the kernel
 * drops when their owner dies, and a word on which a thread sleeps until another process writes it.
 *
 * The locks are those of an open file description (F_OFD_SETLK), one byte for each row of the page. They end with the last
 * descriptor of that description: at the process's death, however it dies, at its exec (the descriptor is O_CLOEXEC),
 * and when it closes the descriptor. Unlike POSIX record locks they do not end when somebody in the process opens and
 * closes the same file. A forked child would keep them, so a handler closes its copies before anything else runs there.
 */
#ifndef FASTPOOL_PAGE_H
#define FASTPOOL_PAGE_H

#include "atomic.h"
#include "clock.h"
#include <errno.h>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif
#endif

enum { FP_PAGES = 1024 }; /* descriptors of pages that one process may have */

#if defined(F_OFD_SETLK) && defined(O_CLOEXEC) && defined(O_NOFOLLOW)
#define FP_SHARES 1

static int fp_page_fds[FP_PAGES]; /* descriptor + 1; 0: none. Changed under the GIL, or fp_page_held without one */
static uint32_t fp_page_held = 0;
static int fp_page_ready = 0;

/* In a forked child, before anything else: its copies would keep the parent's locks when the parent dies. */
static void fp_page_in_child(void)
{
    int i;
    for (i = 0; i < FP_PAGES; i++) {
        if (fp_page_fds[i] != 0)
            close(fp_page_fds[i] - 1);
        fp_page_fds[i] = 0;
    }
    fp_page_held = 0;
}

static inline void fp_page_enter(void)
{
    while (!fp_u32_cas(&fp_page_held, 0, 1))
        ;
}
static inline void fp_page_exit(void) { fp_u32_store(&fp_page_held, 0); }

/* Open a page's file and note its descriptor in one go: with the GIL no other thread can fork in between.
 * -1 and errno: not opened. EMFILE, too, if this process has FP_PAGES pages open. */
static inline int fp_page_open(int folder, const char *name)
{
    int i, fd = -1;
    if (!fp_page_ready) {
        if (pthread_atfork(NULL, NULL, fp_page_in_child) != 0) {
            errno = ENOMEM;
            return -1;
        }
        fp_page_ready = 1;
    }
    fp_page_enter();
    for (i = 0; i < FP_PAGES && fp_page_fds[i] != 0; i++)
        ;
    if (i == FP_PAGES) {
        errno = EMFILE;
    } else {
        fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0)
            fp_page_fds[i] = fd + 1;
    }
    fp_page_exit();
    return fd;
}

static inline void fp_page_close(int fd)
{
    int i;
    fp_page_enter();
    for (i = 0; i < FP_PAGES; i++)
        if (fp_page_fds[i] == fd + 1) {
            fp_page_fds[i] = 0;
            close(fd);
            break;
        }
    fp_page_exit();
}

static inline int fp_page_fcntl(int fd, int what, uint32_t byte, uint32_t bytes, int kind)
{
    struct flock lock;
    int said;
    memset(&lock, 0, sizeof lock);
    lock.l_type = (short)kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = bytes;
    do
        said = fcntl(fd, what, &lock);
    while (said != 0 && errno == EINTR);
    if (said != 0)
        return -1;
    return what == F_OFD_GETLK ? lock.l_type != F_UNLCK : 0;
}

/* 0: locked; -1: somebody else has it (EAGAIN, EACCES), or the system refuses. */
static inline int fp_page_lock(int fd, uint32_t byte) { return fp_page_fcntl(fd, F_OFD_SETLK, byte, 1, F_WRLCK); }
static inline void fp_page_unlock(int fd, uint32_t byte) { fp_page_fcntl(fd, F_OFD_SETLK, byte, 1, F_UNLCK); }
/* 1: somebody else has one of these; 0: free, or this descriptor's own; -1: the system refuses. */
static inline int fp_page_locked(int fd, uint32_t byte, uint32_t bytes)
{
    return fp_page_fcntl(fd, F_OFD_GETLK, byte, bytes, F_WRLCK);
}

/* Map `bytes` of it, which may be more than the file has: nobody touches what is not there. NULL: errno says why.
 *
 * By another open file description, if `folder` is given: a mapping keeps its description alive, and with it the locks,
 * in a forked child, too, which inherits the mapping. */
static inline void *fp_page_map(int fd, int folder, const char *name, size_t bytes)
{
    struct stat mine, other;
    void *at = MAP_FAILED;
    int again = folder < 0 ? fd : openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (again < 0)
        return NULL;
    if (fstat(fd, &mine) == 0 && fstat(again, &other) == 0) {
        if (mine.st_dev == other.st_dev && mine.st_ino == other.st_ino)
            at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
        else
            errno = ESTALE;
    }
    if (again != fd)
        close(again);
    return at == MAP_FAILED ? NULL : at;
}
static inline void fp_page_unmap(void *at, size_t bytes) { munmap(at, bytes); }

#else
#define FP_SHARES 0
static inline int fp_page_open(int folder, const char *name) { errno = ENOSYS; return -1; }
static inline void fp_page_close(int fd) {}
static inline int fp_page_lock(int fd, uint32_t byte) { return -1; }
static inline void fp_page_unlock(int fd, uint32_t byte) {}
static inline int fp_page_locked(int fd, uint32_t byte, uint32_t bytes) { return -1; }
static inline void *fp_page_map(int fd, int folder, const char *name, size_t bytes) { errno = ENOSYS; return NULL; }
static inline void fp_page_unmap(void *at, size_t bytes) {}
#endif

/* ---- a word to sleep on -------------------------------------------------------------------------------------------- */

#define FP_POLL_NS 10000000 /* where there is no futex */

#if defined(__linux__) && defined(SYS_futex)
static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns)
{
    struct timespec t;
    t.tv_sec = ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    syscall(SYS_futex, futex, FUTEX_WAIT, seen, &t, NULL, 0); /* not _PRIVATE: other processes wake it */
}
static inline void fp_futex_wake(uint32_t *futex) { syscall(SYS_futex, futex, FUTEX_WAKE, 1, NULL, NULL, 0); }
#elif !defined(_WIN32)
static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns)
{
    struct timespec t = {0, FP_POLL_NS};
    int64_t until = fp_clock_real() + ns;
    while (fp_u32_load(futex) == seen && fp_clock_real() < until)
        nanosleep(&t, NULL);
}
static inline void fp_futex_wake(uint32_t *futex) {}
#else
static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns) { Sleep(10); }
static inline void fp_futex_wake(uint32_t *futex) {}
#endif

#endif
