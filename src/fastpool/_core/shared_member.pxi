# An open page of a shared name, and the row that a pool has in it; fastpool._shared finds the page's file and joins it.

SHARED_BITS = (SHARE_GIVE_UP, SHARE_FIGURES, SHARE_LEFT, SHARE_ASKED)
SHARED_LAYOUT = (PAGE_HEAD, PAGE_ROW, PAGE_ROWS, PAGE_FIXED, PAGE_FIGURES, NO_CAP, SHARES != 0)


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
        self.member.file = -1
        self.born_in = generation()
        self.member.file = page_open(folder, name)
        if self.member.file == -1:
            page_failed()
        self.member.mutex = lock_new()
        if self.member.mutex == NULL:
            raise MemoryError("fastpool: no memory for a lock")

    def __dealloc__(self):
        if self.page != NULL:
            page_unmap(self.page, sizeof(Page))
        event_close(self.member.event)
        if self.member.file != -1 and self.born_in == generation():
            page_close(self.member.file, self.page != NULL)
        if self.member.mutex != NULL:
            lock_free(self.member.mutex)

    # ---- joining: by the thread that makes the pool, before anybody else knows of this object

    def fileno(self):
        """The page's descriptor (on Windows it has none).  To be read and written, never to be closed."""
        return self.member.file

    @property
    def size(self):
        """How many bytes the file has."""
        return page_size(self.member.file)

    @property
    def fixed(self):
        """The first bytes of the file, in which it says what it is; fewer if it has not so many."""
        cdef unsigned char start[PAGE_FIXED]
        cdef int done = page_read(self.member.file, start, PAGE_FIXED)
        if done < 0:
            page_failed()
        return start[:done]

    @property
    def mine(self):
        """Whether it is this process's, and not inherited in a fork: that one's descriptor is closed."""
        return self.born_in == generation()

    def lock(self, uint32_t byte):
        """Whether this byte of the file could be locked."""
        return page_lock(self.member.file, byte) == 0

    def unlock(self, uint32_t byte):
        """Give up the lock of a byte."""
        page_unlock(self.member.file, byte)

    def locked(self, uint32_t byte, uint32_t count=1):
        """Whether another pool has the lock of one of these bytes."""
        return page_locked(self.member.file, byte, count) != 0

    def map(self, int folder=-1, bytes name=b""):
        """Map the page; to take a row in it, with the folder and the name by which it was opened.  OSError."""
        self.page = <Page *>page_map(self.member.file, folder, name, sizeof(Page))
        if self.page == NULL:
            page_failed()

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
        if page_lock(self.member.file, number + 1) != 0:
            return False
        member_clear(self.page, number)  # a dead process may have had it
        row.pid, row.process = pid, process
        row.seq &= ~<uint32_t>1
        if u32_load(&self.page.used) <= number:
            u32_swap(&self.page.used, number + 1)
        self.member.event = event_made(key)
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
            page_unlock(self.member.file, self.member.number + 1)
            need_ring(self.member.row)

    # ---- the watcher

    def watch(self):
        """Called by the watcher's thread: sleep, and serve the waiters, until Python code has something to do."""
        cdef int what
        with nogil:
            what = sharing_watch(self)
        return what
