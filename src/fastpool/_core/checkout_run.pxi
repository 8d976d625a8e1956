# A checkout by calling, and the beginning and end of every checkout.

cdef int checkout_run(Checkout self) except -1:
    """Perform each step, in this thread or greenlet, until a connection that is fit for use is in hand."""
    cdef int step
    try:
        while True:
            step = checkout_step(self)
            if step == READY:
                return 0
            if step == WAIT:
                line_wait(self)
            elif step == CONNECT:
                connect_slot(self)
            elif step == CHECK:
                checkout_check(self)
            else:
                checkout_close(self)
    except BaseException:
        checkout_fail(self)
        checkout_close(self)
        raise


cdef int checkout_check(Checkout self) except -1:
    checkout_check_begins(self)
    return checkout_checked(self, checkout_ask(self))


cdef bint checkout_ask(Checkout self) except -1:
    """Call the driver's check of the connection in hand; it was recorded that it begins."""
    return fitness_is_well(self.core, (<Entry>self.slot.entry).connection, self.limit, self.ping)


cdef int checkout_close(Checkout self) except -1:
    """Close the detached connections.  Their slots are free already: a close that hangs delays only this caller."""
    cdef bint kept = self.kept
    taken, self.detached, self.kept = self.detached, None, False
    return 0 if taken is None else retire_close_all(self.core, taken, self.why, not kept)


cdef Slot *checkout_slow(
    Core core, int64_t limit_ns, int how, Slot *slot, uint64_t *lease, Selection selection=None
) except NULL:
    """A slot with a connection fit for use, leased to the caller.  `slot`: an idle one that it owns already, or NULL.

    `lease`: receives the word of the lease.  Never read it from the slot later: a close(timeout) may have ended it.
    """
    cdef Checkout self
    fork_ensure_process(core)
    try:
        self = checkout_new(core, limit_ns, None)
        self.selection = selection
        if maintenance_lacks_keeper(core):
            core._go_on_keeping()
        checkout_begin(self)
    except BaseException:
        if slot != NULL:
            checkin_give(core, slot)
        raise
    checkout_hold(self, slot)
    try:
        checkout_run(self)
    except BaseException as error:
        checkout_tell_failed(self, error)
        raise
    slot, self.slot = self.slot, NULL
    lease[0] = checkout_make_lease(core, slot, thread_self(), self.began, clock_ns(), how)
    try:
        if how != NATIVELY and owner_may_be_green_or_task():
            (<Entry>slot.entry).green, (<Entry>slot.entry).task = owner_ref(owner_greenlet()), owner_ref(owner_task())
        event_checked_out(core, <Entry>slot.entry, self.began)
    except BaseException:
        if lease_try_end(slot, lease[0]):
            checkin_lease(core, slot, None, False)
        raise
    if slot_lease(u64_load(&slot.word)) != lease[0]:
        raise core.driver.closed_error(
            f"pool {core.name!r} was closed, and took this connection back, while listeners were told of it")
    return slot


cdef int checkout_begin(Checkout self) except -1:
    if self.core.hears & EVENT_CHECKOUT_STARTED:
        event_tell(self.core, "checkout_started", {})
    return 0


cdef int checkout_tell_failed(Checkout self, object error) except -1:
    if self.core.hears & EVENT_CHECKOUT_FAILED:
        event_tell(self.core, "checkout_failed", {"error": error, "waited": (clock_ns() - self.began) / 1e9})
    return 0


cdef uint64_t checkout_make_lease(Core core, Slot *slot, Thread *me, int64_t began, int64_t now, int how) noexcept:
    """Make the slot a lease, in a new epoch, for the previous holder may still have its word.  Returns the new word."""
    cdef uint64_t lease
    cdef Entry entry = <Entry>slot.entry
    entry.green = entry.task = None
    entry.bound = how != BY_HAND
    entry.returning = False
    if how == BY_HAND:
        core_count_by_hand(core, 1)
    if core.tracks_calls:
        entry.forget(me.uid)
    lease = slot_lease(slot_move(slot, LEASED))
    slot.uses += 1
    if how == NATIVELY:
        lease_lend(slot, me, hint_make(me, core.pool.id, &core.pool.table), now)
    else:
        lease_open(slot, me, hint_make(me, core.pool.id, &core.pool.table), now)
    if core.ends_blocks and not core.timing:
        # The end is read from the coarse clock, too: measured from the precise one, which is ahead by up to 4 ms,
        # short blocks would have negative lengths.
        i64_put(&slot.since_ns, clock_near_ns(me))
    if core.timing:
        histogram_add(&core.inner.wait, now - began)
    return lease


cdef object checkout_exhausted(Core core, str phase, int64_t began, list steps=None):
    """Count a checkout that got nothing, and make its error.  steps: those of a deadlock; None: its time is over."""
    u64_add(&core.totals[TIMEOUTS], 1)
    return core._exhausted(phase, (clock_ns() - began) / 1e9, steps)


cdef object checkout_seconds_left(int64_t deadline):
    cdef int64_t left
    if deadline == INT64_MAX:
        return None
    left = deadline - clock_ns()
    return left / 1e9 if left > 0 else 0.0
