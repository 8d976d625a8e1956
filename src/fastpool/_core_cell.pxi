# What many threads change, and signal handlers and finalizers as well, without a lock.
#
# A lock held by Python code is wanted again by a signal handler or a finalizer that strikes inside of it, and since
# CPython 3.14 a handler that raises can strike between the lock's `__enter__` and the block: it then stays taken.  So
# the bookkeeping in Python is made of immutable values, each replaced as a whole by whoever saw the current one.  No
# handler runs within compiled code that calls no Python, and nothing is freed before the new value is in its place.


@cython.final
cdef class Cell:
    """A place for one immutable value, which is replaced as a whole.

    ``while not cell.replace(old := cell.value, changed(old)): pass``
    """
    cdef object held

    def __cinit__(self, value):
        self.held = value

    @property
    def value(self):
        """The value of now."""
        with cython.critical_section(self):
            return self.held

    def replace(self, expected, value):
        """Put ``value`` in the place of ``expected``, if that very object is still there; say whether it was."""
        cdef object before
        with cython.critical_section(self):
            before = self.held  # lives until this returns: its finalizers find the new value
            if before is not expected:
                return False
            self.held = value
        return True
