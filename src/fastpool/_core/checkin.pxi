# One checkin, decided in one place for threads, greenlets, native code and tasks.
#
# `checkin_step` calls neither the driver's reset nor its close.  The steps are performed by `checkin_run`, by calling,
# or by fastpool._async.checkin, by awaiting.

cdef enum:              # how far a checkin has come
    JUDGE, SETTLE, OVER


@cython.final
@cython.freelist(16)
@cython.no_gc_clear
cdef class Checkin:
    """A checkin under way.  Between two steps it owns the lease's slot; a checkin that is dropped gives it back."""
    cdef Core core
    cdef Slot *slot
    cdef uint64_t born_in
    cdef object error            # the exception that left the block
    cdef bint discard
    cdef int progress
    cdef int why                 # KEEP, or why the connection cannot be kept
    cdef list detached           # connections to close: (connection, server); None: none

    def step(self):
        """The next step: STEP_RESET, STEP_CLOSE, or STEP_READY (the checkin is over)."""
        return checkin_step(self)

    @property
    def connection(self):
        """The connection in hand."""
        return (<Entry>self.slot.entry).connection

    def reset(self):
        """Call the driver's reset in this thread, which may block, and record its result."""
        checkin_reset(self)

    def was_reset(self, bint well):
        """Record whether the driver's reset succeeded."""
        checkin_was_reset(self, well)

    def discard_unreset(self):
        """Have the connection closed, because its reset cannot be made."""
        self.why = WHY_DISCARDED

    def closing(self):
        """Take the connections to close now: [(connection, server, reason)]."""
        taken, self.detached = self.detached, None
        return retire_rows(taken, self.why)

    def failed(self):
        """End the lease after a step has raised.  Returns the connections to close, as `closing` does."""
        checkin_fail(self)
        return self.closing()

    def __dealloc__(self):
        if self.core is not None and self.slot != NULL and self.born_in == generation():
            checkout_abandon(self.core, self.slot)


cdef Checkin checkin_new(Core core, Slot *slot, object error, bint discard):
    """The checkin of a lease that the caller has begun to end.  MemoryError: it has ended, its slot was passed on."""
    cdef Checkin self
    try:
        self = Checkin.__new__(Checkin)
    except BaseException:
        checkout_abandon(core, slot)
        raise
    self.core = core
    self.slot = slot
    self.born_in = generation()
    self.error = error
    self.discard = discard
    self.progress = JUDGE
    return self


cdef object checkin_of_lease(AnyLease lease, object exc):
    """End a lease and own its slot, to finish the checkin step by step.

    None: nothing is left to do (an inner block, a lease that close() dropped, a fork).
    """
    cdef Core core = lease.core
    if lease.state != ENTERED:
        raise LeaseError("this block has ended already: a lease is good for one block")
    if (
        lease.born_in != generation()
        or lease.slot.depth > 1
        or slot_lease(u64_load(&lease.slot.word)) != lease.word
    ):
        lease_exit_slow(lease, exc)
        return None
    lease.state = DONE
    lease.core = None
    if not lease_try_end(lease.slot, lease.word):
        return lease_is_over(core, lease.slot, exc)  # another thread ended it a moment ago
    return checkin_new(core, lease.slot, exc, lease.discarded)


cdef int checkin_step(Checkin self) except -1:
    """The next step: RESET, CLOSE, or READY."""
    if self.progress == JUDGE:
        self.why = checkin_judge(self.core, self.slot, <Entry>self.slot.entry, self.error, self.discard)
        self.progress = SETTLE
        if self.why == KEEP and checkin_must_reset(self.core, self.slot):
            return RESET
    if self.progress == SETTLE:
        checkin_settle(self)
    return READY if self.detached is None else CLOSE


cdef int checkin_was_reset(Checkin self, bint well) except -1:
    if not well or not checkin_reset_done(self.slot):
        self.why = WHY_ERROR
    return 0


