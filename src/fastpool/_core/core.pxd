"""The C interface: checkout and checkin for native code, with or without the GIL. docs/c-interface.md explains it."""

from libc.stdint cimport uint64_t

cdef enum:
    NATIVE_OK = 0
    NATIVE_TIMED_OUT = 1     # no connection came free, or none that works, in the time given
    NATIVE_CLOSED = 2        # the pool is closed
    NATIVE_OVERLOADED = 3    # max_waiting callers are in line already
    NATIVE_FAILED = 4        # the driver, or a listener, raised
    NATIVE_MISUSE = 5        # invalid arguments or state; nothing has changed
    NATIVE_NO_MEMORY = 6

cdef struct NativePool:      # the result of native_open; owned by the pool
    void *core

cdef struct NativeLease:     # zeroed: holds nothing. The caller may move it; the fields are private
    uint64_t word
    uint64_t pool
    uint64_t generation
    void *slot

# With the GIL.
cdef NativePool *native_open(object pool) except NULL
cdef int native_close(NativePool *pool) except -1
cdef object native_connection(NativePool *pool, const NativeLease *lease)

# With or without the GIL.
cdef int native_checkout(NativePool *pool, double timeout, NativeLease *lease, char *why, size_t room) noexcept nogil
cdef int native_checkin(NativePool *pool, NativeLease *lease, bint discard) noexcept nogil
