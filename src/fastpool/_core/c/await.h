/* A class whose instances are awaited without a coroutine in between.
 *
 * `await x` asks x for an iterator (here x itself) and steps it: each value it yields goes to the loop (a future to
 * wait for), and its return value is the value of `await`.  CPython has two ways to step, am_send and tp_iternext; the
 * first is faster and the second is required as well.
 */
#ifndef FASTPOOL_AWAIT_H
#define FASTPOOL_AWAIT_H

#include "Python.h"

/* End an iterator with a value: StopIteration(value), made without passing the value as an argument (a tuple, for
 * example of streams, would be taken for the arguments). */
static inline void fp_stop_with(PyObject *value)
{
    PyTypeObject *type = (PyTypeObject *)PyExc_StopIteration;
    PyObject *none = PyTuple_New(0), *stop = none == NULL ? NULL : type->tp_new(type, none, NULL);
    Py_XDECREF(none);
    if (stop == NULL)
        return;
    Py_XSETREF(((PyStopIterationObject *)stop)->value, Py_NewRef(value));
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(stop);
#else
    PyErr_Restore(Py_NewRef(PyExc_StopIteration), stop, NULL);
#endif
}

static PyObject *fp_await_next(PyObject *self)
{
    PyObject *value = NULL;
    switch (Py_TYPE(self)->tp_as_async->am_send(self, Py_None, &value)) {
    case PYGEN_NEXT:
        return value;
    case PYGEN_RETURN:
        if (value != Py_None) /* an end without an exception means None */
            fp_stop_with(value);
        Py_DECREF(value);
        return NULL;
    default:
        return NULL;
    }
}

/* fp_await_next for a call of __next__ by its name: the end always has its exception. */
static inline PyObject *fp_await_step(PyObject *self)
{
    PyObject *value = fp_await_next(self);
    if (value == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return value;
}

/* Instances of the class, which has __await__ and __next__, are driven by `send`. */
static inline void fp_await_through(PyObject *cls, sendfunc send)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    type->tp_as_async->am_await = PyObject_SelfIter;
    type->tp_as_async->am_send = send;
    type->tp_iter = PyObject_SelfIter;
    type->tp_iternext = fp_await_next;
    PyType_Modified(type);
}

#endif
