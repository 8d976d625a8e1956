# Taking a connection out of its slot: it is detached first, then closed.

cdef object retire_detach(Core core, Slot *slot, int why):
    """Detach the slot's connection and count it as closed; the slot is RETIRING and still the caller's."""
    cdef Entry entry = <Entry>slot.entry
    c = entry.connection
    slot_move(slot, RETIRING)
    try:
        connect_forget(core, c, entry)
    except BaseException:
        pass  # no memory; the entry is stale now, which does no harm, and the slot is not lost
    with cython.critical_section(entry):
        entry.connection = entry.descriptor = None
    u32_put(&slot.mark, 0)
    u64_add(&core.inner.closed[why], 1)
    return c


cdef int retire_slot(Core core, Slot *slot, int why) except -1:
    """Free the slot first, so that another caller can connect in it, then close its connection."""
    cdef list taken = []
    retire_vacate(core, slot, why, taken)
    return retire_close_all(core, taken, why)


cdef int retire_vacate(Core core, Slot *slot, int why, list taken) except -1:
    """Free the slot; its connection goes to `taken`, to be closed after that.

    A driver that tracks calls keeps one object per slot, which the next connect uses again; its connection is closed (a
    socket's close, which does not wait) before the slot is free.
    """
    c = retire_detach(core, slot, why)
    server = (<Entry>slot.entry).server
    try:
        if core.tracks_calls:
            retire_close(core, c, server, why)
        else:
            taken.append((c, server))
    finally:
        pool_give_vacant(core.pool, slot, False)
        core_count_changed(core)
    return 0


cdef int retire_close_all(Core core, list taken, int why, bint permits=True) except -1:
    """Close connections that have no slot any more: all of them, whatever one of them raises.

    permits: whether the shared permit of each is free then.
    """
    pending = None
    for c, server in taken:
        try:
            retire_close(core, c, server, why, permits)
        except BaseException as error:
            pending = error
    core._capacity_lost()
    if pending is not None:
        raise pending
    return 0


cdef list retire_rows(list taken, int why):
    """The connections to close, for Python code: (connection, server, reason) of each; None: none."""
    return [(c, server, REASONS[why]) for c, server in taken or ()]


cdef int retire_close(Core core, object c, object server, int why, bint permit=True) except -1:
    try:
        core.driver.close(c)
    except Exception as error:
        core._log_driver_error("close", error)
    finally:
        if permit and (not core.of_loops or core.tracks_calls):  # else the driver's own loop has yet to close it
            pool_closed_one(core.pool)
    if core.hears & EVENT_CLOSED_CONNECTION:
        event_tell(core, "closed_connection", {"server": server, "connection": c, "reason": REASONS[why]})
    return 0


cdef int64_t retire_idle(Core core, int why, int64_t keep) except -1:
    """Close the idle connections to which `why` applies; with WHY_CLOSED, WHY_CLEARED and WHY_RESIZED all of them."""
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef int64_t closed = 0
    cdef int64_t now = clock_ns()
    cdef list taken = []
    cdef int64_t too_many = retire_count_idle(core) - core.max_idle if why == WHY_MAX_IDLE else INT64_MAX
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        # seq_cst: closing sets CLOSED and then looks here, a checkin publishes its slot and then looks at the gate
        word = u64_load_sc(&slot.word)
        if slot_state(word) != IDLE or i64_peek(&core.pool.opened) <= keep:
            continue
        if why == WHY_LIFETIME and slot.expires_ns > now:
            continue
        if why == WHY_IDLE and i64_peek(&slot.since_ns) + core.idle_ns > now:
            continue
        if closed >= too_many:
            break
        if slot_grab(slot, word):
            u64_put(&slot.owner, 0)
            retire_vacate(core, slot, why, taken)
            closed += 1
    if closed:
        retire_close_all(core, taken, why)
    return closed


cdef int64_t retire_count_idle(Core core) noexcept:
    cdef uint32_t i
    cdef int64_t idle = 0
    for i in range(u32_load(&core.pool.table.size)):
        idle += slot_state(u64_load(&table_slot(&core.pool.table, i).word)) == IDLE
    return idle


cdef int retire_make_stale(Core core) except -1:
    cdef uint32_t i
    cdef Slot *slot
    cdef int state
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        state = slot_state(u64_load(&slot.word))
        if state == LEASED or state == CONNECTING or state == IDLE:
            u32_or(&slot.mark, STALE)
            i64_put(&slot.fresh_ns, 0)
    retire_idle(core, WHY_CLEARED, 0)
    return 0


cdef int64_t retire_leased(Core core) except -1:
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef Entry entry
    cdef int64_t dropped = 0
    cdef list taken = []
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        # acquire: native code, which has no GIL, writes the owner last
        if slot_state(word) == LEASED and u64_load(&slot.owner) != 0:
            entry = <Entry>slot.entry
            c = entry.connection
            if not entry.bound:
                core.dropped[id(c)] = c  # before lease_try_end: a checkin that comes too late finds it here
            if not lease_try_end(slot, slot_lease(word)):
                core.dropped.pop(id(c), None)
                continue
            lease_close(core, slot, entry, thread_self(), hint_find(thread_self(), core.pool.id))
            retire_vacate(core, slot, WHY_CLOSED, taken)
            dropped += 1
    if dropped:
        retire_close_all(core, taken, WHY_CLOSED)
    return dropped
