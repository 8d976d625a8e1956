# Checkout, the slow way: wait, look the connection over, connect.

cdef Slot *take(Core core, int64_t limit_ns, int how, Slot *slot, uint64_t *lease) except NULL:
    """A slot with a connection fit for use, leased to the caller.  `slot`: an idle one that it owns already, or NULL.

    `lease`: the word of the lease.  Never read it from the slot later: a close(timeout) may have ended it by then.
    """
    cdef Thread *me = thread_self()
    cdef int64_t began = clock_ns()
    cdef int64_t deadline = INT64_MAX if limit_ns < 0 else began + limit_ns
    cdef Seat seat
    here(core)
    if core.hears & HEAR_CHECKOUT_STARTED or lacks_keeper(core):
        try:
            if lacks_keeper(core):
                core._go_on_keeping()
            if core.hears & HEAR_CHECKOUT_STARTED:
                tell(core, "checkout_started", {})
        except BaseException:
            if slot != NULL:
                give(core, slot)
            raise
    try:
        slot = find_fit(core, me, began, deadline, limit_ns == 0, slot)
    except BaseException as error:
        if core.hears & HEAR_CHECKOUT_FAILED:
            tell(core, "checkout_failed", {"error": error, "waited": (clock_ns() - began) / 1e9})
        raise
    seat = <Seat>slot.seat
    lease[0] = enter_table(core, slot, me, began, clock_ns(), how)
    try:
        if how != NATIVELY and may_be_in_a_world():
            seat.green, seat.task = weakref_or_none(green_here()), weakref_or_none(task_here())
        tell_checked_out(core, seat, began)
    except BaseException:
        if claim(slot, lease[0]):
            give_back(core, slot, None, False)
        raise
    if slot_lease(u64_load(&slot.word)) != lease[0]:
        raise PoolClosed(
            f"pool {core.name!r} was closed, and took this connection back, while listeners were told of it")
    return slot


cdef uint64_t enter_table(Core core, Slot *slot, Thread *me, int64_t began, int64_t now, int how) noexcept:
    """The slot becomes a lease; a new epoch, because whoever held it before may still have its word.  The new word."""
    cdef uint64_t lease
    cdef Seat seat = <Seat>slot.seat
    seat.green = seat.task = None
    seat.bound = how != BY_HAND
    seat.returning = False
    if how == BY_HAND:
        core.by_hand += 1
    if core.marks:
        seat.forget(me.uid)
    lease = slot_lease(slot_move(slot, LEASED))
    slot.uses += 1
    if how == NATIVELY:
        lease_lend(slot, me, visit_make(me, core.pool.id, &core.pool.table), now)
    else:
        lease_open(slot, me, visit_make(me, core.pool.id, &core.pool.table), now)
    if core.timing:
        histogram_add(&core.house.wait, now - began)
    return lease


cdef Slot *find_fit(Core core, Thread *me, int64_t began, int64_t deadline, bint instant, Slot *slot) except NULL:
    """Until there is a connection that works, or the deadline: own last slot, last returned, vacant; else the line."""
    cdef bint front = False
    cdef bint queued = False
    cdef Visit *visit
    cdef int64_t silent
    cdef int why
    while True:
        if slot == NULL:
            if u64_load(&core.pool.gate) & CLOSED:
                raise PoolClosed(f"pool {core.name!r} is closed")
            if not u64_load_sc(&core.pool.gate) & QUEUED_MASK:
                visit = visit_make(me, core.pool.id, &core.pool.table)
                slot = <Slot *>visit.slot if lease_retake(visit) else pool_take_free(core.pool)
            if slot == NULL:
                notice_imports()  # who has a hub since a moment ago must not sleep as a thread
                slot = wait_in_line(core, me, began, deadline, instant, front)
                if not queued:
                    queued = True
                    if not core.timing:
                        histogram_add(&core.house.wait, clock_ns() - began)
        if slot_state(u64_load(&slot.word)) == CONNECTING:
            connect(core, slot, began, deadline, False, False)
            return slot
        why = unfit(core, slot, deadline, False, &silent)
        if why == KEEP:
            return slot
        # The slot is free before its connection is closed: a close that hangs holds up this caller and nobody else.
        retire_unfit(core, slot, why, silent)
        slot = NULL
        if clock_ns() >= deadline and not instant:
            raise exhausted(core, "check", began)
        if not u64_load_sc(&core.pool.gate) & QUEUED_MASK:
            slot = pool_take_vacant(core.pool)  # rather a new connection than the next old one
        front = True  # it had been served


