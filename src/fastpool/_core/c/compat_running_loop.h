/* The asyncio loop that runs in this thread, read where asyncio's C part stores it: without a call, and on 3.11
 * without the system call that asyncio's function makes there.
 */
#ifndef FASTPOOL_COMPAT_RUNNING_LOOP_H
#define FASTPOOL_COMPAT_RUNNING_LOOP_H

#include "Python.h"
#include "atomic.h"
#include <string.h>

#if PY_VERSION_HEX < 0x030C0000
typedef struct { /* 3.11's _asyncio.PyRunningLoopHolder */
    PyObject_HEAD
    PyObject *loop;
#if !defined(_WIN32)
    pid_t pid; /* a loop does not run on in a forked child */
#endif
} fp_loop_holder;

#if !defined(_WIN32)
static inline pid_t fp_pid(void)
{
    static pid_t pid;
    static uint64_t known_in;
    if (known_in != fp_generation()) {
        pid = getpid();
        known_in = fp_generation();
    }
    return pid;
}
#endif

static inline PyObject *fp_held_loop(PyObject *noted)
{
    fp_loop_holder *holder = (fp_loop_holder *)noted;
    if (Py_TYPE(noted)->tp_basicsize != sizeof(fp_loop_holder) ||
        strcmp(Py_TYPE(noted)->tp_name, "_RunningLoopHolder") != 0)
        return NULL;
#if !defined(_WIN32)
    if (holder->pid != fp_pid())
        return NULL;
#endif
    return holder->loop;
}
#else
static inline PyObject *fp_held_loop(PyObject *noted) { return noted; }
#endif

/* Borrowed; NULL: none is stored, or asyncio stores it elsewhere (owner_loop_is_noted finds out, once). */
static inline PyObject *fp_noted_loop(PyObject *name)
{
    PyObject *dict = PyThreadState_GetDict(), *noted;
    if (dict == NULL)
        return NULL;
    noted = PyDict_GetItemWithError(dict, name);
    if (noted == NULL || noted == Py_None)
        return NULL;
    noted = fp_held_loop(noted);
    return noted == Py_None ? NULL : noted;
}

#endif
