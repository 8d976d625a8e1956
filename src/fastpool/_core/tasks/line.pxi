# A claim in line: each of its steps gives the loop its handle to wait for, until there is a slot in hand.

cdef int task_line_send(Checkout self, PyObject *sent, PyObject **result) except -1:
    """One step."""
    cdef bint there
    try:
        there = task_line_begin(self) if self.handle is None else task_line_go_on(self)
    except BaseException:
        task_line_give_up(self)
        raise
    if there:
        return task_yield(None, result, PYGEN_RETURN)
    if not handles_are_futures:
        return task_yield(task_line_future(self.handle), result, PYGEN_NEXT)
    self.handle._asyncio_future_blocking = True  # what `await future` does
    return task_yield(self.handle, result, PYGEN_NEXT)


@cython.final
@cython.internal
cdef class Settles:
    """What a ticket calls that is not waited for itself: then its task waits for this future."""
    cdef object future

    def __call__(self, handle):
        if not self.future.done():
            self.future.set_result(None)


cdef object task_line_future(TaskHandle handle):
    """One of asyncio's own futures, as `await` hands it to the task."""
    cdef Settles settles = Settles.__new__(Settles)
    settles.future = handle.loop.create_future()
    handle.add_done_callback(settles)
    return next(settles.future.__await__())


cdef inline int task_yield(object what, PyObject **result, int how) noexcept:
    Py_INCREF(what)
    result[0] = <PyObject *>what
    return how


cdef bint task_line_begin(Checkout self) except -1:
    """True: a slot was there after all."""
    cdef Core core = self.core
    cdef Thread *me = thread_self()
    cdef TaskHandle handle = TaskHandle.__new__(TaskHandle)
    cdef int64_t now = self.began if self.just_begun else clock_ns()
    self.just_begun = False
    if self.running is None:
        self.running = timer_loop_here()
    handle_give_waiter(handle, core, me, now)
    handle.loop = self.running
    handle.task = self.task = owner_ref(owner_task_in(handle.loop))
    handle.deadline = self.deadline
    self.handle = handle
    line_enter(core, handle.waiter, self.instant, self.front)
    if task_line_collect(self) or (reclaim_lost(core) and task_line_collect(self)):
        return True
    if self.instant:
        reclaim_look(core)
        if task_line_collect(self):
            return True
        if task_line_leave(self, TIMED_OUT):
            raise checkout_exhausted(core, "wait", self.began)
        return task_line_collect(self)
    u64_add(&core.totals[WAITS], 1)
    if handle.task is not None:
        core.queued_tasks.add(handle.task)
    deadlock_look(core, handle.waiter, self.began)
    if core.hears & EVENT_WAIT_STARTED:
        core_tell(core, "wait_started", {})
    timer_watch(handle, now)
    return False


cdef bint task_line_go_on(Checkout self) except -1:
    """Woken: with a slot (True), or to look around, or because the time is over."""
    cdef TaskHandle handle = self.handle
    cdef int64_t now
    if task_line_collect(self):
        return True
    reclaim_look(self.core)
    now = clock_ns()
    if now >= self.deadline and task_line_leave(self, TIMED_OUT):
        raise checkout_exhausted(self.core, "wait", self.began)
    handle.awake = False
    if task_line_collect(self):
        return True  # what was given before that rouses nobody
    handle.timer = None
    timer_set(handle, now)
    return False


cdef bint task_line_collect(Checkout self) except -1:
    """Take what was handed over.  PoolClosed: the line was dissolved."""
    cdef TaskHandle handle = self.handle
    if self.born_in != generation():
        raise PoolError(f"pool {self.core.name!r}: this task waited in the parent process; ask again in the child")
    self.slot = <Slot *>waiter_take(handle.waiter)
    if self.slot != NULL:
        task_line_forget(self.core, handle)
        self.handle = None
        return True
    if u64_load(&handle.waiter.state) == ABANDONED:
        raise PoolClosed(f"pool {self.core.name!r} was closed while this caller waited for a connection")
    return False


cdef bint task_line_leave(Checkout self, uint64_t outcome) except -1:
    """Out of line without a slot; False: one was handed over first."""
    cdef TaskHandle handle = self.handle
    if self.born_in != generation():
        return True
    task_line_forget(self.core, handle)
    if not line_leave(self.core, handle.waiter, outcome):
        return u64_load(&handle.waiter.state) != HANDED
    if outcome == CANCELLED:
        u64_add(&self.core.totals[GAVE_UP], 1)
    return True


cdef int task_line_give_up(Checkout self) except -1:
    """Whatever the line still gives goes to the next in it."""
    cdef Slot *slot
    if self.handle is None or task_line_leave(self, CANCELLED):
        return 0
    slot = <Slot *>waiter_take(self.handle.waiter)
    if slot != NULL:
        u64_add(&self.core.totals[GAVE_UP], 1)
        pool_pass(self.core.pool, slot)
    return 0


cdef int task_line_forget(Core core, TaskHandle handle) except -1:
    timer_forget(handle)
    if core.queued_tasks is not None:  # the garbage collector may have cleared the pool
        core.queued_tasks.discard(handle.task)
    return 0


cdef object task_thrown(object kind, object value, object trace):
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


fp_await_through(Checkout, <sendfunc><void *>task_line_send)
