# Rounds, and what must be true between them.

cdef uint32_t walk(Shared *shared, uint64_t head, bint idle, int state) noexcept nogil:
    """The number of entries of a stack; each slot must be there once, in that state (-1: any)."""
    cdef uint32_t entry = <uint32_t>head
    cdef uint32_t found = 0
    cdef Slot *slot
    while entry:
        found += 1
        slot = table_slot(&shared.pool.table, entry - 1)
        if found > MOST_HANDS:
            fail(shared, "a stack runs in a circle", entry, state)
            return found
        if state >= 0 and slot_state(u64_load(&slot.word)) != state:
            fail(shared, "a stack has a slot of another state", slot.index, u64_load(&slot.word))
        if idle and not u64_load(&slot.word) & LISTED:
            fail(shared, "an entry in the stack, and the slot says no", slot.index, u64_load(&slot.word))
        entry = u32_peek(&slot.next_idle) if idle else u32_peek(&slot.next_vacant)
    return found


cdef void audit(Shared *shared) noexcept nogil:
    """Check that nothing is under way: every slot is free, every count exact, the line empty."""
    cdef Pool *pool = &shared.pool
    cdef uint32_t per_state[8]
    cdef uint32_t index, listed = 0, warm = 0, size = u32_load(&pool.table.size)
    cdef uint64_t bit, word, gate = u64_load(&pool.gate)
    memset(per_state, 0, sizeof(per_state))
    for index in range(size):
        word = u64_load(&table_slot(&pool.table, index).word)
        per_state[slot_state(word)] += 1
        listed += (word & LISTED) != 0
        warm += (u64_peek(table_warm(&pool.table, index, &bit)) & bit) != 0
        if word & 0xF0:
            fail(shared, "bits of a word that nobody sets", index, word)
        if u32_load(&shared.hands[index]):
            fail(shared, "a slot that nobody gave back", index, u32_load(&shared.hands[index]))
    if per_state[VACANT] + per_state[IDLE] + per_state[GONE] != size:
        fail(shared, "a slot is neither free nor gone", size, per_state[LEASED])
    if gate & ~CLOSED or pool.queue.first != NULL or pool.queue.last != NULL:
        fail(shared, "the gate counts someone, or the line holds someone", gate, pool.queue.first != NULL)
    if pool.queue.watchmen or pool.queue.lookouts:
        fail(shared, "nobody stands in line, and lookouts are counted", pool.queue.watchmen, pool.queue.lookouts)
    if u32_load(&pool.connecting):
        fail(shared, "permits to connect that did not come back", u32_load(&pool.connecting), 0)
    if i64_peek(&pool.opened) != per_state[IDLE]:
        fail(shared, "connections counted, connections there", i64_peek(&pool.opened), per_state[IDLE])
    if per_state[IDLE] > (0 if gate & CLOSED else u32_load(&pool.limit)):
        fail(shared, "more open than may be", per_state[IDLE], u32_load(&pool.limit))
    if u32_load(&pool.active) != size - per_state[GONE]:
        fail(shared, "active slots counted, and there", u32_load(&pool.active), size - per_state[GONE])
    if walk(shared, pool.vacant, False, VACANT) != per_state[VACANT]:
        fail(shared, "vacant slots outside their stack", per_state[VACANT], 0)
    if walk(shared, pool.gone, False, GONE) != per_state[GONE]:
        fail(shared, "gone slots outside their stack", per_state[GONE], 0)
    if walk(shared, pool.idle.head, True, -1) != listed:
        fail(shared, "an entry twice in the stack, or a listed slot without one", listed, 0)
    if u64_load(&pool.idle.warm) != warm:
        fail(shared, "warm slots counted, and there", u64_load(&pool.idle.warm), warm)
    for index in range(size):
        word = u64_load(&table_slot(&pool.table, index).word)
        if slot_state(word) == IDLE and not word & LISTED and not pool.idle.oldest_first:
            fail(shared, "an idle slot that nobody can find", index, word)


