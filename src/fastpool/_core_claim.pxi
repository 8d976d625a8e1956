# A checkout that awaits: the same steps as in _core_take.pxi, one by one, for code that must return to a loop between
# them.  A claim owns its slot from one step to the next, and gives it back if it is dropped.

@cython.final
@cython.freelist(16)
@cython.no_gc_clear
cdef class Claim:
    """A checkout (or checkin) under way in a task.  Every step leaves the slot with exactly one owner."""
    cdef Core core
    cdef Slot *slot              # owned by this claim; NULL: none
    cdef TaskTicket ticket       # in line
    cdef object task             # weak reference to the task that stood in line
    cdef int64_t began, deadline
    cdef int64_t asked, limit    # when its check under way began, and how long that may take; 0: none
    cdef uint32_t asked_of       # the server that is asked
    cdef bint instant
    cdef bint front              # it had been served: to the head of the line
    cdef bint just_begun         # `began` is now, as good as
    cdef bint noted              # how long it waited is recorded
    cdef readonly bint for_others  # what it opens may be for whoever is first in line, so the permit comes back last
    cdef bint permit             # ... and is still out
    cdef readonly bint behind    # it goes on with a connect whose caller's time was over
    cdef uint64_t born_in
    cdef object running          # the loop in which it is under way, once somebody has asked
    cdef readonly object loop    # only connections opened in this loop will do; None: any
    cdef readonly object server  # of the connection that was taken away to be closed
    cdef readonly str reason     # why it was

    @property
    def seat(self):
        """The seat of the slot in hand."""
        return seat_of(self.core, self.slot)

    @property
    def connection(self):
        """The connection in hand."""
        return (<Seat>self.slot.seat).connection

    @property
    def slot_in_hand(self):
        """Has it a slot?"""
        return self.slot != NULL

    @property
    def connecting(self):
        """Is the slot in hand room for a connection, with a permit to open it?"""
        return connecting(self)

    @property
    def foreign(self):
        """Was the connection in hand opened in another loop?"""
        return foreign(self)

    @property
    def seconds_left(self):
        """Until the deadline; None without one."""
        return None if self.deadline == self.began else seconds_left(self.deadline)

    @property
    def over(self):
        """Is the deadline past?"""
        return self.deadline != INT64_MAX and clock_ns() >= self.deadline

    def take(self):
        """Take what is free: own last connection, the one returned last, room for a new one, another loop's."""
        return take_free(self)

    cdef int exchange(self) except -1:
        """Another loop's connection in hand: rather one of this loop's, or room for one."""
        cdef Core core = self.core
        cdef Slot *better = NULL
        cdef Slot *slot
        cdef uint64_t word
        cdef uint32_t i
        for i in range(u32_load(&core.pool.table.size)):
            slot = table_slot(&core.pool.table, i)
            word = u64_load(&slot.word)
            if slot_state(word) == IDLE and (<Seat>slot.seat).loop is self.loop and slot_grab(slot, word):
                better = slot
                break
        if better == NULL:
            better = pool_take_vacant(core.pool)
        if better != NULL:
            slot, self.slot = self.slot, better
            pool_give(core.pool, slot)
        return 0

    def take_room(self):
        """Take room for a new connection, with a permit to open it."""
        here(self.core)
        self.for_others = True
        self.slot = pool_take_vacant(self.core.pool)
        return self.slot != NULL

    def put(self, list opened=None):
        """Leave the connection in hand to whoever wants one; write down in `opened` which it is, for `_close_unused`.

        Returns the connection, to be closed by the caller, if a clear() came meanwhile.
        """
        cdef Slot *slot = self.slot
        if u32_load(&slot.mark) & OUTDATED:
            return self.retire("cleared")
        write_down(slot, opened)
        self.asked = 0
        self.slot = NULL
        pool_give(self.core.pool, slot)
        permit_over(self)
        after_giving(self.core)
        return None

    def lend(self):
        """A claim for whoever connects or checks for this one: it owns the slot from now on."""
        cdef Claim other = claim_new(self.core, -1, self.loop)
        other.began, other.deadline = self.began, self.deadline
        other.asked, other.limit, other.asked_of = self.asked, self.limit, self.asked_of
        other.for_others = True
        other.slot = self.slot
        self.slot = NULL
        return other

    def accept(self, Claim other not None):
        """Own the slot again that was lent, if the other has one still."""
        self.slot = other.slot
        other.slot = NULL
        permit_over(other)

    def go_on(self):
        """The connect failed as the deadline came: a claim that owns the room from now on, to go on in the background.
        """
        cdef Claim other = claim_behind(self.core, self.slot, self.loop)
        self.slot = NULL
        u64_add(&self.core.totals[CONNECT_ERRORS], 1)
        return other

    def open(self):
        """Open the connection in this thread, which may block, and leave it to whoever wants one."""
        cdef Slot *slot = self.slot
        if slot == NULL:
            return  # dropped, by whoever was interrupted as he had this called
        self.slot = NULL
        open_in(self.core, slot, self.began, self.deadline, self.behind, None)

    def in_line(self, bint front):
        """``await claim.in_line(front)``: stand in line until there is a slot in hand.  front: it had been served.

        Raises what `connection` raises of waiting.
        """
        self.front = front
        return self

    def __await__(self):
        return self

    def __next__(self):
        return await_step(self)

    def send(self, value):
        """As a coroutine's."""
        return next(self)

    def throw(self, kind, value=None, trace=None):
        """Something is raised in the task that waits: what the line still gives goes to the next in it."""
        give_up(self)
        raise thrown(kind, value, trace)

    def close(self):
        """The task is ended without another word."""
        give_up(self)

    def drop(self, str reason):
        """The checkout failed: the slot is free.  Returns the connection that it had, to be closed by the caller."""
        cdef Slot *slot
        if self.born_in != generation():
            return None
        give_up(self)
        slot = self.slot
        if slot != NULL and connecting(self):
            self.slot = NULL
            pool_give_vacant(self.core.pool, slot, True)
            look_crowded(self.core)
            return None
        return None if slot == NULL else self.retire(reason)

    def drop_homeless(self):
        """Forget the idle connections whose loop is closed: nobody can use or close them any more."""
        cdef uint32_t i
        cdef uint64_t word
        cdef Slot *slot
        for i in range(u32_load(&self.core.pool.table.size)):
            slot = table_slot(&self.core.pool.table, i)
            word = u64_load(&slot.word)
            if slot_state(word) != IDLE:
                continue
            home = (<Seat>slot.seat).loop
            if home is not None and home is not self.loop and home.is_closed() and slot_grab(slot, word):
                retire(self.core, slot, WHY_DEAD)

    def exhausted(self, str phase):
        """The error to raise when the time is over."""
        return exhausted(self.core, phase, self.began)

    def waited(self):
        """The first wait in line of this checkout is over: record how long it took."""
        note_wait(self, clock_ns())

    def verdict(self):
        """Why the connection in hand cannot be used: a reason, None if it can, '?' if `check` must say."""
        cdef int why
        if foreign(self):
            return "discarded"
        why = unfit_unasked(self.core, self.slot, False)
        if why == ASK:
            return "?"
        return None if why == KEEP else REASONS[why]

    def check_begins(self):
        """Seconds that the check may take, which is called now; None: no limit."""
        self.asked = clock_ns()
        self.asked_of = self.slot.server
        self.limit = check_limit(self.core, self.asked, INT64_MAX if self.instant else self.deadline)
        return None if self.limit == INT64_MAX else self.limit / 1e9

    @property
    def check_was_the_last(self):
        """Had the check all the time that was left?"""
        return self.limit != self.core.check_limit_ns

    def suspect(self):
        """The connection in hand, or the one left to its check, was found dead: doubt the others of its server.

        If its check shows that the server is silent, those of them that are idle are taken away, to be closed by the
        caller: (connection, server) of each.
        """
        cdef list taken = []
        cdef uint32_t server
        if self.slot == NULL and not self.asked:
            return taken  # the check has not begun
        server = self.asked_of if self.slot == NULL else self.slot.server
        suspect_server(self.core, server, self.slot)
        if self.asked and is_silent(self.core, server, self.asked, self.limit):
            vacate_unheard(self.core, server, self.asked, taken)
            self.core._capacity_lost()
        self.asked = 0
        return taken

    def checked(self):
        """`check` was content.  A reason why the connection cannot be used all the same, if there is one."""
        self.asked = 0
        heard_of(self.core, self.slot)
        return "cleared" if u32_load(&self.slot.mark) & OUTDATED else None  # a clear() while it was checked

    def empty(self, str reason):
        """Take the connection away, to be closed by the caller; the slot stays in hand, with room for another.

        False: as many connects as allowed are under way, so the slot is free again.
        """
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        c = self.taken(slot, reason)
        if permit_take(core.pool):
            slot_move(slot, CONNECTING)
        else:
            self.slot = NULL
            pool_give_vacant(core.pool, slot, False)
        return c

    def install(self, c, server, double seconds):
        """The connection that was opened takes its place; PoolClosed: the pool was closed meanwhile."""
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        cdef Seat seat = seat_of(core, slot)
        remember(core, c, seat)
        install(core, slot, seat, c, server, clock_ns())
        seat.loop = self.loop
        self.permit = True
        if not self.for_others:
            permit_over(self)
        histogram_add(&core.house.connect, <int64_t>(seconds * 1e9))
        settle_in(core, slot, c)
        look_crowded(core)
        tell_connected(core, server, c, seconds)
        if u64_load(&core.pool.gate) & CLOSED:
            raise PoolClosed(f"pool {core.name!r} was closed while this caller connected")

    def connect_failed(self):
        """No connection came: the slot is free, and the next in line is woken."""
        cdef Slot *slot = self.slot
        if slot == NULL:
            return  # lent, to somebody who goes on or has said this
        self.slot = NULL
        pool_give_vacant(self.core.pool, slot, True)
        look_crowded(self.core)
        u64_add(&self.core.totals[CONNECT_ERRORS], 1)

    # ---- the way back ---------------------------------------------------------------------------------------

    def judge(self, exc, bint discard):
        """Why the connection of the lease that ended cannot be kept, None if it can."""
        cdef int why = judge(self.core, self.slot, <Seat>self.slot.seat, exc, discard)
        return None if why == KEEP else REASONS[why]

    @property
    def resets(self):
        """Must the driver's reset see the connection before anybody else does?"""
        return must_reset(self.core, self.slot)

    def tidied(self):
        """The reset is over: is the connection fit?"""
        return tidied(self.slot)

    def give(self, exc):
        """The connection is fit: to the next in line, or to the free ones.  A connection to close, if it is surplus."""
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        cdef int64_t now = clock_ns()
        cdef int why
        self.over_with(exc, now)
        why = surplus(core, slot, now)
        if why != KEEP:
            return self.retire(REASONS[why])
        freshen(core, slot, now)
        self.slot = NULL
        give(core, slot)
        return None

    def retire(self, str reason, exc=None):
        """The connection is not kept: returns it, to be closed by the caller; the slot is free."""
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        if u64_peek(&slot.owner) != 0:
            self.over_with(exc, clock_ns())
        self.slot = NULL
        c = self.taken(slot, reason)
        pool_give_vacant(core.pool, slot, False)
        permit_over(self)
        look_crowded(core)
        core._capacity_lost()
        return c

    cdef object taken(self, Slot *slot, str reason):
        self.server = (<Seat>slot.seat).server
        self.reason = reason
        return take_away(self.core, slot, REASONS.index(reason))

    cdef int over_with(self, object exc, int64_t now) except -1:
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        cdef Seat seat = <Seat>slot.seat
        cdef Thread *me = thread_self()
        cdef int64_t since = i64_peek(&slot.since_ns)
        if core.timing:
            histogram_add(&core.house.hold, now - since)
        tell_checked_in(core, seat, since, exc)
        lease_end(core, slot, seat, me, visit_find(me, core.pool.id))
        return 0

    def __dealloc__(self):
        cdef Slot *slot = self.slot
        cdef Thread *me = thread_self()
        if self.core is None or self.born_in != generation():
            return
        if self.ticket is not None and not leave(self, CANCELLED):
            slot = <Slot *>waiter_take(self.ticket.waiter)
        if slot == NULL:
            return
        if slot_state(u64_load(&slot.word)) != CONNECTING:
            u32_or(&slot.mark, TAINTED)  # nobody knows what state it is in
            i64_put(&slot.fresh_ns, 0)
            if u64_peek(&slot.owner) != 0:
                lease_end(self.core, slot, <Seat>slot.seat, me, visit_find(me, self.core.pool.id))
        pool_pass(self.core.pool, slot)
        if self.permit:
            pool_permit_back(self.core.pool)


