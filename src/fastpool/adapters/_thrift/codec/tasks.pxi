# What aiohappybase's batches need besides: they keep one mutation of a column, the last one.

def tasks_originals(batch_module):
    """The parts of the library on which putting into a batch depends, sending it, and its ``async with`` block."""
    batch, batcher, proxy = batch_module.Batch, batch_module.MutationBatcher, batch_module.MutationProxy
    queues = [(batcher, "_add_mutations"), (batch_module, "MutationProxy"), (proxy, "__init__"), (proxy, "update")]
    sends = [(batcher, name) for name in ("send", "_handle_delete_collisions", "_reset")]
    sends += [(proxy, "resolve"), (proxy, "is_delete"), (batch_module, "Mutation"), (batch_module, "BatchMutation")]
    blocks = [(batcher, name) for name in ("__init__", "put", "_check_send")]
    blocks += [(batch, name) for name in ("__init__", "send", "close", "__aenter__", "__aexit__")]
    blocks += [(batch_module, "MutationBatcher"), (batch_module, "CounterBatcher")]
    return queues, sends, blocks + [(batch_module.CounterBatcher, "send")]


def queue_cells(Shortcuts shortcuts not None, batcher, row, wal, mutations):
    """Queue cells of a row (those whose value is None are deleted) in a batch; False if aiohappybase has to."""
    cdef object cells
    cdef dict queued
    cdef Py_ssize_t before
    if type(batcher) is not shortcuts.batch_class or not shortcuts.queues.intact():
        return False
    queued = batcher._queued
    if queued is None or not (wal is None or wal is batcher._wal) or type(batcher._wal) is not bool:
        return False
    cells = queued.get(row)
    if cells is None:
        cells = queued[row] = {}
    before = len(<dict>cells)
    for column, value in mutations:
        (<dict>cells)[column] = value
    batcher._mutation_count += len(<dict>cells) - before
    return True


cpdef bint goes_as_it_is(dict rows, Py_ssize_t count) except -1:
    """Whether aiohappybase sends these rows of cells in one message.

    It does not if one of several mutations deletes a family that another one puts to, and refuses names of text then.
    """
    cdef bint deletes, puts
    if count == 1:
        return True
    for cells in rows.values():
        deletes = puts = False
        for column, value in (<dict>cells).items():
            if not PyBytes_CheckExact(column):
                return False
            if value is not None:
                puts = True
            elif not (<bytes>column).partition(b":")[2]:
                deletes = True
        if deletes and puts:
            return False
    return True


def goes_as_queued(Shortcuts shortcuts not None, batcher):
    """Whether what a batch has queued, which is not nothing, can be sent without aiohappybase."""
    cdef object timestamp = batcher._timestamp
    cdef dict queued
    if type(batcher) is not shortcuts.batch_class or not shortcuts.serves(batcher._table, shortcuts.sends):
        return False
    queued = batcher._queued
    if not queued or not (timestamp is None or type(timestamp) is int):
        return False
    return goes_as_it_is(queued, batcher._mutation_count)
