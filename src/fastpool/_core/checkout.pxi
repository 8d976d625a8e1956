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
    if core.tracks_calls:
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


cdef object checkout_exhausted(Core core, str phase, int64_t began, kind=None):
    """The error of a checkout that got nothing in its time, counted and explained."""
    u64_add(&core.totals[TIMEOUTS], 1)
    return core._exhausted(phase, (clock_ns() - began) / 1e9, kind)
