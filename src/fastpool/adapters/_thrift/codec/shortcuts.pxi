# Methods of the drop-in's Table and Batch that go from arguments to bytes and from bytes to rows without thriftpy2's
# structs. Whoever patches, mocks or subclasses the library wins: then the library's own method is called.

@cython.final
cdef class Originals:
    """The parts of the library that a shortcut replaces: it is taken only while all are what they were at import."""
    cdef tuple entries   # of (module or class, attribute name, what it was)

    def __cinit__(self, *entries):
        self.entries = tuple([(owner, name, getattr(owner, name, None)) for owner, name in entries])

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
    """The library's classes, and what each shortcut depends on: set once by the drop-in's table module."""
    cdef object table_class, batch_class       # the drop-in's
    cdef object library_table, library_batch   # happybase's
    cdef object table_module, batch_module
    cdef Originals rows, cells, counters, puts, batches

    def __cinit__(self, table_module, batch_module):
        self.table_module = table_module
        self.batch_module = batch_module
        self.library_table = table = table_module.Table
        self.library_batch = batch = batch_module.Batch
        making = (table_module, "make_row")
        self.rows = Originals((table, "row"), (table, "rows"), making)
        self.cells = Originals((table, "cells"))
        self.counters = Originals((table, "counter_inc"))
        mutating = [
            (batch, name) for name in ("put", "delete", "send", "__init__", "__enter__", "__exit__", "_reset_mutations")
        ] + [(batch_module, "Mutation"), (batch_module, "BatchMutation")]
        self.batches = Originals(*mutating)
        self.puts = Originals((table, "put"), *mutating)

    def serve(self, table_class, batch_class):
        """Serve these classes, and no others: their subclasses go the library's way."""
        self.table_class = table_class
        self.batch_class = batch_class


cdef Shortcuts shortcuts = None


def use_shortcuts(Shortcuts new):
    """Let the methods of this module serve the classes of ``new``."""
    global shortcuts
    shortcuts = new


cdef Channel shortcut_channel(object table, object name):
    """The channel on which a table may call ``name``; None if the library has to. LeaseError after the lease."""
    cdef object client, method
    cdef Operation op
    cdef Channel channel
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
    if not PyMethod_Check(method) or <object>PyMethod_GET_FUNCTION(method) is not op.function:
        return None
    return channel if <object>PyMethod_GET_SELF(method) is client else None


cdef inline object shortcut_call(Channel channel, object name, tuple args, int how):
    return channel_call(channel, <Operation>channel.operations[name], args, None, None, None, how, None)


cdef inline bint shortcut_plain(object columns, object timestamp) except -1:
    return (columns is None or type(columns) is list or type(columns) is tuple) and (
        timestamp is None or type(timestamp) is int
    )


cdef inline bint shortcut_serves(object table, Originals originals) except -1:
    """Whether the table is the drop-in's own, and nobody has replaced a part of the library's method."""
    return type(table) is shortcuts.table_class and originals.intact()


cdef object shortcut_rows(
    object table, bint many, object row, object columns, object timestamp, object include_timestamp
):
    """The rows as happybase gives them; REFUSED if it has to fetch them."""
    cdef object name, found
    cdef tuple args
    cdef Channel channel
    if not shortcut_plain(columns, timestamp) or not shortcut_serves(table, shortcuts.rows):
        return REFUSED
    if timestamp is None:
        name = "getRowsWithColumns" if many else "getRowWithColumns"
        args = (table.name, row, columns, {})
    else:
        name = "getRowsWithColumnsTs" if many else "getRowWithColumnsTs"
        if many and columns is None:
            columns = table._column_family_names()  # HBase applies the timestamp only if there are columns
        args = (table.name, row, columns, timestamp, {})
    channel = shortcut_channel(table, name)
    if channel is None:
        return REFUSED
    found = shortcut_call(channel, name, args, TIMESTAMPS if include_timestamp else 0)
    if found is not REFUSED and channel.has_structs:
        make_row = shortcuts.table_module.make_row
        if not many:
            del found[1:]  # the library looks at no other
        return [(row.row, make_row(row.columns, include_timestamp)) for row in found]
    return found


