# How a task in line is woken: by a giver, at its deadline, or to look for leases that nobody can end.

cdef class LoopTimer


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class TaskHandle(WaiterHandle):
    """The handle of a task, and what the task awaits: to asyncio it is a future.

    All methods but `wake` are called in the loop's own thread.
    """
    cdef public bint _asyncio_future_blocking
    cdef object loop
    cdef object task             # weak reference
    cdef object callback, context  # of the task that waits
    cdef object message          # the message of its cancellation
    cdef bint awake, was_cancelled
    cdef object timer            # fires at the deadline, if that is near
    cdef int64_t deadline
    cdef LoopTimer loop_timer

    cdef bint wake(self) except -1:
        return timer_wake_task(self)

    cdef int forget(self) except -1:
        timer_forget(self)
        if self.core.queued_tasks is not None:  # the garbage collector may have cleared the pool
            self.core.queued_tasks.discard(self.task)
        return 0

    def fire(self):
        """Resume the task; called by its loop."""
        timer_fire(self)

    def get_loop(self):
        return self.loop

    @cython.binding(False)
    def add_done_callback(self, callback, *, context=None):
        self.callback, self.context = callback, PyContext_CopyCurrent() if context is None else context
        if self.awake:
            wakeup_task(self)

    def remove_done_callback(self, callback):
        found = int(self.callback == callback)
        if found:
            self.callback = None
        return found

    def done(self):
        return self.awake

    def cancelled(self):
        return self.was_cancelled

    def cancel(self, msg=None):
        if self.awake:
            return False
        self.message, self.was_cancelled = msg, True
        timer_fire(self)
        return True

    def result(self):
        if self.was_cancelled:
            raise cancelled_error(*(() if self.message is None else (self.message,)))

    def __repr__(self):
        """Shown by asyncio for a waiting task."""
        waited = (clock_ns() - self.waiter.since_ns) / 1e9
        return f"<in line for a connection of pool {self.core.name!r} for {waited:.3f} s>"


cdef int timer_fire(TaskHandle self) except -1:
    if not self.awake:
        if self.callback is not None:
            wakeup_task(self)
        self.awake = True
    return 0


cdef bint timer_wake_task(TaskHandle self) except -1:
    """Wake the task, from any thread.  RuntimeError from a closed loop: the giver keeps the slot."""
    if owner_loop_running() is self.loop:
        timer_fire(self)
    else:
        self.loop.call_soon_threadsafe(self.fire)
    return True


cdef object timer_loop_here():
    if running_loop is None:
        owner_find_models()
    loop = owner_loop_running()
    if loop is None:
        raise RuntimeError("no running event loop: this can only be awaited in a running asyncio loop")
    return loop


cdef dict loop_timers = {}  # id(loop) -> weak reference to its loop_timer
# The one used last, while it lives.  Not on free-threaded builds, where another thread may destroy it.
cdef PyObject *last_loop_timer = NULL


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class LoopTimer:
    """One timer for all tasks of a loop that wait in line, in any pool.

    Most waiters are served long before they must look around or time out: a timer for each would cost as much as the
    rest of the wait.  Only a deadline that is nearer than the next tick gets a timer of its own.

    Only the loop's timer and the handles keep it alive.
    """
    cdef object loop
    cdef object timer            # the timer of the next tick; None: nobody waits
    cdef int64_t due             # the time of the next tick
    cdef set handles
    cdef object over             # a future that is done
    cdef PyObject *wakes         # the batch that the loop has not run yet; only the loop holds it
    cdef PyObject *under_way     # the batch that the loop is running
    cdef object __weakref__

    def __dealloc__(self):
        global last_loop_timer
        if last_loop_timer == <PyObject *>self:
            last_loop_timer = NULL

    def tick(self):
        """Called by the loop."""
        cdef TaskHandle handle
        cdef set looking = set()
        cdef int64_t now = clock_ns()
        self.timer = None
        if not self.handles:
            return
        timer_set_tick(self, now)  # re-arm first: an exception below cannot leave waiters without a timer
        wakeup_go_on_with(self)
        for handle in list(self.handles):
            if u64_load(&handle.waiter.state) != WAITING:
                continue
            if handle.deadline <= now or id(handle.core) not in looking:
                looking.add(id(handle.core))  # one task of each pool looks around for all
                timer_fire(handle)
            else:
                timer_set(handle, now)


cdef LoopTimer timer_of(object loop):
    global last_loop_timer
    cdef LoopTimer loop_timer
    if last_loop_timer != NULL and (<LoopTimer>last_loop_timer).loop is loop:
        return <LoopTimer>last_loop_timer
    known = loop_timers.get(id(loop))
    if known is not None:
        loop_timer = known()
        if loop_timer is not None and loop_timer.loop is loop:
            if not FREE_THREADED:
                last_loop_timer = <PyObject *>loop_timer
            return loop_timer
    for key, other in list(loop_timers.items()):
        if other() is None:
            loop_timers.pop(key, None)
    loop_timer = LoopTimer.__new__(LoopTimer)
    loop_timer.loop = loop
    loop_timer.handles = set()
    loop_timer.over = loop.create_future()
    loop_timer.over.set_result(None)
    loop_timers[id(loop)] = owner_ref(loop_timer)
    return loop_timer


cdef int timer_watch(TaskHandle handle, int64_t now) except -1:
    """Have this handle's task woken to look around now and then, and at its deadline."""
    cdef LoopTimer loop_timer = timer_of(handle.loop)
    handle.loop_timer = loop_timer
    loop_timer.handles.add(handle)
    if loop_timer.timer is None or (loop_timer.due > now + STOPPED_SLICE_NS and i64_peek(&clock_stopped)):
        timer_set_tick(loop_timer, now)
    return timer_set(handle, now)


cdef int timer_set_tick(LoopTimer loop_timer, int64_t now) except -1:
    cdef int64_t nap = STOPPED_SLICE_NS if i64_peek(&clock_stopped) else LOOK_NS
    if loop_timer.timer is not None:
        loop_timer.timer.cancel()
    loop_timer.due = now + nap
    loop_timer.timer = timer_later(loop_timer.loop, nap, loop_timer.tick)
    return 0


cdef int timer_set(TaskHandle handle, int64_t now) except -1:
    if handle.timer is None and handle.deadline - now < LOOK_NS and not i64_peek(&clock_stopped):
        handle.timer = timer_later(handle.loop, handle.deadline - now, handle.fire)
    return 0


cdef object timer_later(object loop, int64_t wait_ns, object call):
    """The loop's timer for `call`, in an empty context: a copy of the caller's would keep the context variables of the
    request that began the wait alive for as long as any task waits."""
    return loop.call_later(wait_ns / 1e9, call, context=PyContext_New())


cdef int timer_forget(TaskHandle handle) except -1:
    """Remove a handle whose wait is over."""
    if handle.loop_timer is not None:
        handle.loop_timer.handles.discard(handle)
        handle.loop_timer = None
    if handle.timer is not None and owner_loop_running() is handle.loop:
        handle.timer.cancel()  # another thread cannot cancel it: it then fires without effect
    handle.timer = None
    return 0
