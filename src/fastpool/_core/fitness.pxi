# Whether a connection may be handed out, and what a dead one implies for the others of its server.

cdef inline int64_t fitness_fresh_until(Core core, Slot *slot, int64_t now) noexcept nogil:
    """Until when a connection returned now may be handed out unchecked."""
    cdef int64_t until = INT64_MAX
    if core.check_ns >= 0 and (core.has_check or core.has_probe):
        # 0: check always. `now` would not do: the checkout compares with the coarse clock, which is behind this one.
        until = now + core.check_ns if core.check_ns else 0
    if core.idle_ns >= 0 and now + core.idle_ns < until:
        until = now + core.idle_ns
    return until if until < slot.expires_ns else slot.expires_ns


cdef int fitness_unasked(Core core, Slot *slot, bint ask) except -2:
    """KEEP, ASK if the driver's check must decide, or why the connection in the caller's slot cannot be handed out.
    ask: the check must decide, however fresh the connection is."""
    cdef int64_t now
    cdef int said
    cdef long long fd
    cdef uint32_t mark = u32_load(&slot.mark)
    if mark & STALE:
        return WHY_CLEARED
    if mark & (TAINTED | BUSY | DROPPED):
        return WHY_ERROR
    now = clock_ns()
    if slot.expires_ns <= now:
        return WHY_LIFETIME
    if core.idle_ns >= 0 and i64_peek(&slot.since_ns) + core.idle_ns <= now:
        return WHY_IDLE
    if not ask and (core.check_ns < 0 or now < i64_peek(&slot.fresh_ns)):
        return KEEP
    if core.has_probe:
        descriptor = (<Entry>slot.entry).descriptor
        if core.own_fileno or descriptor is None:
            fd = core.driver.fileno((<Entry>slot.entry).connection)
        else:
            fd = descriptor()
            if fd < 0:
                return WHY_DEAD
        if fd >= 0:
            with nogil:
                said = probe(fd, slot.uses == 0)
            if said == CLOSED_BY_PEER:
                return WHY_DEAD
            if said == DATA_WAITS:
                return WHY_DESYNC
    if core.has_check:
        return ASK
    slot.checked_ns = now
    return KEEP


cdef bint fitness_is_well(Core core, object c, int64_t limit, bint ping) except -1:
    """The result of the driver's check, or of its ping, of `c`; False if it raises an Exception."""
    try:
        ask = core.driver.ping if ping else core.driver.check
        return bool(ask(c, None if limit == INT64_MAX else limit / 1e9))
    except Exception:
        return False


cdef int64_t fitness_check_limit(Core core, int64_t now, int64_t deadline) noexcept:
    """How long a check that begins now may take; INT64_MAX: no limit."""
    cdef int64_t left = INT64_MAX
    if deadline != INT64_MAX:
        left = deadline - now if deadline > now else 0
    return core.check_limit_ns if 0 <= core.check_limit_ns < left else left


cdef bint fitness_is_silent(Core core, uint32_t server, int64_t began, int64_t limit) except -1:
    """Whether a failed check had no answer, so that checks of the server's other connections would fail as well.

    A check cut short by its caller's deadline proves little; a second one in a row counts, unless it was under way
    together with the first.
    """
    cdef int64_t now = clock_ns()
    cdef int64_t took = now - began
    if took >= FAIR_CHECK_NS:
        return True
    if limit == 0 or took < limit - limit // 20:
        return False  # an answer came, or there was no time for one
    noted = core.silent.get(server)
    if limit == core.check_limit_ns or (noted is not None and noted <= began):
        return True
    if took >= HASTY_CHECK_NS:
        core.silent.setdefault(server, now)
    return False


cdef inline int64_t fitness_last_heard(Slot *slot) noexcept nogil:
    """When the connection was last returned or checked."""
    cdef int64_t returned = i64_peek(&slot.since_ns)
    return slot.checked_ns if slot.checked_ns > returned else returned


cdef int fitness_heard_of(Core core, Slot *slot) except -1:
    """Record a successful check."""
    slot.checked_ns = clock_ns()
    if core.silent:
        core.silent.pop(slot.server, None)
    return 0


cdef int fitness_vacate_unheard(Core core, uint32_t server, int64_t since, list taken) except -1:
    """Detach the server's idle connections that were neither used nor checked since then; they go to `taken`."""
    cdef uint32_t i
    cdef uint64_t word
    cdef Slot *slot
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load_sc(&slot.word)
        if slot_state(word) != IDLE or slot.server != server:
            continue
        # the stamps are those of the coarse clock
        if fitness_last_heard(slot) + COARSE_NS < since and slot_grab(slot, word):
            u64_put(&slot.owner, 0)
            retire_vacate(core, slot, WHY_DEAD, taken)
    return 0


cdef void fitness_suspect_server(Core core, uint32_t server, Slot *known) noexcept:
    """After one dead connection: the server's others are looked at before they are handed out again."""
    cdef uint32_t i
    cdef Slot *slot
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        if slot.server == server and slot != known:
            if slot_state(u64_load(&slot.word)) == IDLE:
                i64_put(&slot.fresh_ns, 0)
            elif slot_state(u64_load(&slot.word)) == LEASED and u64_peek(&slot.owner) != 0:
                u32_or(&slot.mark, SUSPECT)


cdef int fitness_look_up_descriptor(Core core, Entry entry, object c) except -1:
    """Look up the function that shows, at checkin, whether the holder closed `c`: its own fileno, or the driver's.

    There is none for a connection without a descriptor now (it may connect later, or never), nor with a driver that
    tracks its calls or ends blocks, which sees for itself.
    """
    if core.tracks_calls or core.ends_blocks:
        return 0
    try:
        descriptor = core.driver.fileno if core.own_fileno else getattr(c, "fileno", None)
        if descriptor is not None and fitness_is_descriptor(descriptor(c) if core.own_fileno else descriptor()):
            entry.descriptor = descriptor
    except Exception:
        pass
    return 0


cdef inline bint fitness_is_descriptor(object fd) except -1:
    return isinstance(fd, int) and fd >= 0


cdef bint fitness_is_open(Core core, Entry entry) except -1:
    """Whether the connection still has its descriptor; True if none is known.  Raises only what is not an Exception."""
    with cython.critical_section(entry):  # a close(timeout) may be taking the connection away
        descriptor, c = entry.descriptor, entry.connection
    if descriptor is None:
        return True
    try:
        return fitness_is_descriptor(descriptor(c) if core.own_fileno else descriptor())
    except Exception:
        return False


cdef inline int fitness_why_closed(Slot *slot) noexcept nogil:
    """Why a connection without a descriptor is closed: out of step, if the driver has said so when it was asked."""
    return WHY_DESYNC if u32_load(&slot.mark) & DESYNC else WHY_DEAD
