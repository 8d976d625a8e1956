# Nested blocks of one owner share a connection.

cdef bint lease_share(AnyLease self, Selection selection) except -1:
    """Enter a nested block on the connection that this owner already holds; False: it holds none that will do."""
    cdef Core core = self.core
    cdef Entry entry = lease_find_shared(core, selection)
    if entry is None:
        return False
    lease_attach(self, entry.slot, slot_lease(u64_load(&entry.slot.word)))
    entry.slot.depth += 1
    if core.tracks_calls and u32_load(&entry.slot.mark) & TAINTED:
        u32_or(&entry.slot.mark, RENEW)  # a new block begins with a working connection, as in happybase
    return True


cdef Entry lease_find_shared(Core core, Selection selection):
    """The entry that this owner (thread, greenlet, task) already holds; None if it holds none that will do."""
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint = hint_make(me, core.pool.id, &core.pool.table)
    cdef uint32_t i, found = 0
    cdef uint64_t word
    cdef Slot *slot
    cdef Entry entry
    cdef Entry mine = None
    if hint.held == 0 or core.pool.generation != generation():
        return None
    green = task = None
    if owner_may_be_green_or_task():
        green, task = owner_greenlet(), owner_task()
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if u64_peek(&slot.owner) == me.uid and slot_state(word) == LEASED:
            found += 1
            entry = <Entry>slot.entry
            # a lease that is being returned cannot be shared: its reset, or a listener, may be the caller here
            if not word & ENDING and lease_same_owner(entry.green, green) and lease_same_owner(entry.task, task):
                if selection is None or selection_suits(selection, entry):
                    mine = entry
    hint.held = found  # other threads may have returned some of this thread's leases
    return mine


cdef bint lease_same_owner(object reference, object one) except -1:
    return one is None if reference is None else (one is not None and reference() is one)
