# How a greenlet waits on gevent's hub.  For threads see waiting/thread.pxi, for tasks tasks/line.pxi, for eventlet
# greenlets.py.
#
# The callbacks of the hub are compiled: in a Python function a signal handler could raise, the hub would print that,
# and the wake-up would be lost.  And while any greenlet waits, a watcher of its hub is started; without one the hub
# would find nothing left to do and raise LoopExit, although another thread is about to return a connection.  All
# waiters of one hub share that watcher: a timer for each wait cost more than all the rest of it.
#
# Another thread wakes a greenlet through an async watcher.  gevent's run_callback_threadsafe would count the callback
# among the loop's active watchers while the loop, which polls without the GIL, changes that number, too.  Once in some
# ten thousand hand-offs between threads a count was lost, and the loop ended, with LoopExit, although greenlets waited.

cdef double TICK = 0.25  # seconds: how late a waiter may look for leases that nobody can end (LOOK_NS)
cdef object hub_if_any = None  # gives the hub of this thread, None if it has none


cdef object gevent_hub():
    """The gevent hub of this thread, None without one.  A worker of gevent's thread pool has none, patched or not."""
    global hub_if_any
    if hub_if_any is None:
        if "gevent.hub" not in sys.modules:
            return None
        from .compat import way_to_gevents_hub
        hub_if_any = way_to_gevents_hub()
    return hub_if_any()


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class HubWaiters:
    """The waiting greenlets of one hub, in the order in which they look again.  Used by the hub's thread only, except
    `called` and `async_watcher.send`."""
    cdef object loop
    cdef object timer       # started while the list is not empty
    cdef object async_watcher  # started while any greenlet is asleep: other threads send to it
    cdef list called        # GreenletHandle: those that other threads woke
    cdef Py_ssize_t asleep  # how many are, those with a near deadline included
    cdef uint64_t thread
    cdef void *first        # the list: GreenletHandle, borrowed; the stack of the waiting greenlet holds it
    cdef void *last

    def answer(self):
        """Called by the async watcher."""
        while self.called:
            self.loop.run_callback(self.called[0])
            self.called.pop(0)

    def __call__(self):
        """Called by the timer: wake the greenlets whose time has come, to look around."""
        cdef GreenletHandle handle
        cdef int64_t now = clock_ns()
        while self.first != NULL and (<GreenletHandle>self.first).until <= now:
            handle = <GreenletHandle>self.first
            self.loop.run_callback(handle)
            gevent_leave(self, handle)


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class GreenletHandle(WaiterHandle):
    """The handle of a greenlet.  The hub calls it, and it switches to the greenlet if that is still asleep."""
    cdef object hub, greenlet
    cdef HubWaiters hub_waiters
    cdef bint asleep        # in gevent_sleep, until it is resumed
    cdef void *ahead        # links in the list of hub_waiters
    cdef void *behind
    cdef int64_t until
    cdef bint here          # in that list

    def __call__(self):
        if self.asleep:
            self.greenlet.switch()

    cdef int sleep(self, int64_t until, int64_t deadline) except -1:
        while u64_load(&self.waiter.state) == WAITING:
            gevent_sleep(self, until, until == deadline)
            if u64_load(&self.waiter.state) != WAITING or clock_ns() >= until:
                break
        return 0

    cdef bint wake(self) except -1:
        return gevent_wake_greenlet(self)


cdef GreenletHandle gevent_handle(object hub, Core core, Thread *me, int64_t now):
    """The handle of the current greenlet.  RuntimeError in the hub's own greenlet, which must never block."""
    cdef GreenletHandle handle = GreenletHandle.__new__(GreenletHandle)
    handle.greenlet = owner_current_greenlet()
    if handle.greenlet is hub:
        raise RuntimeError("a checkout that has to wait cannot be made in gevent's hub: spawn a greenlet for it")
    handle.hub = hub
    handle.hub_waiters = gevent_waiters_of(hub)
    handle_give_waiter(handle, core, False, me, now)
    return handle


cdef HubWaiters gevent_waiters_of(object hub):
    cdef HubWaiters hub_waiters = getattr(hub, "_fastpool_waiters", None)
    loop = hub.loop
    if hub_waiters is None or hub_waiters.loop is not loop:
        hub_waiters = HubWaiters.__new__(HubWaiters)
        hub_waiters.loop = loop
        hub_waiters.timer = loop.timer(TICK, TICK)
        hub_waiters.async_watcher = loop.async_()
        hub_waiters.called = []
        hub_waiters.thread = thread_self().uid
        hub._fastpool_waiters = hub_waiters
    return hub_waiters


cdef int gevent_sleep(GreenletHandle self, int64_t until, bint near) except -1:
    """Switch to the hub until woken or until that time, which is exact only if near.  A kill or Timeout raises here."""
    cdef HubWaiters hub_waiters = self.hub_waiters
    timer = None
    self.asleep = True
    hub_waiters.asleep += 1
    try:
        if hub_waiters.asleep == 1:
            hub_waiters.async_watcher.start(hub_waiters.answer)
        if near:
            timer = hub_waiters.loop.timer(max(until - clock_ns(), 0) / 1e9)
            timer.start(self)
        else:
            gevent_enter(hub_waiters, self, until)
        if u64_load(&self.waiter.state) == WAITING:  # else no wake-up comes any more
            self.hub.switch()
    finally:
        self.asleep = False
        hub_waiters.asleep -= 1
        if hub_waiters.asleep == 0:
            gevent_end_watcher(hub_waiters.async_watcher.stop)
        if timer is None:
            gevent_leave(hub_waiters, self)
        else:
            gevent_end_watcher(timer.stop)
            gevent_end_watcher(timer.close)
    return 0


cdef bint gevent_wake_greenlet(GreenletHandle self) except -1:
    """Wake the greenlet, from any thread; False: the hub is gone."""
    loop = self.hub.loop
    if loop is None:
        return False
    if self.hub_waiters.thread == thread_self().uid:
        loop.run_callback(self)
    elif not thread_alive(self.hub_waiters.thread):
        return False  # it ended without destroying its hub, which nobody runs any more
    else:
        self.hub_waiters.called.append(self)
        self.hub_waiters.async_watcher.send()
    return True


cdef int gevent_enter(HubWaiters self, GreenletHandle handle, int64_t until) except -1:
    if self.first == NULL:
        self.timer.start(self)
    handle.until = until
    handle.ahead = self.last
    handle.behind = NULL
    if self.last == NULL:
        self.first = <void *>handle
    else:
        (<GreenletHandle>self.last).behind = <void *>handle
    self.last = <void *>handle
    handle.here = True
    return 0


cdef int gevent_leave(HubWaiters self, GreenletHandle handle) except -1:
    if not handle.here:
        return 0
    handle.here = False
    if handle.ahead == NULL:
        self.first = handle.behind
    else:
        (<GreenletHandle>handle.ahead).behind = handle.behind
    if handle.behind == NULL:
        self.last = handle.ahead
    else:
        (<GreenletHandle>handle.behind).ahead = handle.ahead
    if self.first == NULL:
        gevent_end_watcher(self.timer.stop)
    return 0


cdef int gevent_end_watcher(object stop) except -1:
    """Stop or close a watcher.  A destroyed loop raises ValueError, which must not hide the greenlet's own error."""
    try:
        stop()
    except ValueError:
        pass
    return 0
