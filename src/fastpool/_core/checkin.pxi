# Checkin, the slow way: judge, reset, discard.

cdef int checkin_by_hand(Core core, object c, bint discard) except -1:
    cdef Slot *slot = checkin_claim_by_hand(core, c)
    if slot != NULL:
        checkin_lease(core, slot, None, discard)
    return 0


cdef Slot *checkin_claim_by_hand(Core core, object c) except? NULL:
    """The slot of a connection that comes back, the caller's from now on; NULL: it was the parent process's, or close()
    took it."""
    cdef Entry entry
    cdef uint64_t word
    fork_ensure_process(core)
    entry = checkin_out_by_hand(core, c)
    if entry is None:
        if checkin_was_dropped(core, c):
            return NULL
        for inherited in core.inherited:
            if isinstance(inherited, list) and any((<Entry>one).connection is c for one in inherited):
                retire_abandon(core, c)
                return NULL
        raise LeaseError(f"pool {core.name!r} did not give out {c!r}, or has closed it: it cannot be returned here")
    word = u64_load(&entry.slot.word)
    if slot_state(word) != LEASED or u64_peek(&entry.slot.owner) == 0:
        if checkin_was_dropped(core, c):
            return NULL
        raise LeaseError(f"connection {entry.slot.index} of pool {core.name!r} was given back already: once is enough")
    if entry.bound:
        raise LeaseError(
            f"connection {entry.slot.index} of pool {core.name!r} is held by "
            f"{'native code' if native_is_slot(entry.slot) else 'a `with` block'}, whose end returns it")
    if not lease_try_end(entry.slot, slot_lease(word)):
        if checkin_was_dropped(core, c):
            return NULL
        raise LeaseError(
            f"connection {entry.slot.index} of pool {core.name!r} is being given back already: once is enough")
    return entry.slot


cdef bint checkin_was_dropped(Core core, object c) except -1:
    """Did close(timeout) take this connection from whoever had checked it out by hand?  Asked once, when it comes."""
    return core.dropped.pop(id(c), None) is not None


cdef Entry checkin_out_by_hand(Core core, object c):
    """The seat of this connection; of several that one object stands for, one that is out by hand if there is any."""
    known = core.by_id.get(id(c))
    if isinstance(known, list):
        for one in known:
            if (<Entry>one).held and not (<Entry>one).bound and u64_peek(&(<Entry>one).slot.owner) != 0:
                return <Entry>one
        return <Entry>known[0]
    return <Entry>known if known is not None and (<Entry>known).connection is c else None


cdef int checkin_lease(Core core, Slot *slot, object exc, bint discard) except -1:
    """End a lease that the caller has claimed: to the next in line, to the free ones, or closed.

    Raises only what is not an Exception and came from the driver, the slot free all the same.
    """
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint = hint_find(me, core.pool.id)
    cdef Entry entry = <Entry>slot.entry
    cdef int64_t now, since = i64_peek(&slot.since_ns)
    cdef int why
    try:
        why = checkin_judge(core, slot, entry, exc, discard)
        if why == KEEP and checkin_must_reset(core, slot):
            why = checkin_reset(core, slot, entry)
        core_tell_checked_in(core, entry, since, exc)
    except BaseException:
        lease_close(core, slot, entry, me, hint)
        retire_slot(core, slot, WHY_ERROR)
        raise
    now = clock_ns() if core.timing else clock_near_ns(me)
    if core.timing:
        histogram_add(&core.inner.hold, now - since)
    if why == KEEP:
        why = checkin_surplus(core, slot, now)
    lease_close(core, slot, entry, me, hint)
    if why != KEEP:
        retire_slot(core, slot, why)
        return 0
    checkin_freshen(core, slot, now)
    checkin_give(core, slot)
    return 0


cdef void checkin_freshen(Core core, Slot *slot, int64_t now) noexcept:
    """Stamp a connection that has come back in good order."""
    cdef bint suspect = u32_and(&slot.mark, ~<uint32_t>SUSPECT) & SUSPECT != 0
    i64_put(&slot.since_ns, now)
    i64_put(&slot.fresh_ns, 0 if suspect else fitness_fresh_until(core, slot, now))


cdef int checkin_give(Core core, Slot *slot) except -1:
    """Return a slot with a good connection."""
    pool_give(core.pool, slot)
    return checkin_after_give(core)


