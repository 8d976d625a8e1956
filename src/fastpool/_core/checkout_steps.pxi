# The steps of a checkout: what has to be done next, and what has come of it.

cdef int checkout_step(Checkout self) except -1:
    """What has to be done next: WAIT, CONNECT, CHECK, CLOSE, or READY.  Raises when the checkout can go no further."""
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
    """Take what is free: own last connection, the one returned last, room for a new one.  False: it must wait."""
    cdef Core core = self.core
    cdef Thread *me
    cdef ThreadHint *hint
    fork_ensure_process(core)
    if u64_load(&core.pool.gate) & CLOSED:
        raise PoolClosed(f"pool {core.name!r} is closed")
    if u64_load_sc(&core.pool.gate) & QUEUED_MASK:
        return False
    if self.rejected:  # rather a new connection than the next old one
        checkout_hold(self, pool_take_vacant(core.pool))
        if self.slot != NULL:
            return True
    me = thread_self()
    hint = hint_make(me, core.pool.id, &core.pool.table)
    checkout_hold(self, lease_take_idle(core, hint))
    if self.slot == NULL:
        self.slot = pool_take_vacant(core.pool)
    elif checkout_foreign(self):
        checkout_exchange(self)
    return self.slot != NULL


cdef int checkout_exchange(Checkout self) except -1:
    """Another loop's connection is in hand: rather one of this loop's, or room for one."""
    cdef Core core = self.core
    cdef Slot *better = NULL
    cdef Slot *slot
    cdef uint64_t word
    cdef uint32_t i
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) == IDLE and (<Entry>slot.entry).loop is self.loop and slot_grab(slot, word):
            better = slot
            break
    if better == NULL:
        better = pool_take_vacant(core.pool)
    if better != NULL:
        slot = self.slot
        checkout_hold(self, better)
        pool_give(core.pool, slot)
    return 0


cdef int checkout_look(Checkout self) except -1:
    """Look at the connection in hand, as far as that can be done without the driver's check."""
    self.looked = True
    if checkout_foreign(self):
        self.answer = WHY_DISCARDED
        return 0
    try:
        self.answer = fitness_unasked(self.core, self.slot, False)
    except Exception:
        self.answer = WHY_DEAD
    return 0


cdef int checkout_check_begins(Checkout self) except -1:
    self.asked = clock_ns()
    self.asked_of = self.slot.server
    self.limit = fitness_check_limit(self.core, self.asked, self.deadline)
    return 0


cdef int checkout_checked(Checkout self, bint well) except -1:
    """The driver's check has said whether the connection in hand is well."""
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
    """The check had no answer in its time."""
    self.late = self.limit != self.core.check_limit_ns
    if self.slot != NULL:
        checkout_checked(self, False)
        return 0
    # Its thread has the slot, and checks still; the checkout goes on without it.
    self.rejected = self.front = True
    if self.asked == 0:
        return 0  # it has not begun, and nothing is known against anybody
    fitness_suspect_server(self.core, self.asked_of, NULL)
    if fitness_is_silent(self.core, self.asked_of, self.asked, self.limit):
        self.detached, self.why = [], WHY_DEAD
        fitness_vacate_unheard(self.core, self.asked_of, self.asked, self.detached)
    self.asked = 0
    return 0


cdef int checkout_reject(Checkout self) except -1:
    """The connection in hand cannot be used: its slot is free, and it is closed next.  If it is dead, the others of its
    server are doubted; if that server is silent, those that have not been heard of go, too: each would cost somebody
    the time of a check."""
    cdef Core core = self.core
    cdef Slot *slot = self.slot
    cdef uint32_t server = slot.server
    cdef int64_t silent = self.silent
    self.rejected = self.front = True
    self.silent = 0
    if self.answer == WHY_DEAD or self.answer == WHY_DESYNC:
        fitness_suspect_server(core, server, slot)
    checkout_detach(self, self.answer)
    if silent:
        fitness_vacate_unheard(core, server, silent, self.detached)
    return 0


cdef int checkout_detach(Checkout self, int why) except -1:
    """Free the slot in hand; its connection is to be closed."""
    cdef Slot *slot = self.slot
    self.detached, self.why = [], why  # while the slot is in hand: there may be no memory
    self.slot = NULL
    retire_vacate(self.core, slot, why, self.detached)
    return 0


cdef int checkout_fail(Checkout self) except -1:
    """The checkout has failed: out of line, the slot free; nobody knows what state its connection is in."""
    if self.born_in != generation():
        return 0
    line_give_up(self)
    if self.slot == NULL:
        return 0
    if checkout_connecting(self):
        connect_give_room_back(self)
    else:
        checkout_detach(self, WHY_CLOSED if u64_load(&self.core.pool.gate) & CLOSED else WHY_ERROR)
    checkout_return_permit(self)
    return 0


cdef inline int checkout_return_permit(Checkout self) noexcept:
    """Give the permit back, if what it was for has come and it is still out."""
    if self.permit:
        self.permit = False
        pool_permit_back(self.core.pool)
    return 0


cdef int checkout_abandon(Core core, Slot *slot) noexcept:
    """A slot in hand was dropped: it goes on to the next, tainted, for nobody knows what state its connection is in."""
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
