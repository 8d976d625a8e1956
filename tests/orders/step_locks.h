/* Replacements of the interpreter's locks and its check for signals: none blocks, each call is a turn (steps.h). */
#ifndef FASTPOOL_TEST_STEP_LOCKS_H
#define FASTPOOL_TEST_STEP_LOCKS_H

#include "step_page.h"

static PyThread_type_lock fp_step_lock_new(void) { return calloc(1, sizeof(fp_step_lock)); }
static void fp_step_lock_free(PyThread_type_lock lock) { free(lock); }

static int fp_step_lock_take(PyThread_type_lock lock, int wait)
{
    fp_step_lock *it = lock;
    if (wait)
        fp_step(FP_TAKES, lock, "take");
    if (it->held && wait)
        Py_FatalError("tests/orders: the holder of this lock never comes back");
    return it->held ? 0 : (it->held = 1);
}

static PyLockStatus fp_step_lock_take_timed(PyThread_type_lock lock, long long us, int intr)
{
    fp_step_lock *it = lock;
    (void)us;
    (void)intr;
    fp_step(FP_SLEEPS, lock, "sleep");
    if (it->held)
        return fp_step_me >= 0 && fp_steps.struck[fp_step_me] ? PY_LOCK_INTR : PY_LOCK_FAILURE;
    it->held = 1;
    return PY_LOCK_ACQUIRED;
}

static void fp_step_lock_drop(PyThread_type_lock lock)
{
    fp_step(FP_DROPS, lock, "drop");
    ((fp_step_lock *)lock)->held = 0;
}

static int fp_step_signals(void)
{
    int me = fp_step_me;
    if (me < 0)
        return 0;
    fp_step(FP_WRITES, &fp_steps.struck[me], "look");
    if (!fp_steps.struck[me])
        return 0;
    fp_steps.struck[me] = 0;
    PyErr_SetNone(fp_steps.signal);
    return -1;
}

#define PyThread_allocate_lock fp_step_lock_new
#define PyThread_free_lock fp_step_lock_free
#define PyThread_acquire_lock fp_step_lock_take
#define PyThread_acquire_lock_timed fp_step_lock_take_timed
#define PyThread_release_lock fp_step_lock_drop
#define PyErr_CheckSignals fp_step_signals

#endif
