# Opening the connection of a slot, and finding the entry of a connection.

cdef bint connect_take_room(Checkout self) except -1:
    fork_ensure_process(self.core)
    if u64_load(&self.core.pool.gate) & CLOSED:
        return False
    self.for_others = True
    checkout_hold(self, pool_take_room(self.core.pool, True))
    return self.slot != NULL


cdef int connect_slot(Checkout self) except -1:
    """Open the connection for which there is room in hand, in this thread or greenlet."""
    cdef Core core = self.core
    cdef int64_t start = clock_ns()
    try:
        if not self.for_others and not core.was_opened:  # else the code that opens ahead of use decides that
            core._first_use()
        c, server = core.connector.open(
            connect_begins(self), self.seconds_left, core._leased_by_server, self.behind)
    except BaseException as error:
        connect_failed(self, error)
    connect_done(self, c, server, clock_ns() - start)
    return 0


cdef Entry connect_begins(Checkout self):
    """The entry of the slot in hand, with what this checkout asks for, until the connect has ended."""
    cdef Entry entry = entry_of_slot(self.core, self.slot)
    entry.request = None if self.selection is None else self.selection.request
    return entry


cdef int connect_failed(Checkout self, object error) except -1:
    """Free the slot after a failed connect, which wakes the next in line, and raise the error.

    If the time was over, the connect goes on without its caller.
    """
    cdef bint late = isinstance(error, Exception) and (isinstance(error, OutOfTime) or (
        self.deadline != INT64_MAX and not self.instant and clock_ns() >= self.deadline))
    if self.slot != NULL:  # else it was lent to a thread that still connects, or that has done this
        if self.slot.entry != NULL:
            (<Entry>self.slot.entry).request = None
        u64_add(&self.core.totals[CONNECT_ERRORS], 1)
        if late and (self.lent or not self.for_others):
            self.core._go_on_connecting(connect_behind(self))
        else:
            connect_give_room_back(self)
    if late and not self.behind and not self.lent:
        raise checkout_exhausted(self.core, "connect", self.began) from error
    raise error


cdef Checkout connect_behind(Checkout self):
    """A checkout that owns the room in hand, with its permit, for a connect that goes on without its caller."""
    cdef Checkout other = checkout_new(self.core, BEHIND_NS, self.loop)
    other.behind = other.for_others = True
    other.selection = self.selection
    checkout_hold(other, self.slot)
    self.slot = NULL
    return other


cdef int connect_give_room_back(Checkout self) except -1:
    cdef Slot *slot = self.slot
    cdef bint kept = self.kept
    self.slot, self.kept = NULL, False
    pool_give_vacant(self.core.pool, slot, not kept)
    if kept:  # the shared permit is free when the connection that was in the slot is closed
        pool_permit_back(self.core.pool)
    core_count_changed(self.core)
    return 0


cdef int connect_done(Checkout self, object c, object server, int64_t took) except -1:
    """Put the opened connection in the slot in hand.  If any caller may get it, the permit stays out: otherwise the
    first in line would get room for one more.  PoolClosed: the pool was closed meanwhile."""
    cdef Core core = self.core
    cdef Slot *slot
    cdef Entry entry = entry_of_slot(core, self.slot)
    entry.request = None
    try:
        connect_remember(core, c, entry)
    except BaseException:  # no memory
        slot, self.slot = self.slot, NULL
        pool_give_vacant(core.pool, slot, False)  # the shared permit is the connection's, until its close has returned
        pool_permit_back(core.pool)
        core_count_changed(core)
        self.detached, self.why = [(c, server)], WHY_ERROR
        raise
    connect_install(core, self.slot, entry, c, server)
    entry.loop = self.loop
    self.looked, self.answer = True, KEEP
    if self.for_others:
        self.permit = True
    else:
        pool_permit_back(core.pool)
    core_count_changed(core)
    connect_announce(core, self.slot, c, server, took)
    if u64_load(&core.pool.gate) & CLOSED:
        raise core.driver.closed_error(f"pool {core.name!r} was closed while this caller connected")
    return 0


cdef inline void connect_begin_life(Core core, Slot *slot, uint64_t uses) noexcept:
    """Reset what the slot says of its connection, which is a new one with so many uses, and count it."""
    # STALE stays: a clear() during the connect applies to this connection, too.
    u32_and(&slot.mark, STALE)
    slot.born_ns = slot.checked_ns = clock_ns()
    slot.expires_ns = INT64_MAX
    slot.uses = uses
    u64_add(&core.totals[CONNECTS], 1)


