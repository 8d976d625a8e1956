# Checkin, the slow way: judge, reset, discard.

cdef int give_by_hand(Core core, object c, bint discard) except -1:
    cdef Slot *slot = claim_by_hand(core, c)
    if slot != NULL:
        give_back(core, slot, None, discard)
    return 0


cdef Slot *claim_by_hand(Core core, object c) except? NULL:
    """The slot of a connection that comes back, the caller's from now on; NULL: it was the parent process's, or close()
    took it."""
    cdef Seat seat
    cdef uint64_t word
    here(core)
    seat = out_by_hand(core, c)
    if seat is None:
        if was_dropped(core, c):
            return NULL
        for inherited in core.graves:
            if isinstance(inherited, list) and any((<Seat>one).connection is c for one in inherited):
                abandon(core, c)
                return NULL
        raise LeaseError(f"pool {core.name!r} did not give out {c!r}, or has closed it: it cannot be returned here")
    word = u64_load(&seat.slot.word)
    if slot_state(word) != LEASED or u64_peek(&seat.slot.owner) == 0:
        if was_dropped(core, c):
            return NULL
        raise LeaseError(f"connection {seat.slot.index} of pool {core.name!r} was given back already: once is enough")
    if seat.bound:
        raise LeaseError(
            f"connection {seat.slot.index} of pool {core.name!r} is held by "
            f"{'native code' if slot_is_native(seat.slot) else 'a `with` block'}, whose end returns it")
    if not claim(seat.slot, slot_lease(word)):
        if was_dropped(core, c):
            return NULL
        raise LeaseError(
            f"connection {seat.slot.index} of pool {core.name!r} is being given back already: once is enough")
    return seat.slot


cdef bint was_dropped(Core core, object c) except -1:
    """Did close(timeout) take this connection from whoever had checked it out by hand?  Asked once, when it comes."""
    return core.dropped.pop(id(c), None) is not None


cdef Seat out_by_hand(Core core, object c):
    """The seat of this connection; of several that one object stands for, one that is out by hand if there is any."""
    known = core.by_id.get(id(c))
    if isinstance(known, list):
        for one in known:
            if (<Seat>one).held and not (<Seat>one).bound and u64_peek(&(<Seat>one).slot.owner) != 0:
                return <Seat>one
        return <Seat>known[0]
    return <Seat>known if known is not None and (<Seat>known).connection is c else None


cdef int give_back(Core core, Slot *slot, object exc, bint discard) except -1:
    """End a lease that the caller has claimed: to the next in line, to the free ones, or closed.

    Raises only what is not an Exception and came from the driver, the slot free all the same.
    """
    cdef Thread *me = thread_self()
    cdef Visit *visit = visit_find(me, core.pool.id)
    cdef Seat seat = <Seat>slot.seat
    cdef int64_t now, since = i64_peek(&slot.since_ns)
    cdef int why
    try:
        why = judge(core, slot, seat, exc, discard)
        if why == KEEP and must_reset(core, slot):
            why = reset(core, slot, seat)
        tell_checked_in(core, seat, since, exc)
    except BaseException:
        lease_end(core, slot, seat, me, visit)
        retire(core, slot, WHY_ERROR)
        raise
    now = clock_ns() if core.timing else clock_near_ns(me)
    if core.timing:
        histogram_add(&core.house.hold, now - since)
    if why == KEEP:
        why = surplus(core, slot, now)
    lease_end(core, slot, seat, me, visit)
    if why != KEEP:
        retire(core, slot, why)
        return 0
    freshen(core, slot, now)
    give(core, slot)
    return 0


cdef void freshen(Core core, Slot *slot, int64_t now) noexcept:
    """Stamp a connection that has come back in good order."""
    i64_put(&slot.since_ns, now)
    i64_put(&slot.fresh_ns, 0 if u32_and(&slot.mark, ~<uint32_t>SUSPECT) & SUSPECT else fresh_until(core, slot, now))


cdef int give(Core core, Slot *slot) except -1:
    """Return a slot with a good connection."""
    pool_give(core.pool, slot)
    return after_giving(core)


cdef int give_unused(Core core, Slot *slot) except -1:
    """The same for one that was only looked at: it keeps its place among the idle ones, not the last returned."""
    cdef uint64_t word = u64_load(&slot.word)
    if (
        not u64_load_sc(&core.pool.gate) & QUEUED_MASK
        and word & LISTED
        and u64_cas(&slot.word, word, word + (EPOCH + IDLE - LEASED))
    ):
        return after_giving(core)
    return give(core, slot)


cdef int after_giving(Core core) except -1:
    """Look at the gate again: those who wait are served, and a pool that was closed (or made smaller) meanwhile keeps
    nothing (no more than that) open."""
    cdef uint64_t gate
    pool_settle_if(core.pool)
    gate = u64_load(&core.pool.gate)
    if gate & CLOSED:
        retire_idle(core, WHY_CLOSED, 0)
    elif gate & CROWDED:
        retire_idle(core, WHY_RESIZED, u32_load(&core.pool.max_size))
    return 0


