# How a task in line is woken: by a giver, at its deadline, or to look for what nobody can give back.

cdef class Watch


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class TaskTicket(Ticket):
    """The ticket of a task, and what the task waits for: to asyncio it is a future, of the kind that needs no other.

    All but `rouse_task` is called in the loop's own thread.
    """
    cdef public bint _asyncio_future_blocking
    cdef object loop
    cdef object task             # weak reference
    cdef object callback, context  # of the task that waits
    cdef object message          # what it was cancelled with
    cdef bint awake, was_cancelled
    cdef object timer            # rings at the deadline, if that is near
    cdef int64_t deadline
    cdef Watch watch

    def fire(self):
        """Let the task go on; called by its loop."""
        fire(self)

    def get_loop(self):
        return self.loop

    @cython.binding(False)
    def add_done_callback(self, callback, *, context=None):
        self.callback, self.context = callback, PyContext_CopyCurrent() if context is None else context
        if self.awake:
            wake_task(self)

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
        fire(self)
        return True

    def result(self):
        if self.was_cancelled:
            raise cancelled_error(*(() if self.message is None else (self.message,)))

    def __repr__(self):
        """What asyncio shows of a task that waits."""
        waited = (clock_ns() - self.waiter.since_ns) / 1e9
        return f"<in line for a connection of pool {self.core.name!r} for {waited:.3f} s>"


cdef int fire(TaskTicket self) except -1:
    if not self.awake:
        if self.callback is not None:
            wake_task(self)
        self.awake = True
    return 0


cdef bint rouse_task(TaskTicket self) except -1:
    """From whatever thread.  RuntimeError from a closed loop: the giver keeps what it gives."""
    if loop_running() is self.loop:
        fire(self)
    else:
        self.loop.call_soon_threadsafe(self.fire)
    return True


cdef object loop_here():
    if running_loop is None:
        look_for_worlds()
    loop = loop_running()
    if loop is None:
        raise RuntimeError("no running event loop: this is for code that runs in one of asyncio's")
    return loop


cdef dict watches = {}  # id(loop) -> weak reference to its watch
cdef PyObject *last_watch = NULL  # the last that was asked for, while it lives (another thread may end it: not there)


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class Watch:
    """One timer for all tasks of a loop that stand in line, in whatever pool.

    Most who wait are served long before they would look around, or have to go: a timer for each would cost as much as
    the rest of the wait.  Only a deadline that is nearer than the next tick gets a timer of its own.

    The loop's timer and the tickets keep it alive, and nothing else does.
    """
    cdef object loop
    cdef object timer            # the next tick; None: nobody waits
    cdef int64_t due             # when that is
    cdef set tickets
    cdef object over             # a future that is done
    cdef PyObject *wakes         # given to the loop, which has not come to it; the loop alone holds it
    cdef PyObject *under_way     # the loop has come to it
    cdef object __weakref__

    def __dealloc__(self):
        global last_watch
        if last_watch == <PyObject *>self:
            last_watch = NULL

    def tick(self):
        """Called by the loop."""
        cdef TaskTicket ticket
        cdef set looking = set()
        cdef int64_t now = clock_ns()
        self.timer = None
        if not self.tickets:
            return
        set_tick(self, now)  # first: whatever strikes below, those who wait are looked after
        go_on_with(self)
        for ticket in list(self.tickets):
            if u64_load(&ticket.waiter.state) != WAITING:
                continue
            if ticket.deadline <= now or id(ticket.core) not in looking:
                looking.add(id(ticket.core))  # one of each pool's looks around for all
                fire(ticket)
            else:
                set_timer(ticket, now)


cdef Watch watch_of(object loop):
    global last_watch
    cdef Watch watch
    if last_watch != NULL and (<Watch>last_watch).loop is loop:
        return <Watch>last_watch
    known = watches.get(id(loop))
    if known is not None:
        watch = known()
        if watch is not None and watch.loop is loop:
            if not FREE_THREADED:
                last_watch = <PyObject *>watch
            return watch
    for key, other in list(watches.items()):
        if other() is None:
            watches.pop(key, None)
    watch = Watch.__new__(Watch)
    watch.loop = loop
    watch.tickets = set()
    watch.over = loop.create_future()
    watch.over.set_result(None)
    watches[id(loop)] = weakref_or_none(watch)
    return watch


cdef int watch_over(TaskTicket ticket, int64_t now) except -1:
    """See that this ticket's task looks around now and then, and that it goes in time."""
    cdef Watch watch = watch_of(ticket.loop)
    ticket.watch = watch
    watch.tickets.add(ticket)
    if watch.timer is None or (watch.due > now + STOPPED_SLICE_NS and i64_peek(&clock_stopped)):
        set_tick(watch, now)
    return set_timer(ticket, now)


cdef int set_tick(Watch watch, int64_t now) except -1:
    cdef int64_t nap = STOPPED_SLICE_NS if i64_peek(&clock_stopped) else LOOK_NS
    if watch.timer is not None:
        watch.timer.cancel()
    watch.due = now + nap
    watch.timer = later(watch.loop, nap, watch.tick)
    return 0


cdef int set_timer(TaskTicket ticket, int64_t now) except -1:
    if ticket.timer is None and ticket.deadline - now < LOOK_NS and not i64_peek(&clock_stopped):
        ticket.timer = later(ticket.loop, ticket.deadline - now, ticket.fire)
    return 0


cdef object later(object loop, int64_t wait_ns, object call):
    """The loop's timer for `call`, in an empty context: a copy of the caller's would keep alive, for as long as anybody
    waits, whatever the request that began the wait has in its context variables."""
    return loop.call_later(wait_ns / 1e9, call, context=PyContext_New())


cdef int unwatch(TaskTicket ticket) except -1:
    """It waits no more."""
    if ticket.watch is not None:
        ticket.watch.tickets.discard(ticket)
        ticket.watch = None
    if ticket.timer is not None and loop_running() is ticket.loop:
        ticket.timer.cancel()  # from another thread it cannot be: it will ring for nobody
    ticket.timer = None
    return 0
