"""The needs of a page's rows, and whose turn it is.

A *need* is a word of the row: how many waiters of that pool could use a permit at once, and how many permits others
are freeing for them by closing a connection.  `since` is when the first of those waiters came, on the clock that all
processes have in common.  A row that needs a permit publishes that and looks at the permits once more; a row that
frees one gives it back and looks at the needs: both sequentially consistent, so one of the two sees the other.

Nobody hands a permit over: it is offered to the row that has waited longest, and others leave it alone.  A row that
does not take what it is offered is passed over after a moment: its process is stopped.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .atomic cimport i64_peek, i64_put, u32_add, u32_load, u64_cas, u64_load, u64_load_sc
from .page cimport PAGE_ROWS, Page, Row, futex_wake, page_free

cdef extern from * nogil:
    """
    #define FP_PATIENCE_NS 50000000LL
    #define FP_OFFER_NS 100000000LL
    """
    const int64_t PATIENCE_NS "FP_PATIENCE_NS"   # a process may serve its own waiters first for so long
    const int64_t OFFER_NS "FP_OFFER_NS"         # a row that does not take a free permit in this time is passed over


cdef inline uint32_t need_wants(uint64_t need) noexcept nogil:
    return <uint32_t>(need >> 48)


cdef inline uint32_t need_coming(uint64_t need) noexcept nogil:
    return (need >> 32) & 0xFFFF


cdef inline void need_set(Row *row, uint32_t wants, bint forget) noexcept nogil:
    """How many permits this row could use now.  forget: what others were freeing for it does not seem to come."""
    cdef uint64_t need, want
    if wants > 0xFFFF:
        wants = 0xFFFF
    while True:
        need = u64_load_sc(&row.need)
        if wants == 0 and need_wants(need) == 0:
            return
        want = (<uint64_t>wants << 48) | (<uint64_t>need_coming(need) << 32) | <uint32_t>need
        if wants == 0 or need_wants(need) == 0 or forget:
            want = (<uint64_t>wants << 48) | <uint32_t>(need + 1)  # who still frees one for it lets it be
        if want == need or u64_cas(&row.need, need, want):
            return


cdef inline void need_served(Row *row) noexcept nogil:
    """The row has taken a permit: it needs one less, and one less has to come."""
    cdef uint64_t need
    i64_put(&row.offered, 0)
    while True:
        need = u64_load_sc(&row.need)
        if need_wants(need) == 0:
            return
        if u64_cas(&row.need, need, need - (<uint64_t>1 << 48) - ((<uint64_t>1 << 32) if need_coming(need) else 0)):
            return


cdef inline bint need_is_open(Page *page, uint32_t number, int64_t now) noexcept nogil:
    """Whether that row waits, and is not one that sleeps through an offer (stopped, or on an overloaded machine)."""
    cdef Row *row = &page.row[number]
    cdef int64_t offered
    if u64_load(&row.key) == 0 or need_wants(u64_load_sc(&row.need)) == 0 or i64_peek(&row.since) == 0:
        return False
    offered = i64_peek(&row.offered)
    return offered == 0 or now - offered <= OFFER_NS


cdef inline uint32_t need_before(Page *page, uint32_t number, int64_t since, int64_t now) noexcept nogil:
    """How many permits other rows need for waiters that came before this time."""
    cdef uint32_t i, before = 0
    for i in range(u32_load(&page.used)):
        if i != number and need_is_open(page, i, now) and i64_peek(&page.row[i].since) < since:
            before += need_wants(u64_load(&page.row[i].need))
    return before


cdef inline void need_ring(Row *row) noexcept nogil:
    """Wake the row's watcher, or let its next sleep end at once."""
    u32_add(&row.futex, 1)
    futex_wake(&row.futex, u64_load(&row.key))


cdef inline void need_offer(Page *page, uint32_t number, int64_t now) noexcept nogil:
    """Tell the rows that have waited longest of the permits that are free, except this row."""
    cdef uint32_t i, best, left = page_free(page)
    cdef int64_t since, oldest, last = 0
    while left > 0:
        best, oldest = PAGE_ROWS, 0
        for i in range(u32_load(&page.used)):
            since = i64_peek(&page.row[i].since)
            if since > last and (best == PAGE_ROWS or since < oldest) and need_is_open(page, i, now):
                best, oldest = i, since
        if best == PAGE_ROWS:
            return
        last = oldest
        i = need_wants(u64_load(&page.row[best].need))
        left -= i if i < left else left
        if best != number:
            if i64_peek(&page.row[best].offered) == 0:
                i64_put(&page.row[best].offered, now)
            need_ring(&page.row[best])


cdef inline Row *need_assign(Page *page, uint32_t number, int64_t since, int64_t now, uint32_t *stamp) noexcept nogil:
    """The row that has waited longest and for whose waiters too little is being freed: it will be freed one now.

    since: when this row's own first waiter came, 0: there is none.  NULL: nobody else goes first.
    """
    cdef Row *row
    cdef uint32_t i
    cdef uint64_t need
    cdef int64_t its, oldest
    while page_free(page) == 0:
        row, oldest = NULL, 0
        for i in range(u32_load(&page.used)):
            need = u64_load_sc(&page.row[i].need)
            its = i64_peek(&page.row[i].since)
            if i == number or need_wants(need) <= need_coming(need) or not need_is_open(page, i, now):
                continue
            if since != 0 and (its >= since or now - its <= PATIENCE_NS):
                continue
            if row == NULL or its < oldest:
                row, oldest = &page.row[i], its
        if row == NULL:
            return NULL
        need = u64_load_sc(&row.need)
        if need_wants(need) > need_coming(need) and u64_cas(&row.need, need, need + (<uint64_t>1 << 32)):
            stamp[0] = <uint32_t>need
            return row
    return NULL


cdef inline void need_unassign(Row *row, uint32_t stamp) noexcept nogil:
    """Nothing could be freed for that row after all."""
    cdef uint64_t need
    while True:
        need = u64_load_sc(&row.need)
        if <uint32_t>need != stamp or need_coming(need) == 0:
            return
        if u64_cas(&row.need, need, need - (<uint64_t>1 << 32)):
            return


cdef inline bint need_wanted(Page *page, uint32_t number, int64_t now) noexcept nogil:
    """Whether another row waits for a permit that nobody frees yet."""
    cdef uint32_t i
    cdef uint64_t need
    if page_free(page) != 0:
        return False
    for i in range(u32_load(&page.used)):
        need = u64_load(&page.row[i].need)
        if i != number and need_wants(need) > need_coming(need) and need_is_open(page, i, now):
            return True
    return False
