/* Make the instances of a class callable without an argument tuple, and replace names in a class. */
#ifndef FASTPOOL_ENTER_EXIT_H
#define FASTPOOL_ENTER_EXIT_H

#include "Python.h"
#include "compat_immortal.h"

/* Instances of the class are called through the vectorcallfunc that each has `offset` bytes from its start. */
static inline void fp_call_through(PyObject *cls, Py_ssize_t offset)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    type->tp_vectorcall_offset = offset;
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    PyType_Modified(type);
}

/* Replace a name of a class that is not open to assignment. */
static inline int fp_name_in_class(PyObject *cls, PyObject *name, PyObject *value)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    if (PyDict_SetItem(type->tp_dict, name, value) < 0)
        return -1;
    fp_immortal(value); /* every `with` of every thread takes a reference to it */
    PyType_Modified(type);
    return 0;
}

#endif
