"""Threads that run every operation of a pool concurrently, without Python, and an audit whenever all are at rest.

Work comes in rounds. In a round every worker does a few random things: check out (patiently or not, as a thread or
as another kind of waiter), connect or fail to, return, discard, replace, leave a slot to another thread, resize,
close. Between rounds nothing is under way, so all counts must be exact; and a worker that sleeps without a deadline
while all others sleep or are done has missed its wake-up. `inquest` proves that, without a time limit.

tools/native.py makes a program of it, which needs no Python: for speed, or under a sanitizer.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdio cimport fprintf, printf, snprintf, stderr
from libc.stdlib cimport abort, atoll, calloc, free
from libc.string cimport memset

from fastpool._core.c.atomic cimport Thread, ThreadHint, i64_peek, thread_self, u32_add, u32_cas, u32_load, u32_peek, \
    u32_store, u32_swap, u64_add, u64_and, u64_load, u64_load_sc, u64_or, u64_peek, u64_put, u64_swap
from fastpool._core.c.clock cimport clock_ns
from fastpool._core.c.idle cimport idle_put, idle_take
from fastpool._core.c.lease cimport lease_open, lease_retake, lease_shut, hint_find, hint_make
from fastpool._core.c.pool cimport CLOSED, Pool, permit_take, pool_abandon_waiters, pool_give, pool_give_vacant, \
    pool_pass, pool_permit_back, pool_settle, pool_settle_if, pool_shrink_vacant, pool_take_free
from fastpool._core.c.slot cimport CONNECTING, GONE, IDLE, LEASED, LISTED, RETIRING, VACANT, Slot, slot_grab, \
    slot_move, slot_state
from fastpool._core.c.table cimport table_free, table_slot, table_warm
from fastpool._core.c.waitq cimport CANCELLED, LOCK_ACQUIRED, QUEUED_MASK, TIMED_OUT, WAITING, Queue, Waiter, \
    lock_drop, lock_free, lock_new, lock_take, lock_take_timed, queue_enlist, queue_leave, queue_open, thread_lock, \
    waiter_drop, waiter_new, waiter_settle, waiter_take, waiter_woke

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*body)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *cond, void *attributes)
    int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
    int pthread_cond_broadcast(pthread_cond_t *cond)

cdef extern from "sched.h" nogil:
    int sched_yield()

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int nanosleep(const timespec *wanted, timespec *left)

cdef enum:
    MOST_WORKERS = 64
    MOST_HANDS = 256        # slots that may ever exist in a run
    SLICE_US = 5000         # length of one sleep without a deadline, so that an inquest is answered soon

cdef enum:                  # the counters
    CHECKOUTS, CONNECTS, FAILED_CONNECTS, WAITS, TIMEOUTS, CANCELS, LATE, DISCARDS, PASSED_ON, RESIZES, CLOSES, DEAF, \
        COUNTS

cdef extern from * nogil:   # not module variables: a program without Python does not initialise those
    """
    #define FP_MIX 0x9E3779B97F4A7C15ULL
    #define FP_STEP 0xD1342543DE82EF95ULL
    """
    const uint64_t MIX "FP_MIX"
    const uint64_t STEP "FP_STEP"

cdef struct WakeEvent:           # what a waiter that is not a thread is woken by
    thread_lock lock
    uint32_t refs           # [atomic] the waiter's and the line's
    bint deaf               # its loop is gone

cdef struct Shared

cdef struct Worker:
    pthread_t thread
    Shared *shared
    uint32_t number         # from 1
    uint64_t random
    uint64_t deeds          # [atomic] done so far
    uint64_t naps           # [atomic] begun and ended: odd while it sleeps without a deadline
    uint64_t answer         # [atomic] the last inquest that it answered: its wait is undecided
    uint64_t counts[COUNTS]

cdef struct Shared:
    Pool pool
    Worker workers[MOST_WORKERS]
    uint32_t hands[MOST_HANDS]   # [atomic] the worker that has the slot, 0: none
    uint64_t mailbox             # [atomic] a leased slot left for any other worker to return
    uint32_t worker_count
    uint32_t most                # the limit is never set higher
    uint64_t hot                 # the longest run of the fast path
    int64_t patience_ns          # without progress for so long the run counts as livelocked
    uint64_t rounds
    uint64_t round               # under the mutex, as `arrived`
    uint64_t seed
    uint64_t inquest             # [atomic]
    uint32_t failed              # [atomic]
    char verdict[300]
    pthread_mutex_t mutex
    pthread_cond_t next_round
    uint32_t arrived


cdef uint64_t chance(Worker *me, uint64_t below) noexcept nogil:
    me.random ^= me.random << 13
    me.random ^= me.random >> 7
    me.random ^= me.random << 17
    return (me.random >> 11) % below


cdef void fail(Shared *shared, const char *what, uint64_t a, uint64_t b) noexcept nogil:
    """Record the first failure."""
    if u32_cas(&shared.failed, 0, 1):
        snprintf(shared.verdict, sizeof(shared.verdict), "round %llu: %s (%llu, %llu)",
                 <unsigned long long>shared.round, what, <unsigned long long>a, <unsigned long long>b)
        u32_store(&shared.failed, 2)


# ---- a slot has one owner at most ---------------------------------------------------------------------------------

cdef Slot *own_slot(Worker *me, Slot *slot) noexcept nogil:
    if slot != NULL and not u32_cas(&me.shared.hands[slot.index], 0, me.number):
        fail(me.shared, "a slot with two owners", slot.index, u32_load(&me.shared.hands[slot.index]))
    return slot


cdef Slot *release_slot(Worker *me, Slot *slot) noexcept nogil:
    if not u32_cas(&me.shared.hands[slot.index], me.number, 0):
        fail(me.shared, "a slot given by a worker that does not own it", slot.index, me.number)
    return slot


# ---- waiting -------------------------------------------------------------------------------------------------------

cdef void event_drop(WakeEvent *event) noexcept nogil:
    if u32_add(&event.refs, <uint32_t>-1) == 1:
        lock_free(event.lock)
        free(event)


cdef bint ring(Waiter *waiter) noexcept nogil:
    cdef WakeEvent *event = <WakeEvent *>waiter.object
    cdef bint heard = not event.deaf
    if heard:
        lock_drop(event.lock)
    event_drop(event)
    return heard


cdef void sleep_on(Worker *me, Waiter *waiter, thread_lock lock, int64_t deadline) noexcept nogil:
    cdef int64_t left
    cdef uint64_t asked
    if deadline == INT64_MAX:
        check_mailbox(me, 0)  # look into the mailbox again before sleeping: it must be empty when all sleep
        u64_add(&me.naps, 1)
    while u64_load(&waiter.state) == WAITING:
        if deadline == INT64_MAX:
            if lock_take_timed(lock, SLICE_US, 0) == LOCK_ACQUIRED:
                waiter_woke(waiter)
                continue
            asked = u64_load_sc(&me.shared.inquest)
            if u64_load_sc(&waiter.state) == WAITING:
                u64_swap(&me.answer, asked)
            continue
        left = deadline - clock_ns()
        if left <= 0:
            break
        if lock_take_timed(lock, left // 1000 + 1, 0) == LOCK_ACQUIRED:
            waiter_woke(waiter)
    if deadline == INT64_MAX:
        u64_add(&me.naps, 1)


cdef void check_duty(Shared *shared) noexcept nogil:
    """Check that a lookout exists while a thread that can be one stands in line."""
    cdef Queue *queue = &shared.pool.queue
    lock_take(queue.mutex, 1)
    if queue.watchmen != 0 and queue.lookouts == 0:
        fail(shared, "threads stand in line and nobody looks around", queue.watchmen, queue.lookouts)
    lock_drop(queue.mutex)


cdef Slot *stand(Worker *me, bint front) noexcept nogil:
    """Wait in line in a random way; the outcome."""
    cdef Pool *pool = &me.shared.pool
    cdef bint other_kind = chance(me, 3) == 0
    cdef bint cancelled = chance(me, 4) == 0
    cdef Waiter *waiter = waiter_new(not other_kind, me.number, 0)
    cdef WakeEvent *event = NULL
    cdef Slot *slot
    cdef int64_t deadline = INT64_MAX
    me.counts[WAITS] += 1
    waiter.may_look = not other_kind
    if other_kind:
        event = <WakeEvent *>calloc(1, sizeof(WakeEvent))
        event.lock = lock_new()
        lock_take(event.lock, 1)
        event.refs = 2
        event.deaf = chance(me, 8) == 0
        waiter.object = event
    if cancelled or chance(me, 2) or (event != NULL and event.deaf):
        deadline = clock_ns() + <int64_t>(chance(me, 3) * chance(me, 40000))
    if queue_enlist(&pool.queue, &pool.gate, waiter, front) & CLOSED:
        cancelled, deadline = True, 0
    else:
        pool_settle(pool)
        close_excess(me)
    check_duty(me.shared)
    sleep_on(me, waiter, waiter.lock if event == NULL else event.lock, deadline)
    slot = NULL
    if u64_load(&waiter.state) == WAITING and waiter_settle(waiter, CANCELLED if cancelled else TIMED_OUT):
        if queue_leave(&pool.queue, &pool.gate, waiter) and event != NULL:
            event_drop(event)
        me.counts[CANCELS if cancelled else TIMEOUTS] += 1
    else:
        slot = own_slot(me, <Slot *>waiter_take(waiter))
        if slot == NULL:
            me.counts[DEAF] += 1
        elif cancelled:
            pool_pass(pool, release_slot(me, slot))  # handed over at the same moment
            me.counts[PASSED_ON] += 1
            close_excess(me)
            slot = NULL
        elif deadline != INT64_MAX and clock_ns() >= deadline:
            me.counts[LATE] += 1
    if event != NULL:
        event_drop(event)
    waiter_drop(waiter)
    return slot


# ---- checkout, connect, checkin ------------------------------------------------------------------------------------

cdef bint connect(Worker *me, Slot *slot) noexcept nogil:
    """Of a CONNECTING slot: LEASED and still in hand, or failed and gone."""
    if chance(me, 4) == 0:
        sched_yield()
    if chance(me, 5) == 0:
        me.counts[FAILED_CONNECTS] += 1
        pool_give_vacant(&me.shared.pool, release_slot(me, slot), True)
        close_excess(me)
        return False
    me.counts[CONNECTS] += 1
    slot_move(slot, LEASED)
    pool_permit_back(&me.shared.pool)
    close_excess(me)
    return True


cdef Slot *checkout(Worker *me, bint patient) noexcept nogil:
    cdef Pool *pool = &me.shared.pool
    cdef Thread *thread = thread_self()
    cdef ThreadHint *hint = hint_make(thread, pool.id, &pool.table)
    cdef Slot *slot = NULL
    cdef bint front = False
    while not u64_load(&pool.gate) & CLOSED:
        if not u64_load_sc(&pool.gate) & QUEUED_MASK:
            slot = <Slot *>hint.slot if lease_retake(hint) else pool_take_free(pool)
            own_slot(me, slot)
        if slot == NULL:
            if not patient:
                return NULL
            slot = stand(me, front)
            if slot == NULL:
                return NULL
        if slot_state(u64_load(&slot.word)) == CONNECTING:
            if not connect(me, slot):
                return NULL
        elif chance(me, 10) == 0:
            # Unfit: closed and opened again in its place, or made vacant for want of a permit.
            me.counts[DISCARDS] += 1
            slot_move(slot, RETIRING)
            if permit_take(pool):
                slot_move(slot, CONNECTING)
                if not connect(me, slot):
                    return NULL
            else:
                pool_give_vacant(pool, release_slot(me, slot), False)
                close_excess(me)
                slot, front = NULL, True
                continue
        me.counts[CHECKOUTS] += 1
        slot_move(slot, LEASED)
        lease_open(slot, thread, hint, 0)
        return slot
    return NULL


cdef void retire(Worker *me, Slot *slot) noexcept nogil:
    me.counts[DISCARDS] += 1
    slot_move(slot, RETIRING)
    pool_give_vacant(&me.shared.pool, release_slot(me, slot), False)


cdef void close_excess(Worker *me) noexcept nogil:
    """After each change: close connections over the limit, or of a closed pool.

    A slot may have been in a settler's hands while the pool was closed or shrank, and that operation missed it.
    """
    cdef Pool *pool = &me.shared.pool
    cdef int64_t keep
    cdef Slot *slot
    while True:
        keep = 0 if u64_load_sc(&pool.gate) & CLOSED else u32_load(&pool.limit)
        if i64_peek(&pool.opened) <= keep:
            return
        slot = own_slot(me, idle_take(&pool.idle, &pool.table))
        if slot == NULL:
            return
        retire(me, slot)


cdef void checkin(Worker *me, Slot *slot) noexcept nogil:
    cdef Pool *pool = &me.shared.pool
    cdef Thread *thread = thread_self()
    lease_shut(slot, thread, hint_find(thread, pool.id))
    if chance(me, 8) == 0 or u64_load(&pool.gate) & CLOSED or i64_peek(&pool.opened) > u32_load(&pool.limit):
        retire(me, slot)
    else:
        pool_give(pool, release_slot(me, slot))
    close_excess(me)


cdef void run_hot(Worker *me) noexcept nogil:
    """The core's fast path, repeatedly: take the own last slot or the one returned last, and return it."""
    cdef Pool *pool = &me.shared.pool
    cdef Thread *thread = thread_self()
    cdef ThreadHint *hint = hint_make(thread, pool.id, &pool.table)
    cdef Slot *slot
    cdef uint64_t times = 1 + chance(me, me.shared.hot)
    while times and u64_peek(&pool.gate) == 0:
        times -= 1
        slot = <Slot *>hint.slot
        if pool.idle.oldest_first or not lease_retake(hint):
            slot = idle_take(&pool.idle, &pool.table)
            if slot == NULL:
                return
        own_slot(me, slot)
        lease_open(slot, thread, hint, 0)
        me.counts[CHECKOUTS] += 1
        lease_shut(release_slot(me, slot), thread, hint)
        idle_put(&pool.idle, &pool.table, slot)
        if u64_load_sc(&pool.gate):
            pool_settle_if(pool)
        close_excess(me)


