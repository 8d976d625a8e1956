/* Whether this is the thread in which signal handlers run: CPython's own function, which every version so far exports;
 * its header is private since 3.13.  The symbol is weak: where it is missing, the module loads all the same. */
#ifndef FASTPOOL_COMPAT_MAIN_THREAD_H
#define FASTPOOL_COMPAT_MAIN_THREAD_H

#include "Python.h"

#if defined(_WIN32)
int _PyOS_IsMainThread(void);
#elif defined(__APPLE__)
extern int _PyOS_IsMainThread(void) __attribute__((weak_import));
#else
extern int _PyOS_IsMainThread(void) __attribute__((weak));
#endif

static inline int fp_knows_main_thread(void)
{
#if defined(_WIN32)
    return 1;
#else
    return &_PyOS_IsMainThread != NULL;
#endif
}

#endif
