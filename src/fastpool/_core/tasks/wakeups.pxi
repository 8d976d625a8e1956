# Batches wake-ups: one call_soon per loop iteration.
#
# A call_soon, the handle it makes and the loop's call of that are Python code, and cost more than all the rest of a
# wait in line.  Each connection that is returned in one iteration wakes a task in the next: so the loop gets one handle
# for all of them, and the tasks resume in the order in which they were woken.


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class WakeBatch:
    """The tasks to resume in one iteration of a loop.  Only the loop holds it: a loop that is closed drops it."""
    cdef LoopTimer loop_timer
    cdef list handles
    cdef Py_ssize_t next

    def __dealloc__(self):
        if self.loop_timer.wakes == <PyObject *>self:
            self.loop_timer.wakes = NULL

    def __call__(self):
        """Called by the loop: resume the tasks."""
        if self.loop_timer.wakes == <PyObject *>self:
            self.loop_timer.wakes = NULL
        wakeup_go_on_with(self.loop_timer)
        wakeup_resume_rest(self)

    def __repr__(self):
        """Shown by asyncio in debug mode, for an iteration that took long."""
        return f"<resumes: {', '.join([repr(handle) for handle in self.handles])}>"


cdef int wakeup_task(TaskHandle self) except -1:
    """Have the loop resume the task.  A signal handler may raise in here, before or after the loop has the batch, so
    the task may be given to the loop twice."""
    cdef LoopTimer loop_timer = timer_of(self.loop)
    cdef WakeBatch wakes
    if loop_timer.wakes != NULL:
        (<WakeBatch>loop_timer.wakes).handles.append(self)
        return 0
    wakes = WakeBatch.__new__(WakeBatch)
    wakes.loop_timer = loop_timer
    wakes.handles = [self]
    self.loop.call_soon(wakes)
    loop_timer.wakes = <PyObject *>wakes
    return 0


cdef int wakeup_go_on_with(LoopTimer loop_timer) except -1:
    """Resume the rest of the batch under way.  There is a rest if one of its tasks runs the loop again, within its
    step, and waits there for another (asyncio does not allow that; nest_asyncio does)."""
    if loop_timer.under_way != NULL:
        wakeup_resume_rest(<WakeBatch>loop_timer.under_way)
    return 0


cdef int wakeup_resume_rest(WakeBatch self) except -1:
    cdef LoopTimer loop_timer = self.loop_timer
    cdef PyObject *outer = loop_timer.under_way
    loop_timer.under_way = <PyObject *>self
    try:
        while self.next < len(self.handles):
            self.next += 1
            wakeup_go_on(<TaskHandle>self.handles[self.next - 1])
    except BaseException:
        if self.next < len(self.handles):
            wakeup_again(self)  # KeyboardInterrupt or SystemExit ends this iteration: the others resume in the next
        raise
    finally:
        loop_timer.under_way = outer
    return 0


cdef int wakeup_again(WakeBatch self) except -1:
    """Give the batch to the loop again; what a signal handler raises meanwhile is raised once the loop has it."""
    pending = None
    for _ in range(3):
        try:
            self.loop_timer.loop.call_soon(self)
            break
        except BaseException as error:
            pending = error
    if pending is not None:
        raise pending
    return 0


cdef int wakeup_go_on(TaskHandle self) except -1:
    """Resume the task.  A second call is harmless."""
    callback, self.callback = self.callback, None
    if callback is None:
        return 0
    PyContext_Enter(self.context)
    try:
        # asyncio's task reads the result of a real future without a call
        callback(self if self.was_cancelled or self.loop_timer is None else self.loop_timer.over)
    finally:
        PyContext_Exit(self.context)
    return 0
