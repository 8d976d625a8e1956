# A word of a page on which threads sleep, as c/futex.h was compiled for the test that includes this.

from libc.stdint cimport int64_t, uint32_t

from fastpool._core.c.atomic cimport u32_load, u32_store
from fastpool._core.c.page cimport futex_wait, futex_wake


cdef class SleptOn:
    """A word, without what a test counts."""
    cdef uint32_t word

    def wait(self, uint32_t seen, int64_t ns):
        """Sleep while it is `seen`, for at most so long."""
        with nogil:
            futex_wait(&self.word, seen, ns, 0)

    def write(self, uint32_t value):
        """Change it, and wake a thread that sleeps on it."""
        u32_store(&self.word, value)
        futex_wake(&self.word, 0)

    @property
    def value(self):
        return u32_load(&self.word)
