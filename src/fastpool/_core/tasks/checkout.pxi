# A checkout that awaits: the steps of checkout.pxi, one by one, for code that must return to a loop between them.  It
# owns its slot from one step to the next, and gives it back if it is dropped.

@cython.final
@cython.freelist(16)
@cython.no_gc_clear
cdef class Checkout:
    """A checkout (or checkin) under way in a task.  Every step leaves the slot with exactly one owner."""
    cdef Core core
    cdef Slot *slot              # owned by this claim; NULL: none
    cdef TaskHandle handle       # in line
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
    def entry(self):
        """The seat of the slot in hand."""
        return entry_of_slot(self.core, self.slot)

    @property
    def connection(self):
        """The connection in hand."""
        return (<Entry>self.slot.entry).connection

    @property
    def slot_in_hand(self):
        """Has it a slot?"""
        return self.slot != NULL

    @property
    def connecting(self):
        """Is the slot in hand room for a connection, with a permit to open it?"""
        return task_checkout_connecting(self)

    @property
    def foreign(self):
        """Was the connection in hand opened in another loop?"""
        return task_checkout_foreign(self)

    @property
    def seconds_left(self):
        """Until the deadline; None without one."""
        return None if self.deadline == self.began else checkout_seconds_left(self.deadline)

    @property
    def over(self):
        """Is the deadline past?"""
        return self.deadline != INT64_MAX and clock_ns() >= self.deadline

    def take(self):
        """Take what is free: own last connection, the one returned last, room for a new one, another loop's."""
        return task_checkout_take_free(self)

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
            if slot_state(word) == IDLE and (<Entry>slot.entry).loop is self.loop and slot_grab(slot, word):
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
        fork_ensure_process(self.core)
        self.for_others = True
        self.slot = pool_take_vacant(self.core.pool)
        return self.slot != NULL

    def put(self, list opened=None):
        """Leave the connection in hand to whoever wants one; write down in `opened` which it is, for `_close_unused`.

        Returns the connection, to be closed by the caller, if a clear() came meanwhile.
        """
        cdef Slot *slot = self.slot
        if u32_load(&slot.mark) & STALE:
            return self.retire("cleared")
        connect_write_down(slot, opened)
        self.asked = 0
        self.slot = NULL
        pool_give(self.core.pool, slot)
        task_checkout_permit_over(self)
        checkin_after_give(self.core)
        return None

    def lend(self):
        """A claim for whoever connects or checks for this one: it owns the slot from now on."""
        cdef Checkout other = task_checkout_new(self.core, -1, self.loop)
        other.began, other.deadline = self.began, self.deadline
        other.asked, other.limit, other.asked_of = self.asked, self.limit, self.asked_of
        other.for_others = True
        other.slot = self.slot
        self.slot = NULL
        return other

    def accept(self, Checkout other not None):
        """Own the slot again that was lent, if the other has one still."""
        self.slot = other.slot
        other.slot = NULL
        task_checkout_permit_over(other)

    def go_on(self):
        """The connect failed as the deadline came: a claim that owns the room from now on, to go on in the background.
        """
        cdef Checkout other = task_checkout_behind(self.core, self.slot, self.loop)
        self.slot = NULL
        u64_add(&self.core.totals[CONNECT_ERRORS], 1)
        return other

    def open(self):
        """Open the connection in this thread, which may block, and leave it to whoever wants one."""
        cdef Slot *slot = self.slot
        if slot == NULL:
            return  # dropped, by whoever was interrupted as he had this called
        self.slot = NULL
        connect_idle(self.core, slot, self.began, self.deadline, self.behind, None)

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
        task_line_give_up(self)
        raise task_thrown(kind, value, trace)

    def close(self):
        """The task is ended without another word."""
        task_line_give_up(self)

    def drop(self, str reason):
        """The checkout failed: the slot is free.  Returns the connection that it had, to be closed by the caller."""
        cdef Slot *slot
        if self.born_in != generation():
            return None
        task_line_give_up(self)
        slot = self.slot
        if slot != NULL and task_checkout_connecting(self):
            self.slot = NULL
            pool_give_vacant(self.core.pool, slot, True)
            core_update_over_size(self.core)
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
            home = (<Entry>slot.entry).loop
            if home is not None and home is not self.loop and home.is_closed() and slot_grab(slot, word):
                retire_slot(self.core, slot, WHY_DEAD)

    def exhausted(self, str phase):
        """The error to raise when the time is over."""
        return checkout_exhausted(self.core, phase, self.began)

    def waited(self):
        """The first wait in line of this checkout is over: record how long it took."""
        task_checkout_note_wait(self, clock_ns())

    def verdict(self):
        """Why the connection in hand cannot be used: a reason, None if it can, '?' if `check` must say."""
        cdef int why
        if task_checkout_foreign(self):
            return "discarded"
        why = fitness_unasked(self.core, self.slot, False)
        if why == ASK:
            return "?"
        return None if why == KEEP else REASONS[why]

    def check_begins(self):
        """Seconds that the check may take, which is called now; None: no limit."""
        self.asked = clock_ns()
        self.asked_of = self.slot.server
        self.limit = fitness_check_limit(self.core, self.asked, INT64_MAX if self.instant else self.deadline)
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
        fitness_suspect_server(self.core, server, self.slot)
        if self.asked and fitness_is_silent(self.core, server, self.asked, self.limit):
            fitness_vacate_unheard(self.core, server, self.asked, taken)
            self.core._capacity_lost()
        self.asked = 0
        return taken

    def checked(self):
        """`check` was content.  A reason why the connection cannot be used all the same, if there is one."""
        self.asked = 0
        fitness_heard_of(self.core, self.slot)
        return "cleared" if u32_load(&self.slot.mark) & STALE else None  # a clear() while it was checked

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
        cdef Entry entry = entry_of_slot(core, slot)
        connect_remember(core, c, entry)
        connect_install(core, slot, entry, c, server, clock_ns())
        entry.loop = self.loop
        self.permit = True
        if not self.for_others:
            task_checkout_permit_over(self)
        histogram_add(&core.inner.connect, <int64_t>(seconds * 1e9))
        connect_settle_in(core, slot, c)
        core_update_over_size(core)
        core_tell_connected(core, server, c, seconds)
        if u64_load(&core.pool.gate) & CLOSED:
            raise PoolClosed(f"pool {core.name!r} was closed while this caller connected")

    def connect_failed(self):
        """No connection came: the slot is free, and the next in line is woken."""
        cdef Slot *slot = self.slot
        if slot == NULL:
            return  # lent, to somebody who goes on or has said this
        self.slot = NULL
        pool_give_vacant(self.core.pool, slot, True)
        core_update_over_size(self.core)
        u64_add(&self.core.totals[CONNECT_ERRORS], 1)

    # ---- the way back ---------------------------------------------------------------------------------------

    def judge(self, exc, bint discard):
        """Why the connection of the lease that ended cannot be kept, None if it can."""
        cdef int why = checkin_judge(self.core, self.slot, <Entry>self.slot.entry, exc, discard)
        return None if why == KEEP else REASONS[why]

    @property
    def resets(self):
        """Must the driver's reset see the connection before anybody else does?"""
        return checkin_must_reset(self.core, self.slot)

    def tidied(self):
        """The reset is over: is the connection fit?"""
        return checkin_reset_done(self.slot)

    def give(self, exc):
        """The connection is fit: to the next in line, or to the free ones.  A connection to close, if it is surplus."""
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        cdef int64_t now = clock_ns()
        cdef int why
        self.over_with(exc, now)
        why = checkin_surplus(core, slot, now)
        if why != KEEP:
            return self.retire(REASONS[why])
        checkin_freshen(core, slot, now)
        self.slot = NULL
        checkin_give(core, slot)
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
        task_checkout_permit_over(self)
        core_update_over_size(core)
        core._capacity_lost()
        return c

    cdef object taken(self, Slot *slot, str reason):
        self.server = (<Entry>slot.entry).server
        self.reason = reason
        return retire_detach(self.core, slot, REASONS.index(reason))

    cdef int over_with(self, object exc, int64_t now) except -1:
        cdef Core core = self.core
        cdef Slot *slot = self.slot
        cdef Entry entry = <Entry>slot.entry
        cdef Thread *me = thread_self()
        cdef int64_t since = i64_peek(&slot.since_ns)
        if core.timing:
            histogram_add(&core.inner.hold, now - since)
        core_tell_checked_in(core, entry, since, exc)
        lease_close(core, slot, entry, me, hint_find(me, core.pool.id))
        return 0

    def __dealloc__(self):
        cdef Slot *slot = self.slot
        cdef Thread *me = thread_self()
        if self.core is None or self.born_in != generation():
            return
        if self.handle is not None and not task_line_leave(self, CANCELLED):
            slot = <Slot *>waiter_take(self.handle.waiter)
        if slot == NULL:
            return
        if slot_state(u64_load(&slot.word)) != CONNECTING:
            u32_or(&slot.mark, TAINTED)  # nobody knows what state it is in
            i64_put(&slot.fresh_ns, 0)
            if u64_peek(&slot.owner) != 0:
                lease_close(self.core, slot, <Entry>slot.entry, me, hint_find(me, self.core.pool.id))
        pool_pass(self.core.pool, slot)
        if self.permit:
            pool_permit_back(self.core.pool)


