"""fastpool's core alone, driven by native threads: nothing here starts a Python.

    driver cycle THREADS MS      borrow + return from THREADS threads on 8 connections: "operations elapsed_ns"
    driver fair THREADS MS       each holds its connection for 1 ms: "operations elapsed_ns longest_wait_ns"
"""

from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdio cimport printf
from libc.stdlib cimport atoi, calloc
from libc.string cimport strcmp

from fastpool._c.atomic cimport Thread, Visit, i64_peek, i64_put, thread_self, u32_load, u32_store, u64_load, \
    u64_load_sc, u64_peek
from fastpool._c.clock cimport clock_coarse_ns, clock_ns
from fastpool._c.idle cimport idle_put, idle_take
from fastpool._c.lease cimport lease_open, lease_retake, lease_shut, visit_find, visit_make
from fastpool._c.pool cimport Pool, pool_give, pool_permit_back, pool_settle, pool_settle_if, pool_take_free
from fastpool._c.slot cimport CONNECTING, LEASED, Slot, slot_lease, slot_move, slot_state
from fastpool._c.waitq cimport QUEUED_MASK, WAITING, Waiter, lock_take_timed, queue_enlist, queue_open, waiter_drop, \
    waiter_new, waiter_take

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*body)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)

cdef extern from "unistd.h" nogil:
    int usleep(unsigned int us)

cdef enum:
    CONNECTIONS = 8
    MOST = 64
    HOLD_US = 1000

cdef struct Worker:
    uint64_t operations
    int64_t longest
    uint64_t spare[6]           # a cache line each

cdef Pool pool
cdef Worker workers[MOST]
cdef uint32_t phase = 0         # [atomic] 0: get ready, 1: go, 2: stop
cdef bint hold = False


cdef Slot *borrow(Thread *me) noexcept nogil:
    cdef Visit *visit = visit_find(me, pool.id)
    cdef Slot *slot = NULL
    cdef Waiter *waiter
    cdef int64_t now
    if u64_peek(&pool.gate) == 0 and visit != NULL:
        slot = <Slot *>visit.slot
        if not lease_retake(visit):
            slot = idle_take(&pool.idle, &pool.table)
        if slot != NULL:
            now = clock_coarse_ns()
            if now < i64_peek(&slot.fresh_ns):
                lease_open(slot, me, visit, now)
                return slot
    if slot == NULL and not u64_load_sc(&pool.gate) & QUEUED_MASK:
        slot = pool_take_free(&pool)
    if slot == NULL:
        waiter = waiter_new(True, me.uid, clock_ns())
        queue_enlist(&pool.queue, &pool.gate, waiter, False)
        pool_settle(&pool)
        while u64_load(&waiter.state) == WAITING:
            lock_take_timed(waiter.lock, -1, 0)
        slot = <Slot *>waiter_take(waiter)
        waiter_drop(waiter)
    if slot_state(u64_load(&slot.word)) == CONNECTING:
        i64_put(&slot.fresh_ns, INT64_MAX)
        slot_move(slot, LEASED)
        pool_permit_back(&pool)
    lease_open(slot, me, visit_make(me, pool.id, &pool.table), clock_coarse_ns())
    return slot


cdef void give_back(Thread *me, Slot *slot) noexcept nogil:
    lease_shut(slot, me, visit_find(me, pool.id))
    if u64_peek(&pool.gate) == 0:
        idle_put(&pool.idle, &pool.table, slot)
        pool_settle_if(&pool)
    else:
        pool_give(&pool, slot)


cdef void *work(void *argument) noexcept nogil:
    cdef Worker *mine = <Worker *>argument
    cdef Thread *me = thread_self()
    cdef Slot *slot
    cdef int64_t began, waited
    cdef int i
    while u32_load(&phase) == 0:
        usleep(100)
    while u32_load(&phase) == 1:
        if not hold:
            for i in range(256):
                give_back(me, borrow(me))
            mine.operations += 256
            continue
        began = clock_ns()
        slot = borrow(me)
        waited = clock_ns() - began
        if waited > mine.longest:
            mine.longest = waited
        usleep(HOLD_US)
        give_back(me, slot)
        mine.operations += 1
    return NULL


cdef public int program_main(int argc, char **argv) noexcept nogil:
    cdef pthread_t threads[MOST]
    cdef int i, count
    cdef int64_t began, elapsed
    cdef int64_t longest = 0
    cdef uint64_t operations = 0
    global hold
    count = atoi(argv[2]) if argc == 4 else 0
    if not 1 <= count <= MOST or queue_open(&pool.queue) < 0:
        return 2
    hold = strcmp(argv[1], "fair") == 0
    pool.id = pool.generation = 1
    pool.max_size = pool.limit = pool.max_connecting = CONNECTIONS
    for i in range(count):
        if pthread_create(&threads[i], NULL, work, &workers[i]) != 0:
            return 3
    began = clock_ns()
    u32_store(&phase, 1)
    usleep(1000 * atoi(argv[3]))
    u32_store(&phase, 2)
    for i in range(count):
        pthread_join(threads[i], NULL)
        operations += workers[i].operations
        if workers[i].longest > longest:
            longest = workers[i].longest
    elapsed = clock_ns() - began
    printf("%llu %lld %lld\n", <unsigned long long>operations, <long long>elapsed, <long long>longest)
    return 0
