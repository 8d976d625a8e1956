"""Drives the page that processes share (c/page.pxd, c/need.pxd, c/member.pxd), in memory that forked children share
with the test, and kills a child before its n-th access.  The header comes first, so that every access counts."""

cdef extern from "../tests/shared/steps.h" nogil:
    long long left "fp_step_left"

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastpool._core.c.need cimport need_assign, need_before, need_coming, need_offer, need_served, need_set, \
    need_unassign, need_wants
from fastpool._core.c.atomic cimport i64_put, u32_store, u64_load, u64_store
from fastpool._core.c.page cimport GIVEN_ONE, TAKEN_ONE, Page, page_change, page_count, \
    page_finish, page_free
from fastpool._core.c.member cimport member_clear

cdef extern from "sys/mman.h" nogil:
    void *mmap(void *at, size_t size, int prot, int flags, int fd, long offset)
    int munmap(void *at, size_t size)
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_ANONYMOUS


def die_before(long long n):
    """Die by SIGKILL before the n-th access from now on, counted from 0; -1: live."""
    global left
    left = n


def steps_left():
    return left


cdef class SharedPage:
    """A page of its own."""
    cdef Page *page

    def __cinit__(self, uint32_t cap, uint32_t rows):
        self.page = <Page *>mmap(NULL, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        u32_store(&self.page.cap, cap)
        u32_store(&self.page.rows, rows)
        u32_store(&self.page.used, rows)
        for i in range(rows):
            u64_store(&self.page.row[i].key, i + 1)

    def __dealloc__(self):
        munmap(self.page, sizeof(Page))

    def take(self, uint32_t row):
        return page_change(self.page, row, TAKEN_ONE)

    def give(self, uint32_t row):
        return page_change(self.page, row, GIVEN_ONE)

    def clear(self, uint32_t row):
        return member_clear(self.page, row)

    def sit(self, uint32_t row):
        u64_store(&self.page.row[row].key, row + 1)

    def many(self, uint32_t row, int64_t rounds):
        """Take and give back, so many times, without the GIL; how often one was taken."""
        cdef int64_t taken = 0
        cdef int64_t _
        with nogil:
            for _ in range(rounds):
                if page_change(self.page, row, TAKEN_ONE):
                    taken += 1
                    page_change(self.page, row, GIVEN_ONE)
        return taken

    def want(self, uint32_t row, uint32_t wants, int64_t since, bint forget=False):
        i64_put(&self.page.row[row].since, since)
        need_set(&self.page.row[row], wants, forget)

    def offer(self, uint32_t row, int64_t now):
        need_offer(self.page, row, now)

    def before(self, uint32_t row, int64_t since, int64_t now):
        return need_before(self.page, row, since, now)

    def assign(self, uint32_t row, int64_t since, int64_t now):
        """(row, stamp), or None."""
        cdef uint32_t stamp = 0
        found = need_assign(self.page, row, since, now, &stamp)
        return None if found == NULL else (found - &self.page.row[0], stamp)

    def unassign(self, uint32_t row, uint32_t stamp):
        need_unassign(&self.page.row[row], stamp)

    def served(self, uint32_t row):
        need_served(&self.page.row[row])

    def need(self, uint32_t row):
        """(waiters, being freed for them, offered at)."""
        cdef uint64_t need = u64_load(&self.page.row[row].need)
        return need_wants(need), need_coming(need), self.page.row[row].offered

    @property
    def books(self):
        """(permits out, the count of each row), after the last change was completed."""
        page_finish(self.page, u64_load(&self.page.total))
        return page_count(u64_load(&self.page.total)), [
            page_count(u64_load(&self.page.row[i].held)) for i in range(self.page.used)]

    @property
    def free(self):
        return page_free(self.page)
