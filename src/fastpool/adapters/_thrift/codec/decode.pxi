# Replies to Python. A decoder stops, without an exception, where a reply does not fit or is not all there, and goes on
# from there when more has come: what was decoded once is not looked at again.

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


@cython.final
cdef class Reading:
    """The decoding of one reply, as far as it has come."""
    cdef size_t at           # the next byte to decode, counted from the end of the header
    cdef list found          # of a result that is a list: what is decoded; None before its head
    cdef size_t left         # how many elements are still to come
    cdef object key          # of the row that is under way; None between two rows
    cdef object columns
    cdef size_t column, count   # how many of its columns are decoded, and how many there are
    cdef bint is_sorted
    cdef object value        # the result, once it is all there

    cdef void begin(self):
        self.at = 0
        self.found = self.key = self.columns = self.value = None


cdef object decode_container(WireCursor *c, WireRow *row, int how):
    """An empty container for the columns of a row, as large as what is there, whatever the count claims."""
    if row.sorted and not how & ANY_ORDER:
        return [] if how & STRUCTS else OrderedDict()
    return __Pyx_PyDict_NewPresized(<Py_ssize_t>min(row.count, wire_left(c) // wire_least_column(c)))


cdef int decode_columns(WireCursor *c, Reading r, int how, Shapes shapes, Names names) except -2:
    """The columns of the row under way; -1 if one does not fit or is not all there."""
    cdef const unsigned char *begin
    cdef const unsigned char *at
    cdef size_t size, i
    cdef WireCell cell
    cdef object struct, value
    cdef bytes name
    cdef object columns = r.columns
    cdef bint plain = type(columns) is dict
    for i in range(r.column, r.count):
        begin = c.p
        if wire_column(c, r.is_sorted, &at, &size, &cell) < 0:
            c.p = begin
            r.column = i
            return -1
        name = names.at(i, at, size)
        value = decode_cell_value(&cell, how, shapes)
        if plain:
            PyDict_SetItem(columns, name, value)
        elif how & STRUCTS:
            struct = codec_new(<PyTypeObject *>shapes.column_class, NOTHING)
            PyObject_SetAttr(struct, "columnName", name)
            PyObject_SetAttr(struct, "cell", value)
            (<list>columns).append(struct)
        else:
            columns[name] = value
    r.column = r.count
    return 0


cdef object decode_row(WireCursor *c, Reading r, int how, Shapes shapes, Names names):
    """(key, columns), or a TRowResult; None if it does not fit or is not all there."""
    cdef WireRow row
    cdef const unsigned char *begin = c.p
    cdef object struct
    if r.key is None:
        if wire_row(c, &row) < 0:
            c.p = begin
            return None
        if not how & (STRUCTS | ANY_ORDER) and row.sorted != (how & ORDERED != 0):
            c.why = WIRE_OTHER  # the library decides what to make of it
            return None
        r.key = PyBytes_FromStringAndSize(<const char *>row.key, <Py_ssize_t>row.key_size)
        r.columns = decode_container(c, &row, how)
        r.is_sorted = row.sorted
        r.column = 0
        r.count = row.count
    if decode_columns(c, r, how, shapes, names) < 0:
        return None
    begin = c.p
    if wire_stop(c) < 0:
        c.p = begin
        return None
    if how & STRUCTS:
        struct = codec_new(<PyTypeObject *>shapes.row_class, NOTHING)
        PyObject_SetAttr(struct, "row", r.key)
        PyObject_SetAttr(struct, "columns", None if r.is_sorted else r.columns)
        PyObject_SetAttr(struct, "sortedColumns", r.columns if r.is_sorted else None)
    else:
        struct = (r.key, r.columns)
    r.key = r.columns = None
    return struct


cdef int decode_element(WireCursor *c, Reading r, int of, int how, Shapes shapes) except -2:
    """A cell or a text into ``found``; -1 if it does not fit or is not all there."""
    cdef const unsigned char *begin = c.p
    cdef const unsigned char *at
    cdef size_t size
    cdef WireCell cell
    if of == RESULT_CELLS:
        if wire_cell(c, &cell) < 0:
            c.p = begin
            return -1
        r.found.append(decode_cell_value(&cell, how, shapes))
        return 0
    if wire_text(c, &at, &size) < 0:
        c.p = begin
        return -1
    r.found.append(PyBytes_FromStringAndSize(<const char *>at, <Py_ssize_t>size))
    return 0


cdef int decode_list(WireCursor *c, Reading r, int of, int how, Shapes shapes, Names names) except -2:
    """Rows, cells or texts, into ``found``; -1 if they do not fit or are not all there: the cursor says where."""
    cdef const unsigned char *begin = c.p
    cdef object row
    if r.found is None:
        if wire_field(c, WIRE_LIST, 0, 0) < 0 or wire_list(
            c, WIRE_STRING if of == RESULT_TEXTS else WIRE_STRUCT, &r.left
        ) < 0:
            c.p = begin
            return -1
        r.found = []
    while r.left:
        if of == RESULT_ROWS:
            row = decode_row(c, r, how, shapes, names)
            if row is None:
                return -1
            r.found.append(row)
        elif decode_element(c, r, of, how, shapes) < 0:
            return -1
        r.left -= 1
    r.value = r.found
    return 0


cdef int decode_number(WireCursor *c, Reading r, int result) except -2:
    """A boolean or an integer into ``value``; -1 if it does not fit or is not all there."""
    cdef int64_t number
    cdef int truth
    cdef int type = WIRE_I32 if result == RESULT_I32 else WIRE_I64
    if result == RESULT_BOOL:
        if wire_success_bool(c, &truth) < 0:
            return -1
        r.value = truth != 0
    elif wire_field(c, type, 0, 0) < 0 or wire_integer(c, type, &number) < 0:
        return -1
    else:
        r.value = number
    return 0


cdef int decode_result(WireCursor *c, Reading r, int result, int how, Shapes shapes, Names names) except -2:
    """The result of a method, to its end, into ``value``; None of a method that has none.

    -1 if it does not fit or is not all there, as the cursor says; then it can be called again when more has come.
    """
    cdef const unsigned char *body = c.p
    cdef const unsigned char *begin
    c.p += r.at
    begin = c.p
    if result >= RESULT_TEXTS:
        if decode_list(c, r, result, how, shapes, names) < 0:
            r.at = <size_t>(c.p - body)
            return -1
        begin = c.p
    elif result != RESULT_NONE and decode_number(c, r, result) < 0:
        return -1  # a few bytes: next time from their first
    if wire_stop(c) < 0:
        r.at = <size_t>(begin - body)
        return -1
    return 0
