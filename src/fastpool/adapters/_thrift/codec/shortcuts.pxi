# What the methods of the drop-ins' tables ask, so that they go from arguments to bytes and from bytes to rows without
# thriftpy2's structs. Whoever patches, mocks or subclasses the library wins: then the library's own method is called.
# Nothing here waits: a thread and a task make the call that was prepared, each in its own way.

@cython.final
cdef class Originals:
    """The parts of the library that a shortcut replaces: it is taken only while all are what they were at import."""
    cdef tuple entries   # of (module or class, attribute name, what it was)

    def __cinit__(self, *entries):
        self.entries = tuple([(owner, name, getattr(owner, name)) for owner, name in entries if hasattr(owner, name)])

    cdef bint intact(self) except -1:
        for owner, name, original in self.entries:
            if PyObject_GetAttr(owner, name) is not original:
                return False
        return True

    def are_intact(self):
        """Whether nobody has replaced any of them."""
        return self.intact()


@cython.final
cdef class Shortcuts:
    """One library's classes, ours over them, and what each shortcut depends on; each drop-in's table module has one.

    ``prepare_…`` give a call, or None where the library has to do all of it; LeaseError after the lease.
    """
    cdef object table_class, batch_class       # the drop-in's
    cdef readonly object library_table, library_batch
    cdef readonly object table_module, batch_module
    cdef bint of_tasks                         # aiohappybase's; else happybase's
    cdef Originals rows, cells, counters, puts, queues, sends

    def __init__(self, table_module, batch_module, bint of_tasks=False):
        self.table_module = table_module
        self.batch_module = batch_module
        self.of_tasks = of_tasks
        self.library_table = table = table_module.Table
        self.library_batch = batch_module.Batch
        self.rows = Originals((table, "row"), (table, "rows"), (table_module, "make_row"))
        self.cells = Originals((table, "cells"), (table_module, "iter_cells"))
        self.counters = Originals((table, "counter_inc"))
        queues, sends, blocks = (tasks_originals if of_tasks else threads_originals)(batch_module)
        self.queues = Originals(*queues)
        self.sends = Originals(*queues, *sends)
        self.puts = Originals((table, "put"), *queues, *sends, *blocks)

    def serve(self, table_class, batch_class):
        """Serve these classes, and no others: their subclasses go the library's way."""
        self.table_class = table_class
        self.batch_class = batch_class

    cdef inline bint serves(self, object table, Originals originals) except -1:
        """Whether the table is the drop-in's own, and nobody has replaced a part of the library's method."""
        return type(table) is self.table_class and originals.intact()

    # ---- reads

    cpdef Prepared prepare_rows(
        self, object table, bint many, object row, object columns, object timestamp, object include_timestamp
    ):
        """The call for one row, or for several."""
        cdef Prepared call
        if not shortcut_plain(columns, timestamp) or not self.serves(table, self.rows):
            return None
        if timestamp is None:
            call = shortcut_prepared(table, "getRowsWithColumns" if many else "getRowWithColumns")
        else:
            call = shortcut_prepared(table, "getRowsWithColumnsTs" if many else "getRowWithColumnsTs")
        if call is None:
            return None
        if timestamp is None:
            call.args = (table.name, row, columns, {})
        else:
            call.args = (table.name, row, columns, timestamp, {})
            call.lacks_columns = many and columns is None  # HBase applies the timestamp only if there are columns
        call.how = self.form(include_timestamp, False)
        return call

    cdef inline int form(self, object include_timestamp, object sorted_columns) except -1:
        """How rows are to be made; aiohappybase takes either form of a reply."""
        cdef int how = TIMESTAMPS if include_timestamp else 0
        if self.of_tasks:
            return how | ANY_ORDER
        return how | ORDERED if sorted_columns else how

    cpdef list rows_of(self, Prepared call, object found):
        """The rows, each with its key, of what a call gave."""
        if not call.has_structs:
            return <list>found
        return [(row.row, self.row_of(row, call.how)) for row in found]

    cpdef dict first_of(self, Prepared call, object found):
        """The columns of the first row of what a call gave."""
        if not found:
            return {}
        return self.row_of(found[0], call.how) if call.has_structs else (<tuple>(<list>found)[0])[1]

    cdef object row_of(self, object row, int how):
        """One of thriftpy2's rows as the library makes it."""
        cdef bint include_timestamp = (how & TIMESTAMPS) != 0
        if self.of_tasks:
            return self.table_module.make_row(row, include_timestamp)
        if how & ORDERED:
            return self.table_module.make_ordered_row(row.sortedColumns, include_timestamp)
        return self.table_module.make_row(row.columns, include_timestamp)

    cpdef Prepared prepare_fetch(
        self, object table, object scanner, object how_many, object include_timestamp, object sorted_columns, Rows used
    ):
        """The call for the next rows of a scanner; ``used``: the rows before, which have all been made."""
        cdef Prepared call = shortcut_prepared(table, "scannerGetList")
        if call is not None:
            call.args = (scanner, how_many)
            call.how = LAZY | self.form(include_timestamp, sorted_columns)
            call.used = used
        return call

    cpdef Rows fetched(
        self, object table, Prepared call, object found, object include_timestamp, object sorted_columns
    ):
        """The rows that a scanner gave, to the call or to thriftpy2 (then there is no call), for the table's lease."""
        cdef int how = self.form(include_timestamp, sorted_columns)
        cdef Rows rows
        if call is not None and not call.has_structs:
            rows = <Rows>found
        else:
            rows = rows_made([(row.row, self.row_of(row, how)) for row in found])
        rows.fence = table._entry.fence
        rows.epoch = table._epoch
        return rows

    cpdef Prepared prepare_cells(
        self, object table, object row, object column, object versions, object timestamp, object include_timestamp
    ):
        """The call for versions of a cell."""
        cdef Prepared call
        if not shortcut_plain(None, timestamp) or not self.serves(table, self.cells):
            return None
        if versions is None:
            versions = 0x7fffffff
        elif type(versions) is not int or versions < 1:
            return None
        call = shortcut_prepared(table, "getVer" if timestamp is None else "getVerTs")
        if call is not None:
            if timestamp is None:
                call.args = (table.name, row, column, versions, {})
            else:
                call.args = (table.name, row, column, timestamp, versions, {})
            call.how = TIMESTAMPS if include_timestamp else 0
        return call

    cpdef list cells_of(self, Prepared call, object found):
        """The cells of what a call gave."""
        if not call.has_structs:
            return <list>found
        return [(cell.value, cell.timestamp) if call.how & TIMESTAMPS else cell.value for cell in found]

    # ---- writes

    cpdef Prepared prepare_counter(self, object table, object row, object column, object value):
        """The call that increments a counter, and gives its value."""
        cdef Prepared call = None
        if self.serves(table, self.counters):
            call = shortcut_prepared(table, "atomicIncrement")
        if call is not None:
            call.args = (table.name, row, column, value)
        return call

    cpdef Prepared prepare_writes(self, object table, dict rows, object timestamp, object wal):
        """The call that sends these rows: each a flat list, or a dict of cells, of which ``wal`` holds."""
        cdef Prepared call = shortcut_prepared(table, "mutateRows" if timestamp is None else "mutateRowsTs")
        if call is not None:
            call.table = table.name
            call.rows = rows
            call.timestamp = timestamp
            call.wal = wal
            call.none_deletes = self.of_tasks
        return call

    cpdef bint puts_plainly(self, object table, object row, object data, object timestamp, object wal) except -1:
        """Whether a put of these arguments needs no batch."""
        return (
            type(data) is dict
            and (wal is True or wal is False)
            and (timestamp is None or type(timestamp) is int)
            and (PyBytes_CheckExact(row) or PyUnicode_CheckExact(row))
            and self.serves(table, self.puts)
        )


cdef inline bint shortcut_plain(object columns, object timestamp) except -1:
    return (columns is None or type(columns) is list or type(columns) is tuple) and (
        timestamp is None or type(timestamp) is int
    )


cdef Prepared shortcut_prepared(object table, object name):
    """A call of ``name`` for a table, without arguments; None if the library has to. LeaseError after the lease."""
    cdef object client, method, op
    cdef Channel channel
    cdef Prepared call
    table._entry.fence(table._epoch)
    client = table._leased.client
    found = getattr(client, "_channel", None)
    if type(found) is not Channel:
        return None
    channel = <Channel>found
    op = channel.operations.get(name)
    if op is None or channel.client() is not client:
        return None
    method = PyObject_GetAttr(client, name)
    if not PyMethod_Check(method) or <object>PyMethod_GET_FUNCTION(method) is not (<Operation>op).function:
        return None
    if <object>PyMethod_GET_SELF(method) is not client:
        return None
    call = Prepared.__new__(Prepared)
    call.client = client
    call.op = <Operation>op
    return call
