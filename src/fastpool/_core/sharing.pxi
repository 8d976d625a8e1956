# A pool among those of its shared name in all processes: its row, and what it gives up for waiters elsewhere.
#
# The protocol is in c/page.pxd, c/need.pxd and c/member.pxd; fastpool._shared finds the page's file and joins it.

cdef int64_t FIGURES_NS = 200_000_000   # how often a pool writes down what it has
cdef int64_t TICK_NS = 10_000_000       # how often a watcher looks while somebody waits

cdef enum:
    SHARE_GIVE_UP = 1, SHARE_FIGURES = 2, SHARE_LEFT = 4, SHARE_ASKED = 8

SHARED_BITS = (SHARE_GIVE_UP, SHARE_FIGURES, SHARE_LEFT, SHARE_ASKED)
SHARED_LAYOUT = (PAGE_HEAD, PAGE_ROW, PAGE_ROWS, PAGE_FIGURES, NO_CAP, SHARES != 0)


@cython.final
cdef class SharedMember:
    """An open page, and the row of one pool in it.  The kernel drops its locks when the process ends, or execs."""
    cdef Member member
    cdef Page *page
    cdef uint64_t born_in
    cdef PoolInner inner
    cdef int64_t figures_due, told_ns
    cdef uint32_t told_futex
    cdef readonly uint32_t asked    # the last question that its watcher was told of
    cdef bint held              # the row's lock

    def __cinit__(self, int folder, bytes name):
        self.member.fd = -1
        self.born_in = generation()
        self.member.fd = page_open(folder, name)
        if self.member.fd < 0:
            PyErr_SetFromErrno(OSError)
        self.member.mutex = lock_new()
        if self.member.mutex == NULL:
            raise MemoryError("fastpool: no memory for a lock")

    def __dealloc__(self):
        if self.page != NULL:
            page_unmap(self.page, sizeof(Page))
        if self.member.fd >= 0 and self.born_in == generation():
            page_close(self.member.fd)
        if self.member.mutex != NULL:
            lock_free(self.member.mutex)

    # ---- joining: by the thread that makes the pool, before anybody else knows of this object

    def fileno(self):
        """The page's descriptor.  To be read and written, never to be closed."""
        return self.member.fd

    @property
    def mine(self):
        """Whether it is this process's, and not inherited in a fork: that one's descriptor is closed."""
        return self.born_in == generation()

    def lock(self, uint32_t byte):
        """Whether this byte of the file could be locked."""
        return page_lock(self.member.fd, byte) == 0

    def unlock(self, uint32_t byte):
        """Give up the lock of a byte."""
        page_unlock(self.member.fd, byte)

    def locked(self, uint32_t byte, uint32_t count=1):
        """Whether another pool has the lock of one of these bytes."""
        return page_locked(self.member.fd, byte, count) != 0

    def map(self, int folder=-1, bytes name=b""):
        """Map the page; to take a row in it, with the folder and the name by which it was opened.  OSError."""
        self.page = <Page *>page_map(self.member.fd, folder, name, sizeof(Page))
        if self.page == NULL:
            PyErr_SetFromErrno(OSError)

    @property
    def rows(self):
        """How many rows the file has room for, and before which one all are that were ever taken."""
        return u32_load(&self.page.rows), u32_load(&self.page.used)

    @rows.setter
    def rows(self, uint32_t rows):
        u32_swap(&self.page.rows, rows)

    def wipe(self, uint32_t rows):
        """Nobody has a row: begin anew, with room for so many."""
        cdef uint32_t i
        u64_swap(&self.page.total, 0)
        for i in range(rows):
            memset(&self.page.row[i], 0, sizeof(Row))
        u32_swap(&self.page.used, 0)
        u32_swap(&self.page.rows, rows)
        u32_swap(&self.page.cap, NO_CAP)

    def sit(self, uint32_t number, uint32_t pid, uint64_t key, uint64_t process):
        """Take this row, if nobody has it; False: somebody has."""
        cdef Row *row = &self.page.row[number]
        if page_lock(self.member.fd, number + 1) != 0:
            return False
        member_clear(self.page, number)  # a dead process may have had it
        row.pid, row.process = pid, process
        row.seq &= ~<uint32_t>1
        if u32_load(&self.page.used) <= number:
            u32_swap(&self.page.used, number + 1)
        u64_swap(&row.key, key)
        self.member.row, self.member.number, self.held = row, number, True
        self.asked = u32_load(&row.asked)
        return True

    def serve(self, Core core not None):
        """From now on this pool needs a permit of the page for each connection."""
        self.inner = core.inner
        self.member.page = self.page
        core.member = self
        core.pool.member = &self.member

    # ---- the page

    @property
    def cap(self):
        """The most permits; None: no limit."""
        cdef uint32_t cap = u32_load_sc(&self.page.cap)
        return None if cap == NO_CAP else cap

    @cap.setter
    def cap(self, most):
        u32_swap(&self.page.cap, NO_CAP if most is None else <uint32_t>most)
        if self.member.page != NULL:
            member_call(&self.member)  # there may be more permits now, or too many connections
            pool_settle_if(&self.inner.pool)

    @property
    def number(self):
        """The number of its row."""
        return self.member.number

    @property
    def total(self):
        """How many permits are out."""
        return page_count(u64_load_sc(&self.page.total))

    @property
    def holding(self):
        """How many permits this pool has."""
        return page_count(u64_load_sc(&self.member.row.held))

    @property
    def nothing_free(self):
        """Whether this pool could not have a permit now, and so cannot open another connection."""
        cdef uint32_t free
        if u32_load(&self.page.cap) == NO_CAP:
            return False
        free = page_free(self.page)
        return free == 0 or need_before(self.page, self.member.number, INT64_MAX, clock_real()) >= free

    def holders(self):
        """(row, pid, process, permits) of each row that is somebody's."""
        cdef uint32_t i
        cdef list found = []
        for i in range(u32_load(&self.page.used)):
            if u64_load(&self.page.row[i].key) != 0:
                found.append((i, self.page.row[i].pid, self.page.row[i].process,
                              page_count(u64_load_sc(&self.page.row[i].held))))
        return found

    def write(self, bytes figures not None):
        """Write what the pool says of itself, for whoever reads the page."""
        cdef Row *row = self.member.row
        if len(figures) > PAGE_FIGURES or u32_load(&self.member.left):
            return
        lock_take(self.member.mutex, 1)
        u32_add(&row.seq, 1)
        memcpy(row.figures, <const char *>figures, len(figures))
        row.length = <uint32_t>len(figures)
        u32_add(&row.seq, 1)
        lock_drop(self.member.mutex)

    def read(self, uint32_t number):
        """(pid, figures) of a row; None: nobody has it, or it is being written all the time."""
        cdef Row *row = &self.page.row[number]
        cdef uint32_t seq
        cdef int i
        cdef uint64_t key = u64_load(&row.key)
        if key == 0:
            return None
        for i in range(100):
            seq = u32_load_sc(&row.seq)
            figures = PyBytes_FromStringAndSize(<const char *>row.figures, min(row.length, <uint32_t>PAGE_FIGURES))
            if seq & 1 == 0 and u32_add(&row.seq, 0) == seq and u64_load(&row.key) == key:
                return row.pid, figures
        return None

    def ask(self, uint32_t number, uint32_t question):
        """Ask the pool that has this row for its leases; its watcher answers in a file."""
        u32_swap(&self.page.row[number].asked, question)
        need_ring(&self.page.row[number])

    def ring(self):
        """Wake the watcher."""
        if self.member.row != NULL:
            need_ring(self.member.row)

    def leave(self):
        """Give up the row.  The caller has closed all connections."""
        if self.held and self.born_in == generation():
            self.held = False
            u32_swap(&self.member.left, 1)
            member_clear(self.page, self.member.number)
            need_offer(self.page, self.member.number, clock_real())
            page_unlock(self.member.fd, self.member.number + 1)
            need_ring(self.member.row)

    # ---- the watcher

    def watch(self):
        """Called by the watcher's thread: sleep, and serve the waiters, until Python code has something to do."""
        cdef int what
        with nogil:
            what = sharing_watch(self)
        return what


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
        futex_wait(&member.row.futex, seen, until - now)


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
