# Appended to a copy of the core that is compiled with steps.h in front: the functions that tests/orders/stage.py needs.

from fastpool._core.c.member cimport member_give, member_reap, member_take

cdef extern from *:
    enum: FP_ACTORS, FP_CORES, FP_READS, FP_WRITES, FP_BEGINS
    int fp_seeded_fault
    void fp_step_over()
    int fp_step_call(void (*call)(void *) noexcept nogil, void *what, int life) nogil
    char *fp_step_bytes
    ctypedef struct fp_step_op:
        int kind
        void *where
        const char *name
    ctypedef struct fp_step_done:
        unsigned char actor, enabled, asleep
        fp_step_op op
    ctypedef struct fp_steps_t "struct fp_steps_t":
        int actors, arrived, turn, last, planned, steps, moves, diverged, redundant, stuck
        int *state
        uint32_t *struck
        int *dozes
        const void **futex
        const unsigned char *plan
        uint64_t seed
        unsigned char asleep
        const char **ignored
        const char **ignored_end
        const char **page
        size_t page_size
        PyObject *signal
        fp_step_done *done
    fp_steps_t fp_steps

cdef bytes steps_plan = b""


def steps_prepare(int actors, bytes plan, int asleep, uint64_t seed, signal, list cores, int moves):
    """Begin the next run, with that many actors, whose turns come as `plan` says, on these pools.

    moves: how often the clock moves on by a second when no actor can go on.
    """
    global steps_plan
    cdef int i
    cdef Core core
    if not 0 < actors <= FP_ACTORS or any(one >= actors for one in plan):
        raise ValueError(f"{actors} actors, and a plan for {set(plan)}")
    steps_plan = plan
    Py_INCREF(signal)
    fp_steps.actors, fp_steps.arrived, fp_steps.turn, fp_steps.last = actors, 0, -1, 0
    fp_steps.plan, fp_steps.planned, fp_steps.steps = <const unsigned char *>steps_plan, len(plan), 0
    fp_steps.asleep, fp_steps.seed, fp_steps.moves = asleep, seed, moves
    fp_steps.diverged = fp_steps.redundant = fp_steps.stuck = -1
    fp_steps.signal = <PyObject *>signal
    for i in range(FP_CORES):
        fp_steps.ignored[i] = fp_steps.ignored_end[i] = fp_steps.page[i] = NULL
    for i, core in enumerate(cores):  # statistics, which decide nothing
        fp_steps.ignored[i] = <char *>&core.inner.wait
        fp_steps.ignored_end[i] = <char *>(core.inner.closed + REASON_COUNT)
        if core.member is not None:
            fp_steps.page[i], fp_steps.page_size = <char *>core.member.page, sizeof(Page)
    for i in range(actors):
        fp_steps.state[i], fp_steps.struck[i] = 1, 0
        fp_steps.dozes[i], fp_steps.futex[i] = 0, NULL


def steps_enter(int me):
    """The calling thread is this actor from now on; returns when its first turn has come."""
    steps_become(me)
    fp_step(FP_BEGINS, NULL, "begin")


cdef extern from *:
    """static void fp_steps_become(int me) { fp_step_me = me; }"""
    void steps_become "fp_steps_become"(int me)


def steps_leave():
    """The calling thread has ended its part."""
    fp_step_over()


def steps_strike(int who):
    """A signal for an actor: its next check for signals raises."""
    fp_step(FP_WRITES, &fp_steps.struck[who], "strike")
    fp_steps.struck[who] = 1


def steps_done():
    """(stuck, diverged, redundant: steps or -1; of each step: actor, enabled, asleep, kind, address, operation)."""
    cdef int i
    return fp_steps.stuck, fp_steps.diverged, fp_steps.redundant, [
        (fp_steps.done[i].actor, fp_steps.done[i].enabled, fp_steps.done[i].asleep, fp_steps.done[i].op.kind,
         <size_t>fp_steps.done[i].op.where, (<bytes>fp_steps.done[i].op.name).decode())
        for i in range(fp_steps.steps)]


