# Selects the connections that a checkout can use, in pools whose connections are not all alike.


@cython.final
cdef class Selection:
    """Which connections a checkout can use; given to ``connection``, ``aconnection`` or ``checkout`` as their timeout.

    `accepts(connection)`: whether the caller can use this open connection.  It may be called for any idle one,
    even while another caller takes it, so it must not do I/O.  An exception ends the checkout.
    `request`: given to the driver as `Entry.request` when this checkout opens one.  `accepts` is not called for
    that connection.
    `timeout`: as for ``connection``.
    """
    cdef readonly object accepts
    cdef readonly object request
    cdef object timeout

    def __init__(self, accepts, request=None, timeout=...):
        self.accepts = accepts
        self.request = request
        self.timeout = timeout


cdef bint selection_suits(Selection self, Entry entry) except -1:
    """Whether the caller can use the connection of this entry.  It may be idle, and be taken at any moment."""
    with cython.critical_section(entry):
        c = entry.connection
    return c is not None and bool(self.accepts(c))
