# Waiting in line: shared by threads, greenlets and tasks, which differ in how they sleep.
#
# However a wait ends, the table of docs/core.md ("The line and the hand-off") holds: a waiter that loses the swap owns
# the slot.

cdef int line_wait(Checkout self) except -1:
    """Wait until there is a slot in hand.  It may return without one, and the checkout tries again: after a fork, or
    when the giver took this hub for gone."""
    cdef int64_t until
    try:
        line_stand(self)
        if line_begin(self):
            return 0
        while True:
            until = self.deadline
            if not self.handle.waiter.may_look or u32_load(&self.handle.waiter.lookout):
                until = min(until, clock_ns() + LOOK_NS)
            self.handle.sleep(until, self.deadline)
            if line_look(self, until):
                return 0
    except BaseException:
        line_end_wait(self)
        raise


cdef object line_sleeper_here = None


cdef int line_stand(Checkout self) except -1:
    """Make the handle on which this thread or greenlet sleeps."""
    global line_sleeper_here
    cdef Thread *me = thread_self()
    cdef EventletHandle eventlet
    owner_notice_imports()  # a greenlet whose hub was made a moment ago must not sleep as a thread
    if not self.instant and greenlet_current is not None:
        hub = gevent_hub()
        if hub is not None:
            self.handle = gevent_handle(hub, self.core, me, self.began)
            return 0
        if line_sleeper_here is None:
            from .greenlets import sleeper_here
            line_sleeper_here = sleeper_here
        sleeper = line_sleeper_here(me.uid, thread_is_alive)
        if sleeper is not None:
            eventlet = EventletHandle.__new__(EventletHandle)
            eventlet.sleeper = sleeper
            handle_give_waiter(eventlet, self.core, False, me, self.began)
            self.handle = eventlet
            return 0
    self.handle = ThreadHandle.__new__(ThreadHandle)
    handle_give_waiter(self.handle, self.core, True, me, self.began)
    # Not the main thread, whose signal handlers may take long; it looks around for itself.
    self.handle.waiter.may_look = not self.instant and not compat_is_main_thread()
    return 0


cdef bint line_begin(Checkout self) except -1:
    """Enter the line.  True: a slot was free after all.  Raises the error of a checkout that may not wait."""
    cdef Core core = self.core
    cdef Waiter *waiter = self.handle.waiter
    line_enter(core, waiter, self.instant, self.front)
    if line_collect(self) or (reclaim_lost(core) and line_collect(self)):
        return True
    if self.instant:
        reclaim_look(core)
        if line_collect(self):
            return True
        if line_leave(core, waiter, TIMED_OUT):
            raise checkout_exhausted(core, "wait", self.began)
        if line_collect(self):
            return True
        raise core.driver.closed_error(f"pool {core.name!r} is closed")
    u64_add(&core.totals[WAITS], 1)
    self.noted = deadlock_note_waiting(core, self.handle)
    deadlock_look(self)
    if core.hears & EVENT_WAIT_STARTED:
        event_tell(core, "wait_started", {})
    return False


cdef bint line_look(Checkout self, int64_t until) except -1:
    """Called after a sleep.  True: the wait is over; False: sleep on.  until: when to look around at the latest."""
    cdef Core core = self.core
    if line_collect(self):
        return True
    if u64_load(&self.handle.waiter.state) == REVOKED:
        self.front = True
        line_over(self)
        return True
    if clock_ns() < until:
        return False
    reclaim_look(core)
    if clock_ns() >= self.deadline and line_leave(core, self.handle.waiter, TIMED_OUT):
        line_over(self)  # before the error is made, which takes a while: this owner does not wait any more
        raise checkout_exhausted(core, "wait", self.began)
    return line_collect(self)


