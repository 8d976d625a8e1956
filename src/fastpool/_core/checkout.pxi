# Checkout, the slow way: wait, look the connection over, connect.

cdef Slot *checkout_slow(Core core, int64_t limit_ns, int how, Slot *slot, uint64_t *lease) except NULL:
    """A slot with a connection fit for use, leased to the caller.  `slot`: an idle one that it owns already, or NULL.

    `lease`: the word of the lease.  Never read it from the slot later: a close(timeout) may have ended it by then.
    """
    cdef Thread *me = thread_self()
    cdef int64_t began = clock_ns()
    cdef int64_t deadline = INT64_MAX if limit_ns < 0 else began + limit_ns
    cdef Entry entry
    fork_ensure_process(core)
    if core.hears & EVENT_CHECKOUT_STARTED or maintenance_lacks_keeper(core):
        try:
            if maintenance_lacks_keeper(core):
                core._go_on_keeping()
            if core.hears & EVENT_CHECKOUT_STARTED:
                core_tell(core, "checkout_started", {})
        except BaseException:
            if slot != NULL:
                checkin_give(core, slot)
            raise
    try:
        slot = checkout_find_fit(core, me, began, deadline, limit_ns == 0, slot)
    except BaseException as error:
        if core.hears & EVENT_CHECKOUT_FAILED:
            core_tell(core, "checkout_failed", {"error": error, "waited": (clock_ns() - began) / 1e9})
        raise
    entry = <Entry>slot.entry
    lease[0] = checkout_make_lease(core, slot, me, began, clock_ns(), how)
    try:
        if how != NATIVELY and owner_may_be_green_or_task():
            entry.green, entry.task = owner_ref(owner_greenlet()), owner_ref(owner_task())
        core_tell_checked_out(core, entry, began)
    except BaseException:
        if lease_try_end(slot, lease[0]):
            checkin_lease(core, slot, None, False)
        raise
    if slot_lease(u64_load(&slot.word)) != lease[0]:
        raise PoolClosed(
            f"pool {core.name!r} was closed, and took this connection back, while listeners were told of it")
    return slot


cdef uint64_t checkout_make_lease(Core core, Slot *slot, Thread *me, int64_t began, int64_t now, int how) noexcept:
    """The slot becomes a lease; a new epoch, because whoever held it before may still have its word.  The new word."""
    cdef uint64_t lease
    cdef Entry entry = <Entry>slot.entry
    entry.green = entry.task = None
    entry.bound = how != BY_HAND
    entry.returning = False
    if how == BY_HAND:
        core.by_hand += 1
    if core.marks:
        entry.forget(me.uid)
    lease = slot_lease(slot_move(slot, LEASED))
    slot.uses += 1
    if how == NATIVELY:
        lease_lend(slot, me, hint_make(me, core.pool.id, &core.pool.table), now)
    else:
        lease_open(slot, me, hint_make(me, core.pool.id, &core.pool.table), now)
    if core.timing:
        histogram_add(&core.inner.wait, now - began)
    return lease


cdef Slot *checkout_find_fit(
    Core core, Thread *me, int64_t began, int64_t deadline, bint instant, Slot *slot
) except NULL:
    """Until there is a connection that works, or the deadline: own last slot, last returned, vacant; else the line."""
    cdef bint front = False
    cdef bint queued = False
    cdef ThreadHint *hint
    cdef int64_t silent
    cdef int why
    while True:
        if slot == NULL:
            if u64_load(&core.pool.gate) & CLOSED:
                raise PoolClosed(f"pool {core.name!r} is closed")
            if not u64_load_sc(&core.pool.gate) & QUEUED_MASK:
                hint = hint_make(me, core.pool.id, &core.pool.table)
                slot = <Slot *>hint.slot if lease_retake(hint) else pool_take_free(core.pool)
            if slot == NULL:
                owner_notice_imports()  # who has a hub since a moment ago must not sleep as a thread
                slot = line_wait(core, me, began, deadline, instant, front)
                if not queued:
                    queued = True
                    if not core.timing:
                        histogram_add(&core.inner.wait, clock_ns() - began)
        if slot_state(u64_load(&slot.word)) == CONNECTING:
            connect_slot(core, slot, began, deadline, False, False)
            return slot
        why = fitness_look(core, slot, deadline, False, &silent)
        if why == KEEP:
            return slot
        # The slot is free before its connection is closed: a close that hangs holds up this caller and nobody else.
        fitness_retire(core, slot, why, silent)
        slot = NULL
        if clock_ns() >= deadline and not instant:
            raise checkout_exhausted(core, "check", began)
        if not u64_load_sc(&core.pool.gate) & QUEUED_MASK:
            slot = pool_take_vacant(core.pool)  # rather a new connection than the next old one
        front = True  # it had been served


cdef int64_t checkout_timeout_ns(object timeout) except -2:
    """A caller's timeout in ns, -1 for no limit."""
    cdef double seconds
    if timeout is None:
        return -1
    if isinstance(timeout, bool):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if not isinstance(timeout, (int, float)):
        try:
            seconds = timeout.__float__()
        except (AttributeError, TypeError):
            raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}") from None
    else:
        seconds = timeout
    if not seconds >= 0:
        raise ValueError(f"'timeout' must be a non-negative number, not {timeout!r}")
    return <int64_t>(seconds * 1e9) if seconds < 9e9 else -1


cdef object checkout_seconds_left(int64_t deadline):
    cdef int64_t left
    if deadline == INT64_MAX:
        return None
    left = deadline - clock_ns()
    return left / 1e9 if left > 0 else 0.0


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


cdef Entry entry_of_slot(Core core, Slot *slot):
    """The slot's Python side, made when a connection is first opened in it."""
    cdef Entry entry
    if slot.entry != NULL:
        return <Entry>slot.entry
    entry = Entry.__new__(Entry)
    entry.inner = core.inner
    entry.slot = slot
    core.entries.append(entry)  # keeps it alive; the slot refers to it without counting
    slot.entry = <void *>entry
    return entry


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
