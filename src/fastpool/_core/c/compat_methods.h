/* Methods that a subclass does not have to inherit. */
#ifndef FASTPOOL_COMPAT_METHODS_H
#define FASTPOOL_COMPAT_METHODS_H

#include "Python.h"

/* A method's descriptor for a subclass: the interpreter's fast call of a method descriptor requires the exact type. */
static inline PyObject *fp_rebind(PyObject *cls, PyObject *descriptor)
{
    if (!PyType_Check(cls) || Py_TYPE(descriptor) != &PyMethodDescr_Type) {
        PyErr_SetString(PyExc_TypeError, "a class and a method descriptor are required");
        return NULL;
    }
    return PyDescr_NewMethod((PyTypeObject *)cls, ((PyMethodDescrObject *)descriptor)->d_method);
}

#endif