cdef int checkin_settle(Checkin self) except -1:
    """End the lease: the connection goes to the first in line or to the idle ones, or is to be closed."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    cdef Thread *me = thread_self()
    cdef int64_t now, since = i64_peek(&slot.since_ns)
    event_checked_in(core, <Entry>slot.entry, since, self.error)
    now = clock_ns() if core.timing else clock_near_ns(me)
    if core.timing:
        histogram_add(&core.inner.hold, now - since)
    if self.why == KEEP:
        self.why = WHY_OVERFLOW if sharing_yields(core) else checkin_surplus(core, slot, now)
    taken = None if self.why == KEEP else []  # made while the slot is in hand, for it may raise MemoryError
    self.progress = OVER
    self.slot = NULL
    lease_close(core, slot, <Entry>slot.entry, me, hint_find(me, core.pool.id))
    if self.why == KEEP:
        checkin_freshen(core, slot, now)
        return checkin_give(core, slot)
    self.detached = taken
    return retire_vacate(core, slot, self.why, taken)


cdef int checkin_fail(Checkin self) except -1:
    """End the lease after something that is not an Exception was raised; its connection is to be closed."""
    cdef Slot *slot = self.slot
    if slot == NULL or self.born_in != generation():
        return 0
    self.progress = OVER
    self.why = WHY_ERROR
    self.detached = []
    self.slot = NULL
    lease_close(self.core, slot, <Entry>slot.entry, thread_self(), hint_find(thread_self(), self.core.pool.id))
    return retire_vacate(self.core, slot, WHY_ERROR, self.detached)


# ---- by calling ----------------------------------------------------------------------------------------------------

cdef int checkin_lease(Core core, Slot *slot, object error, bint discard) except -1:
    """End a lease that the caller has begun to end, in this thread or greenlet.

    Raises only what the driver or a listener raised and is not an Exception; the slot is free all the same.
    """
    return checkin_run(checkin_new(core, slot, error, discard))


cdef int checkin_run(Checkin self) except -1:
    cdef int step
    try:
        while True:
            step = checkin_step(self)
            if step == READY:
                return 0
            if step == RESET:
                checkin_reset(self)
            else:
                checkin_close(self)
    except BaseException:
        checkin_fail(self)
        checkin_close(self)
        raise


cdef int checkin_reset(Checkin self) except -1:
    cdef bint well = True
    try:
        self.core.driver.reset((<Entry>self.slot.entry).connection)
    except Exception as error:
        self.core._log_driver_error("reset", error)
        well = False
    return checkin_was_reset(self, well)


cdef int checkin_close(Checkin self) except -1:
    taken, self.detached = self.detached, None
    return 0 if taken is None else retire_close_all(self.core, taken, self.why)


# ---- whether it is kept --------------------------------------------------------------------------------------------

cdef int checkin_judge(Core core, Slot *slot, Entry entry, object exc, bint discard) except -2:
    """KEEP, or why the connection of a lease that ends cannot be kept."""
    cdef uint32_t mark = u32_load(&slot.mark)
    if discard:
        return WHY_DISCARDED
    if u64_load(&core.pool.gate) & CLOSED or mark & DROPPED:
        return WHY_CLOSED
    if mark & (BUSY | TAINTED):
        return WHY_DESYNC if mark & DESYNC else WHY_ERROR
    if core.tracks_calls:
        if exc is not None and mark & NEEDS_RESET:
            return WHY_ERROR  # a reset is I/O, and none is done in the caller's error path
    elif exc is not None and not (core.ends_blocks and core.has_reset or checkin_usable(core, entry.connection, exc)):
        return WHY_ERROR
    if mark & STALE:
        return WHY_CLEARED
    return KEEP if fitness_is_open(core, entry) else fitness_why_closed(slot)  # its holder has closed it


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
    """Clear the mark after a reset.  False: a driver that tracks calls found in it that the connection is broken."""
    return not u32_and(&slot.mark, ~<uint32_t>NEEDS_RESET) & (BUSY | TAINTED)


cdef int checkin_surplus(Core core, Slot *slot, int64_t now) noexcept:
    """KEEP, or why a good connection is not kept."""
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
        return KEEP  # a caller waits for it
    if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
        return WHY_RESIZED if u32_load(&core.pool.active) > u32_load(&core.pool.limit) else WHY_OVERFLOW
    if core.max_idle >= 0 and retire_count_idle(core) >= core.max_idle:
        return WHY_MAX_IDLE
    return KEEP


# ---- to the first in line, or to the idle ones ---------------------------------------------------------------------

cdef void checkin_freshen(Core core, Slot *slot, int64_t now) noexcept:
    """Stamp a connection that was returned in good order."""
    cdef bint suspect = u32_and(&slot.mark, ~<uint32_t>SUSPECT) & SUSPECT != 0
    i64_put(&slot.since_ns, now)
    i64_put(&slot.fresh_ns, 0 if suspect else fitness_fresh_until(core, slot, now))


cdef int checkin_give(Core core, Slot *slot) except -1:
    """Return a slot with a good connection."""
    pool_give(core.pool, slot)
    return checkin_after_give(core)


cdef int checkin_give_unused(Core core, Slot *slot) except -1:
    """Return a slot whose connection was only looked at: it keeps its place among the idle ones if it can."""
    cdef uint64_t word = u64_load(&slot.word)
    if (
        not u64_load_sc(&core.pool.gate) & QUEUED_MASK
        and word & LISTED
        and u64_cas(&slot.word, word, word + (EPOCH + IDLE - LEASED))
    ):
        return checkin_after_give(core)
    return checkin_give(core, slot)


cdef int checkin_after_give(Core core) except -1:
    """Look at the gate again: serve waiters; if the pool was closed or made smaller meanwhile, close its idle
    connections, all or the surplus ones."""
    cdef uint64_t gate
    pool_settle_if(core.pool)
    gate = u64_load(&core.pool.gate)
    if gate & CLOSED:
        retire_idle(core, WHY_CLOSED, 0)
    elif gate & OVER_SIZE:
        retire_idle(core, WHY_RESIZED, u32_load(&core.pool.max_size))
    sharing_mind_idle(core, gate)
    return 0
