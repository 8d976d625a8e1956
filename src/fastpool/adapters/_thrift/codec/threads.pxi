# happybase's Table and Batch, straight over the codec. These functions are the methods of the drop-in's classes.

cdef Shortcuts of_threads = None


def use_in_threads(Shortcuts new not None):
    """Let the methods of this file serve the classes of ``new``."""
    global of_threads
    of_threads = new


def threads_originals(batch_module):
    """The parts of the library on which putting into a batch depends, sending it, and its ``with`` block."""
    batch = batch_module.Batch
    queues = [(batch, "put"), (batch, "delete"), (batch_module, "Mutation")]
    sends = [(batch, "send"), (batch, "_reset_mutations"), (batch_module, "BatchMutation")]
    return queues, sends, [(batch, "__init__"), (batch, "__enter__"), (batch, "__exit__")]


cdef inline object shortcut_perform(Prepared call):
    """Make the call; REFUSED if the library has to, also if there is no call."""
    return REFUSED if call is None else channel_call(<Channel>call.client._channel, call)


def table_row(self, row, columns=None, timestamp=None, include_timestamp=False):
    """Retrieve a single row, as happybase does."""
    cdef Prepared call = of_threads.prepare_rows(self, False, row, columns, timestamp, include_timestamp)
    cdef object found = shortcut_perform(call)
    if found is REFUSED:
        return of_threads.library_table.row(self, row, columns, timestamp, include_timestamp)
    return of_threads.first_of(call, found)


def table_rows(self, rows, columns=None, timestamp=None, include_timestamp=False):
    """Retrieve several rows, as happybase does."""
    cdef Prepared call = None
    if rows:
        call = of_threads.prepare_rows(self, True, rows, columns, timestamp, include_timestamp)
        if call is not None and call.lacks_columns:
            call.give_columns(self._column_family_names())
    cdef object found = shortcut_perform(call)
    if found is REFUSED:
        return of_threads.library_table.rows(self, rows, columns, timestamp, include_timestamp)
    return of_threads.rows_of(call, found)


def table_cells(self, row, column, versions=None, timestamp=None, include_timestamp=False):
    """Retrieve versions of a cell, as happybase does."""
    cdef Prepared call = of_threads.prepare_cells(self, row, column, versions, timestamp, include_timestamp)
    cdef object found = shortcut_perform(call)
    if found is REFUSED:
        return of_threads.library_table.cells(self, row, column, versions, timestamp, include_timestamp)
    return of_threads.cells_of(call, found)


def table_counter_inc(self, row, column, value=1):
    """Increment a counter, as happybase does."""
    cdef object found = shortcut_perform(of_threads.prepare_counter(self, row, column, value))
    if found is REFUSED:
        return of_threads.library_table.counter_inc(self, row, column, value)
    return found


def fetch_rows(table, scanner, how_many, bint include_timestamp, bint sorted_columns, Rows used):
    """The next rows of a scanner, as happybase's scan() gives them, in an iterator; ``used``: the one before."""
    cdef Prepared call = of_threads.prepare_fetch(
        table, scanner, how_many, include_timestamp, sorted_columns, used
    )
    cdef object found = shortcut_perform(call)
    if found is REFUSED:
        call = None
        found = table.connection.client.scannerGetList(scanner, how_many)
    return of_threads.fetched(table, call, found, include_timestamp, sorted_columns)


# ---- writes

cdef inline list shortcut_flat(list flat, dict data, object wal):
    for column, value in data.items():
        flat.append(column)
        flat.append(value)
        flat.append(False)
        flat.append(wal)
    return flat


cdef object shortcut_write(object table, dict rows, object timestamp, object wal, Py_ssize_t count):
    """Log as happybase does, and send the rows; happybase's way, but for the log, if the codec cannot."""
    of_threads.batch_module.logger.debug(
        "Sending batch for '%s' (%d mutations on %d rows)", table.name, count, len(rows)
    )
    if shortcut_perform(of_threads.prepare_writes(table, rows, timestamp, wal)) is not REFUSED:
        return
    made = [
        of_threads.batch_module.BatchMutation(
            row, mutations_of(shortcut_flat([], <dict>given, wal) if type(given) is dict else <list>given)
        )
        for row, given in rows.items()
    ]
    client = table.connection.client
    if timestamp is None:
        client.mutateRows(table.name, made, {})
    else:
        client.mutateRowsTs(table.name, made, timestamp, {})


def mutations_of(list flat):
    """The mutations of a row as happybase's Batch has them."""
    cdef Py_ssize_t i
    cdef object mutation = of_threads.batch_module.Mutation
    return [
        mutation(isDelete=flat[i + 2], column=flat[i], value=flat[i + 1], writeToWAL=flat[i + 3])
        for i in range(0, len(flat), 4)
    ]


def table_put(self, row, data, timestamp=None, wal=True):
    """Store data in a row, as happybase does."""
    if of_threads.puts_plainly(self, row, data, timestamp, wal):
        shortcut_write(self, {row: data}, timestamp, wal, len(<dict>data))
    else:
        of_threads.library_table.put(self, row, data, timestamp, wal)


cdef dict batch_queue(object batch, object wal, Originals originals):
    """The rows of a batch that are not made into mutations yet; None if happybase has to do it."""
    if type(batch) is not of_threads.batch_class or not (wal is True or wal is False) or not originals.intact():
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
    cdef dict queued = batch_queue(self, default, of_threads.queues) if type(data) is dict else None
    if queued is None:
        of_threads.library_batch.put(self, row, data, wal)
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
    queued = batch_queue(self, default, of_threads.queues) if type(columns) is list or type(columns) is tuple else None
    if queued is None:
        of_threads.library_batch.delete(self, row, columns, wal)
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
    cdef dict queued = batch_queue(self, True, of_threads.sends)
    cdef object timestamp = self._timestamp
    if queued is None or type(self._table) is not of_threads.table_class or not (
        timestamp is None or type(timestamp) is int
    ):
        of_threads.library_batch.send(self)
        return
    if queued:
        shortcut_write(self._table, queued, timestamp, True, self._mutation_count)
        self._reset_mutations()