cdef int checkin_give_unused(Core core, Slot *slot) except -1:
    """The same for one that was only looked at: it keeps its place among the idle ones, not the last returned."""
    cdef uint64_t word = u64_load(&slot.word)
    if (
        not u64_load_sc(&core.pool.gate) & QUEUED_MASK
        and word & LISTED
        and u64_cas(&slot.word, word, word + (EPOCH + IDLE - LEASED))
    ):
        return checkin_after_give(core)
    return checkin_give(core, slot)


cdef int checkin_after_give(Core core) except -1:
    """Look at the gate again: those who wait are served, and a pool that was closed (or made smaller) meanwhile keeps
    nothing (no more than that) open."""
    cdef uint64_t gate
    pool_settle_if(core.pool)
    gate = u64_load(&core.pool.gate)
    if gate & CLOSED:
        retire_idle(core, WHY_CLOSED, 0)
    elif gate & OVER_SIZE:
        retire_idle(core, WHY_RESIZED, u32_load(&core.pool.max_size))
    return 0


cdef void lease_close(Core core, Slot *slot, Entry entry, Thread *me, ThreadHint *hint) noexcept:
    if core.tracks_calls:
        entry.remember(u64_peek(&slot.owner))
    if not entry.bound:
        core.by_hand -= 1
    entry.green = entry.task = None
    slot.depth = 0
    lease_shut(slot, me, hint)


cdef int checkin_judge(Core core, Slot *slot, Entry entry, object exc, bint discard) except -2:
    """Why the connection of a lease that ends cannot be kept; KEEP if nothing speaks against it."""
    cdef uint32_t mark = u32_load(&slot.mark)
    if discard:
        return WHY_DISCARDED
    if u64_load(&core.pool.gate) & CLOSED or mark & DROPPED:
        return WHY_CLOSED
    if mark & (BUSY | TAINTED):
        return WHY_DESYNC if mark & DESYNC else WHY_ERROR
    if core.tracks_calls:
        if exc is not None and mark & NEEDS_RESET:
            return WHY_ERROR  # tidying is I/O, and none is done in the caller's error path
    elif exc is not None and not checkin_usable(core, entry.connection, exc):
        return WHY_ERROR
    if mark & STALE:
        return WHY_CLEARED
    return KEEP if fitness_is_open(core, entry) else WHY_DEAD  # by its holder, who closed it


cdef bint checkin_usable(Core core, object c, object exc) except -1:
    if not isinstance(exc, Exception):
        return False
    try:
        return core.driver.usable(c, exc)
    except Exception as error:
        core._log_driver_error("usable", error)
        return False


cdef bint checkin_must_reset(Core core, Slot *slot) noexcept:
    return core.has_reset or (core.tracks_calls and u32_load(&slot.mark) & NEEDS_RESET)


cdef bint checkin_reset_done(Slot *slot) noexcept:
    """The reset is over.  A driver that tracks calls may have found in it that the connection is broken."""
    return not u32_and(&slot.mark, ~<uint32_t>NEEDS_RESET) & (BUSY | TAINTED)


cdef int checkin_reset(Core core, Slot *slot, Entry entry) except -2:
    try:
        core.driver.reset(entry.connection)
    except Exception as error:
        core._log_driver_error("reset", error)
        return WHY_ERROR
    return KEEP if checkin_reset_done(slot) else WHY_ERROR


cdef int checkin_surplus(Core core, Slot *slot, int64_t now) noexcept:
    """Why a good connection is not kept all the same; KEEP if it is."""
    # The pool may have been closed or cleared while the driver's reset, or a listener, ran.
    if u64_load(&core.pool.gate) & CLOSED:
        return WHY_CLOSED
    if u32_load(&slot.mark) & STALE:
        return WHY_CLEARED
    if slot.uses >= core.max_uses:
        return WHY_MAX_USES
    if slot.expires_ns <= now:
        return WHY_LIFETIME
    if u64_load(&core.pool.gate) & QUEUED_MASK and u32_load(&core.pool.active) <= u32_load(&core.pool.limit):
        return KEEP  # somebody waits for it
    if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
        return WHY_RESIZED if u32_load(&core.pool.active) > u32_load(&core.pool.limit) else WHY_OVERFLOW
    if core.max_idle >= 0 and retire_count_idle(core) >= core.max_idle:
        return WHY_MAX_IDLE
    return KEEP