cdef inline int task_checkout_permit_over(Checkout self) noexcept:
    """Give the permit back, if what it was for has come and it is still out."""
    if self.permit:
        self.permit = False
        pool_permit_back(self.core.pool)
    return 0


cdef inline bint task_checkout_connecting(Checkout self) noexcept:
    return slot_state(u64_load(&self.slot.word)) == CONNECTING


cdef inline bint task_checkout_foreign(Checkout self) noexcept:
    return self.loop is not None and (<Entry>self.slot.entry).loop is not self.loop


cdef bint task_checkout_take_free(Checkout self) except -1:
    cdef Core core = self.core
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint
    fork_ensure_process(core)
    if u64_load(&core.pool.gate) & CLOSED:
        raise PoolClosed(f"pool {core.name!r} is closed")
    if u64_load_sc(&core.pool.gate) & QUEUED_MASK:
        return False
    hint = hint_make(me, core.pool.id, &core.pool.table)
    self.slot = <Slot *>hint.slot if lease_retake(hint) else idle_take(&core.pool.idle, &core.pool.table)
    if self.slot != NULL and task_checkout_foreign(self):
        self.exchange()
    elif self.slot == NULL:
        self.slot = pool_take_vacant(core.pool)
    return self.slot != NULL


cdef int task_checkout_note_wait(Checkout self, int64_t now) except -1:
    """The first wait in line of this checkout is over: record how long it took."""
    if self.noted:
        return 0
    self.noted = True
    if not self.core.timing:
        histogram_add(&self.core.inner.wait, now - self.began)
    return 0
