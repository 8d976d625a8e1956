"""Threads that stand for processes on one page (c/page.pxd, c/need.pxd): they take permits, give them back, wait, are
offered some, free them for each other, and die with what they have; whoever then has their row's lock clears it.

After each round nothing is under way, so the books must be exact. tools/native.py makes a program of it, which needs no
Python: plain, or under a sanitizer.  Its arguments: threads, permits, rounds, seed.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport fprintf, printf, stderr
from libc.stdlib cimport abort, atoll, calloc, free

from fastpool._core.c.atomic cimport u32_add, u32_cas, u32_load, u32_store, u64_load, u64_store
from fastpool._core.c.need cimport need_assign, need_before, need_offer, need_served, need_set, need_unassign, \
    need_wanted
from fastpool._core.c.page cimport GIVEN_ONE, Page, Row, TAKEN_ONE, page_change, page_count, page_finish, page_free
from fastpool._core.c.member cimport member_clear

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*body)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)

cdef enum:
    MOST = 64, STEPS = 400

cdef struct Process:
    Page *page
    uint32_t row
    uint64_t random
    uint32_t *locks        # [atomic] by row: somebody has it
    uint32_t *open         # [atomic] what the server sees
    uint32_t *deaths       # [atomic]
    uint32_t cap


cdef uint64_t draw(Process *me, uint64_t below) noexcept nogil:
    me.random ^= me.random << 13
    me.random ^= me.random >> 7
    me.random ^= me.random << 17
    return (me.random >> 11) % below


cdef void wrong(const char *what, uint64_t number) noexcept nogil:
    fprintf(stderr, "wrong: %s (%llu)\n", what, <unsigned long long>number)
    abort()


cdef void connect(Process *me) noexcept nogil:
    cdef uint32_t now = u32_add(me.open, 1) + 1
    if now > me.cap:
        wrong("more connections are open than the cap", now)


cdef void clear_the_dead(Process *me) noexcept nogil:
    """As a reaper does: with the row's lock, which its process has no longer."""
    cdef uint32_t i = <uint32_t>draw(me, u32_load(&me.page.used))
    if i != me.row and u32_cas(&me.locks[i], 0, 1):
        member_clear(me.page, i)
        u32_store(&me.locks[i], 0)


cdef uint32_t live(Process *me) noexcept nogil:
    """One process's life on its row; the connections that it has at its end."""
    cdef Row *row = &me.page.row[me.row]
    cdef Row *other
    cdef uint32_t have = 0, stamp
    cdef int64_t now = 1
    cdef int _
    for _ in range(STEPS):
        now += 1
        if draw(me, 200) == 0:
            u32_add(me.deaths, 1)
            return have
        if draw(me, 3) != 0:
            if page_change(me.page, me.row, TAKEN_ONE):
                have += 1
                connect(me)
                need_served(row)
        elif have:
            have -= 1
            u32_add(me.open, <uint32_t>-1)
            page_change(me.page, me.row, GIVEN_ONE)
            need_offer(me.page, me.row, now)
        need_set(row, <uint32_t>draw(me, 3), draw(me, 8) == 0)
        need_before(me.page, me.row, now, now)
        if need_wanted(me.page, me.row, now):
            other = need_assign(me.page, me.row, 0, now, &stamp)
            if other != NULL and draw(me, 2):
                need_unassign(other, stamp)
        if draw(me, 10) == 0:
            clear_the_dead(me)
    return have


cdef void *process(void *argument) noexcept nogil:
    cdef Process *me = <Process *>argument
    cdef uint32_t have
    cdef int _
    for _ in range(3):
        while not u32_cas(&me.locks[me.row], 0, 1):
            pass
        member_clear(me.page, me.row)
        u64_store(&me.page.row[me.row].key, me.row + 1)
        have = live(me)
        u32_add(me.open, <uint32_t>(-<int64_t>have))  # the system closes what it had,
        u32_store(&me.locks[me.row], 0)               # and its lock is gone
    return NULL


cdef public int program_main(int argc, char **argv) noexcept nogil:
    cdef uint32_t threads = <uint32_t>atoll(argv[1]), cap = <uint32_t>atoll(argv[2]), i, open = 0, deaths = 0
    cdef uint64_t rounds = <uint64_t>atoll(argv[3]), seed = <uint64_t>atoll(argv[4]), number
    cdef Page *page = <Page *>calloc(1, sizeof(Page))
    cdef uint32_t[MOST] locks
    cdef Process[MOST] all
    cdef pthread_t[MOST] running
    u32_store(&page.cap, cap)
    u32_store(&page.used, threads)
    for number in range(rounds):
        for i in range(threads):
            u32_store(&locks[i], 0)
            all[i].page, all[i].row, all[i].locks, all[i].open = page, i, &locks[0], &open
            all[i].deaths, all[i].cap = &deaths, cap
            all[i].random = (seed * 7919 + number * 104729 + i + 1) * <uint64_t>2654435761
        for i in range(threads):
            pthread_create(&running[i], NULL, process, &all[i])
        for i in range(threads):
            pthread_join(running[i], NULL)
        for i in range(threads):
            member_clear(page, i)
        page_finish(page, u64_load(&page.total))
        if page_count(u64_load(&page.total)) != 0:
            wrong("permits were lost", page_count(u64_load(&page.total)))
        for i in range(threads):
            if page_count(u64_load(&page.row[i].held)) != 0:
                wrong("a row has a permit that nobody has", i)
        if u32_load(&open) != 0 or page_free(page) != cap:
            wrong("the books", u32_load(&open))
    printf("%llu rounds, %u deaths\n", <unsigned long long>rounds, deaths)
    free(page)
    return 0
