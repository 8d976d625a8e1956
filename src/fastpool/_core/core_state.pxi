# The state of a pool's compiled half.

cdef class AnyLease

cdef class Core

cdef class SharedMember


cdef class CoreState:
    """The state of a pool: slots and line, the options in the core's own form, and records of its callers."""
    cdef PoolInner inner
    cdef Pool *pool                  # in `inner`; valid until __dealloc__, whatever the garbage collector has cleared
    cdef uint64_t *totals            # likewise
    cdef PyObject *kept              # the reference to `inner` that keeps both valid
    cdef AnyLease cached_lease                 # a lease object whose block has ended
    cdef AnyLease cached_task_lease            # a lease object whose task's block has ended
    cdef list entries                  # by slot index: keeps the entries alive
    cdef dict by_id                  # id(connection) -> entry, for checkin by hand; written at connect and close
    cdef dict queued                 # waiting thread's uid -> whether all of it sleeps; to find deadlocks
    cdef dict queued_green           # owner's key -> (thread's uid, greenlet, task, waiter's address), likewise
    cdef set queued_tasks            # weak references to the waiting tasks whose loop runs on
    cdef uint64_t waits_over         # [atomic] number of waits that have ended
    cdef int64_t by_hand             # number of leases that were checked out by hand
    cdef public int own_references   # references to each connection held by the pool and its driver
    cdef readonly list lost          # leases that were dropped in their blocks and have not been reported
    cdef int64_t looked_ns           # when lost leases were last looked for
    cdef int64_t collected_ns        # when gc.collect() was last called, before a deadlock was concluded
    cdef public object last_sight    # a recent error's account of the pool, reused while many wait; None
    cdef public set leaks_told       # (slot, epoch) of the leases that were reported as leaks
    cdef dict dropped                # id -> connection checked out by hand that close() has taken
    cdef list inherited                 # after a fork, what the parent uses: never touched, never destroyed
    cdef object __weakref__
    cdef readonly object driver
    cdef readonly str name
    cdef public object config        # Config
    cdef public object connector     # opens connections: servers, back-off
    cdef public object listeners
    cdef uint32_t hears              # EVENT_… that have listeners; read while a slot is in hand, so without Python
    cdef public object keeping       # the keeper's entry for this pool
    cdef public dict staff           # threads that call the driver for tasks
    cdef readonly SharedMember member    # its place among the pools of its shared name; None: it has none
    cdef public object share         # what it does for its shared name; None: it has none
    cdef public bint needs_keeper    # its options need one
    cdef public bint was_opened      # open() has been called, or the first connection opened
    cdef public bint has_alternatives  # its waiters turn to another pool after a moment, so they are in no deadlock
    cdef readonly bint nested
    cdef readonly bint timing
    cdef bint reclaim                # end leases that nobody can end any more
    cdef bint collect_garbage        # may call gc.collect() for a caller that finds no connection
    cdef public bint of_loops        # a connection can be used only in the event loop that opened it
    cdef bint tracks_calls           # the driver reports its calls to the entry, whose marks decide the fitness
    cdef bint lazy_timeout           # a bad timeout raises at __enter__
    cdef bint has_check, has_reset
    cdef bint ends_blocks            # the driver has something to do at the end of each block (commit, roll back)
    cdef bint has_probe              # connections have a descriptor to look at
    cdef bint may_probe              # ... which is not known until one has been opened
    cdef bint own_fileno             # the driver's fileno gives that descriptor
    cdef bint stamps                 # a checkin must read the clock
    cdef int64_t timeout_ns          # default; -1: no limit
    cdef int64_t check_ns, idle_ns, life_ns     # -1: none
    cdef int64_t check_limit_ns      # most that one check may take; -1: no limit of its own
    cdef dict silent                 # server's key -> when a check had no answer before its caller's deadline
    cdef uint64_t max_uses           # UINT64_MAX: no limit
    cdef int64_t max_waiting, max_idle          # -1: no limit
    cdef uint32_t server_count
    cdef dict server_keys
    cdef NativePool native           # the handle that the C interface gives
    cdef uint32_t native_opens

    def __cinit__(self, *args, **kwargs):
        core_move_in(<Core>self, PoolInner())
        self.entries = []
        self.by_id = {}
        self.queued = {}
        self.queued_green = {}
        self.queued_tasks = set()
        self.inherited = []
        self.lost = []
        self.leaks_told = set()
        self.own_references = 1
        self.dropped = {}
        self.server_keys = {}
        self.silent = {}
        self.staff = {}
        self.timeout_ns = self.check_limit_ns = self.idle_ns = self.life_ns = self.max_waiting = self.max_idle = -1

    def __dealloc__(self):
        if self.entries is not None:
            if self.pool.generation != generation():
                Py_INCREF(self.entries)  # the parent's connections: never to be destroyed here
            else:
                # Dropped without close(): the connections' finalizers run now, not at a later garbage collection.
                for entry in self.entries:
                    (<Entry>entry).driver_data = (<Entry>entry).connection = (<Entry>entry).descriptor = None
        if self.kept != NULL:
            Py_DECREF(<object>self.kept)

    def _set_up(self, driver, str name, *, bint oldest_first, bint nested, bint timing, bint reclaim,
                bint collect_garbage, bint tracks_calls, bint lazy_timeout, bint has_check, bint has_reset,
                bint has_probe, bint may_probe, bint ends_blocks=False):
        """Set what stays the same for the pool's life."""
        self.driver = driver
        self.name = name
        self.pool.idle.oldest_first = oldest_first
        self.nested = nested
        self.timing = timing
        self.reclaim = reclaim
        self.collect_garbage = collect_garbage
        self.tracks_calls = tracks_calls
        self.lazy_timeout = lazy_timeout
        self.has_check = has_check
        self.has_reset = has_reset
        self.ends_blocks = ends_blocks
        self.has_probe = self.own_fileno = has_probe
        self.may_probe = may_probe
        if not without & NO_IMMORTALS:
            fp_immortal(self)

    def _set_sizes(self, uint32_t max_size, int64_t max_overflow, int64_t max_idle, uint32_t max_connecting):
        """Set what resize may change.  A smaller pool removes slots as they come free; a larger one serves waiters."""
        fork_ensure_process(<Core>self)
        cdef Pool *pool = self.pool
        cdef int64_t limit = (1 << 20) if max_overflow < 0 else max_size + max_overflow
        u32_store(&pool.max_size, max_size)
        u32_store(&pool.max_connecting, max_connecting)
        # seq_cst: new room, published before this thread looks at the gate
        u32_swap(&pool.limit, <uint32_t>(limit if limit < (1 << 20) else (1 << 20)))
        self.max_idle = max_idle
        core_choose_flags(<Core>self)
        core_count_changed(<Core>self)
        pool_shrink_vacant(pool)
        pool_settle_if(pool)

    def _set_times(self, int64_t timeout_ns, int64_t check_ns, int64_t idle_ns, int64_t life_ns, uint64_t max_uses,
                   int64_t max_waiting, int64_t check_limit_ns):
        """Limits in ns, -1 for none; max_uses 0 for none."""
        self.timeout_ns = timeout_ns
        self.check_ns = check_ns
        self.idle_ns = idle_ns
        self.life_ns = life_ns
        self.max_uses = max_uses if max_uses else UINT64_MAX
        self.max_waiting = max_waiting
        self.check_limit_ns = check_limit_ns
        core_choose_flags(<Core>self)

    def _set_listeners(self, listeners):
        self.listeners = listeners
        self.hears = 0
        for i, name in enumerate(EVENT_NAMES):
            if listeners.hears(name):
                self.hears |= 1 << i
        core_choose_flags(<Core>self)


