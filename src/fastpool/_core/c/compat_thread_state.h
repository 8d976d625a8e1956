/* Whether this thread is in its main greenlet and outside of every task: a cheap test that may answer "unknown".
 *
 * A greenlet has a data stack of its own, and CPython never frees the first chunk of a thread's own stack while the
 * thread lives.  So a thread state that is on the chunk on which its main greenlet was once seen is in its main
 * greenlet.  A task's step runs inside a context; a thread state without one runs no task.
 */
#ifndef FASTPOOL_COMPAT_THREAD_STATE_H
#define FASTPOOL_COMPAT_THREAD_STATE_H

#include "Python.h"
#include <stdint.h>

#if PY_VERSION_HEX < 0x030D0000
#define FP_TSTATE() _PyThreadState_UncheckedGet()
#else
#define FP_TSTATE() PyThreadState_GetUnchecked()
#endif

typedef struct {
    uint64_t thread_state; /* its id, never reused; 0: not seen yet */
    void *chunk;           /* the first chunk of its own stack */
} fp_root_stack;
FP_THREAD_LOCAL fp_root_stack fp_root;

/* For tests: behave as if a thread state did not show these (docs/compat.md). */
static int fp_stacks_are_hidden, fp_contexts_are_hidden;
static inline void fp_hide(int stacks, int contexts)
{
    fp_stacks_are_hidden = stacks;
    fp_contexts_are_hidden = contexts;
    if (stacks)
        fp_root.chunk = NULL;
}

#if PY_VERSION_HEX < 0x030F0000
static inline int fp_on_main_stack(void)
{
    PyThreadState *ts = FP_TSTATE();
    return (void *)ts->datastack_chunk == fp_root.chunk && fp_root.chunk != NULL && ts->id == fp_root.thread_state;
}
/* Called where the main greenlet is known to run. */
static inline void fp_remember_main_stack(void)
{
    PyThreadState *ts = FP_TSTATE();
    if (!fp_stacks_are_hidden && ts->datastack_chunk != NULL && ts->datastack_chunk->previous == NULL) {
        fp_root.chunk = (void *)ts->datastack_chunk;
        fp_root.thread_state = ts->id;
    }
}
static inline int fp_shows_contexts(void) { return !fp_contexts_are_hidden; }
static inline int fp_has_context(void) { return fp_contexts_are_hidden || FP_TSTATE()->context != NULL; }
#else
static inline int fp_on_main_stack(void) { return 0; }
static inline void fp_remember_main_stack(void) {}
static inline int fp_shows_contexts(void) { return 0; }
static inline int fp_has_context(void) { return 1; }
#endif

/* Whether this thread's main greenlet has been seen, on a stack of its own. */
static inline int fp_main_stack_is_known(void) { return fp_root.chunk != NULL; }

/* Whether this thread has the GIL (free-threaded: is attached).  PyGILState_Check says yes when it does not know. */
static inline int fp_holds_gil(void)
{
    PyThreadState *mine = PyGILState_GetThisThreadState();
    return mine != NULL && mine == FP_TSTATE();
}

#ifdef Py_GIL_DISABLED
#define FP_FREE_THREADED 1
#else
#define FP_FREE_THREADED 0
#endif

#endif