def table_row(self, row, columns=None, timestamp=None, include_timestamp=False):
    """Retrieve a single row, as happybase does."""
    cdef object found = shortcut_rows(self, False, row, columns, timestamp, include_timestamp)
    if found is REFUSED:
        return shortcuts.library_table.row(self, row, columns, timestamp, include_timestamp)
    return (<tuple>(<list>found)[0])[1] if <list>found else {}


def table_rows(self, rows, columns=None, timestamp=None, include_timestamp=False):
    """Retrieve several rows, as happybase does."""
    cdef object found = shortcut_rows(self, True, rows, columns, timestamp, include_timestamp) if rows else REFUSED
    if found is REFUSED:
        return shortcuts.library_table.rows(self, rows, columns, timestamp, include_timestamp)
    return found


def table_cells(self, row, column, versions=None, timestamp=None, include_timestamp=False):
    """Retrieve versions of a cell, as happybase does."""
    cdef object found, name
    cdef tuple args
    cdef Channel channel = None
    cdef bint plain = shortcut_plain(None, timestamp) and shortcut_serves(self, shortcuts.cells)
    if plain and (versions is None or (type(versions) is int and versions >= 1)):
        name = "getVer" if timestamp is None else "getVerTs"
        channel = shortcut_channel(self, name)
    if channel is not None:
        number = 0x7fffffff if versions is None else versions
        if timestamp is None:
            args = (self.name, row, column, number, {})
        else:
            args = (self.name, row, column, timestamp, number, {})
        found = shortcut_call(channel, name, args, TIMESTAMPS if include_timestamp else 0)
        if found is not REFUSED:
            if channel.has_structs:
                return [(cell.value, cell.timestamp) if include_timestamp else cell.value for cell in found]
            return found
    return shortcuts.library_table.cells(self, row, column, versions, timestamp, include_timestamp)


def table_counter_inc(self, row, column, value=1):
    """Increment a counter, as happybase does."""
    cdef object found
    cdef Channel channel = None
    if shortcut_serves(self, shortcuts.counters):
        channel = shortcut_channel(self, "atomicIncrement")
    if channel is not None:
        found = shortcut_call(channel, "atomicIncrement", (self.name, row, column, value), 0)
        if found is not REFUSED:
            return found
    return shortcuts.library_table.counter_inc(self, row, column, value)


def fetch_rows(table, scanner, how_many, bint include_timestamp, bint sorted_columns, Rows used):
    """The next rows of a scanner, as happybase's scan() gives them, in an iterator; ``used``: the one before."""
    cdef int how = LAZY | (TIMESTAMPS if include_timestamp else 0) | (ORDERED if sorted_columns else 0)
    cdef Channel channel = shortcut_channel(table, "scannerGetList")
    cdef object found = REFUSED
    if channel is not None:
        found = channel_call(
            channel, <Operation>channel.operations["scannerGetList"], (scanner, how_many), None, None, None, how, used
        )
        if found is not REFUSED and not channel.has_structs:
            return found
    if found is REFUSED:
        found = table.connection.client.scannerGetList(scanner, how_many)
    if sorted_columns:
        make_row = shortcuts.table_module.make_ordered_row
        return rows_made([(row.row, make_row(row.sortedColumns, include_timestamp)) for row in found])
    make_row = shortcuts.table_module.make_row
    return rows_made([(row.row, make_row(row.columns, include_timestamp)) for row in found])


# ---- writes

cdef inline bint shortcut_flat(list flat, dict data, object wal) except -1:
    for column, value in data.items():
        flat.append(column)
        flat.append(value)
        flat.append(False)
        flat.append(wal)
    return True


