# A checkout and a checkin by hand: no object stands for the lease, which is found by its connection.

cdef object by_hand_checkout(Core core, object timeout):
    """A connection, leased to the caller.  timeout: as for `connection`, or a Selection."""
    cdef uint64_t word = 0
    cdef Slot *slot = NULL
    cdef Slot *idle = NULL
    cdef Selection selection = None
    cdef int64_t limit_ns
    if type(timeout) is Selection:
        selection = <Selection>timeout
        timeout = selection.timeout
    limit_ns = core_timeout_ns(core, timeout)
    if selection is None:
        slot = lease_at_once(core, core, &word, &idle)
    if slot == NULL:
        slot = checkout_slow(core, limit_ns, BY_HAND, idle, &word, selection)
    return by_hand_give(core, slot, word)


cdef object by_hand_give(Core core, Slot *slot, uint64_t word):
    """The connection of a lease by hand that has just begun."""
    c = (<Entry>slot.entry).connection
    if c is None:
        raise lease_taken_back(core)  # by another thread's close(timeout)
    try:
        # A signal that came meanwhile is handled here, and not between this return and the caller's assignment.
        PyErr_CheckSignals()
    except BaseException:
        if lease_try_end(slot, word):
            checkin_lease(core, slot, None, False)
        raise
    return c


cdef int by_hand_checkin(Core core, object c, bint discard) except -1:
    """Return a connection, in this thread or greenlet.  LeaseError: it is not out by hand."""
    cdef Slot *slot
    if not discard and by_hand_end_at_once(core, c):
        return 0
    slot = by_hand_find(core, c)
    if slot != NULL:
        checkin_lease(core, slot, None, discard)
    return 0


cdef bint by_hand_end_at_once(Core core, object c) except -1:
    """End a lease that needs nothing but its slot freed.  False: it needs more, or there is no such lease."""
    cdef Entry entry
    cdef Slot *slot
    cdef uint64_t word
    if core.pool.generation != generation():
        return False
    entry = by_hand_entry_near(core, c)
    if entry is None:
        return False
    slot = entry.slot
    word = slot_lease(u64_load(&slot.word))
    if (
        entry.connection is not c
        or entry.bound
        or slot_state(word) != LEASED
        or word & ENDING
        or u64_peek(&slot.owner) == 0
        or not lease_can_end_at_once(core, slot, word)
    ):
        return False
    if entry.descriptor is not None or core.ends_blocks:
        if not (by_hand_is_fit(core, slot, word, c) and lease_can_end_at_once(core, slot, word)):
            return False
    if not lease_free(core, core, slot, word):
        return False
    lease_freed(core)
    return True


cdef bint by_hand_is_fit(Core core, Slot *slot, uint64_t word, object c) except -1:
    """Whether the connection is open, and its driver has nothing to do before its next lease."""
    cdef Checkin checkin
    try:
        return fitness_is_open(core, <Entry>slot.entry) and (not core.ends_blocks or core.driver.is_reset(c))
    except BaseException:  # a signal handler's, as a rule: the lease ends all the same
        if lease_try_end(slot, word):
            checkin = checkin_new(core, slot, None, False)
            if not core.of_loops:  # else its steps would have to be awaited: the next caller replaces the connection
                checkin_run(checkin)
        raise


cdef inline Entry by_hand_entry_near(Core core, object c):
    """The entry of this connection: that of the slot which this thread took last, as a rule."""
    cdef ThreadHint *hint = hint_find(thread_self(), core.pool.id)
    cdef Slot *slot = NULL if hint == NULL else <Slot *>hint.slot
    if slot != NULL and slot.entry != NULL and (<Entry>slot.entry).connection is c:
        return <Entry>slot.entry
    return by_hand_entry(core, c)


cdef Slot *by_hand_find(Core core, object c) except? NULL:
    """The slot of a returned connection, owned by the caller from now on; NULL: the connection belongs to the parent
    process, or close() took it."""
    cdef Entry entry
    cdef uint64_t word
    fork_ensure_process(core)
    entry = by_hand_entry(core, c)
    if entry is None:
        if by_hand_was_dropped(core, c):
            return NULL
        if fork_is_inherited(core, c):
            fork_abandon(core, c)
            return NULL
        raise LeaseError(f"pool {core.name!r} did not give out {c!r}, or has closed it: it cannot be returned here")
    word = u64_load(&entry.slot.word)
    if slot_state(word) != LEASED or u64_peek(&entry.slot.owner) == 0:
        if by_hand_was_dropped(core, c):
            return NULL
        raise LeaseError(f"connection {entry.slot.index} of pool {core.name!r} was already returned")
    if entry.bound:
        raise LeaseError(
            f"connection {entry.slot.index} of pool {core.name!r} is held by "
            f"{'native code' if native_is_slot(entry.slot) else 'a `with` block'}, whose end returns it")
    if not lease_try_end(entry.slot, slot_lease(word)):
        if by_hand_was_dropped(core, c):
            return NULL
        raise LeaseError(
            f"connection {entry.slot.index} of pool {core.name!r} is already being returned")
    return entry.slot


cdef bint by_hand_was_dropped(Core core, object c) except -1:
    """Whether close(timeout) took this connection after a checkout by hand.  The record is removed: ask once."""
    return core.dropped.pop(id(c), None) is not None


cdef Entry by_hand_entry(Core core, object c):
    """The entry of this connection.  If the object stands for several connections: one that is out by hand, if any."""
    known = core.by_id.get(id(c))
    if isinstance(known, list):
        for one in known:
            if (<Entry>one).held and not (<Entry>one).bound and u64_peek(&(<Entry>one).slot.owner) != 0:
                return <Entry>one
        return <Entry>known[0]
    return <Entry>known if known is not None and (<Entry>known).connection is c else None