cdef void lease_end(Core core, Slot *slot, Seat seat, Thread *me, Visit *visit) noexcept:
    if core.marks:
        seat.remember(u64_peek(&slot.owner))
    if not seat.bound:
        core.by_hand -= 1
    seat.green = seat.task = None
    slot.depth = 0
    lease_shut(slot, me, visit)


cdef int judge(Core core, Slot *slot, Seat seat, object exc, bint discard) except -2:
    """Why the connection of a lease that ends cannot be kept; KEEP if nothing speaks against it."""
    cdef uint32_t mark = u32_load(&slot.mark)
    if discard:
        return WHY_DISCARDED
    if u64_load(&core.pool.gate) & CLOSED or mark & DROPPED:
        return WHY_CLOSED
    if mark & (BUSY | TAINTED):
        return WHY_DESYNC if mark & ASTRAY else WHY_ERROR
    if core.marks:
        if exc is not None and mark & UNTIDY:
            return WHY_ERROR  # tidying is I/O, and none is done in the caller's error path
    elif exc is not None and not usable(core, seat.connection, exc):
        return WHY_ERROR
    if mark & OUTDATED:
        return WHY_CLEARED
    return KEEP if is_open(core, seat) else WHY_DEAD  # by its holder, who closed it


cdef bint usable(Core core, object c, object exc) except -1:
    if not isinstance(exc, Exception):
        return False
    try:
        return core.driver.usable(c, exc)
    except Exception as error:
        core._log_driver_error("usable", error)
        return False


cdef bint must_reset(Core core, Slot *slot) noexcept:
    return core.has_reset or (core.marks and u32_load(&slot.mark) & UNTIDY)


cdef bint tidied(Slot *slot) noexcept:
    """The reset is over.  A driver with marks may have found in it that the connection is broken."""
    return not u32_and(&slot.mark, ~<uint32_t>UNTIDY) & (BUSY | TAINTED)


cdef int reset(Core core, Slot *slot, Seat seat) except -2:
    try:
        core.driver.reset(seat.connection)
    except Exception as error:
        core._log_driver_error("reset", error)
        return WHY_ERROR
    return KEEP if tidied(slot) else WHY_ERROR


cdef int surplus(Core core, Slot *slot, int64_t now) noexcept:
    """Why a good connection is not kept all the same; KEEP if it is."""
    # The pool may have been closed or cleared while the driver's reset, or a listener, ran.
    if u64_load(&core.pool.gate) & CLOSED:
        return WHY_CLOSED
    if u32_load(&slot.mark) & OUTDATED:
        return WHY_CLEARED
    if slot.uses >= core.max_uses:
        return WHY_MAX_USES
    if slot.expires_ns <= now:
        return WHY_LIFETIME
    if u64_load(&core.pool.gate) & QUEUED_MASK and u32_load(&core.pool.active) <= u32_load(&core.pool.limit):
        return KEEP  # somebody waits for it
    if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
        return WHY_RESIZED if u32_load(&core.pool.active) > u32_load(&core.pool.limit) else WHY_OVERFLOW
    if core.max_idle >= 0 and count_idle(core) >= core.max_idle:
        return WHY_MAX_IDLE
    return KEEP


cdef object take_away(Core core, Slot *slot, int why):
    """The slot's connection, no longer the slot's, counted as closed; the slot is RETIRING and still the caller's."""
    cdef Seat seat = <Seat>slot.seat
    c = seat.connection
    slot_move(slot, RETIRING)
    try:
        forget(core, c, seat)
    except BaseException:
        pass  # no memory; the entry is stale now, which does no harm, and the slot is not lost
    with cython.critical_section(seat):
        seat.connection = seat.descriptor = None
    u32_put(&slot.mark, 0)
    u64_add(&core.house.closed[why], 1)
    return c


cdef int retire(Core core, Slot *slot, int why) except -1:
    """Free the slot first, for the next who connects, and close its connection then."""
    cdef list taken = []
    vacate(core, slot, why, taken)
    return close_all(core, taken, why)


cdef int vacate(Core core, Slot *slot, int why, list taken) except -1:
    """Free the slot; its connection goes to `taken`, to be closed when nobody waits for its slot any more.

    A driver with marks keeps one object per slot, which the next connect uses again; its connection is closed (a
    socket's close, which does not wait) before the slot is free.
    """
    c = take_away(core, slot, why)
    server = (<Seat>slot.seat).server
    try:
        if core.marks:
            close(core, c, server, why)
        else:
            taken.append((c, server))
    finally:
        pool_give_vacant(core.pool, slot, False)
        look_crowded(core)
    return 0


cdef int close_all(Core core, list taken, int why) except -1:
    """Close connections that have no slot any more: all of them, whatever one of them raises."""
    struck = None
    for c, server in taken:
        try:
            close(core, c, server, why)
        except BaseException as error:
            struck = error
    core._capacity_lost()
    if struck is not None:
        raise struck
    return 0


