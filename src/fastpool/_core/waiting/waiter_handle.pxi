# What stands in line for a greenlet or task, and how it is woken.

@cython.no_gc_clear
cdef class WaiterHandle:
    """A waiter that is not a sleeping thread: a greenlet or a task.  `rouse()` is called once, by whoever decides.

    rouse() returns False when the one who waits can never be woken (its loop is closed): the slot is then the
    giver's again.
    """
    cdef Core core
    cdef Waiter *waiter
    cdef object rouse

    @property
    def waiting(self):
        """Nothing is decided yet."""
        return u64_load(&self.waiter.state) == WAITING

    def __dealloc__(self):
        if self.waiter != NULL:
            waiter_drop(self.waiter)


cdef bint handle_wake(Waiter *waiter) noexcept nogil:
    with gil:
        return handle_wake_with_gil(waiter)


cdef bint handle_wake_with_gil(Waiter *waiter) noexcept:
    cdef WaiterHandle handle = <WaiterHandle>waiter.object
    cdef object pending = None
    cdef list later = None
    cdef bint roused
    Py_DECREF(handle)  # the queue's reference
    if u64_load(&waiter.state) in (TIMED_OUT, CANCELLED):
        return True
    # A signal handler may raise inside rouse(), which says nothing of the loop or hub: so it is asked again, which
    # does no harm, and what the handler raised comes out of the giver a moment later.
    while True:
        try:
            roused = handle_rouse(handle)
            break
        except Exception as error:
            if type(pending) is type(error):
                roused = False  # a loop or hub that is gone; the slot goes to the next in line
                break
            pending = error
            if not isinstance(error, GONE):
                later = [*(later or ()), error]
        except BaseException as error:
            later = [*(later or ()), error]
    for error in later or ():
        handle_raise_later(error)
    return roused


cdef tuple GONE = (RuntimeError, AttributeError, ReferenceError)  # what a closed loop or a destroyed hub answers


cdef object pending_errors = []  # what signal handlers raised where nothing may be raised


cdef int handle_raise_pending(void *nothing) noexcept with gil:
    """A pending call: the main thread, where signal handlers run, between two of its instructions."""
    if not pending_errors:
        return 0
    error = pending_errors.pop(0)
    PyErr_SetObject(type(error), error)
    return -1


cdef int handle_raise_later(object error) except -1:
    pending_errors.append(error)
    if Py_AddPendingCall(handle_raise_pending, NULL) != 0:
        pending_errors.remove(error)  # the interpreter's list is full: others are about to be raised
    return 0


cdef WaiterHandle handle_new(Core core, Thread *me, object rouse):
    cdef WaiterHandle handle = WaiterHandle.__new__(WaiterHandle)
    handle.rouse = rouse
    handle_give_waiter(handle, core, me, clock_ns())
    return handle


cdef int handle_give_waiter(WaiterHandle handle, Core core, Thread *me, int64_t now) except -1:
    handle.core = core
    handle.waiter = waiter_new(False, me.uid, now)
    if handle.waiter == NULL:
        raise MemoryError("fastpool: no memory for a waiter")
    handle.waiter.object = <void *>handle
    return 0


cdef bint handle_rouse(WaiterHandle handle) except -1:
    """False, or an error: who waits can never be woken."""
    if type(handle) is TaskHandle:
        return timer_rouse_task(<TaskHandle>handle)
    if type(handle) is GreenletHandle:
        return gevent_rouse(<GreenletHandle>handle)
    return handle.rouse() is not False
