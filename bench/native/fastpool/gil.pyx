"""The two hot operations called from Python, with the GIL kept, and with the GIL released and taken again around them."""

include "hot.pxi"

if not open_pool():
    raise MemoryError


def nothing():
    """The cost of a call."""


def kept():
    cdef Thread *me = thread_self()
    give_back(me, borrow(me))


def released():
    cdef Thread *me = thread_self()
    with nogil:
        give_back(me, borrow(me))
