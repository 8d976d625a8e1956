# How a loop is told which tasks go on: those of one turn with one call.
#
# A call_soon, the handle it makes and the turn's call of that are Python code, and more than all the rest of a wait in
# line.  Each connection that is returned in a turn wakes somebody, in the next: so the loop is given one handle for
# them, and they go on in the order in which they were woken.


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class Wakes:
    """Those who go on in one turn of a loop. Only the loop holds it: a loop that is closed lets go of it."""
    cdef Watch watch
    cdef list tickets
    cdef Py_ssize_t next

    def __dealloc__(self):
        if self.watch.wakes == <PyObject *>self:
            self.watch.wakes = NULL

    def __call__(self):
        """The loop's turn."""
        if self.watch.wakes == <PyObject *>self:
            self.watch.wakes = NULL
        go_on_with(self.watch)
        let_go_on(self)

    def __repr__(self):
        """What asyncio shows in debug mode, of a turn that took long."""
        return f"<lets go on: {', '.join([repr(ticket) for ticket in self.tickets])}>"


cdef int wake_task(TaskTicket self) except -1:
    """A signal handler may raise in here, before the loop has it or after: so what the loop is given may be given
    again."""
    cdef Watch watch = watch_of(self.loop)
    cdef Wakes wakes
    if watch.wakes != NULL:
        (<Wakes>watch.wakes).tickets.append(self)
        return 0
    wakes = Wakes.__new__(Wakes)
    wakes.watch = watch
    wakes.tickets = [self]
    self.loop.call_soon(wakes)
    watch.wakes = <PyObject *>wakes
    return 0


cdef int go_on_with(Watch watch) except -1:
    """Those whose turn is under way.  Some are left where one of them runs the loop again, within its step, and waits
    there for another (asyncio does not allow that; nest_asyncio does)."""
    if watch.under_way != NULL:
        let_go_on(<Wakes>watch.under_way)
    return 0


cdef int let_go_on(Wakes self) except -1:
    cdef Watch watch = self.watch
    cdef PyObject *outer = watch.under_way
    watch.under_way = <PyObject *>self
    try:
        while self.next < len(self.tickets):
            self.next += 1
            go_on(<TaskTicket>self.tickets[self.next - 1])
    except BaseException:
        if self.next < len(self.tickets):
            again(self)  # KeyboardInterrupt or SystemExit: it ends the loop's turn, and the others have the next
        raise
    finally:
        watch.under_way = outer
    return 0


cdef int again(Wakes self) except -1:
    """Give it to the loop once more; what a signal handler raises meanwhile is raised when the loop has it."""
    struck = None
    for _ in range(3):
        try:
            self.watch.loop.call_soon(self)
            break
        except BaseException as error:
            struck = error
    if struck is not None:
        raise struck
    return 0


cdef int go_on(TaskTicket self) except -1:
    """The task runs.  Again is harmless."""
    callback, self.callback = self.callback, None
    if callback is None:
        return 0
    PyContext_Enter(self.context)
    try:
        # asyncio's task reads the result of a real future without a call
        callback(self if self.was_cancelled or self.watch is None else self.watch.over)
    finally:
        PyContext_Exit(self.context)
    return 0