cdef bint rest(Worker *me) noexcept nogil:
    """The end of a round; the last to arrive audits and begins the next.  False: it was the last round."""
    cdef Shared *shared = me.shared
    cdef uint64_t round
    pthread_mutex_lock(&shared.mutex)
    shared.arrived += 1
    round = shared.round
    if shared.arrived == shared.worker_count:
        audit(shared)
        u64_and(&shared.pool.gate, ~CLOSED)
        shared.arrived = 0
        shared.round += 1
        pthread_cond_broadcast(&shared.next_round)
    else:
        while shared.round == round:
            pthread_cond_wait(&shared.next_round, &shared.mutex)
    pthread_mutex_unlock(&shared.mutex)
    return round + 1 < shared.rounds and not u32_load(&shared.failed)


cdef void *work(void *argument) noexcept nogil:
    cdef Worker *me = <Worker *>argument
    cdef uint64_t left
    while True:
        left = 1 + chance(me, 1 + chance(me, 60))
        while left and not u64_load(&me.shared.pool.gate) & CLOSED and not u32_load(&me.shared.failed):
            do_something(me)
            u64_put(&me.deeds, me.deeds + 1)
            left -= 1
        check_mailbox(me, 0)
        if not rest(me):
            return NULL


cdef bint inquest(Shared *shared) noexcept nogil:
    """Whether a worker sleeps for ever; True only if that is certain.

    Every worker is found asleep without a deadline, or at the end of this round. Each sleeper is then asked, and
    answers that its wait is undecided; and none has woken since it was found. So between the two no thread was left
    that could ever wake another.
    """
    cdef uint64_t naps[MOST_WORKERS]
    cdef uint64_t asked, round
    cdef uint32_t i, arrived, sleepers = 0
    cdef int patience
    cdef timespec pause
    pause.tv_sec, pause.tv_nsec = 0, 2_000_000
    pthread_mutex_lock(&shared.mutex)
    round, arrived = shared.round, shared.arrived
    pthread_mutex_unlock(&shared.mutex)
    for i in range(shared.worker_count):
        naps[i] = u64_load_sc(&shared.workers[i].naps)
        sleepers += naps[i] & 1
    if not sleepers or sleepers + arrived != shared.worker_count:
        return False
    asked = u64_add(&shared.inquest, 1) + 1
    for i in range(shared.worker_count):
        patience = 5000
        while naps[i] & 1 and u64_load(&shared.workers[i].answer) != asked:
            if u64_load_sc(&shared.workers[i].naps) != naps[i] or patience == 0:
                return False
            patience -= 1
            nanosleep(&pause, NULL)
    for i in range(shared.worker_count):
        if u64_load_sc(&shared.workers[i].naps) != naps[i]:
            return False
    pthread_mutex_lock(&shared.mutex)
    i = shared.round == round and shared.arrived == arrived
    pthread_mutex_unlock(&shared.mutex)
    return i


cdef uint64_t progress(Shared *shared) noexcept nogil:
    cdef uint64_t sum = shared.worker_count
    cdef uint32_t i
    for i in range(shared.worker_count):
        sum += u64_peek(&shared.workers[i].deeds) + u64_peek(&shared.workers[i].naps)
    return sum


cdef void watch(Shared *shared) noexcept nogil:
    """Wait until the last round is over, or nothing moves any more."""
    cdef timespec pause
    cdef uint64_t was = 0
    cdef int64_t since = clock_ns()
    cdef bint over = False
    pause.tv_sec, pause.tv_nsec = 0, 5_000_000
    while not over:
        nanosleep(&pause, NULL)
        if inquest(shared):
            fail(shared, "asleep for ever (how many wait, how many connections are open)",
                 u64_load(&shared.pool.gate) & QUEUED_MASK, i64_peek(&shared.pool.opened))
            u64_or(&shared.pool.gate, CLOSED)
            pool_abandon_waiters(&shared.pool)
        if progress(shared) != was:
            was, since = progress(shared), clock_ns()
        elif clock_ns() - since > shared.patience_ns:
            fprintf(stderr, "round %llu: running in circles\n", <unsigned long long>shared.round)
            abort()
        pthread_mutex_lock(&shared.mutex)
        over = shared.round >= shared.rounds or (u32_load(&shared.failed) != 0 and shared.arrived == 0)
        pthread_mutex_unlock(&shared.mutex)


