/* A system that has no locks which end with their owner: nothing can be shared there (see page.h). */
#ifndef FASTPOOL_PAGE_NONE_H
#define FASTPOOL_PAGE_NONE_H

#define FP_SHARES 0

static inline intptr_t fp_page_open(int folder, const char *name)
{
    errno = ENOSYS;
    return -1;
}
static inline void fp_page_close(intptr_t page, int mapped) {}
static inline int64_t fp_page_size(intptr_t page) { return -1; }
static inline int fp_page_read(intptr_t page, void *to, int bytes) { return -1; }
static inline int fp_page_lock(intptr_t page, uint32_t byte) { return -1; }
static inline void fp_page_unlock(intptr_t page, uint32_t byte) {}
static inline int fp_page_locked(intptr_t page, uint32_t byte, uint32_t bytes) { return -1; }
static inline void *fp_page_map(intptr_t page, int folder, const char *name, size_t bytes)
{
    errno = ENOSYS;
    return NULL;
}
static inline void fp_page_unmap(void *at, size_t bytes) {}
static inline void fp_page_failed(void) { PyErr_SetFromErrno(PyExc_OSError); }

#endif