cdef object shortcut_write(object table, dict rows, object timestamp, Py_ssize_t count):
    """Log as happybase does, and send the rows; happybase's way, but for the log, if the codec cannot."""
    cdef object name = "mutateRows" if timestamp is None else "mutateRowsTs"
    cdef Channel channel
    shortcuts.batch_module.logger.debug(
        "Sending batch for '%s' (%d mutations on %d rows)", table.name, count, len(rows)
    )
    channel = shortcut_channel(table, name)
    if channel is not None:
        found = channel_call(
            channel, <Operation>channel.operations[name], None, table.name, rows, timestamp, 0, None
        )
        if found is not REFUSED:
            return None
    made = [shortcuts.batch_module.BatchMutation(row, mutations_of(flat)) for row, flat in rows.items()]
    client = table.connection.client
    if timestamp is None:
        client.mutateRows(table.name, made, {})
    else:
        client.mutateRowsTs(table.name, made, timestamp, {})


def mutations_of(list flat):
    """The mutations of a row as happybase's Batch has them."""
    cdef Py_ssize_t i
    cdef object mutation = shortcuts.batch_module.Mutation
    return [
        mutation(isDelete=flat[i + 2], column=flat[i], value=flat[i + 1], writeToWAL=flat[i + 3])
        for i in range(0, len(flat), 4)
    ]


def table_put(self, row, data, timestamp=None, wal=True):
    """Store data in a row, as happybase does."""
    cdef list flat = []
    if (
        type(self) is shortcuts.table_class
        and type(data) is dict
        and (wal is True or wal is False)
        and (timestamp is None or type(timestamp) is int)
        and (PyBytes_CheckExact(row) or PyUnicode_CheckExact(row))
        and shortcuts.puts.intact()
    ):
        shortcut_flat(flat, <dict>data, wal)
        shortcut_write(self, {row: flat}, timestamp, len(<dict>data))
    else:
        shortcuts.library_table.put(self, row, data, timestamp, wal)


cdef dict batch_queue(object batch, object wal):
    """The rows of a batch that are not made into mutations yet; None if happybase has to do it."""
    if type(batch) is not shortcuts.batch_class or not (wal is True or wal is False) or not shortcuts.batches.intact():
        return None
    return batch._queued


cdef list batch_flat(dict queued, object row):
    """The flat list of a row. TypeError if the row is not hashable, as happybase's."""
    cdef object flat = queued.get(row)
    if flat is None:
        flat = queued[row] = []
    return <list>flat


cdef int batch_count(object batch, Py_ssize_t more) except -1:
    batch._mutation_count += more
    size = batch._batch_size
    if size and batch._mutation_count >= size:
        batch.send()
    return 0


def batch_put(self, row, data, wal=None):
    """Store data in a row, when the batch is sent, as happybase does."""
    cdef object default = self._wal if wal is None else wal
    cdef dict queued = batch_queue(self, default) if type(data) is dict else None
    if queued is None:
        shortcuts.library_batch.put(self, row, data, wal)
        return
    shortcut_flat(batch_flat(queued, row), <dict>data, default)
    batch_count(self, len(<dict>data))


def batch_delete(self, row, columns=None, wal=None):
    """Delete columns of a row, or all, when the batch is sent, as happybase does."""
    cdef object default = self._wal if wal is None else wal
    cdef dict queued
    cdef list flat
    if columns is None:
        if self._families is None:
            self._families = self._table._column_family_names()
        columns = self._families
    queued = batch_queue(self, default) if type(columns) is list or type(columns) is tuple else None
    if queued is None:
        shortcuts.library_batch.delete(self, row, columns, wal)
        return
    flat = batch_flat(queued, row)
    for column in columns:
        flat.append(column)
        flat.append(None)
        flat.append(True)
        flat.append(default)
    batch_count(self, len(columns))


def batch_send(self):
    """Send the batch, as happybase does."""
    cdef dict queued = batch_queue(self, True)
    cdef object timestamp = self._timestamp
    if queued is None or type(self._table) is not shortcuts.table_class or not (
        timestamp is None or type(timestamp) is int
    ):
        shortcuts.library_batch.send(self)
        return
    if queued:
        shortcut_write(self._table, queued, timestamp, self._mutation_count)
        self._reset_mutations()


def shortcut(table, name):
    """The channel and the operation by which a table of tasks may call ``name``; None if the library has to.

    LeaseError after the lease.
    """
    cdef Channel channel = shortcut_channel(table, name)
    return None if channel is None else (channel, channel.operations[name])
