# How a greenlet waits on gevent's hub.  (A thread's way is in _core_wait.pxi, a task's in _core_line.pxi, eventlet's
# in _waiting.py.)
#
# What the hub calls is compiled: in a Python function a signal handler could raise, the hub would print that, and the
# wake-up would be lost.  And while anybody waits, a watcher of this hub is started, or the hub would find nothing left
# to do and raise LoopExit, although another thread is about to give a connection back.  All who wait on one hub share
# that watcher: a timer of its own for each wait cost more than all the rest of it.
#
# Another thread rings a bell, an async watcher.  gevent's run_callback_threadsafe would count the callback among the
# loop's active watchers while the loop, which polls without the GIL, changes that number, too.  Every some ten thousand
# hand-offs between threads one count was lost, and the loop ended, with LoopExit, although greenlets waited.

cdef double TICK = 0.25  # seconds: how late one who waits may look for what nobody can give back (LOOK_NS)
cdef object hub_if_any = None  # gives the hub of this thread, None if it has none


cdef object gevent_hub():
    """The gevent hub of this thread, None without one.  A worker of gevent's thread pool has none, patched or not."""
    global hub_if_any
    if hub_if_any is None:
        if "gevent.hub" not in sys.modules:
            return None
        from ._compat import way_to_gevents_hub
        hub_if_any = way_to_gevents_hub()
    return hub_if_any()


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class Perch:
    """Where the greenlets of one hub wait: in the order in which they are to look again. Its thread's alone, but for
    `called` and `bell.send`."""
    cdef object loop
    cdef object timer       # started while anybody is here whose time is far
    cdef object bell        # started while anybody is asleep: other threads ring it
    cdef list called        # GreenTicket: those whom other threads woke
    cdef Py_ssize_t asleep  # how many, those included whose time is near
    cdef uint64_t thread
    cdef void *first        # GreenTicket, not counted: each is held by the stack of the greenlet that waits
    cdef void *last

    def answer(self):
        """Called by the bell."""
        while self.called:
            self.loop.run_callback(self.called[0])
            self.called.pop(0)

    def __call__(self):
        """Called by the timer: whoever has waited long enough is woken, to look around."""
        cdef GreenTicket ticket
        cdef int64_t now = clock_ns()
        while self.first != NULL and (<GreenTicket>self.first).until <= now:
            ticket = <GreenTicket>self.first
            self.loop.run_callback(ticket)
            perch_leave(self, ticket)


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class GreenTicket(Ticket):
    """The ticket of a greenlet. The hub calls it, and it switches to the greenlet if that is still asleep on it."""
    cdef object hub, greenlet
    cdef Perch perch
    cdef bint asleep        # in the hub, and not on its way out of there
    cdef void *ahead        # among those on the same perch
    cdef void *behind
    cdef int64_t until
    cdef bint here          # on the perch

    def __call__(self):
        if self.asleep:
            self.greenlet.switch()


cdef GreenTicket green_ticket(object hub, Core core, Thread *me, int64_t now):
    """RuntimeError in the hub's own greenlet, which must never block."""
    cdef GreenTicket ticket = GreenTicket.__new__(GreenTicket)
    ticket.greenlet = greenlet_here()
    if ticket.greenlet is hub:
        raise RuntimeError("a checkout that has to wait cannot be made in gevent's hub: spawn a greenlet for it")
    ticket.hub = hub
    ticket.perch = perch_of(hub)
    give_waiter(ticket, core, me, now)
    return ticket


cdef Perch perch_of(object hub):
    cdef Perch perch = getattr(hub, "_fastpool_perch", None)
    loop = hub.loop
    if perch is None or perch.loop is not loop:
        perch = Perch.__new__(Perch)
        perch.loop = loop
        perch.timer = loop.timer(TICK, TICK)
        perch.bell = loop.async_()
        perch.called = []
        perch.thread = thread_self().uid
        hub._fastpool_perch = perch
    return perch


cdef int green_sleep(GreenTicket self, int64_t until, bint near) except -1:
    """Switch to the hub until woken or until that time, which is exact only if it is near. A kill or Timeout raises
    here."""
    cdef Perch perch = self.perch
    timer = None
    self.asleep = True
    perch.asleep += 1
    try:
        if perch.asleep == 1:
            perch.bell.start(perch.answer)
        if near:
            timer = perch.loop.timer(max(until - clock_ns(), 0) / 1e9)
            timer.start(self)
        else:
            perch_enter(perch, self, until)
        if u64_load(&self.waiter.state) == WAITING:  # else nobody rings any more
            self.hub.switch()
    finally:
        self.asleep = False
        perch.asleep -= 1
        if perch.asleep == 0:
            end_watcher(perch.bell.stop)
        if timer is None:
            perch_leave(perch, self)
        else:
            end_watcher(timer.stop)
            end_watcher(timer.close)
    return 0


cdef bint rouse_green(GreenTicket self) except -1:
    """From whatever thread; False when the hub is gone."""
    loop = self.hub.loop
    if loop is None:
        return False
    if self.perch.thread == thread_self().uid:
        loop.run_callback(self)
    elif not thread_alive(self.perch.thread):
        return False  # it ended without destroying its hub: nobody runs that any more
    else:
        self.perch.called.append(self)
        self.perch.bell.send()
    return True


cdef int perch_enter(Perch self, GreenTicket ticket, int64_t until) except -1:
    if self.first == NULL:
        self.timer.start(self)
    ticket.until = until
    ticket.ahead = self.last
    ticket.behind = NULL
    if self.last == NULL:
        self.first = <void *>ticket
    else:
        (<GreenTicket>self.last).behind = <void *>ticket
    self.last = <void *>ticket
    ticket.here = True
    return 0


cdef int perch_leave(Perch self, GreenTicket ticket) except -1:
    if not ticket.here:
        return 0
    ticket.here = False
    if ticket.ahead == NULL:
        self.first = ticket.behind
    else:
        (<GreenTicket>ticket.ahead).behind = ticket.behind
    if ticket.behind == NULL:
        self.last = ticket.ahead
    else:
        (<GreenTicket>ticket.behind).ahead = ticket.ahead
    if self.first == NULL:
        end_watcher(self.timer.stop)
    return 0


cdef int end_watcher(object stop) except -1:
    """A destroyed loop has no watchers any more, and says so; the greenlet that ends with it has its own error."""
    try:
        stop()
    except ValueError:
        pass
    return 0