cdef inline int permit_over(Claim self) noexcept:
    """Give the permit back, if what it was for has come and it is still out."""
    if self.permit:
        self.permit = False
        pool_permit_back(self.core.pool)
    return 0


cdef inline bint connecting(Claim self) noexcept:
    return slot_state(u64_load(&self.slot.word)) == CONNECTING


cdef inline bint foreign(Claim self) noexcept:
    return self.loop is not None and (<Seat>self.slot.seat).loop is not self.loop


cdef bint take_free(Claim self) except -1:
    cdef Core core = self.core
    cdef Thread *me = thread_self()
    cdef Visit *visit
    here(core)
    if u64_load(&core.pool.gate) & CLOSED:
        raise PoolClosed(f"pool {core.name!r} is closed")
    if u64_load_sc(&core.pool.gate) & QUEUED_MASK:
        return False
    visit = visit_make(me, core.pool.id, &core.pool.table)
    self.slot = <Slot *>visit.slot if lease_retake(visit) else idle_take(&core.pool.idle, &core.pool.table)
    if self.slot != NULL and foreign(self):
        self.exchange()
    elif self.slot == NULL:
        self.slot = pool_take_vacant(core.pool)
    return self.slot != NULL


cdef int note_wait(Claim self, int64_t now) except -1:
    """The first wait in line of this checkout is over: record how long it took."""
    if self.noted:
        return 0
    self.noted = True
    if not self.core.timing:
        histogram_add(&self.core.house.wait, now - self.began)
    return 0
