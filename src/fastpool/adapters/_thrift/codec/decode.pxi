# Replies to Python. Each decoder returns UNREADABLE, without an exception, if the reply does not fit.

cdef enum:
    KNOWN_NAMES = 64
    LONGEST_KNOWN_NAME = 128


@cython.final
cdef class Shapes:
    """The struct classes of one service, and where their attributes are."""
    cdef object row_class, cell_class, column_class

    def __cinit__(self, row_class, cell_class, column_class):
        self.row_class = row_class
        self.cell_class = cell_class
        self.column_class = column_class


@cython.final
cdef class Names:
    """Column names by their position in a row: rows of a table look alike, so most names need not be made again."""
    cdef list known

    def __cinit__(self):
        self.known = [None] * KNOWN_NAMES

    cdef inline bytes at(self, size_t i, const unsigned char *p, size_t size):
        cdef object name
        if i >= KNOWN_NAMES:
            return PyBytes_FromStringAndSize(<const char *>p, <Py_ssize_t>size)
        name = self.known[i]
        if (
            name is not None
            and <size_t>PyBytes_GET_SIZE(name) == size
            and memcmp(PyBytes_AS_STRING(name), p, size) == 0
        ):
            return <bytes>name
        name = PyBytes_FromStringAndSize(<const char *>p, <Py_ssize_t>size)
        if size <= LONGEST_KNOWN_NAME:
            self.known[i] = name
        return <bytes>name


cdef inline object decode_cell_value(WireCell *cell, int how, Shapes shapes):
    """The value of a cell: bytes, or (bytes, timestamp), or a TCell."""
    cdef object value = PyBytes_FromStringAndSize(<const char *>cell.at, <Py_ssize_t>cell.size)
    cdef object struct
    if how & STRUCTS:
        struct = codec_new(<PyTypeObject *>shapes.cell_class, NOTHING)
        PyObject_SetAttr(struct, "value", value)
        PyObject_SetAttr(struct, "timestamp", cell.timestamp)
        return struct
    if how & TIMESTAMPS:
        value = (value, cell.timestamp)
        CODEC_UNTRACK(<PyObject *>value)  # of bytes and int only: the collector itself would untrack it
    return value


cdef object decode_columns(WireCursor *c, WireRow *row, int how, Shapes shapes, Names names):
    """The columns of a row: a dict or an OrderedDict, or what thriftpy2's TRowResult has."""
    cdef const unsigned char *at
    cdef size_t size, i
    cdef WireCell cell
    cdef object columns, struct
    cdef bytes name
    if row.sorted and not how & ANY_ORDER:
        columns = [] if how & STRUCTS else OrderedDict()
    else:
        # By what is there, not by what the count claims.
        columns = __Pyx_PyDict_NewPresized(<Py_ssize_t>min(row.count, wire_left(c) // wire_least_column(c)))
    for i in range(row.count):
        if wire_column(c, row.sorted, &at, &size, &cell) < 0:
            return UNREADABLE
        name = names.at(i, at, size)
        if type(columns) is dict:
            (<dict>columns)[name] = decode_cell_value(&cell, how, shapes)
        elif how & STRUCTS:
            struct = codec_new(<PyTypeObject *>shapes.column_class, NOTHING)
            PyObject_SetAttr(struct, "columnName", name)
            PyObject_SetAttr(struct, "cell", decode_cell_value(&cell, how, shapes))
            (<list>columns).append(struct)
        else:
            columns[name] = decode_cell_value(&cell, how, shapes)
    return columns


cdef object decode_row(WireCursor *c, int how, Shapes shapes, Names names):
    """(key, columns), or a TRowResult."""
    cdef WireRow row
    cdef object key, columns, struct
    if wire_row(c, &row) < 0:
        return UNREADABLE
    if not how & (STRUCTS | ANY_ORDER) and row.sorted != (how & ORDERED != 0):
        c.why = WIRE_OTHER  # the library decides what to make of it
        return UNREADABLE
    key = PyBytes_FromStringAndSize(<const char *>row.key, <Py_ssize_t>row.key_size)
    columns = decode_columns(c, &row, how, shapes, names)
    if columns is UNREADABLE or wire_stop(c) < 0:
        return UNREADABLE
    if not how & STRUCTS:
        return key, columns
    struct = codec_new(<PyTypeObject *>shapes.row_class, NOTHING)
    PyObject_SetAttr(struct, "row", key)
    PyObject_SetAttr(struct, "columns", None if row.sorted else columns)
    PyObject_SetAttr(struct, "sortedColumns", columns if row.sorted else None)
    return struct


cdef object decode_list(WireCursor *c, int of, int how, Shapes shapes, Names names):
    """Rows, cells or texts, in a list."""
    cdef size_t count, size, i
    cdef const unsigned char *at
    cdef WireCell cell
    cdef list found = []
    cdef object one
    if wire_field(c, WIRE_LIST, 0, 0) < 0:
        return UNREADABLE
    if wire_list(c, WIRE_STRING if of == RESULT_TEXTS else WIRE_STRUCT, &count) < 0:
        return UNREADABLE
    for i in range(count):
        if of == RESULT_ROWS:
            one = decode_row(c, how, shapes, names)
            if one is UNREADABLE:
                return UNREADABLE
        elif of == RESULT_CELLS:
            if wire_cell(c, &cell) < 0:
                return UNREADABLE
            one = decode_cell_value(&cell, how, shapes)
        else:
            if wire_text(c, &at, &size) < 0:
                return UNREADABLE
            one = PyBytes_FromStringAndSize(<const char *>at, <Py_ssize_t>size)
        found.append(one)
    return found


cdef object decode_result(WireCursor *c, int result, int how, Shapes shapes, Names names):
    """The result of a method, to its end; None of a method that has none."""
    cdef int64_t number
    cdef int truth
    cdef object value = None
    if result == RESULT_BOOL:
        if wire_success_bool(c, &truth) < 0:
            return UNREADABLE
        value = truth != 0
    elif result == RESULT_I32 or result == RESULT_I64:
        if wire_field(c, WIRE_I32 if result == RESULT_I32 else WIRE_I64, 0, 0) < 0:
            return UNREADABLE
        if wire_integer(c, WIRE_I32 if result == RESULT_I32 else WIRE_I64, &number) < 0:
            return UNREADABLE
        value = number
    elif result != RESULT_NONE:
        value = decode_list(c, result, how, shapes, names)
        if value is UNREADABLE:
            return UNREADABLE
    return UNREADABLE if wire_stop(c) < 0 else value