cdef int64_t timeout_ns(object timeout) except -2:
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


cdef object seconds_left(int64_t deadline):
    cdef int64_t left
    if deadline == INT64_MAX:
        return None
    left = deadline - clock_ns()
    return left / 1e9 if left > 0 else 0.0


cdef int connect(Core core, Slot *slot, int64_t began, int64_t deadline, bint for_others, bint behind) except -1:
    """Open the connection of a CONNECTING slot: LEASED afterwards.  If it fails the slot is vacant and the next in
    line is woken before the error goes on.  for_others: the permit stays with the caller, which gives the connection
    away first, or the first in line would get room for another one.  behind: it goes on without its caller."""
    cdef Seat seat
    cdef int64_t start = clock_ns()
    cdef int64_t now
    cdef bint late
    try:
        if not core.was_opened:
            core._first_use()
        seat = seat_of(core, slot)
        # A checkout with timeout=0 takes what is free now, and room for a connection is free; it does not bound the
        # connect, which would then be hopeless.
        left = None if deadline == began else seconds_left(deadline)
        c, server = core.connector.open(seat, left, core._leased_by_server, behind)
    except BaseException as error:
        u64_add(&core.totals[CONNECT_ERRORS], 1)
        late = isinstance(error, Exception) and deadline != INT64_MAX and deadline != began and clock_ns() >= deadline
        if late and not for_others:
            core._go_on_connecting(claim_behind(core, slot, None))
        else:
            pool_give_vacant(core.pool, slot, True)
            look_crowded(core)
        if late and not behind:
            raise exhausted(core, "connect", began) from error
        raise
    now = clock_ns()
    try:
        remember(core, c, seat)
    except BaseException:  # no memory
        pool_give_vacant(core.pool, slot, True)
        close(core, c, server, WHY_ERROR)
        raise
    install(core, slot, seat, c, server, now)
    if not for_others:
        pool_permit_back(core.pool)
    histogram_add(&core.house.connect, now - start)
    try:
        settle_in(core, slot, c)
        tell_connected(core, server, c, (now - start) / 1e9)
        look_crowded(core)
        if u64_load(&core.pool.gate) & CLOSED:
            raise PoolClosed(f"pool {core.name!r} was closed while this caller connected")
    except BaseException as error:
        if for_others:
            pool_permit_back(core.pool)
        retire(core, slot, WHY_CLOSED if isinstance(error, PoolClosed) else WHY_ERROR)
        raise
    return 0


cdef int install(Core core, Slot *slot, Seat seat, object c, object server, int64_t now) except -1:
    """A connection that is remembered takes its place, and is counted; the slot is LEASED and the caller's, as is the
    permit."""
    seat.connection = c
    seat.server = server
    # OUTDATED stays: a clear() during the connect means this connection, too.
    u32_and(&slot.mark, OUTDATED)
    slot.born_ns = slot.checked_ns = now
    slot.expires_ns = INT64_MAX
    slot.uses = 0
    i64_put(&slot.since_ns, now)
    i64_put(&slot.fresh_ns, 0)
    u64_add(&core.totals[CONNECTS], 1)
    slot_move(slot, LEASED)
    return 0