def steps_names(Core core):
    """The addresses of the pool's words, and their names in the source."""
    cdef Pool *pool = core.pool
    cdef Slot *slot
    cdef uint32_t i
    names = {
        <size_t>&pool.gate: "gate", <size_t>&pool.idle.head: "idle.head", <size_t>&pool.idle.warm: "idle.warm",
        <size_t>&pool.vacant: "vacant", <size_t>&pool.gone: "gone", <size_t>&pool.connecting: "connecting",
        <size_t>&pool.max_connecting: "max_connecting", <size_t>&pool.opened: "opened",
        <size_t>&pool.max_size: "max_size", <size_t>&pool.limit: "limit", <size_t>&pool.active: "active",
        <size_t>pool.queue.mutex: "mutex", <size_t>&pool.table.size: "table.size", <size_t>&clock_stopped: "clock",
        <size_t>&turns: "turns",
    }
    for i in range(FP_ACTORS):
        names[<size_t>&fp_steps.struck[i]] = "signals"
    for i in range(pool.table.size):
        slot = table_slot(&pool.table, i)
        names |= {<size_t>&slot.word: f"word{i}", <size_t>&slot.mark: f"mark{i}", <size_t>&slot.owner: f"owner{i}",
                  <size_t>&slot.fresh_ns: f"fresh{i}", <size_t>&slot.since_ns: f"since{i}"}
    return names


def steps_page_names(Core core):
    """The addresses of the words of its page, and their names."""
    cdef SharedMember member = core.member
    cdef Page *page = member.page
    cdef Row *row
    cdef uint32_t i
    names = {<size_t>&page.total: "total", <size_t>&page.cap: "cap", <size_t>&page.used: "used"}
    for i in range(page.used):
        row = &page.row[i]
        names |= {<size_t>&row.held: f"held{i}", <size_t>&row.need: f"need{i}", <size_t>&row.since: f"came{i}",
                  <size_t>&row.offered: f"offered{i}", <size_t>&row.key: f"key{i}", <size_t>&row.futex: f"futex{i}",
                  <size_t>&row.asked: f"asked{i}", <size_t>&fp_step_bytes[i + 1]: f"lock{i}"}
    return names


ctypedef int (*StepsWatching)(void *member) noexcept nogil
cdef struct StepsWatch:
    StepsWatching call  # sharing_watch, with the member as a pointer: without the GIL it cannot be cast
    void *member
    int what


cdef void steps_watching(void *it) noexcept nogil:
    cdef StepsWatch *watch = <StepsWatch *>it
    watch.what = watch.call(watch.member)


def steps_watch(SharedMember member):
    """As `member.watch()`, which here returns SHARE_LEFT, too, when nobody can go on."""
    cdef StepsWatch watch = StepsWatch(<StepsWatching><void *>sharing_watch, <void *>member, SHARE_LEFT)
    cdef int ended
    with nogil:
        ended = fp_step_call(steps_watching, &watch, -1)
    return SHARE_LEFT if ended else watch.what


cdef void steps_taking(void *member) noexcept nogil:
    if member_take(<Member *>member):
        member_give(<Member *>member)


def steps_take_and_give(SharedMember member, int life=-1):
    """Take a permit and give it back, without a connection; killed before the `life`-th access, if that is not -1.

    Whether it died: the kernel has dropped the lock of its row then.
    """
    cdef int died
    with nogil:
        died = fp_step_call(steps_taking, &member.member, life)
    if died:
        steps_die(member)
    return died != 0


def steps_die(SharedMember member):
    """The member's process is killed: the kernel drops the lock of its row, and nothing else happens."""
    member.held = False
    page_unlock(member.member.file, member.member.number + 1)


def steps_reap(SharedMember member):
    """Clear the rows of the dead, as the member's watcher does now and then."""
    with nogil:
        member_reap(&member.member, clock_real())


def steps_fault(int number):
    """Switch a seeded fault on; 0: none."""
    global fp_seeded_fault
    fp_seeded_fault = number


def steps_ends_of_sleep(int actors):
    """(address of the clock, of each actor's signals): besides its lock, what ends an actor's sleep."""
    cdef int i
    return <size_t>&clock_stopped, [<size_t>&fp_steps.struck[i] for i in range(actors)]
