"""A user of the C interface: leases by hand, and native threads that check out and in without the GIL."""

cimport fastpool
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastpool._core.c.atomic cimport u32_add, u32_cas, u32_load, u32_store, u64_add, u64_cas, u64_load

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*body)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)

cdef extern from "sched.h" nogil:
    int sched_yield()

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int nanosleep(const timespec *wanted, timespec *left)

OUTCOMES = {fastpool.NATIVE_OK: "ok", fastpool.NATIVE_TIMED_OUT: "timed out", fastpool.NATIVE_CLOSED: "closed",
            fastpool.NATIVE_OVERLOADED: "overloaded", fastpool.NATIVE_FAILED: "failed",
            fastpool.NATIVE_MISUSE: "misuse", fastpool.NATIVE_NO_MEMORY: "no memory"}

cdef enum:
    MOST_THREADS = 16
    PLACES = 64
    OUTCOME_COUNT = 7

cdef struct Place:           # one connection, by the address that its leases have in common
    uint64_t address         # [atomic]
    uint32_t held            # [atomic]

cdef struct Group:
    fastpool.NativePool *pool
    Place places[PLACES]
    uint32_t rounds, every
    double timeout
    uint64_t outcomes[OUTCOME_COUNT]   # [atomic]
    uint64_t doubles                   # [atomic] connections that two threads had
    uint64_t refused                   # [atomic] checkins that were not OK
    uint32_t done                      # [atomic] threads that have ended
    void *hint                        # a Python callable; called with the GIL in every `every`-th lease


cdef Place *place_of(Group *group, void *address) noexcept nogil:
    cdef Place *place
    cdef int i
    for i in range(PLACES):
        place = &group.places[i]
        if u64_cas(&place.address, 0, <uint64_t>address) or u64_load(&place.address) == <uint64_t>address:
            return place
    return NULL


cdef void hint(Group *group, fastpool.NativeLease *lease) noexcept with gil:
    (<object>group.hint)(fastpool.native_connection(group.pool, lease))


cdef void *work(void *argument) noexcept nogil:
    cdef Group *group = <Group *>argument
    cdef fastpool.NativeLease lease
    cdef Place *place
    cdef uint32_t i
    cdef int outcome
    memset(&lease, 0, sizeof(lease))
    for i in range(group.rounds):
        outcome = fastpool.native_checkout(group.pool, group.timeout, &lease, NULL, 0)
        u64_add(&group.outcomes[outcome], 1)
        if outcome != fastpool.NATIVE_OK:
            continue
        place = place_of(group, lease.slot)
        if place == NULL or not u32_cas(&place.held, 0, 1):
            u64_add(&group.doubles, 1)
        if group.every and i % group.every == 0:
            hint(group, &lease)
        elif i % 16 == 0:
            sched_yield()
        if place != NULL:
            u32_store(&place.held, 0)
        if fastpool.native_checkin(group.pool, &lease, False) != fastpool.NATIVE_OK:
            u64_add(&group.refused, 1)
    u32_add(&group.done, 1)
    return NULL


cdef class Held:
    """A lease of native code; `copy` is the same lease in another place."""
    cdef fastpool.NativeLease lease

    def copy(self):
        cdef Held other = Held()
        other.lease = self.lease
        return other

    def spoil(self):
        """Fill the lease with garbage, as if its memory had never been zeroed."""
        memset(&self.lease, 0xA5, sizeof(self.lease))


cdef class Native:
    """A pool as native code sees it."""
    cdef fastpool.NativePool *pool

    def __init__(self, pool):
        self.pool = fastpool.native_open(pool)

    def close(self):
        fastpool.native_close(self.pool)

    def checkout(self, Held held, double timeout=-1, *, bint with_gil=False):
        """(outcome, why)."""
        cdef char why[120]
        cdef int outcome
        if with_gil:
            outcome = fastpool.native_checkout(self.pool, timeout, &held.lease, why, sizeof(why))
        else:
            with nogil:
                outcome = fastpool.native_checkout(self.pool, timeout, &held.lease, why, sizeof(why))
        return OUTCOMES[outcome], why.decode()

    def checkin(self, Held held, bint discard=False):
        cdef int outcome
        with nogil:
            outcome = fastpool.native_checkin(self.pool, &held.lease, discard)
        return OUTCOMES[outcome]

    def connection(self, Held held):
        return fastpool.native_connection(self.pool, &held.lease)

    def without(self):
        """The outcomes of all functions for NULL arguments."""
        cdef fastpool.NativeLease lease
        memset(&lease, 0, sizeof(lease))
        return [OUTCOMES[fastpool.native_checkout(NULL, 0, &lease, NULL, 0)],
                OUTCOMES[fastpool.native_checkout(self.pool, 0, NULL, NULL, 0)],
                OUTCOMES[fastpool.native_checkin(NULL, &lease, False)],
                OUTCOMES[fastpool.native_checkin(self.pool, NULL, False)]]

    def run_threads(self, int threads, int rounds, double timeout=-1, *, int every=0, hint=None, bint keep_gil=False,
                    begun=None):
        """Run that many native threads for that many rounds each.

        Returns how often a checkout ended how, and what went wrong.
        keep_gil: the caller keeps the GIL for as long as they run, but for 20 s at most ("stuck" if they did not end).
        begun: called when they have been started, before the GIL is kept from them.
        """
        cdef Group *group = <Group *>calloc(1, sizeof(Group))
        cdef pthread_t started[MOST_THREADS]
        cdef timespec pause
        cdef int i, patience = 20000
        if group == NULL or threads > MOST_THREADS:
            free(group)
            raise MemoryError
        group.pool, group.rounds, group.timeout = self.pool, rounds, timeout
        group.every, group.hint = every, <void *>hint
        pause.tv_sec, pause.tv_nsec = 0, 1_000_000
        for i in range(threads):
            if pthread_create(&started[i], NULL, work, group) != 0:
                raise OSError("no thread to be had")
        if begun is not None:
            begun()
        while keep_gil and <int>u32_load(&group.done) < threads and patience:
            nanosleep(&pause, NULL)
            patience -= 1
        with nogil:
            for i in range(threads):
                pthread_join(started[i], NULL)
        said = {OUTCOMES[i]: group.outcomes[i] for i in range(OUTCOME_COUNT) if group.outcomes[i]}
        said.update(doubles=group.doubles, refused=group.refused, stuck=patience == 0)
        free(group)
        return said
