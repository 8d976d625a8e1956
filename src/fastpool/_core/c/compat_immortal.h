/* Objects that many threads use at once: on a free-threaded build each thread would write the reference count, a cache
 * line that then moves between processors (two threads on one pool do half of what one does alone).  So references to
 * them are not counted. */
#ifndef FASTPOOL_COMPAT_IMMORTAL_H
#define FASTPOOL_COMPAT_IMMORTAL_H

#include "Python.h"

#if defined(Py_GIL_DISABLED) && defined(_Py_IMMORTAL_REFCNT_LOCAL) && defined(_Py_UNOWNED_TID)
#define FP_MAKES_IMMORTAL 1
#else
#define FP_MAKES_IMMORTAL 0
#endif

/* Stop counting references to an object, which is never freed then.  Called by the thread that made it, before others
 * see it. */
static inline void fp_immortal(PyObject *o)
{
#if FP_MAKES_IMMORTAL
    _Py_atomic_store_uint32_relaxed(&o->ob_ref_local, _Py_IMMORTAL_REFCNT_LOCAL);
    _Py_atomic_store_ssize_relaxed(&o->ob_ref_shared, 0);
    _Py_atomic_store_uintptr_relaxed(&o->ob_tid, _Py_UNOWNED_TID);
#else
    (void)o;
#endif
}

#endif
