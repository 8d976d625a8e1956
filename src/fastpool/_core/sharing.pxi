# What a pool does for those of its shared name in other processes, and what it gives up for their waiters.
#
# The protocol is in c/page.pxd, c/need.pxd and c/member.pxd.

cdef int64_t FIGURES_NS = 200_000_000   # how often a pool writes down what it has
cdef int64_t TICK_NS = 10_000_000       # how often a watcher looks while somebody waits

cdef enum:
    SHARE_GIVE_UP = 1, SHARE_FIGURES = 2, SHARE_LEFT = 4, SHARE_ASKED = 8


cdef int sharing_watch(SharedMember self) noexcept nogil:
    """SHARE_GIVE_UP: another process waits, and there is an idle connection; SHARE_FIGURES: they are due;
    SHARE_ASKED: somebody has asked for the leases."""
    cdef Pool *pool = &self.inner.pool
    cdef Member *member = &self.member
    cdef int64_t now, until
    cdef uint32_t seen
    cdef int what
    cdef bint wanted
    while True:
        seen = u32_load_sc(&member.row.futex)
        now = clock_real()
        if u32_load(&member.left) or pool.generation != generation():
            return SHARE_LEFT
        member_tend(pool, now)
        pool_settle_if(pool)
        wanted = need_wanted(member.page, member.number, now) or page_is_over(member.page)
        if wanted:
            u64_or(&pool.gate, WANTED)
        elif u64_load(&pool.gate) & WANTED:
            u64_and(&pool.gate, ~WANTED)
        what = 0
        if now >= self.figures_due:
            self.figures_due = now + FIGURES_NS
            what = SHARE_FIGURES
        if u32_load(&member.row.asked) != self.asked:
            self.asked = u32_load(&member.row.asked)
            what |= SHARE_ASKED
        # Not again at once: what was told is being done, unless somebody has called since.
        if wanted and (seen != self.told_futex or now - self.told_ns >= TICK_NS // 2) and sharing_has_idle(pool):
            self.told_ns, self.told_futex = now, seen
            what |= SHARE_GIVE_UP
        if what:
            return what
        until = self.figures_due
        if wanted or u64_load_sc(&pool.gate) & QUEUED_MASK:
            until = min(until, now + TICK_NS)
        futex_wait(&member.row.futex, seen, until - now, member.event)


cdef bint sharing_has_idle(Pool *pool) noexcept nogil:
    cdef uint32_t i
    for i in range(u32_load(&pool.table.size)):
        if slot_state(u64_load(&table_slot(&pool.table, i).word)) == IDLE:
            return True
    return False


cdef bint sharing_yields(Core core) noexcept nogil:
    """Called at a checkin: whether the connection must be closed, because another process has waited longer for its
    permit than any caller here, and for longer than a moment."""
    cdef uint32_t stamp
    cdef Member *member = core.pool.member
    if u64_load(&core.pool.gate) & WANTED == 0 or member == NULL or member.page == NULL:
        return False
    return sharing_over(core.pool) > 0 or need_assign(
        member.page, member.number, member_first_since(core.pool), clock_real(), &stamp) != NULL


cdef int64_t sharing_over(Pool *pool) noexcept nogil:
    """How many permits are out above the cap, without those whose connections this pool is closing."""
    cdef Member *member = pool.member
    cdef int64_t closing = <int64_t>page_count(u64_load_sc(&member.row.held)) - i64_peek(&pool.opened)
    cdef int64_t over = <int64_t>page_count(u64_load_sc(&member.page.total)) - page_cap(member.page)
    return over - closing if closing > 0 else over


cdef inline void sharing_mind_idle(Core core, uint64_t gate) noexcept:
    """A connection has become idle: if another process waits (the gate says it) the watcher has it closed."""
    if gate & WANTED and core.pool.member != NULL and core.pool.member.row != NULL:
        need_ring(core.pool.member.row)


cdef int64_t sharing_give_up(Core core) except -1:
    """Close idle connections, one for each waiter of another process that needs a permit."""
    cdef Member *member = core.pool.member
    cdef Row *row
    cdef Slot *slot
    cdef uint32_t stamp, i
    cdef list taken = []
    cdef int64_t closed = 0
    fork_ensure_process(core)
    while member != NULL and member.page != NULL and member == core.pool.member:
        row = need_assign(member.page, member.number, 0, clock_real(), &stamp)
        if row == NULL and sharing_over(core.pool) <= 0:
            break
        slot = sharing_grab_idle(core)
        if slot == NULL:
            if row != NULL:
                need_unassign(row, stamp)
            break
        retire_vacate(core, slot, WHY_OVERFLOW, taken)
        retire_close_all(core, taken, WHY_OVERFLOW)
        taken = []
        closed += 1
    return closed


cdef Slot *sharing_grab_idle(Core core) noexcept:
    """Take the idle connection that was unused for longest; NULL: there is none."""
    cdef uint32_t i
    cdef uint64_t word, best_word = 0
    cdef Slot *slot
    cdef Slot *best
    while True:
        best = NULL
        for i in range(u32_load(&core.pool.table.size)):
            slot = table_slot(&core.pool.table, i)
            word = u64_load_sc(&slot.word)
            if slot_state(word) == IDLE and (best == NULL or i64_peek(&slot.since_ns) < i64_peek(&best.since_ns)):
                best, best_word = slot, word
        if best == NULL:
            return NULL
        if slot_grab(best, best_word):
            u64_put(&best.owner, 0)
            return best


cdef bint sharing_are_all(Core core, uint32_t leased) noexcept:
    """Whether so many leases have all the permits of the pool's shared name."""
    cdef Member *member = core.pool.member
    if member == NULL or member.page == NULL or u32_load(&member.page.cap) == NO_CAP:
        return False
    return page_free(member.page) == 0 and page_count(u64_load_sc(&member.page.total)) == leased


cdef Member SHARED_NOWHERE
SHARED_NOWHERE.page = NULL