cdef int close(Core core, object c, object server, int why) except -1:
    try:
        core.driver.close(c)
    except Exception as error:
        core._log_driver_error("close", error)
    if core.hears & HEAR_CLOSED_CONNECTION:
        tell(core, "closed_connection", {"server": server, "connection": c, "reason": REASONS[why]})
    return 0


cdef int abandon(Core core, object c) except -1:
    """A connection that belongs to the parent process: never used, shut down or destroyed here."""
    core.graves.append(c)
    try:
        core.driver.abandon(c)
    except Exception as error:
        core._log_driver_error("abandon", error)
    return 0


cdef int64_t retire_idle(Core core, int why, int64_t keep) except -1:
    """Close the idle connections that `why` speaks of; with WHY_CLOSED, WHY_CLEARED and WHY_RESIZED all of them."""
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef int64_t closed = 0
    cdef int64_t now = clock_ns()
    cdef list taken = []
    cdef int64_t too_many = count_idle(core) - core.max_idle if why == WHY_MAX_IDLE else INT64_MAX
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
            vacate(core, slot, why, taken)
            closed += 1
    if closed:
        close_all(core, taken, why)
    return closed


cdef int64_t count_idle(Core core) noexcept:
    cdef uint32_t i
    cdef int64_t idle = 0
    for i in range(u32_load(&core.pool.table.size)):
        idle += slot_state(u64_load(&table_slot(&core.pool.table, i).word)) == IDLE
    return idle


cdef int outdate(Core core) except -1:
    cdef uint32_t i
    cdef Slot *slot
    cdef int state
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        state = slot_state(u64_load(&slot.word))
        if state == LEASED or state == CONNECTING or state == IDLE:
            u32_or(&slot.mark, OUTDATED)
            i64_put(&slot.fresh_ns, 0)
    retire_idle(core, WHY_CLEARED, 0)
    return 0


cdef int64_t drop_leased(Core core) except -1:
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef Seat seat
    cdef int64_t dropped = 0
    cdef list taken = []
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        # acquire: native code, which has no GIL, writes the owner last
        if slot_state(word) == LEASED and u64_load(&slot.owner) != 0:
            seat = <Seat>slot.seat
            c = seat.connection
            if not seat.bound:
                core.dropped[id(c)] = c  # before it is claimed: a checkin that then comes too late finds it here
            if not claim(slot, slot_lease(word)):
                core.dropped.pop(id(c), None)
                continue
            lease_end(core, slot, seat, thread_self(), visit_find(thread_self(), core.pool.id))
            vacate(core, slot, WHY_CLOSED, taken)
            dropped += 1
    if dropped:
        close_all(core, taken, WHY_CLOSED)
    return dropped


cdef int64_t keep_alive(Core core, int64_t older_than) except -1:
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    cdef int64_t dead = 0, now, last, silent
    cdef int why
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        now = clock_ns()
        last = slot.checked_ns if slot.checked_ns > i64_peek(&slot.since_ns) else i64_peek(&slot.since_ns)
        if slot_state(word) != IDLE or last + older_than > now or not slot_grab(slot, word):
            continue
        u64_put(&slot.owner, 0)
        why = unfit(core, slot, INT64_MAX, True, &silent)
        if why == KEEP:
            slot.checked_ns = clock_ns()
            i64_put(&slot.fresh_ns, fresh_until(core, slot, clock_ns()))
            give_unused(core, slot)
        else:
            dead += 1
            retire_unfit(core, slot, why, silent)
    return dead


cdef int here(Core core) except -1:
    """Before anything is looked at: is this still the process in which the pool was used last?"""
    return after_fork(core) if core.pool.generation != generation() else 0


cdef int after_fork(Core core) except -1:
    """The child begins anew: a fresh house, no waiters, no leases.  What the parent has goes to the graves, which keep
    a reference to it for ever: a finalizer's goodbye would be said on the parent's connection."""
    cdef House old = core.house
    cdef House fresh
    cdef Seat seat
    cdef Pool *was = &old.pool
    cdef uint32_t i
    if was.generation == generation():
        return 0
    fresh = House()
    fresh.pool.max_size, fresh.pool.limit, fresh.pool.max_connecting = was.max_size, was.limit, was.max_connecting
    fresh.pool.gate = was.gate & (CLOSED | SLOW_TAKE | SLOW_GIVE)
    inherited = core.seats
    Py_INCREF(old)
    Py_INCREF(inherited)
    move_in(core, fresh)
    core.seats, core.by_id, core.queued, core.queued_green = [], {}, {}, {}
    core.queued_tasks = set()
    core.graves.append(inherited)
    rouse_orphans(was)
    core._forked()
    for seat in inherited:
        # A lease that was open in the forking thread ends in the child too, and is abandoned there.
        if seat.connection is not None and slot_state(u64_load(&seat.slot.word)) != LEASED:
            abandon(core, seat.connection)
    return 0
