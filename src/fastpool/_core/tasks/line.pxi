# A task in line: each of its steps yields its handle to the loop, until there is a slot in hand.

cdef int task_line_send(Checkout self, PyObject *sent, PyObject **result) except -1:
    """One step."""
    cdef bint over
    try:
        over = task_line_begin(self) if self.handle is None else task_line_go_on(self)
    except BaseException:
        line_end_wait(self)
        raise
    if over:
        return task_yield(None, result, PYGEN_RETURN)
    if not handles_are_futures:
        return task_yield(task_line_future(<TaskHandle>self.handle), result, PYGEN_NEXT)
    (<TaskHandle>self.handle)._asyncio_future_blocking = True  # what `await future` does
    return task_yield(self.handle, result, PYGEN_NEXT)


cdef bint task_line_begin(Checkout self) except -1:
    """Enter the line.  True: a slot was free after all."""
    cdef TaskHandle handle = TaskHandle.__new__(TaskHandle)
    cdef int64_t now = self.began if self.just_begun else clock_ns()
    self.just_begun = False
    if self.running is None:
        self.running = timer_loop_here()
    handle_give_waiter(handle, self.core, False, thread_self(), now)
    handle.loop = self.running
    handle.task = self.task = owner_ref(owner_task_in(handle.loop))
    handle.deadline = self.deadline
    self.handle = handle
    if line_begin(self):
        return True
    timer_watch(handle, now)
    return False


cdef bint task_line_go_on(Checkout self) except -1:
    """Go on after a wake-up.  True: with a slot; False: it was woken to look around, and waits again."""
    cdef TaskHandle handle = <TaskHandle>self.handle
    if self.born_in != generation():
        raise PoolError(f"pool {self.core.name!r}: this task waited in the parent process: check out again here")
    if line_look(self, 0):
        return True
    handle.awake = False
    if line_collect(self):
        return True  # a hand-over before the line above woke nobody
    handle.timer = None
    timer_set(handle, clock_ns())
    return False


@cython.final
@cython.internal
cdef class Settles:
    """The callback of a handle that is not awaited itself: it completes the future that the task awaits."""
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


cdef object task_thrown(object kind, object value, object trace):
    """The exception that the three arguments of throw() mean."""
    if value is None:
        value = kind() if isinstance(kind, type) else kind
    elif not isinstance(value, BaseException):
        value = kind(value)
    if trace is not None:
        value = value.with_traceback(trace)
    if isinstance(value, StopIteration):  # it would be taken for the end of the awaitable
        error = RuntimeError("coroutine raised StopIteration")
        error.__cause__ = value
        return error
    return value


fp_await_through(Checkout, <sendfunc><void *>task_line_send)
