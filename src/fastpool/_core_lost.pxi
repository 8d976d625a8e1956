# Connections that were checked out by hand and dropped.

cdef bint reclaim(Core core) except -1:
    """Take back what nobody can give back any more: checked out by hand, and not even referred to by anyone.

    Asked when somebody would have to wait.  True: there was something, and it went to the first in line, tainted, to be
    replaced.  (An exception that strikes between `checkout()` and the assignment of its result leaves such a
    connection.)  Free-threaded builds do not know their reference counts so well.
    """
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef Seat seat
    cdef int64_t now = clock_ns()
    cdef list lost = []
    if FREE_THREADED or core.by_hand == 0 or core.marks:
        return False
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) != LEASED or u64_peek(&slot.owner) == 0:
            continue
        seat = <Seat>slot.seat
        if seat.bound or reference_count(<PyObject *>seat.connection) > 1 or not claim(slot, slot_lease(word)):
            continue
        lost.append((i, u64_peek(&slot.thread), (now - i64_peek(&slot.since_ns)) / 1e9))
        u32_or(&slot.mark, TAINTED)
        i64_put(&slot.fresh_ns, 0)
        lease_end(core, slot, seat, thread_self(), visit_find(thread_self(), core.pool.id))
        pool_give(core.pool, slot)
    if lost:
        core._report_lost(lost)
    return len(lost) != 0
