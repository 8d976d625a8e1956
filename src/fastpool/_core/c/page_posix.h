/* The file of a page on Linux and macOS: locks of an open file description (F_OFD_SETLK), one byte for each row.
 *
 * They end with the last descriptor of that description: at the process's death, however it dies, at its exec (the
 * descriptor is O_CLOEXEC), and when it closes the descriptor. Unlike POSIX record locks they do not end when somebody
 * in the process opens and closes the same file. A forked child would keep them, so a handler closes its copies before
 * anything else runs there.
 */
#ifndef FASTPOOL_PAGE_POSIX_H
#define FASTPOOL_PAGE_POSIX_H

#include "Python.h"

#define FP_SHARES 1

enum { FP_PAGES = 1024 }; /* descriptors of pages that one process may have */

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

static inline int fp_page_openat(int folder, const char *name)
{
    return openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

/* Open a page's file and note its descriptor in one go: with the GIL no other thread can fork in between.
 * EMFILE, too, if this process has FP_PAGES pages open. */
static inline intptr_t fp_page_open(int folder, const char *name)
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
        fd = fp_page_openat(folder, name);
        if (fd >= 0)
            fp_page_fds[i] = fd + 1;
    }
    fp_page_exit();
    return fd;
}

static inline void fp_page_close(intptr_t page, int mapped)
{
    int i;
    fp_page_enter();
    for (i = 0; i < FP_PAGES; i++)
        if (fp_page_fds[i] == page + 1) {
            fp_page_fds[i] = 0;
            close((int)page);
            break;
        }
    fp_page_exit();
}

static inline int64_t fp_page_size(intptr_t page)
{
    struct stat found;
    return fstat((int)page, &found) == 0 ? (int64_t)found.st_size : -1;
}

static inline int fp_page_read(intptr_t page, void *to, int bytes) { return (int)pread((int)page, to, (size_t)bytes, 0); }

static inline int fp_page_fcntl(intptr_t page, int what, uint32_t byte, uint32_t bytes, int kind)
{
    struct flock lock;
    int said;
    memset(&lock, 0, sizeof lock);
    lock.l_type = (short)kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = bytes;
    do
        said = fcntl((int)page, what, &lock);
    while (said != 0 && errno == EINTR);
    if (said != 0)
        return -1;
    return what == F_OFD_GETLK ? lock.l_type != F_UNLCK : 0;
}

static inline int fp_page_lock(intptr_t page, uint32_t byte)
{
    return fp_page_fcntl(page, F_OFD_SETLK, byte, 1, F_WRLCK);
}
static inline void fp_page_unlock(intptr_t page, uint32_t byte) { fp_page_fcntl(page, F_OFD_SETLK, byte, 1, F_UNLCK); }
static inline int fp_page_locked(intptr_t page, uint32_t byte, uint32_t bytes)
{
    return fp_page_fcntl(page, F_OFD_GETLK, byte, bytes, F_WRLCK);
}

/* By another open file description, if `folder` is given: a mapping keeps its description alive, and with it the locks,
 * in a forked child, too, which inherits the mapping. */
static inline void *fp_page_map(intptr_t page, int folder, const char *name, size_t bytes)
{
    struct stat mine, other;
    void *at = MAP_FAILED;
    int again = folder < 0 ? (int)page : fp_page_openat(folder, name);
    if (again < 0)
        return NULL;
    if (fstat((int)page, &mine) == 0 && fstat(again, &other) == 0) {
        if (mine.st_dev == other.st_dev && mine.st_ino == other.st_ino)
            at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
        else
            errno = ESTALE;
    }
    if (again != page)
        close(again);
    return at == MAP_FAILED ? NULL : at;
}
static inline void fp_page_unmap(void *at, size_t bytes) { munmap(at, bytes); }

static inline void fp_page_failed(void) { PyErr_SetFromErrno(PyExc_OSError); }

#endif