cdef bint line_collect(Checkout self) except -1:
    """Take a slot that was handed over.  True: the wait is over.  PoolClosed: the line was dissolved."""
    cdef Waiter *waiter = self.handle.waiter
    cdef Slot *slot
    if self.born_in != generation():
        # A waiter of the parent waits in the child as well: in a new line, of a new PoolInner.
        line_over(self)
        fork_ensure_process(self.core)
        self.born_in = generation()
        return True
    slot = <Slot *>waiter_take(waiter)
    if slot != NULL:
        checkout_hold(self, slot)
        self.rejected = False
        line_over(self)
        if not self.waited:
            self.waited = True
            if not self.core.timing:
                histogram_add(&self.core.inner.wait, clock_ns() - self.began)
        return True
    # Not "no longer WAITING": a slot may have been handed over since waiter_take.
    if u64_load(&waiter.state) == ABANDONED:
        raise self.core.driver.closed_error(
            f"pool {self.core.name!r} was closed while this caller waited for a connection")
    return False


cdef int line_end_wait(Checkout self) except -1:
    """Leave the line, in any state; a slot handed over meanwhile goes to the next in line."""
    cdef Core core = self.core
    cdef Waiter *waiter
    cdef Slot *slot
    if self.handle is None:
        return 0
    waiter = self.handle.waiter
    if waiter == NULL or self.born_in != generation():
        pass  # the line, and a slot handed over in it, belong to the parent
    elif u64_load(&waiter.state) == WAITING and line_leave(core, waiter, CANCELLED):
        u64_add(&core.totals[GAVE_UP], 1)
    else:
        slot = <Slot *>waiter_take(waiter)
        if slot != NULL:
            # Handed over at this very moment: pass it on to the next in line before the exception goes on.
            u64_add(&core.totals[GAVE_UP], 1)
            pool_pass(core.pool, slot)
    return line_over(self)


cdef int line_over(Checkout self) except -1:
    """Forget the handle: the wait is over."""
    cdef WaiterHandle handle = self.handle
    self.handle = None
    u64_add(&self.core.waits_over, 1)
    deadlock_forget_waiting(self.core, self.noted, handle)
    self.noted = None
    handle.forget()
    return 0


# ---- the line itself -----------------------------------------------------------------------------------------------

cdef int line_enter(Core core, Waiter *waiter, bint instant, bint front) except -1:
    """Enter the line and look at the free slots once more.  Leaves it again and raises PoolClosed or PoolOverloaded."""
    cdef uint64_t before
    if waiter.lock == NULL:
        Py_INCREF(<object>waiter.object)  # the queue's reference
    before = queue_enlist(&core.pool.queue, &core.pool.gate, waiter, front)
    if before & CLOSED:
        line_leave(core, waiter, CANCELLED)
        raise core.driver.closed_error(f"pool {core.name!r} is closed")
    if (
        not instant and not front and core.max_waiting >= 0
        and <int64_t>(before & QUEUED_MASK) >= core.max_waiting
        and line_leave(core, waiter, CANCELLED)
    ):
        u64_add(&core.totals[REJECTED], 1)
        raise core.driver.overloaded_error(
            f"pool {core.name!r}: {before & QUEUED_MASK} callers wait already, and max_waiting is {core.max_waiting}")
    pool_settle(core.pool)
    return 0


cdef bint line_leave(Core core, Waiter *waiter, uint64_t outcome) noexcept:
    """Leave the line without a slot.  False: a giver decided first; the waiter must take its slot or pass it on."""
    cdef bint was
    if not waiter_settle(waiter, outcome):
        return False
    was = queue_leave(&core.pool.queue, &core.pool.gate, waiter)
    if was and waiter.lock == NULL:
        Py_DECREF(<object>waiter.object)
    if core.pool.member != NULL:
        member_resign(core.pool)
    return True


cdef int line_wake_orphans(Pool *was) except -1:
    """In a forked child: wake this thread's greenlets that wait in the parent's line, so that they check out again."""
    cdef uint64_t me = thread_self().uid
    cdef Waiter *waiter = was.queue.first
    while waiter != NULL:
        if waiter.lock == NULL and waiter.owner == me and waiter_settle(waiter, ABANDONED):
            try:
                (<WaiterHandle>waiter.object).wake()
            except Exception:
                pass  # its loop or hub did not survive the fork
        waiter = waiter.behind
    return 0