cdef int settle_in(Core core, Slot *slot, object c) except -1:
    """What is drawn and looked up once for a new connection.  May raise whatever a signal handler raises."""
    cdef Seat seat = <Seat>slot.seat
    if core.may_probe:
        core.may_probe = False
        if hasattr(c, "fileno"):
            core.has_probe = True
            choose_flags(core)
    look_up_descriptor(core, seat, c)
    slot.server = server_key(core, seat.server)
    if core.life_ns >= 0:
        slot.expires_ns = slot.born_ns + <int64_t>core._draw_lifetime(core.life_ns)
    i64_put(&slot.fresh_ns, fresh_until(core, slot, slot.born_ns))
    return 0


cdef int remember(Core core, object c, Seat seat) except -1:
    """For checkin by hand.  One object may stand for several connections; then they have a list of seats."""
    known = core.by_id.get(id(c))
    if known is None:
        core.by_id[id(c)] = seat
    else:
        core.by_id[id(c)] = [*(known if isinstance(known, list) else [known]), seat]
    return 0


cdef int forget(Core core, object c, Seat seat) except -1:
    known = core.by_id.get(id(c))
    if known is seat:
        del core.by_id[id(c)]
    elif isinstance(known, list):
        rest = [one for one in known if one is not seat]
        core.by_id[id(c)] = rest[0] if len(rest) == 1 else rest
    return 0


cdef uint32_t server_key(Core core, object server) except? 0:
    """A small number for a server, so that connections of one server can be told apart without Python."""
    if server is None:
        return 1
    key = core.server_keys.get(server)
    if key is None:
        core.server_count += 1
        key = core.server_keys[server] = core.server_count + 1
    return key


cdef Seat seat_of(Core core, Slot *slot):
    """The slot's Python side, made when a connection is first opened in it."""
    cdef Seat seat
    if slot.seat != NULL:
        return <Seat>slot.seat
    seat = Seat.__new__(Seat)
    seat.house = core.house
    seat.slot = slot
    core.seats.append(seat)  # keeps it alive; the slot refers to it without counting
    slot.seat = <void *>seat
    return seat


cdef bint open_one(Core core, int64_t limit_ns, list opened) except -1:
    """Open one more connection, write it down in `opened` if that is given, and leave it idle."""
    cdef int64_t began = clock_ns()
    cdef Slot *slot
    here(core)
    if u64_load(&core.pool.gate) & CLOSED:
        return False
    slot = pool_take_vacant(core.pool)
    if slot == NULL:
        return False
    open_in(core, slot, began, INT64_MAX if limit_ns < 0 else began + limit_ns, False, opened)
    return True


cdef int open_in(Core core, Slot *slot, int64_t began, int64_t deadline, bint behind, list opened) except -1:
    """Open the connection of a CONNECTING slot and leave it idle, or to the first in line."""
    connect(core, slot, began, deadline, True, behind)
    try:
        write_down(slot, opened)
    except BaseException:  # no memory
        pool_permit_back(core.pool)
        retire(core, slot, WHY_ERROR)
        raise
    if u32_load(&slot.mark) & OUTDATED:
        pool_permit_back(core.pool)
        retire(core, slot, WHY_CLEARED)
    else:
        pool_give(core.pool, slot)
        pool_permit_back(core.pool)
        after_giving(core)
    return 0


cdef int write_down(Slot *slot, list opened) except -1:
    """Which connection it is that the slot has now, without a reference to it."""
    if opened is not None:
        opened.append((<Seat>slot.seat, slot.born_ns, id((<Seat>slot.seat).connection)))
    return 0


cdef int close_unused(Core core, list opened) except -1:
    """Close those of the connections written down that nobody has taken."""
    cdef Seat seat
    cdef Slot *slot
    cdef uint64_t word
    cdef list taken = []
    for seat, born_ns, number in opened:
        if seat.house is not core.house:
            continue  # the parent process's
        slot = seat.slot
        word = u64_load_sc(&slot.word)
        if slot_state(word) != IDLE or slot.born_ns != born_ns or id(seat.connection) != number:
            continue
        if slot_grab(slot, word):
            u64_put(&slot.owner, 0)
            vacate(core, slot, WHY_CLOSED, taken)
    return close_all(core, taken, WHY_CLOSED) if taken else 0
