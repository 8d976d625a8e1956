# A claim in line: each of its steps gives the loop its ticket to wait for, until there is a slot in hand.

cdef int claim_send(Claim self, PyObject *sent, PyObject **result) except -1:
    """One step."""
    cdef bint there
    try:
        there = begin_in_line(self) if self.ticket is None else go_on_in_line(self)
    except BaseException:
        give_up(self)
        raise
    if there:
        return yields(None, result, PYGEN_RETURN)
    if not tickets_are_futures:
        return yields(future_for(self.ticket), result, PYGEN_NEXT)
    self.ticket._asyncio_future_blocking = True  # what `await future` does
    return yields(self.ticket, result, PYGEN_NEXT)


@cython.final
@cython.internal
cdef class Settles:
    """What a ticket calls that is not waited for itself: then its task waits for this future."""
    cdef object future

    def __call__(self, ticket):
        if not self.future.done():
            self.future.set_result(None)


cdef object future_for(TaskTicket ticket):
    """One of asyncio's own futures, as `await` hands it to the task."""
    cdef Settles settles = Settles.__new__(Settles)
    settles.future = ticket.loop.create_future()
    ticket.add_done_callback(settles)
    return next(settles.future.__await__())


cdef inline int yields(object what, PyObject **result, int how) noexcept:
    Py_INCREF(what)
    result[0] = <PyObject *>what
    return how


cdef bint begin_in_line(Claim self) except -1:
    """True: a slot was there after all."""
    cdef Core core = self.core
    cdef Thread *me = thread_self()
    cdef TaskTicket ticket = TaskTicket.__new__(TaskTicket)
    cdef int64_t now = self.began if self.just_begun else clock_ns()
    self.just_begun = False
    if self.running is None:
        self.running = loop_here()
    give_waiter(ticket, core, me, now)
    ticket.loop = self.running
    ticket.task = self.task = weakref_or_none(task_in(ticket.loop))
    ticket.deadline = self.deadline
    self.ticket = ticket
    line_up(core, ticket.waiter, self.instant, self.front)
    if collect(self) or (reclaim(core) and collect(self)):
        return True
    if self.instant:
        look_for_the_lost(core)
        if collect(self):
            return True
        if leave(self, TIMED_OUT):
            raise exhausted(core, "wait", self.began)
        return collect(self)
    u64_add(&core.totals[WAITS], 1)
    if ticket.task is not None:
        core.queued_tasks.add(ticket.task)
    look_for_deadlock(core, ticket.waiter, self.began)
    if core.hears & HEAR_WAIT_STARTED:
        tell(core, "wait_started", {})
    watch_over(ticket, now)
    return False


cdef bint go_on_in_line(Claim self) except -1:
    """Woken: with a slot (True), or to look around, or because the time is over."""
    cdef TaskTicket ticket = self.ticket
    cdef int64_t now
    if collect(self):
        return True
    look_for_the_lost(self.core)
    now = clock_ns()
    if now >= self.deadline and leave(self, TIMED_OUT):
        raise exhausted(self.core, "wait", self.began)
    ticket.awake = False
    if collect(self):
        return True  # what was given before that rouses nobody
    ticket.timer = None
    set_timer(ticket, now)
    return False


cdef bint collect(Claim self) except -1:
    """Take what was handed over.  PoolClosed: the line was dissolved."""
    cdef TaskTicket ticket = self.ticket
    if self.born_in != generation():
        raise PoolError(f"pool {self.core.name!r}: this task waited in the parent process; ask again in the child")
    self.slot = <Slot *>waiter_take(ticket.waiter)
    if self.slot != NULL:
        forget_task(self.core, ticket)
        self.ticket = None
        return True
    if u64_load(&ticket.waiter.state) == ABANDONED:
        raise PoolClosed(f"pool {self.core.name!r} was closed while this caller waited for a connection")
    return False


cdef bint leave(Claim self, uint64_t outcome) except -1:
    """Out of line without a slot; False: one was handed over first."""
    cdef TaskTicket ticket = self.ticket
    if self.born_in != generation():
        return True
    forget_task(self.core, ticket)
    if not step_out(self.core, ticket.waiter, outcome):
        return u64_load(&ticket.waiter.state) != HANDED
    if outcome == CANCELLED:
        u64_add(&self.core.totals[GAVE_UP], 1)
    return True


cdef int give_up(Claim self) except -1:
    """Whatever the line still gives goes to the next in it."""
    cdef Slot *slot
    if self.ticket is None or leave(self, CANCELLED):
        return 0
    slot = <Slot *>waiter_take(self.ticket.waiter)
    if slot != NULL:
        u64_add(&self.core.totals[GAVE_UP], 1)
        pool_pass(self.core.pool, slot)
    return 0


cdef int forget_task(Core core, TaskTicket ticket) except -1:
    unwatch(ticket)
    if core.queued_tasks is not None:  # the garbage collector may have cleared the pool
        core.queued_tasks.discard(ticket.task)
    return 0


cdef object thrown(object kind, object value, object trace):
    """The exception that the three arguments of throw() mean."""
    if value is None:
        value = kind() if isinstance(kind, type) else kind
    elif not isinstance(value, BaseException):
        value = kind(value)
    if trace is not None:
        value = value.with_traceback(trace)
    if isinstance(value, StopIteration):  # it would be taken for the end of what is awaited
        error = RuntimeError("coroutine raised StopIteration")
        error.__cause__ = value
        return error
    return value


fp_await_through(Claim, <sendfunc><void *>claim_send)
