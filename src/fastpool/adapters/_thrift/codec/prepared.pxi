# A call that is ready to be made, and the arguments of writes, which need none of thriftpy2's structs.

@cython.final
@cython.freelist(8)
cdef class Prepared:
    """A call that the codec can make: its operation, its arguments, and the form in which its reply is wanted.

    The arguments are ``args``, or those of mutateRows: ``table``, ``rows`` and ``timestamp``. A row's mutations are a
    flat list (see encode_mutations), or a dict of its cells, of which ``wal`` and ``none_deletes`` hold.
    """
    cdef readonly object client      # by whose channel the call is made
    cdef Operation op
    cdef readonly tuple args
    cdef object table, timestamp
    cdef dict rows
    cdef bint wal, none_deletes
    cdef int how
    cdef Rows used                   # rows of a scan whose buffer the reply may use again
    cdef readonly bint has_structs    # thriftpy2 read the reply: its value is in structs
    cdef readonly bint lacks_columns  # of rows at a timestamp: the names of all families are to be given

    def __init__(self, Operation op not None, tuple args, int how=STRUCTS, Rows used=None):
        self.op = op
        self.args = args
        self.how = how
        self.used = used

    @property
    def method(self):
        """The Method that is called."""
        return self.op.method

    def note_structs(self):
        """Note that thriftpy2 read the reply."""
        self.has_structs = True

    def give_columns(self, columns):
        """Give the columns that the call lacks."""
        self.args = self.args[:2] + (columns,) + self.args[3:]
        self.lacks_columns = False


def prepared_batch(Operation op not None, table, dict rows, timestamp=None, bint wal=True, bint none_deletes=False):
    """A call of mutateRows, or of mutateRowsTs if there is a timestamp."""
    cdef Prepared call = Prepared(op, None, 0)
    call.table = table
    call.rows = rows
    call.timestamp = timestamp
    call.wal = wal
    call.none_deletes = none_deletes
    return call


cdef inline bint encode_mutation(Out *o, object column, object value, bint deletes, bint wal) except -1:
    """One mutation; ``value`` None: there is none."""
    out_bool_field(o, deletes, 1, 0)
    out_field(o, WIRE_STRING, 2, 1)
    if not encode_text(o, column):
        return False
    if value is not None:
        out_field(o, WIRE_STRING, 3, 2)
        if not encode_text(o, value):
            return False
    out_bool_field(o, wal, 4, 2 if value is None else 3)
    out_byte(o, WIRE_STOP)
    return True


cdef bint encode_mutations(Out *o, list flat) except -1:
    """The mutations of one row: of each column, value, whether it deletes, and wal."""
    cdef Py_ssize_t i
    out_field(o, WIRE_LIST, 2, 1)
    out_list(o, WIRE_STRUCT, <size_t>len(flat) // 4)
    for i in range(0, len(flat), 4):
        if not encode_mutation(o, flat[i], flat[i + 1], flat[i + 2] is True, flat[i + 3] is True):
            return False
    return True


cdef bint encode_cells(Out *o, dict cells, bint wal, bint none_deletes) except -1:
    """The mutations of one row, which store its cells, or delete those whose value is None."""
    cdef Py_ssize_t count = len(cells)
    out_field(o, WIRE_LIST, 2, 1)
    out_list(o, WIRE_STRUCT, <size_t>count)
    for column, value in cells.items():
        count -= 1
        if not encode_mutation(o, column, value, none_deletes and value is None, wal):
            return False
    return encoded(count)


cdef bint encode_batch(Out *o, Prepared call) except -1:
    """The arguments of mutateRows, or mutateRowsTs if there is a timestamp."""
    cdef int last = 2
    cdef bint fits
    cdef Py_ssize_t count = len(call.rows)
    out_field(o, WIRE_STRING, 1, 0)
    if not encode_text(o, call.table):
        return False
    out_field(o, WIRE_LIST, 2, 1)
    out_list(o, WIRE_STRUCT, <size_t>count)
    for key, row in call.rows.items():
        count -= 1
        out_field(o, WIRE_STRING, 1, 0)
        if not encode_text(o, key):
            return False
        if type(row) is dict:
            fits = encode_cells(o, <dict>row, call.wal, call.none_deletes)
        else:
            fits = encode_mutations(o, <list>row)
        if not fits:
            return False
        out_byte(o, WIRE_STOP)
    encoded(count)
    if call.timestamp is not None:
        out_field(o, WIRE_I64, 3, 2)
        if not encode_integer(o, WIRE_I64, call.timestamp):
            return False
        last = 3
    out_field(o, WIRE_MAP, last + 1, last)
    out_map(o, 0)
    out_byte(o, WIRE_STOP)
    return True


cdef tuple MUTATION_SPEC = ((1, 2, "isDelete"), (2, 18, "column"), (3, 18, "value"), (4, 2, "writeToWAL"))
cdef tuple ROW_MUTATIONS_SPEC = ((1, 18, "row"), (2, 15, "mutations"))
cdef tuple MUTATE_ROWS_SPEC = ((1, 18, "tableName"), (2, 15, "rowBatches"), (3, 13, "attributes"))
cdef tuple MUTATE_ROWS_TS_SPEC = (
    (1, 18, "tableName"), (2, 15, "rowBatches"), (3, 10, "timestamp"), (4, 13, "attributes"),
)


def writes_rows(Operation op):
    """Whether :func:`encode_batch` writes the arguments of this method, mutateRows or mutateRowsTs, as declared."""
    if spec_of(op.method.args_class) != (MUTATE_ROWS_TS_SPEC if op.name.endswith(b"Ts") else MUTATE_ROWS_SPEC):
        return False
    rows = (<Field>op.arguments.fields[1]).struct
    return (
        rows is not None
        and spec_of(rows.made_class) == ROW_MUTATIONS_SPEC
        and spec_of((<Field>rows.fields[1]).struct.made_class) == MUTATION_SPEC
    )
