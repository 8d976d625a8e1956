# Appended to a copy of the core that is compiled with steps.h in front: the functions that tests/orders/stage.py needs.

cdef extern from *:
    enum: FP_ACTORS, FP_READS, FP_WRITES, FP_BEGINS
    int fp_seeded_fault
    void fp_step_over()
    ctypedef struct fp_step_op:
        int kind
        void *where
        const char *name
    ctypedef struct fp_step_done:
        unsigned char actor, enabled, asleep
        fp_step_op op
    ctypedef struct fp_steps_t "struct fp_steps_t":
        int actors, arrived, turn, last, planned, steps, diverged, redundant, stuck
        int *state
        uint32_t *struck
        const unsigned char *plan
        uint64_t seed
        unsigned char asleep
        const char *ignored
        const char *ignored_end
        PyObject *signal
        fp_step_done *done
    fp_steps_t fp_steps

cdef bytes steps_plan = b""


def steps_prepare(int actors, bytes plan, int asleep, uint64_t seed, signal, Core core):
    """Begin the next run, with that many actors, whose turns come as `plan` says."""
    global steps_plan
    cdef int i
    if not 0 < actors <= FP_ACTORS or any(one >= actors for one in plan):
        raise ValueError(f"{actors} actors, and a plan for {set(plan)}")
    steps_plan = plan
    Py_INCREF(signal)
    fp_steps.actors, fp_steps.arrived, fp_steps.turn, fp_steps.last = actors, 0, -1, 0
    fp_steps.plan, fp_steps.planned, fp_steps.steps = <const unsigned char *>steps_plan, len(plan), 0
    fp_steps.asleep, fp_steps.seed = asleep, seed
    fp_steps.diverged = fp_steps.redundant = fp_steps.stuck = -1
    fp_steps.signal = <PyObject *>signal
    # statistics, which decide nothing
    fp_steps.ignored, fp_steps.ignored_end = <char *>&core.inner.wait, <char *>(core.inner.closed + REASON_COUNT)
    for i in range(actors):
        fp_steps.state[i], fp_steps.struck[i] = 1, 0


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


def steps_fault(int number):
    """Switch a seeded fault on; 0: none."""
    global fp_seeded_fault
    fp_seeded_fault = number


def steps_ends_of_sleep(int actors):
    """(address of the clock, of each actor's signals): besides its lock, what ends an actor's sleep."""
    cdef int i
    return <size_t>&clock_stopped, [<size_t>&fp_steps.struck[i] for i in range(actors)]
