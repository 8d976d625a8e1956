"""fastpool's core alone, driven by native threads: nothing here starts a Python.

    driver cycle THREADS MS      borrow + return from THREADS threads on 8 connections: "operations elapsed_ns"
    driver fair THREADS MS       each holds its connection for 1 ms: "operations elapsed_ns longest_wait_ns"
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport printf
from libc.stdlib cimport atoi
from libc.string cimport strcmp

from fastpool._core.c.atomic cimport Thread, thread_self, u32_load, u32_store
from fastpool._core.c.clock cimport clock_ns
from fastpool._core.c.slot cimport Slot

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*body)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)

cdef extern from "unistd.h" nogil:
    int usleep(unsigned int us)

cdef enum:
    MOST = 64
    HOLD_US = 1000

cdef struct Worker:
    uint64_t operations
    int64_t longest
    uint64_t spare[6]           # a cache line each

cdef Worker workers[MOST]
cdef uint32_t phase = 0         # [atomic] 0: get ready, 1: go, 2: stop
cdef bint hold = False


include "hot.pxi"


cdef void *work(void *argument) noexcept nogil:
    cdef Worker *mine = <Worker *>argument
    cdef Thread *me = thread_self()
    cdef Slot *slot
    cdef int64_t began, waited
    cdef int _i
    while u32_load(&phase) == 0:
        usleep(100)
    while u32_load(&phase) == 1:
        if not hold:
            for _i in range(256):
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
    if not 1 <= count <= MOST or not open_pool():
        return 2
    hold = strcmp(argv[1], "fair") == 0
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
