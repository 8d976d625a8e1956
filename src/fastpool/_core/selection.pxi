# Which of the pool's connections a checkout can use, where they are not all alike.


@cython.final
cdef class Selection:
    """What a caller asks of its connection.  ``Selection(accepts, request, timeout)``:

    `accepts(connection)` says whether the caller can use an open connection.  It may be called for any idle one, must
    not do I/O, and what it raises fails the checkout.  `request` is what the driver finds in `Entry.request` when it has
    to open one; it is the connection's to satisfy, and `accepts` is not called for a new one.
    `timeout`: as for ``connection``.
    """
    cdef readonly object accepts
    cdef readonly object request
    cdef object timeout

    def __init__(self, accepts, request=None, timeout=...):
        self.accepts = accepts
        self.request = request
        self.timeout = timeout


cdef int64_t selection_timeout_ns(Core core, Selection self) except -2:
    """The seconds of its checkout in ns; -1: no limit."""
    return core.timeout_ns if self.timeout is ... else checkout_timeout_ns(self.timeout)


cdef bint selection_suits(Selection self, Entry entry) except -1:
    """Whether the caller can use the connection of this entry.  It may be in nobody's hands, and gone at any moment."""
    with cython.critical_section(entry):
        c = entry.connection
    return c is not None and bool(self.accepts(c))
