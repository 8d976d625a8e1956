# The handles of waiters in line (threads, greenlets, tasks): how they sleep and are woken.

@cython.no_gc_clear
cdef class WaiterHandle:
    """The handle of a waiter.  The waiter calls `sleep`; a giver or close() calls `wake`, once, in any thread."""
    cdef Core core
    cdef Waiter *waiter

    @property
    def waiting(self):
        """Whether nothing is decided yet."""
        return u64_load(&self.waiter.state) == WAITING

    cdef int sleep(self, int64_t until, int64_t deadline) except -1:
        """Sleep until woken, or until that time, which must be exact only if it is the deadline.  Exceptions of a
        signal handler or a kill propagate."""
        return 0

    cdef bint wake(self) except -1:
        """Wake the waiter.  False, or an error: its loop or hub is gone for good, and the slot is the giver's again."""
        return True

    cdef int forget(self) except -1:
        """Clean up: the wait is over."""
        return 0

    def __dealloc__(self):
        if self.waiter != NULL:
            waiter_drop(self.waiter)


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class ThreadHandle(WaiterHandle):
    """A thread that sleeps on a lock of its own; a giver releases that, without the GIL (waitq.pxd)."""

    cdef int sleep(self, int64_t until, int64_t deadline) except -1:
        return thread_sleep(self.core.pool, self.waiter, until)


@cython.final
@cython.internal
@cython.no_gc_clear
cdef class EventletHandle(WaiterHandle):
    """A greenlet of eventlet's (greenlets.py)."""
    cdef object sleeper

    cdef int sleep(self, int64_t until, int64_t deadline) except -1:
        while u64_load(&self.waiter.state) == WAITING and clock_ns() < until:
            self.sleeper.sleep((until - clock_ns()) / 1e9)
        return 0

    cdef bint wake(self) except -1:
        return self.sleeper.wake() is not False


cdef int handle_give_waiter(WaiterHandle handle, Core core, bint by_lock, Thread *me, int64_t now) except -1:
    handle.core = core
    handle.waiter = waiter_new(by_lock, me.uid, now)
    if handle.waiter == NULL:
        raise MemoryError("fastpool: no memory for a waiter")
    if not by_lock:
        handle.waiter.object = <void *>handle
    return 0


cdef bint handle_wake(Waiter *waiter) noexcept nogil:
    """Called by a giver for a waiter without a lock."""
    with gil:
        return handle_wake_with_gil(waiter)


cdef bint handle_wake_with_gil(Waiter *waiter) noexcept:
    cdef WaiterHandle handle = <WaiterHandle>waiter.object
    cdef object before = None
    cdef list later = None
    cdef bint woken
    Py_DECREF(handle)  # the queue's reference
    if u64_load(&waiter.state) in (TIMED_OUT, CANCELLED):
        return True
    # A signal handler may raise inside wake(), which proves nothing about the loop or hub: so wake() is called again,
    # which does no harm, and the handler's exception is raised a moment later.
    while True:
        try:
            woken = handle.wake()
            break
        except Exception as error:
            if type(before) is type(error):
                woken = False  # a loop or hub that is gone; the slot goes to the next in line
                break
            before = error
            if not isinstance(error, GONE):
                later = [*(later or ()), error]
        except BaseException as error:
            later = [*(later or ()), error]
    for error in later or ():
        handle_raise_later(error)
    return woken


cdef tuple GONE = (RuntimeError, AttributeError, ReferenceError)  # raised by a closed loop or a destroyed hub
cdef object pending_errors = []  # exceptions of signal handlers, from code that must not raise


cdef int handle_raise_pending(void *nothing) noexcept with gil:
    """A pending call: the main thread, where signal handlers run, makes it between two of its instructions."""
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