cdef int stress(Shared *shared) noexcept nogil:
    """0: no failure; otherwise `verdict` says what failed."""
    cdef uint32_t i
    shared.pool.id = 1
    shared.pool.wake = ring
    shared.pool.max_size = shared.pool.limit = shared.most
    shared.pool.max_connecting = 2
    if queue_open(&shared.pool.queue) < 0:
        return 3
    pthread_mutex_init(&shared.mutex, NULL)
    pthread_cond_init(&shared.next_round, NULL)
    for i in range(shared.worker_count):
        shared.workers[i].shared = shared
        shared.workers[i].number = i + 1
        shared.workers[i].random = (shared.seed + 1) * MIX + i * STEP | 1
    for i in range(shared.worker_count):
        if pthread_create(&shared.workers[i].thread, NULL, work, &shared.workers[i]) != 0:
            return 3
    watch(shared)
    for i in range(shared.worker_count):
        pthread_join(shared.workers[i].thread, NULL)
    table_free(&shared.pool.table)
    lock_free(shared.pool.queue.mutex)
    return 1 if u32_load(&shared.failed) else 0


cdef void report(Shared *shared) noexcept nogil:
    """The totals on one line, as NAME=NUMBER."""
    cdef const char *names[COUNTS]
    cdef uint64_t total
    cdef uint32_t i
    cdef int j
    names[CHECKOUTS], names[CONNECTS], names[FAILED_CONNECTS] = "checkouts", "connects", "failed_connects"
    names[WAITS], names[TIMEOUTS], names[CANCELS] = "waits", "timeouts", "cancels"
    names[LATE], names[DISCARDS], names[PASSED_ON] = "late", "discards", "passed_on"
    names[RESIZES], names[CLOSES], names[DEAF] = "resizes", "closes", "deaf"
    for j in range(COUNTS):
        total = 0
        for i in range(shared.worker_count):
            total += shared.workers[i].counts[j]
        printf("%s=%llu ", names[j], <unsigned long long>total)
    printf("\n")


cdef public int program_main(int count, char **values) noexcept nogil:
    """That many threads on a pool of at most that many connections; HOT: the longest run of the fast path alone;
    PATIENCE: seconds without progress, after which the run counts as livelocked."""
    cdef Shared *shared
    cdef int said
    if count != 7:
        fprintf(stderr, "usage: WORKERS MOST ROUNDS SEED HOT PATIENCE\n")
        return 2
    shared = <Shared *>calloc(1, sizeof(Shared))
    if shared == NULL:
        return 3
    shared.worker_count, shared.most = <uint32_t>atoll(values[1]), <uint32_t>atoll(values[2])
    shared.rounds, shared.seed = <uint64_t>atoll(values[3]), <uint64_t>atoll(values[4])
    shared.pool.idle.oldest_first = shared.seed & 1  # as stressing.py says
    shared.hot = <uint64_t>atoll(values[5])
    shared.patience_ns = atoll(values[6]) * 1_000_000_000
    if not 1 <= shared.worker_count <= MOST_WORKERS or not 1 <= shared.most <= MOST_HANDS // 2 or not shared.hot:
        fprintf(stderr, "1 to %d workers, 1 to %d connections, HOT 1 and more\n", <int>MOST_WORKERS,
                <int>(MOST_HANDS // 2))
        free(shared)
        return 2
    said = stress(shared)
    if said:
        printf("%s\n", shared.verdict)
    report(shared)
    free(shared)
    return said
