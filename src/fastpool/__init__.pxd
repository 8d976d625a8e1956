"""`cimport fastpool`: what native code can use of a pool. docs/c-interface.md explains it."""

from fastpool._core.core cimport NATIVE_CLOSED, NATIVE_FAILED, NATIVE_MISUSE, NATIVE_NO_MEMORY, NATIVE_OK, \
    NATIVE_OVERLOADED, NATIVE_TIMED_OUT, NativeLease, NativePool, native_checkin, native_checkout, native_close, \
    native_connection, native_open