cdef void check_mailbox(Worker *me, uint64_t content) noexcept nogil:
    """Leave a leased slot (or nothing) in the mailbox, and return what was in it."""
    cdef Slot *slot = <Slot *>u64_swap(&me.shared.mailbox, content)
    if slot != NULL:
        checkin(me, own_slot(me, slot))


# ---- other operations ------------------------------------------------------------------------------------------

cdef void look_over(Worker *me) noexcept nogil:
    """A keeper's round: take idle slots past the stack, and keep or close them."""
    cdef Pool *pool = &me.shared.pool
    cdef Slot *slot
    cdef uint64_t word
    cdef uint32_t index
    for index in range(u32_load(&pool.table.size)):
        slot = table_slot(&pool.table, index)
        word = u64_load(&slot.word)
        if slot_state(word) == IDLE and slot_grab(slot, word):
            own_slot(me, slot)
            if chance(me, 2):
                retire(me, slot)
            else:
                pool_give(pool, release_slot(me, slot))
            close_excess(me)


cdef void resize(Worker *me) noexcept nogil:
    cdef Pool *pool = &me.shared.pool
    cdef uint32_t limit = 1 + <uint32_t>chance(me, me.shared.most)
    me.counts[RESIZES] += 1
    u32_store(&pool.max_connecting, 1 + <uint32_t>chance(me, 3))
    u32_swap(&pool.limit, limit)
    pool_shrink_vacant(pool)
    pool_settle_if(pool)
    close_excess(me)


cdef void close(Worker *me) noexcept nogil:
    cdef Pool *pool = &me.shared.pool
    me.counts[CLOSES] += 1
    u64_or(&pool.gate, CLOSED)
    pool_abandon_waiters(pool)
    close_excess(me)


cdef void do_something(Worker *me) noexcept nogil:
    cdef uint64_t what = chance(me, 1000)
    cdef Slot *slot
    cdef Slot *second
    if what < 20:
        resize(me)
    elif what < 40:
        look_over(me)
    elif what < 42:
        close(me)
    elif what < 300:
        run_hot(me)
    else:
        slot = checkout(me, what < 900)
        if slot == NULL:
            return
        if what % 4 == 0:
            sched_yield()
        if what % 8 == 1:
            check_mailbox(me, <uint64_t>release_slot(me, slot))
            return
        second = checkout(me, False) if what % 8 == 2 else NULL
        checkin(me, slot)
        if second != NULL:
            checkin(me, second)


include "_stress_audit.pxi"
