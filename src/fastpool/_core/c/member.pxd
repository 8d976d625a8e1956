"""A pool as a member of its shared name: its row of the page, and how it asks for permits."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .atomic cimport i64_peek, i64_put, u32_load, u32_load_sc, u64_load, u64_load_sc
from .clock cimport clock_ns, clock_real
from .need cimport need_before, need_coming, need_offer, need_ring, need_served, need_set, need_wants
from .page cimport CLEARED, GIVEN_ONE, NO_CAP, TAKEN_ONE, Page, Row, page_change, page_count, page_free, page_lock, \
    page_locked, page_unlock
from .room cimport CLOSED, Pool, Member
from .waitq cimport QUEUED_MASK, lock_drop, lock_take

cdef extern from * nogil:
    """
    #define FP_STUCK_NS 250000000LL
    #define FP_REAP_NS 200000000LL
    """
    const int64_t STUCK_NS "FP_STUCK_NS"   # what others free for this row should have come by then
    const int64_t REAP_NS "FP_REAP_NS"     # how often a pool looks for rows whose process is dead


cdef inline bint member_take(Member *member) noexcept nogil:
    """Take a permit; False: none is free, or those that are belong to others, who have waited longer."""
    cdef Page *page = member.page
    cdef int64_t now, since
    cdef uint32_t free
    if page == NULL or u32_load(&member.left):
        return False
    if u32_load_sc(&page.cap) != NO_CAP:
        free = page_free(page)
        if free == 0:
            return False
        now = clock_real()
        since = i64_peek(&member.row.since)
        if need_before(page, member.number, since if since else now, now) >= free:
            need_offer(page, member.number, now)  # the process that freed it may have died before it told them
            return False
    if not page_change(page, member.number, TAKEN_ONE):
        return False
    need_served(member.row)
    return True


cdef inline void member_give(Member *member) noexcept nogil:
    """Give a permit back, and tell those that have waited longest for one.  The caller settles."""
    if member.page != NULL and page_change(member.page, member.number, GIVEN_ONE):
        need_offer(member.page, member.number, clock_real())


cdef inline int64_t member_first_since(Pool *pool) noexcept nogil:
    """When the first in the pool's own line came, on the clock of all processes; 0: nobody waits."""
    cdef int64_t since = 0
    if u64_load_sc(&pool.gate) & QUEUED_MASK == 0:
        return 0
    lock_take(pool.queue.mutex, 1)
    if pool.queue.first != NULL:
        since = pool.queue.first.since_ns
    lock_drop(pool.queue.mutex)
    return clock_real() - (clock_ns() - since) if since else 0


cdef inline uint32_t member_wants(Pool *pool) noexcept nogil:
    """How many waiters could use a shared permit at once: those that wait for nothing else of this pool."""
    cdef int64_t wants = u64_load_sc(&pool.gate) & QUEUED_MASK
    cdef int64_t room
    if wants == 0 or u64_load(&pool.gate) & CLOSED:
        return 0
    room = <int64_t>u32_load_sc(&pool.limit) - i64_peek(&pool.opened)
    if room < wants:
        wants = room
    room = <int64_t>u32_load_sc(&pool.max_connecting) - u32_load_sc(&pool.connecting)
    if u32_load_sc(&pool.max_connecting) == 0:
        room = 1  # no caller connects: the pool opens one after another in the background
    if room < wants:
        wants = room
    return <uint32_t>wants if wants > 0 else 0


cdef inline void member_call(Member *member) noexcept nogil:
    """Wake the watchers of all rows that have connections: one of them may have an idle one.  And its own."""
    cdef Page *page = member.page
    cdef uint32_t i
    need_ring(member.row)
    if page_free(page) != 0:
        need_offer(page, member.number, clock_real())
        return
    for i in range(u32_load(&page.used)):
        if i != member.number and page_count(u64_load(&page.row[i].held)) != 0:
            need_ring(&page.row[i])


cdef inline void member_publish(Pool *pool, bint forget) noexcept nogil:
    """Write down what this pool needs, and tell the other processes if that is more than before.

    forget: what they were freeing for it does not seem to come.
    """
    cdef Member *member = pool.member
    cdef uint32_t before, wants
    cdef int64_t since
    if member.page == NULL or u32_load(&member.left):
        return
    if u64_load_sc(&pool.gate) & QUEUED_MASK == 0 and need_wants(u64_load_sc(&member.row.need)) == 0:
        return
    lock_take(member.mutex, 1)
    before = need_wants(u64_load_sc(&member.row.need))
    wants = member_wants(pool)
    since = member_first_since(pool) if wants else 0
    if since == 0:
        wants = 0
        i64_put(&member.row.offered, 0)
    i64_put(&member.row.since, since)
    need_set(member.row, wants, forget)
    lock_drop(member.mutex)
    if wants > before or (wants and forget):
        member_call(member)


cdef inline bint member_ask(Pool *pool) noexcept nogil:
    """Publish the need of those who wait; True: look for a permit once more."""
    cdef Member *member = pool.member
    member_publish(pool, False)
    return member.page != NULL and need_wants(u64_load_sc(&member.row.need)) != 0 and page_free(member.page) != 0


cdef inline bint member_clear(Page *page, uint32_t number) noexcept nogil:
    """Empty a row whose lock the caller has.  True: permits are free now."""
    cdef Row *row = &page.row[number]
    cdef bint any
    need_set(row, 0, True)
    i64_put(&row.since, 0)
    i64_put(&row.offered, 0)
    any = page_change(page, number, CLEARED)
    row_forget(row)
    return any


cdef inline void row_forget(Row *row) noexcept nogil:
    row.length = 0
    row.pid = 0
    i64_put(<int64_t *>&row.key, 0)


cdef inline void member_reap(Member *member, int64_t now) noexcept nogil:
    """Clear the rows whose processes are dead: nobody has their locks."""
    cdef Page *page = member.page
    cdef uint32_t i
    cdef bint any = False
    if now - member.reaped_ns < REAP_NS:
        return
    member.reaped_ns = now
    for i in range(u32_load(&page.used)):
        if i == member.number or (u64_load(&page.row[i].key) == 0 and page_count(u64_load(&page.row[i].held)) == 0):
            continue
        if page_locked(member.file, i + 1, 1) == 0 and page_lock(member.file, i + 1) == 0:
            any |= member_clear(page, i)
            page_unlock(member.file, i + 1)
    if any:
        need_offer(page, member.number, now)


cdef inline void member_tend(Pool *pool, int64_t now) noexcept nogil:
    """Do what is due for a pool that waits, or that others may wait for: publish, look for dead rows, tell waiters."""
    cdef Member *member = pool.member
    cdef uint64_t need = u64_load_sc(&member.row.need)
    cdef bint forget = False
    if need != member.stuck or need_coming(need) == 0:
        member.stuck, member.stuck_ns = need, now
    elif now - member.stuck_ns > STUCK_NS:
        member.stuck_ns, forget = now, True
    member_publish(pool, forget)
    if page_free(member.page) == 0:
        i64_put(&member.row.offered, 0)
        member_reap(member, now)
    else:
        need_offer(member.page, member.number, now)


cdef inline void member_resign(Pool *pool) noexcept nogil:
    """A waiter has left the line: a permit that was offered for it is offered to the next."""
    if pool.member.page != NULL and not u32_load(&pool.member.left):
        member_publish(pool, False)
        if page_free(pool.member.page) != 0:
            need_offer(pool.member.page, pool.member.number, clock_real())