cdef int connect_announce(Core core, Slot *slot, object c, object server, int64_t took) except -1:
    """Record how long the connect took, settle the connection in, and tell of it."""
    histogram_add(&core.inner.connect, took)
    connect_settle_in(core, slot, c)
    event_connected(core, server, c, took / 1e9)
    return 0


cdef int connect_install(Core core, Slot *slot, Entry entry, object c, object server) except -1:
    """Put a remembered connection in the slot, and count it; the slot, LEASED now, and the permit stay the caller's."""
    entry.connection = c
    entry.server = server
    connect_begin_life(core, slot, 0)
    i64_put(&slot.since_ns, slot.born_ns)
    i64_put(&slot.fresh_ns, 0)
    slot_move(slot, LEASED)
    return 0


cdef int connect_settle_in(Core core, Slot *slot, object c) except -1:
    """Determine a new connection's descriptor, server key and lifetime.  May raise what a signal handler raises."""
    cdef Entry entry = <Entry>slot.entry
    if core.may_probe:
        core.may_probe = False
        if hasattr(c, "fileno"):
            core.has_probe = True
            core_choose_flags(core)
    fitness_look_up_descriptor(core, entry, c)
    slot.server = connect_server_key(core, entry.server)
    if core.life_ns >= 0:
        slot.expires_ns = slot.born_ns + <int64_t>core._draw_lifetime(core.life_ns, c)
    i64_put(&slot.fresh_ns, fitness_fresh_until(core, slot, slot.born_ns))
    return 0


cdef int connect_exchange(Core core, Entry entry, object c, object server, int why, double seconds) except -1:
    """Put the newly opened `c` in the place of a leased connection, whose lease goes on; the caller closes the old one.

    `c` may be the same object, with a new transport.  PoolClosed: close(timeout) has taken the connection meanwhile.
    In a pool with a shared name the old one must be closed before `c` is opened: both have the same permit.
    """
    cdef Slot *slot = entry.slot
    old = entry.connection
    if old is None or slot_state(u64_load(&slot.word)) != LEASED or entry.born_in != generation():
        raise core.driver.closed_error(
            f"pool {core.name!r} was closed, and took this connection back while it was replaced")
    if c is not old:
        connect_remember(core, c, entry)
        connect_forget(core, old, entry)
    if why == WHY_ERROR:
        fitness_suspect_server(core, slot.server, slot)
    with cython.critical_section(entry):
        entry.connection, entry.server, entry.descriptor = c, server, None
    u64_add(&core.inner.closed[why], 1)
    connect_begin_life(core, slot, 1)
    return connect_announce(core, slot, c, server, <int64_t>(seconds * 1e9))


cdef int connect_put(Checkout self, list opened) except -1:
    """Leave the connection in hand idle, or to the first in line; append it to `opened`."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    if u32_load(&slot.mark) & STALE:
        checkout_detach(self, WHY_CLEARED)
        checkout_return_permit(self)
        return 0
    if opened is not None:
        opened.append((<Entry>slot.entry, slot.born_ns, id((<Entry>slot.entry).connection)))
    self.asked = 0
    self.slot = NULL
    pool_give(core.pool, slot)
    checkout_return_permit(self)
    return checkin_after_give(core)


cdef bint connect_one(Core core, int64_t limit_ns, list opened) except -1:
    """Open one more connection, append it to `opened` if that is given, and leave it idle; False: no room."""
    cdef Checkout self = checkout_new(core, limit_ns, None)
    if not connect_take_room(self):
        return False
    connect_for_others(self, opened)
    return True


cdef int connect_for_others(Checkout self, list opened) except -1:
    """Open the connection for which there is room in hand, and leave it idle, or to the first in line."""
    try:
        connect_slot(self)
        connect_put(self, opened)
    except BaseException:
        checkout_fail(self)
        checkout_close(self)
        raise
    return checkout_close(self)


cdef int connect_close_unused(Core core, list opened) except -1:
    """Close the connections listed in `opened` that nobody has taken."""
    cdef Entry entry
    cdef Slot *slot
    cdef uint64_t word
    cdef list taken = []
    for entry, born_ns, number in opened:
        if entry.inner is not core.inner:
            continue  # it belongs to the parent process
        slot = entry.slot
        word = u64_load_sc(&slot.word)
        if slot_state(word) != IDLE or slot.born_ns != born_ns or id(entry.connection) != number:
            continue
        if slot_grab(slot, word):
            u64_put(&slot.owner, 0)
            retire_vacate(core, slot, WHY_CLOSED, taken)
    return retire_close_all(core, taken, WHY_CLOSED) if taken else 0


# ---- from a connection to its entry --------------------------------------------------------------------------------

cdef int connect_remember(Core core, object c, Entry entry) except -1:
    """For checkin by hand.  If one object stands for several connections, it has a list of entries."""
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
