"""Compiled: HBase's Thrift messages from and to Python, in thriftpy2's binary and compact protocol, without I/O.

*Canonical or not at all.*  A reply is decoded here only if it has the shape that the IDL suggests: the awaited header,
then the result, fields in the order of their numbers, none unknown.  An argument is encoded here only if its type is
exactly what the method takes.  Everything else goes through thriftpy2, so this module need not be right about what it
does not know; for what it knows, it gives the same bytes and equal objects.

    c/wire.h, c/rows.h, c/out.h   reading and writing: C without Python
    decode.pxi     replies to happybase's rows, or to thriftpy2's structs
    rows.pxi       the rows of a scan, one by one
    encode.pxi     methods, as their IDL declares them, and their arguments
    prepared.pxi   a call that is ready to be made, and the arguments of writes
    channel.pxi    one client's messages: its input buffer, its output, and what it awaits
    call.pxi       a call of a thread, from its begin to its end
    shortcuts.pxi  what the libraries' tables ask straight over all this, for threads and for tasks
    threads.pxi    happybase's Table and Batch over these
    tasks.pxi      what aiohappybase's need besides
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_SetItem
from cpython.object cimport PyObject, PyTypeObject
from cpython.weakref cimport PyWeakref_NewRef
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcmp, memcpy, memmove, memset

from collections import OrderedDict
from random import Random as _Random

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(PyObject *thing)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    bint PyUnicode_IS_ASCII(object text)
    int64_t PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    object PyObject_GetAttr(object thing, object name)
    int PyObject_SetAttr(object thing, object name, object value) except -1
    bint PyLong_CheckExact(object thing)
    bint PyUnicode_CheckExact(object thing)
    bint PyMethod_Check(object thing)
    PyObject *PyMethod_GET_FUNCTION(object method)
    PyObject *PyMethod_GET_SELF(object method)
    object __Pyx_PyDict_NewPresized(Py_ssize_t size)

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define CODEC_UNTRACK(thing)
    #else
    #define CODEC_UNTRACK(thing) PyObject_GC_UnTrack(thing)
    #endif
    static PyObject *codec_new(PyTypeObject *type, PyObject *nothing) { return type->tp_new(type, nothing, NULL); }
    """
    void CODEC_UNTRACK(PyObject *thing)
    object codec_new(PyTypeObject *type, object nothing)

cdef extern from "c/rows.h":
    enum: WIRE_MORE, WIRE_OTHER
    enum: WIRE_STOP, WIRE_BOOL, WIRE_I32, WIRE_I64, WIRE_STRING, WIRE_STRUCT, WIRE_MAP, WIRE_LIST
    ctypedef struct WireCursor:
        const unsigned char *p
        const unsigned char *end
        int why
        int compact
    ctypedef struct WireCell:
        const unsigned char *at
        size_t size
        int64_t timestamp
    ctypedef struct WireRow:
        const unsigned char *key
        size_t key_size
        size_t count
        int sorted
    int wire_field(WireCursor *c, int type, int id, int last) nogil
    int wire_stop(WireCursor *c) nogil
    int wire_text(WireCursor *c, const unsigned char **at, size_t *size) nogil
    int wire_integer(WireCursor *c, int type, int64_t *value) nogil
    int wire_list(WireCursor *c, int type, size_t *count) nogil
    int wire_success_bool(WireCursor *c, int *value) nogil
    int wire_cell(WireCursor *c, WireCell *cell) nogil
    int wire_row(WireCursor *c, WireRow *row) nogil
    int wire_column(WireCursor *c, int is_sorted, const unsigned char **name, size_t *size, WireCell *cell) nogil
    ctypedef struct WireWalk:
        size_t count
    int wire_walk_rows(WireCursor *c, WireWalk *w, int is_sorted) nogil
    size_t wire_left(const WireCursor *c) nogil
    size_t wire_least_column(const WireCursor *c) nogil
    uint32_t wire_u32(const unsigned char *p) nogil

cdef extern from "c/out.h":
    ctypedef struct Out:
        unsigned char *b
        size_t n
        int compact
        int failed
    void out_free(Out *o) nogil
    void out_byte(Out *o, int value) nogil
    void out_u32(Out *o, uint32_t value) nogil
    void out_u32_at(unsigned char *at, uint32_t value) nogil
    void out_field(Out *o, int type, int id, int last) nogil
    void out_bool_field(Out *o, int value, int id, int last) nogil
    void out_text(Out *o, const void *p, size_t size) nogil
    void out_integer(Out *o, int type, int64_t value) nogil
    void out_list(Out *o, int type, size_t count) nogil
    void out_map(Out *o, size_t count) nogil
    void out_message(Out *o, int kind, const void *name, size_t size, uint32_t seqid) nogil

# What is asked of a reply: rows as happybase gives them, or as thriftpy2's structs.
cdef enum:
    TIMESTAMPS = 1
    ORDERED = 2
    STRUCTS = 4
    ANY_ORDER = 8
    LAZY = 16   # rows are made when they are asked for

AS_ROWS = 0
WITH_TIMESTAMPS = TIMESTAMPS
IN_ORDER = ORDERED
AS_STRUCTS = STRUCTS
IN_ANY_ORDER = ANY_ORDER
ONE_BY_ONE = LAZY

cdef tuple NOTHING = ()

# ---- for tests only: refuse at random what could be done here, so that thriftpy2 has to step in anywhere

cdef object refusals = None


def refuse_at_random(share, seed=0):
    """For tests: leave each message and reply to thriftpy2 with the probability ``share``; 0: none."""
    global refusals
    if not share:
        refusals = None
        return
    refusals = (_Random(seed), float(share))


cdef inline bint refuses() except -1:
    return refusals is not None and refusals[0].random() < refusals[1]


include "decode.pxi"
include "rows.pxi"
include "encode.pxi"
include "prepared.pxi"
include "channel.pxi"
include "call.pxi"
include "shortcuts.pxi"
include "threads.pxi"
include "tasks.pxi"
