# How a thread sleeps in line, and how it comes back to the GIL.
#
# Every thread that waits for the GIL wakes each 5 ms to request it.  When the deadlines of thousands pass together, or
# their pool is closed, that can take all of the processor, and the thread with the GIL hardly runs.  So threads that
# come back from their sleep go through turnstiles: in front of each they wait in real sleep, and a thread that goes
# through lets the next one in as soon as it has the GIL.  No thread waits for a turnstile while it has the GIL.  A
# thread that was given a slot bypasses the turnstiles: the pool has few slots, and others wait for this one.  So does
# the main thread, which handles signals.

cdef enum:
    TURNSTILES = 8      # beside a thread that computes, each admits one thread every 5 ms

cdef thread_lock[TURNSTILES] turnstiles
cdef uint64_t turnstiles_of         # the generation of the process that made them
cdef uint32_t turns = 0             # [atomic] chooses the turnstiles in turn


cdef void thread_make_turnstiles() noexcept nogil:
    """Called again in a forked child: the parent's may be held by threads that do not exist in the child."""
    global turnstiles_of
    cdef int i
    for i in range(TURNSTILES):
        turnstiles[i] = lock_new()  # NULL without memory: threads bypass it
    turnstiles_of = generation()


thread_make_turnstiles()


cdef inline void thread_leave_gil() noexcept nogil:
    """Called with the GIL, before it is released for a sleep."""
    if not FREE_THREADED and turnstiles_of != generation():
        thread_make_turnstiles()


cdef inline thread_lock thread_go_through(bint hurries) noexcept nogil:
    """Called without the GIL, when the sleep is over.  Returns the turnstile to leave with the GIL, or NULL."""
    cdef thread_lock one
    if FREE_THREADED or hurries:
        return NULL
    one = turnstiles[u32_add(&turns, 1) % TURNSTILES]
    if one != NULL:
        lock_take(one, 1)
    return one


cdef inline void thread_came_back(thread_lock turnstile) noexcept nogil:
    """Called as soon as this thread has the GIL again."""
    if turnstile != NULL:
        lock_drop(turnstile)


cdef int thread_sleep(Pool *pool, Waiter *waiter, int64_t until) except -1:
    """Sleep until the wait is decided, the thread is woken for another reason, or `until` (INT64_MAX: never).

    Signal handlers run here, and their exceptions propagate.
    """
    cdef lock_status status
    cdef thread_lock turnstile
    cdef int64_t left, most
    cdef bint main = compat_is_main_thread()
    thread_leave_gil()
    while u64_load(&waiter.state) == WAITING:
        left = until - clock_ns() if until != INT64_MAX else INT64_MAX
        if left <= 0:
            return 0
        most = SLICE_NS if main else LONGEST_NS
        if i64_peek(&clock_stopped):
            most = STOPPED_SLICE_NS
        with nogil:
            status = lock_take_timed(waiter.lock, (min(left, most) + 999) // 1000, 1)
            turnstile = thread_go_through(main or u64_load(&waiter.state) == HANDED)
        thread_came_back(turnstile)
        if status == LOCK_ACQUIRED:
            waiter_woke(waiter)
            return 0
        queue_mind_clock(&pool.queue)
        if status == LOCK_INTR or main:
            PyErr_CheckSignals()
    return 0
