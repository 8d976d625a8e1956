# Opening the connection of a slot, and where connections are found again.

cdef int connect_slot(Core core, Slot *slot, int64_t began, int64_t deadline, bint for_others, bint behind) except -1:
    """Open the connection of a CONNECTING slot: LEASED afterwards.  If it fails the slot is vacant and the next in
    line is woken before the error goes on.  for_others: the permit stays with the caller, which gives the connection
    away first, or the first in line would get room for another one.  behind: it goes on without its caller."""
    cdef Entry entry
    cdef int64_t start = clock_ns()
    cdef int64_t now
    cdef bint late
    try:
        if not core.was_opened:
            core._first_use()
        entry = entry_of_slot(core, slot)
        # A checkout with timeout=0 takes what is free now, and room for a connection is free; it does not bound the
        # connect, which would then be hopeless.
        left = None if deadline == began else checkout_seconds_left(deadline)
        c, server = core.connector.open(entry, left, core._leased_by_server, behind)
    except BaseException as error:
        u64_add(&core.totals[CONNECT_ERRORS], 1)
        late = isinstance(error, Exception) and deadline != INT64_MAX and deadline != began and clock_ns() >= deadline
        if late and not for_others:
            core._go_on_connecting(task_checkout_behind(core, slot, None))
        else:
            pool_give_vacant(core.pool, slot, True)
            core_update_over_size(core)
        if late and not behind:
            raise checkout_exhausted(core, "connect", began) from error
        raise
    now = clock_ns()
    try:
        connect_remember(core, c, entry)
    except BaseException:  # no memory
        pool_give_vacant(core.pool, slot, True)
        retire_close(core, c, server, WHY_ERROR)
        raise
    connect_install(core, slot, entry, c, server, now)
    if not for_others:
        pool_permit_back(core.pool)
    histogram_add(&core.inner.connect, now - start)
    try:
        connect_settle_in(core, slot, c)
        core_tell_connected(core, server, c, (now - start) / 1e9)
        core_update_over_size(core)
        if u64_load(&core.pool.gate) & CLOSED:
            raise PoolClosed(f"pool {core.name!r} was closed while this caller connected")
    except BaseException as error:
        if for_others:
            pool_permit_back(core.pool)
        retire_slot(core, slot, WHY_CLOSED if isinstance(error, PoolClosed) else WHY_ERROR)
        raise
    return 0


cdef int connect_install(Core core, Slot *slot, Entry entry, object c, object server, int64_t now) except -1:
    """A connection that is remembered takes its place, and is counted; the slot is LEASED and the caller's, as is the
    permit."""
    entry.connection = c
    entry.server = server
    # STALE stays: a clear() during the connect means this connection, too.
    u32_and(&slot.mark, STALE)
    slot.born_ns = slot.checked_ns = now
    slot.expires_ns = INT64_MAX
    slot.uses = 0
    i64_put(&slot.since_ns, now)
    i64_put(&slot.fresh_ns, 0)
    u64_add(&core.totals[CONNECTS], 1)
    slot_move(slot, LEASED)
    return 0


cdef int connect_settle_in(Core core, Slot *slot, object c) except -1:
    """What is drawn and looked up once for a new connection.  May raise whatever a signal handler raises."""
    cdef Entry entry = <Entry>slot.entry
    if core.may_probe:
        core.may_probe = False
        if hasattr(c, "fileno"):
            core.has_probe = True
            core_choose_flags(core)
    fitness_look_up_descriptor(core, entry, c)
    slot.server = connect_server_key(core, entry.server)
    if core.life_ns >= 0:
        slot.expires_ns = slot.born_ns + <int64_t>core._draw_lifetime(core.life_ns)
    i64_put(&slot.fresh_ns, fitness_fresh_until(core, slot, slot.born_ns))
    return 0


cdef int connect_remember(Core core, object c, Entry entry) except -1:
    """For checkin by hand.  One object may stand for several connections; then they have a list of seats."""
    known = core.by_id.get(id(c))
    if known is None:
        core.by_id[id(c)] = entry
    else:
        core.by_id[id(c)] = [*(known if isinstance(known, list) else [known]), entry]
    return 0


cdef int connect_forget(Core core, object c, Entry entry) except -1:
    known = core.by_id.get(id(c))
    if known is entry:
        del core.by_id[id(c)]
    elif isinstance(known, list):
        rest = [one for one in known if one is not entry]
        core.by_id[id(c)] = rest[0] if len(rest) == 1 else rest
    return 0


cdef uint32_t connect_server_key(Core core, object server) except? 0:
    """A small number for a server, so that connections of one server can be told apart without Python."""
    if server is None:
        return 1
    key = core.server_keys.get(server)
    if key is None:
        core.server_count += 1
        key = core.server_keys[server] = core.server_count + 1
    return key


cdef bint connect_one(Core core, int64_t limit_ns, list opened) except -1:
    """Open one more connection, write it down in `opened` if that is given, and leave it idle."""
    cdef int64_t began = clock_ns()
    cdef Slot *slot
    fork_ensure_process(core)
    if u64_load(&core.pool.gate) & CLOSED:
        return False
    slot = pool_take_vacant(core.pool)
    if slot == NULL:
        return False
    connect_idle(core, slot, began, INT64_MAX if limit_ns < 0 else began + limit_ns, False, opened)
    return True


cdef int connect_idle(Core core, Slot *slot, int64_t began, int64_t deadline, bint behind, list opened) except -1:
    """Open the connection of a CONNECTING slot and leave it idle, or to the first in line."""
    connect_slot(core, slot, began, deadline, True, behind)
    try:
        connect_write_down(slot, opened)
    except BaseException:  # no memory
        pool_permit_back(core.pool)
        retire_slot(core, slot, WHY_ERROR)
        raise
    if u32_load(&slot.mark) & STALE:
        pool_permit_back(core.pool)
        retire_slot(core, slot, WHY_CLEARED)
    else:
        pool_give(core.pool, slot)
        pool_permit_back(core.pool)
        checkin_after_give(core)
    return 0


cdef int connect_write_down(Slot *slot, list opened) except -1:
    """Which connection it is that the slot has now, without a reference to it."""
    if opened is not None:
        opened.append((<Entry>slot.entry, slot.born_ns, id((<Entry>slot.entry).connection)))
    return 0


cdef int connect_close_unused(Core core, list opened) except -1:
    """Close those of the connections written down that nobody has taken."""
    cdef Entry entry
    cdef Slot *slot
    cdef uint64_t word
    cdef list taken = []
    for entry, born_ns, number in opened:
        if entry.inner is not core.inner:
            continue  # the parent process's
        slot = entry.slot
        word = u64_load_sc(&slot.word)
        if slot_state(word) != IDLE or slot.born_ns != born_ns or id(entry.connection) != number:
            continue
        if slot_grab(slot, word):
            u64_put(&slot.owner, 0)
            retire_vacate(core, slot, WHY_CLOSED, taken)
    return retire_close_all(core, taken, WHY_CLOSED) if taken else 0
