# The fast beginning and end of every lease, of a block, of a task, or by hand: nothing blocks, and no Python code of
# the driver is called.

ctypedef fused Holder:
    # Who calls: a block's lease, or the pool for a lease by hand. There are two copies of each function that has a
    # parameter of this type, one for each, so that the compiler can inline both where they are called.
    AnyLease
    Core


cdef inline Slot *lease_at_once(Core core, Holder holder, uint64_t *word, Slot **idle) except? NULL:
    """The slot of a free connection that may be handed out unchecked, leased to the caller; `word` receives the lease.

    NULL: there is none; `idle` then receives an idle one that was taken and must be looked at first, if there is any.
    """
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint = hint_find(me, core.pool.id)
    cdef Slot *slot
    cdef int64_t now
    green = task = None
    if not lease_can_begin_at_once(core, hint, Holder is AnyLease and core.nested):
        return NULL
    if owner_may_be_green_or_task():
        green = owner_ref(owner_greenlet())
        task = owner_ref(owner_task())
    slot = lease_take_idle(core, hint)
    if slot == NULL:
        return NULL
    now = clock_near_ns(me)
    if not lease_is_fresh(slot, now):
        idle[0] = slot
        return NULL
    if (<Entry>slot.entry).green is not green or (<Entry>slot.entry).task is not task:
        (<Entry>slot.entry).green, (<Entry>slot.entry).task = green, task
        (<Entry>slot.entry).returning = False
    word[0] = lease_begin(core, slot, me, hint, now, BY_BLOCK if Holder is AnyLease else BY_HAND)
    return slot


cdef inline bint lease_can_begin_at_once(Core core, ThreadHint *hint, bint shares) noexcept:
    """Whether an idle slot may be taken at once.  shares: not if the owner already holds a connection."""
    return (
        hint != NULL
        and u64_peek(&core.pool.gate) & ~(OVER_SIZE | SLOW_GIVE | WANTED) == 0
        and core.pool.generation == generation()
        and not (shares and hint.held)
    )


cdef inline Slot *lease_take_idle(Core core, ThreadHint *hint) noexcept nogil:
    """Take this thread's last slot if it is idle, else the one returned last; NULL: no slot is idle.

    In order="fifo" the one returned first, whoever had it.
    """
    if not core.pool.idle.oldest_first and lease_retake(hint):
        return <Slot *>hint.slot
    return idle_take(&core.pool.idle, &core.pool.table)


cdef inline bint lease_is_fresh(Slot *slot, int64_t now) noexcept nogil:
    """Whether this connection may be handed out unchecked."""
    return now + COARSE_NS < i64_peek(&slot.fresh_ns) and u32_peek(&slot.mark) == 0


cdef inline uint64_t lease_begin(Core core, Slot *slot, Thread *me, ThreadHint *hint, int64_t now, int how) noexcept:
    """Begin a lease on a fresh slot just taken, and return its word.  From lease_open on another thread's
    close(timeout) may end it, so that comes last."""
    cdef uint64_t word = slot_lease(u64_peek(&slot.word))
    if (<Entry>slot.entry).bound != (how != BY_HAND):
        (<Entry>slot.entry).bound = how != BY_HAND  # only if needed: entries of two threads may share a cache line
    if how == BY_HAND:
        core_count_by_hand(core, 1)
    slot.uses += 1
    lease_open(slot, me, hint, now)
    return word


cdef inline bint lease_can_end_at_once(Core core, Slot *slot, uint64_t word) noexcept:
    """Whether the end of a lease has only to free its slot."""
    return (
        u64_peek(&core.pool.gate) == 0
        and slot.depth == 1
        and u32_peek(&slot.mark) == 0
        and slot_lease(u64_peek(&slot.word)) == word
        and slot.uses < core.max_uses
    )


cdef inline bint lease_free(Core core, Holder holder, Slot *slot, uint64_t word) noexcept:
    """End a lease that can end at once, and free its slot; then call lease_freed.

    False: on a free-threaded build a checkin or a close() came in between, and owns the slot.
    """
    cdef Thread *me = thread_self()
    cdef ThreadHint *hint = hint_find(me, core.pool.id)
    if FREE_THREADED and not lease_try_end(slot, word):
        return False
    if Holder is Core:
        core_count_by_hand(core, -1)
    elif core.ends_blocks:
        (<Entry>slot.entry).held_ns += block_end_length(core, slot, me)
    lease_stamp(core, slot, me)
    if core.tracks_calls:
        (<Entry>slot.entry).remember(u64_peek(&slot.owner))
    lease_shut(slot, me, hint)
    idle_put(&core.pool.idle, &core.pool.table, slot)
    if FREE_THREADED and u32_load(&slot.mark) & STALE:
        i64_put(&slot.fresh_ns, 0)  # a clear() came in between: the next checkout must look
    return True


cdef inline int lease_freed(Core core) except -1:
    """A slot is free now: look again, for a caller that has begun to wait, or closed or shrunk the pool."""
    if u64_load_sc(&core.pool.gate) & (QUEUED_MASK | CLOSED | OVER_SIZE | WANTED):
        checkin_after_give(core)
    return 0


cdef inline void lease_stamp(Core core, Slot *slot, Thread *me) noexcept nogil:
    """Note when a good connection came back, if anything depends on that."""
    cdef int64_t now
    if core.stamps:
        now = clock_near_ns(me)
        i64_put(&slot.since_ns, now)
        i64_put(&slot.fresh_ns, fitness_fresh_until(core, slot, now))
