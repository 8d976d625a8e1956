/* One interpreter in a process: the main one.
 *
 * Cython's own check, at import, accepts the first interpreter and refuses all others.  When a sub-interpreter came
 * first, the main one was refused for as long as the process lived.  The check calls PyInterpreterState_GetID and
 * fails, with the exception that is set, when that returns -1. */
#ifndef FASTPOOL_SOLE_H
#define FASTPOOL_SOLE_H

#include "Python.h"

static inline int64_t fp_main_interpreter_only(PyInterpreterState *here)
{
    if (here != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "fastpool works in the main interpreter of a process only: import and use it there, not in a "
                        "sub-interpreter");
        return -1;
    }
    return PyInterpreterState_GetID(here);
}

#define PyInterpreterState_GetID(here) fp_main_interpreter_only(here)

#endif
