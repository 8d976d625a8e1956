# The steps of a checkout: which one is next, and what follows from its result.

cdef int checkout_step(Checkout self) except -1:
    """The next step: WAIT, CONNECT, CHECK, CLOSE, or READY.  Raises when the checkout has failed."""
    while True:
        if self.detached is not None:
            return CLOSE
        if self.slot == NULL:
            if self.rejected and (self.late or (clock_ns() >= self.deadline and not self.instant)):
                raise checkout_exhausted(self.core, "check", self.began)
            if not checkout_take(self):
                return WAIT
        if checkout_connecting(self):
            return CONNECT
        if not self.looked:
            checkout_look(self)
        if self.answer == KEEP:
            return READY
        if self.answer == ASK:
            return CHECK
        checkout_reject(self)


cdef bint checkout_take(Checkout self) except -1:
    """Take this thread's last slot, the idle one returned last, or room for a new connection.  False: it must wait."""
    cdef Core core = self.core
    cdef Thread *me
    cdef ThreadHint *hint
    fork_ensure_process(core)
    if u64_load(&core.pool.gate) & CLOSED:
        raise core.driver.closed_error(f"pool {core.name!r} is closed")
    if u64_load_sc(&core.pool.gate) & QUEUED_MASK:
        return False
    if self.rejected:  # prefer a new connection to the next old one
        checkout_hold(self, pool_take_vacant(core.pool))
        if self.slot != NULL:
            return True
    me = thread_self()
    hint = hint_make(me, core.pool.id, &core.pool.table)
    checkout_hold(self, lease_take_idle(core, hint))
    if self.slot == NULL:
        self.slot = pool_take_vacant(core.pool)
    else:
        checkout_exchange(self)
    return self.slot != NULL


cdef int checkout_exchange(Checkout self) except -1:
    """Exchange a connection in hand that the caller cannot use for one that it can, or for room for one, if there is
    any; else for the connection that has been idle longest, which is replaced."""
    cdef Core core = self.core
    cdef Slot *better = NULL
    cdef Slot *slot
    cdef Slot *oldest = NULL
    cdef bint found = checkout_suits(self, self.slot)
    cdef uint64_t word, seen = 0
    cdef uint32_t i
    if found:
        self.suits = True
        return 0
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) != IDLE:
            continue
        if checkout_suits(self, slot):
            if slot_grab(slot, word):
                better, found = slot, True
                break
        elif oldest == NULL or i64_peek(&slot.since_ns) < i64_peek(&oldest.since_ns):
            oldest, seen = slot, word
    if better == NULL:
        better = pool_take_vacant(core.pool)
    if better == NULL and self.selection is not None and oldest != NULL and slot_grab(oldest, seen):
        better = oldest
    if better != NULL:
        slot = self.slot
        checkout_hold(self, better)
        self.suits = found
        pool_give(core.pool, slot)
    return 0


cdef int checkout_look(Checkout self) except -1:
    """Judge the connection in hand, as far as possible without the driver's check."""
    self.looked = True
    if not self.suits and not checkout_suits(self, self.slot):
        self.answer = WHY_DISCARDED
        return 0
    self.suits = True
    try:
        self.answer = fitness_unasked(self.core, self.slot, self.ping)
    except Exception:
        self.answer = fitness_why_closed(self.slot)
    return 0


cdef int checkout_check_begins(Checkout self) except -1:
    self.asked = clock_ns()
    self.asked_of = self.slot.server
    self.limit = fitness_check_limit(self.core, self.asked, self.deadline)
    return 0


cdef int checkout_checked(Checkout self, bint well) except -1:
    """Record the result of the driver's check of the connection in hand."""
    cdef int64_t began = self.asked
    self.asked = 0
    if well:
        fitness_heard_of(self.core, self.slot)
        # a clear() may have come while it was checked
        self.answer = WHY_CLEARED if u32_load(&self.slot.mark) & STALE else KEEP
        return 0
    self.answer = WHY_DEAD
    if fitness_is_silent(self.core, self.slot.server, began, self.limit):
        self.silent = began
    return 0