cdef void core_choose_flags(Core core) noexcept:
    """Set the gate's flags: which checkouts and checkins must take the slow path.

    Without the GIL another thread may change what they depend on, and set them, between our look and our writing, so
    whoever writes last looks again.
    """
    cdef uint64_t flags = core_slow_paths(core), before
    core.stamps = core.idle_ns >= 0 or core.life_ns >= 0 or (
        core.check_ns >= 0 and (core.has_check or core.has_probe))
    while True:
        u64_or(&core.pool.gate, flags)
        u64_and(&core.pool.gate, flags | ~(SLOW_TAKE | SLOW_GIVE))
        before, flags = flags, core_slow_paths(core)
        if flags == before:
            return


cdef uint64_t core_slow_paths(Core core) noexcept:
    """The flags of the paths that must be slow now."""
    cdef uint64_t flags = 0
    if core.timing:
        flags |= SLOW_TAKE | SLOW_GIVE
    if core.hears & (EVENT_CHECKOUT_STARTED | EVENT_CHECKED_OUT):
        flags |= SLOW_TAKE
    if core.hears & EVENT_CHECKED_IN:
        flags |= SLOW_GIVE
    if (core.has_reset and not core.ends_blocks) or core_may_exceed_idle(core):
        flags |= SLOW_GIVE
    return flags


cdef inline void core_count_by_hand(Core core, int64_t more) noexcept:
    """One lease by hand more, or one less; the GIL guards the count where there is one."""
    if FREE_THREADED:
        i64_add(&core.by_hand, more)
    else:
        core.by_hand += more


cdef inline bint core_may_exceed_idle(Core core) noexcept nogil:
    """Whether a checkin could leave more idle connections than max_idle: not while no more are open."""
    return 0 <= core.max_idle < i64_peek(&core.pool.opened)


cdef void core_count_changed(Core core) noexcept:
    """Set the flags that depend on how many connections are open; called after each open and each close."""
    if core.max_idle >= 0:
        core_choose_flags(core)
    if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
        u64_or(&core.pool.gate, OVER_SIZE)
    else:
        u64_and(&core.pool.gate, ~OVER_SIZE)
        if i64_peek(&core.pool.opened) > <int64_t>u32_load(&core.pool.max_size):
            u64_or(&core.pool.gate, OVER_SIZE)
