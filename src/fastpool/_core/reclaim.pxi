# The present leases, and the end of those that their owners cannot end any more.

cdef list reclaim_lease_rows(Core core):
    """A row for each present lease: slot, server, thread's ident (None: it has ended), greenlet, task, depth, since in
    ns, epoch, connection, whether a block or native code holds it."""
    cdef list found = []
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef Entry entry
    cdef bint plain
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) == LEASED and u64_peek(&slot.owner) != 0 and slot.entry != NULL:
            entry = <Entry>slot.entry
            # Native leases have no greenlet or task; the fields may hold a previous owner's.  And a lease that is
            # being returned may be so by another thread than its task's; the task may be over by then.
            plain = native_is_slot(slot) or entry.returning or word & ENDING
            green, task = (None, None) if plain else (entry.green, entry.task)
            found.append((slot.index, entry.server, reclaim_thread_of(slot), green, task, slot.depth,
                          i64_peek(&slot.since_ns), entry.epoch, entry.connection, entry.bound))
    return found


def thread_is_alive(uint64_t uid):
    """Whether the thread with this number (`Core._thread_uid`) is still alive."""
    return bool(thread_alive(uid))


def end_lease(Core core, uint32_t index, uint64_t epoch):
    """End the lease of a slot for an owner that cannot do so; False: that lease is over already."""
    cdef Slot *slot
    cdef uint64_t lease
    if core.pool.generation != generation() or index >= u32_load(&core.pool.table.size):
        return False
    slot = table_slot(&core.pool.table, index)
    lease = slot_lease(u64_load(&slot.word))
    return bool(lease // EPOCH == epoch and reclaim_end_lease_of_dead_owner(core, slot, lease))


cdef bint reclaim_lost(Core core) except -1:
    """Take back connections that were checked out by hand and to which nothing but the pool refers any more: at once
    if the owner has ended, else one second after the checkout.  (Sooner, a pool would seem larger than it is to a
    caller that drops its connections.)  Each is reported, and goes tainted to the first in line, to be replaced.

    Called when a caller would have to wait.  True: at least one was taken back.  An exception that is raised between
    `checkout()` and the assignment of its result leaves such a connection behind.  Not done with the option
    `reclaim=False`, nor on free-threaded builds, whose reference counts are not exact.
    """
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef Entry entry
    cdef int64_t now
    cdef list lost
    if FREE_THREADED or not core.reclaim or core.by_hand == 0 or core.tracks_calls:
        return False
    now, lost = clock_ns(), []
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) != LEASED or u64_peek(&slot.owner) == 0:
            continue
        entry = <Entry>slot.entry
        if entry.bound or reference_count(<PyObject *>entry.connection) > core.own_references + reclaim_refers(entry):
            continue
        if now - i64_peek(&slot.since_ns) < LOOK_NS and not reclaim_owner_ended(slot, entry):
            continue
        one = reclaim_lost_row(slot, now)
        if reclaim_end_lease_of_dead_owner(core, slot, slot_lease(word)):
            lost.append(one)
    if lost:
        core._report_lost(lost)
    return len(lost) != 0


cdef tuple reclaim_lost_row(Slot *slot, int64_t now):
    """A lease's row for `_report_lost`: slot, epoch, thread's ident, age in seconds, server, connection."""
    cdef Entry entry = <Entry>slot.entry
    age = (now - i64_peek(&slot.since_ns)) / 1e9
    return slot.index, entry.epoch, reclaim_thread_of(slot), age, entry.server, entry.connection


cdef void reclaim_end_dropped_lease(Core core, Slot *slot, uint64_t lease) noexcept:
    """In a finalizer: end a lease that was dropped in its block.  `_capacity_lost` reports it when the connection is
    replaced: no user code may run here."""
    cdef list lost = core.lost
    row = None
    if slot.entry != NULL:
        try:
            row = reclaim_lost_row(slot, clock_ns())
        except BaseException:
            pass  # no memory: the lease is ended all the same
    if reclaim_end_lease_of_dead_owner(core, slot, lease) and row is not None and lost is not None:
        lost.append(row)


cdef bint reclaim_refers(Entry entry) except -1:
    """Whether the function for the descriptor refers to the connection, as a bound method does."""
    return getattr(entry.descriptor, "__self__", None) is entry.connection


cdef bint reclaim_owner_ended(Slot *slot, Entry entry) except -1:
    if reclaim_thread_of(slot) is None:
        return True
    green = None if entry.green is None else entry.green()
    task = None if entry.task is None else entry.task()
    return (
        (entry.green is not None and (green is None or green.dead))
        or (entry.task is not None and (task is None or task.done()))
    )


cdef bint reclaim_end_lease_of_dead_owner(Core core, Slot *slot, uint64_t lease) noexcept:
    """End a lease that its owner cannot end; the connection goes to the first in line, or to the idle ones, to be
    replaced.  No I/O and no user code: finalizers call this, too."""
    if slot.entry == NULL or not lease_try_end(slot, lease):
        return False  # NULL: the pool is being collected, and ends with all its connections
    u32_or(&slot.mark, TAINTED)
    i64_put(&slot.fresh_ns, 0)
    lease_close(core, slot, <Entry>slot.entry, thread_self(), hint_find(thread_self(), core.pool.id))
    pool_give(core.pool, slot)
    return True


cdef object reclaim_thread_of(Slot *slot):
    """The ident of the thread that holds this slot; None if it has ended: another may have its ident by now.

    Any thread of native code may hold a native lease by now, so such a lease never counts as lost.
    """
    cdef uint64_t owner = u64_peek(&slot.owner)
    return u64_peek(&slot.thread) if owner == 0 or owner & NATIVE or thread_alive(owner) else None


cdef int reclaim_look(Core core) except -1:
    """Called when a caller has waited for long or is about to fail: report the leases whose owner has ended, and take
    back those that nobody can end.  Their slots go to the first in line."""
    cdef int64_t now = clock_ns()
    if core.looked_ns != 0 and 0 <= now - core.looked_ns < APART_NS:
        return 0
    i64_put(&core.looked_ns, now)
    reclaim_pass_on_stranded(core)
    core._look_for_ended_owners()
    reclaim_lost(core)
    return 0


cdef int reclaim_pass_on_stranded(Core core) except -1:
    """Remove greenlets from the line whose thread ended without running them again; pass on slots handed to them."""
    cdef Waiter *waiter
    cdef Slot *slot
    if greenlet_current is None:
        return 0
    for noted in list(core.queued_green.values()):
        uid, green, task, address = noted
        if green is None or task is not None or thread_alive(uid) or not deadlock_forget_green(core, noted):
            continue
        waiter = <Waiter *><size_t>address  # their stacks, which hold it, are never unwound
        if not line_leave(core, waiter, CANCELLED):
            slot = <Slot *>waiter_take(waiter)
            if slot != NULL:
                pool_pass(core.pool, slot)
    return 0