cdef int checkout_check_cut_off(Checkout self) except -1:
    """Record that the check had no answer in its time."""
    self.late = self.limit != self.core.check_limit_ns
    if self.slot != NULL:
        checkout_checked(self, False)
        return 0
    # The worker thread has the slot and still checks; this checkout goes on without it.
    self.rejected = self.front = True
    if self.asked == 0:
        return 0  # the check has not begun: nothing is known of the server
    fitness_suspect_server(self.core, self.asked_of, NULL)
    if fitness_is_silent(self.core, self.asked_of, self.asked, self.limit):
        self.detached, self.why = [], WHY_DEAD
        fitness_vacate_unheard(self.core, self.asked_of, self.asked, self.detached)
    self.asked = 0
    return 0


cdef int checkout_reject(Checkout self) except -1:
    """Free the slot in hand, whose connection cannot be used and is closed next.  If it is dead, the server's other
    connections become suspect; if the server is silent, its idle ones that were not used since go, too: each would
    cost a caller the time of a check."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    cdef uint32_t server = slot.server
    cdef int64_t silent = self.silent
    self.rejected = self.front = True
    self.silent = 0
    if self.answer == WHY_DEAD or self.answer == WHY_DESYNC:
        fitness_suspect_server(core, server, slot)
    if (
        self.selection is not None
        and not self.suits
        and not core.tracks_calls
        and (core.pool.member == NULL or not self.awaits)  # else the shared permit is free once the close has returned
        and permit_take(core.pool)
    ):
        return checkout_replace(self)
    checkout_detach(self, self.answer)
    if silent:
        fitness_vacate_unheard(core, server, silent, self.detached)
    return 0


cdef int checkout_detach(Checkout self, int why) except -1:
    """Free the slot in hand; its connection is to be closed."""
    cdef Slot *slot = self.slot
    self.detached, self.why = [], why  # made while the slot is in hand, for it may raise MemoryError
    self.slot = NULL
    retire_vacate(self.core, slot, why, self.detached)
    return 0


cdef int checkout_replace(Checkout self) except -1:
    """Keep the slot in hand, with a permit to connect in it, for a connection that the caller can use.

    If the room went to the first in line instead, callers that ask for another kind of connection could keep this one
    out for ever.  The shared permit stays with the slot: the old connection is closed before the new one is opened.
    """
    cdef Slot *slot = self.slot
    cdef list taken = [None]  # made while the slot has its connection, for it may raise MemoryError
    server = (<Entry>slot.entry).server
    try:
        taken[0] = (retire_detach(self.core, slot, self.answer), server)
    finally:
        slot_move(slot, CONNECTING)
        checkout_hold(self, slot)
    self.detached, self.why, self.kept = taken, WHY_DISCARDED, self.core.pool.member != NULL
    return 0


cdef int checkout_fail(Checkout self) except -1:
    """After a failure: leave the line and free the slot; the state of its connection is unknown."""
    if self.born_in != generation():
        return 0
    line_end_wait(self)
    if self.slot == NULL:
        return 0
    if checkout_connecting(self):
        connect_give_room_back(self)
    else:
        checkout_detach(self, WHY_CLOSED if u64_load(&self.core.pool.gate) & CLOSED else WHY_ERROR)
    checkout_return_permit(self)
    return 0


cdef inline int checkout_return_permit(Checkout self) noexcept:
    """Return the permit that `connect_done` kept, if it is still out."""
    if self.permit:
        self.permit = False
        pool_permit_back(self.core.pool)
    return 0


cdef int checkout_abandon(Core core, Slot *slot) noexcept:
    """Pass on a slot that was dropped in hand, tainted, for the state of its connection is unknown."""
    if slot_state(u64_load(&slot.word)) != CONNECTING:
        u32_or(&slot.mark, TAINTED)
        i64_put(&slot.fresh_ns, 0)
        if u64_peek(&slot.owner) != 0 and slot.entry != NULL:  # NULL: the pool is being collected
            lease_close(core, slot, <Entry>slot.entry, thread_self(), hint_find(thread_self(), core.pool.id))
    pool_pass(core.pool, slot)
    return 0


cdef int checkout_drop_homeless(Checkout self) except -1:
    cdef Core core = self.core
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) != IDLE:
            continue
        home = (<Entry>slot.entry).loop
        if home is not None and home is not self.loop and home.is_closed() and slot_grab(slot, word):
            retire_slot(core, slot, WHY_DEAD)
    return 0
