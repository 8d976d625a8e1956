# Threads that are started when they are needed, and their jobs, which survive the death of a thread.  There is no
# lock, and no line at which an exception from a signal handler, or from another thread, could lose a job that was
# taken: none is raised inside compiled code.

import collections

cdef class Post


@cython.final
@cython.internal
cdef class Life:
    """Referenced by its thread only, and before that by the code that starts it: when it is gone, so is the thread."""
    cdef object __weakref__


@cython.final
@cython.internal
cdef class Turn:
    """One thread's time at a post.  Its fields are never assigned again, so it can be read without a lock."""
    cdef object life     # weak reference; None: there was no thread yet
    cdef object resigned  # a dict, not empty once the thread has called `resign`
    cdef object next     # a dict: 1 -> the turn after this one

    def __cinit__(self, life):
        self.life = life
        self.resigned = {}
        self.next = {}


cdef inline bint maintenance_is_held(Turn turn) except -1:
    return turn.life is not None and turn.life() is not None and not turn.resigned


@cython.final
@cython.internal
cdef class Errand:
    """The function of a new thread."""
    cdef Life life
    cdef Post post
    cdef object work, limbo, thread

    def __call__(self):
        try:
            self.work()
        except BaseException:
            pass  # killed, or there is no interpreter any more: the next caller starts another
        if self.thread is not None:
            self.limbo.pop(self.thread, None)  # killed before it had begun
        self.life = None
        if self.post.ended is not None:
            self.post.ended.append(self.post)
            try:
                self.post.wake()
            except BaseException:
                pass  # as above


@cython.final
cdef class Post:
    """A post that is held by one thread at a time.

    ended, wake: a list to which it is appended when its thread has ended, and a function to call then.
    """
    cdef object now      # a dict: 1 -> the last known turn; later ones are found through its `next`
    cdef object ended, wake

    def __cinit__(self, ended=None, wake=None):
        self.now = {1: Turn(None)}
        self.ended = ended
        self.wake = wake

    @property
    def held(self):
        """Whether the thread runs or is being started, and has not resigned."""
        return maintenance_is_held(<Turn>self.now.get(1))

    def fill(self, start, work, limbo=None, thread=None, handle=None):
        """Have `start`, the interpreter's own way, run `work` in a thread, unless the post is held.

        limbo, thread: threading's table of threads that are being started, and the thread to enter there.
        handle: the thread's handle, where there are such: `start` then takes it.
        Raises what `start` raises; the post is free again then.
        """
        cdef Turn turn = <Turn>self.now.get(1)
        cdef Turn mine
        cdef Errand errand
        if maintenance_is_held(turn):
            return
        errand = Errand.__new__(Errand)
        errand.life = Life.__new__(Life)
        errand.work = work
        errand.post = self
        mine = Turn(PyWeakref_NewRef(errand.life, None))
        while True:
            turn = <Turn>turn.next.setdefault(1, mine)
            if turn is mine:
                break
            if maintenance_is_held(turn):
                self.now[1] = turn
                return
        self.now[1] = mine
        try:
            if thread is None:
                start(errand, ())
            else:
                errand.limbo, errand.thread = limbo, thread
                limbo[thread] = thread
                if handle is None:
                    thread._ident = start(errand, ())
                else:
                    thread._ident = start(errand, handle, True).ident  # True: a daemon
        except BaseException:
            errand.life = None  # the error, which may be kept, may refer to the errand through its traceback
            if thread is not None:
                limbo.pop(thread, None)
            raise

    def resign(self):
        """Called by the thread that holds the post, when it ends: another one may be started."""
        (<Turn>self.now.get(1)).resigned[1] = True

    def forget(self):
        """Free the post in a forked child: its thread was the parent's."""
        self.now[1] = Turn(None)


@cython.final
cdef class Job:
    """A job for one of the keeper's pools."""
    cdef readonly object kept
    cdef readonly str kind
    cdef object key
    cdef double since    # when it was put in the queue, in real seconds


@cython.final
cdef class Desk:
    """The jobs: queued, or taken by a helper, whose post shows whether its thread lives.

    An entry of the keeper's book has at most one job of each kind, which stays until it is done; a dead helper's job is
    queued again.
    """
    cdef object queue            # a deque
    cdef object known            # key -> job: queued or in hand
    cdef object in_hand          # post -> job
    cdef readonly list called    # pools to be looked at
    cdef readonly list planned   # (kept, when to look at it again)
    cdef readonly list ended     # posts whose threads have ended

    def __cinit__(self):
        self.queue = collections.deque()
        self.known = {}
        self.in_hand = {}
        self.called = []
        self.planned = []
        self.ended = []

    def put(self, kept, str kind, double now):
        """Queue a job; False: an equal one is already queued or in hand."""
        cdef Job job = Job.__new__(Job)
        job.kept, job.kind, job.since, job.key = kept, kind, now, (kept, kind)
        if self.known.setdefault(job.key, job) is not job:
            return False
        self.queue.append(job)
        return True

    def take(self, Post post):
        """Take the next job for that post's thread; None: there is none."""
        cdef Job job
        try:
            job = <Job>self.queue.popleft()
        except IndexError:
            return None
        self.in_hand[post] = job
        return job

    def done(self, Post post, due):
        """End the post's job; its pool is to be looked at: now, or after a look when `due` (None: when called)."""
        cdef Job job = <Job?>self.in_hand.get(post)
        self.known.pop(job.key, None)
        if job.kind != "look":
            self.called.append(job.kept)
        else:
            if due is not None:
                self.planned.append((job.kept, due))
            if job.kept.again:
                self.called.append(job.kept)
        self.in_hand.pop(post, None)  # last: `busy` must not miss it on its way

    def sweep(self, double now):
        """Queue the jobs of ended threads again."""
        cdef Job job
        while True:
            try:
                post = self.ended.pop()
            except IndexError:
                return
            job = self.in_hand.pop(post, None)
            if job is not None:
                job.since = now
                self.queue.append(job)

    @property
    def waiting(self):
        """The number of queued jobs."""
        return len(self.queue)

    @property
    def blocking(self):
        """The number of jobs, queued or in hand, that may block."""
        return sum([(<Job>job).kind != "look" for job in list(self.known.values())])

    def waited(self, double now):
        """How long the first job has been in the queue, in seconds."""
        try:
            return now - (<Job>self.queue[0]).since
        except IndexError:
            return 0.0

    @property
    def busy(self):
        """Whether there is anything to do or being done."""
        return bool(self.known or self.in_hand or self.called or self.planned)


KEEPER_POST = Post()
cdef Post keeper_post = KEEPER_POST


cdef inline bint maintenance_lacks_keeper(Core core) except -1:
    """Whether a pool that needs a keeper has none: the thread could not be started, or it has died."""
    if not (core.needs_keeper and core.was_opened) or u64_load(&core.pool.gate) & CLOSED:
        return False
    return core.keeping is None or not maintenance_is_held(<Turn>keeper_post.now.get(1))


cdef int64_t maintenance_keep_alive(Core core, int64_t older_than) except -1:
    """Call the driver's `ping` on the idle connections that were neither used nor checked for `older_than` ns.

    Returns the number of those that could not be kept.
    """
    cdef Checkout look
    cdef uint32_t i
    cdef uint64_t word
    cdef int64_t gone = 0
    cdef Slot *slot
    for i in range(u32_load(&core.pool.table.size)):
        slot = table_slot(&core.pool.table, i)
        word = u64_load(&slot.word)
        if slot_state(word) != IDLE or fitness_last_heard(slot) + older_than > clock_ns():
            continue
        look = checkout_new(core, -1, None)
        if not slot_grab(slot, word):
            continue
        u64_put(&slot.owner, 0)
        checkout_hold(look, slot)
        look.ping = True
        if maintenance_is_well(look):
            slot.checked_ns = clock_ns()
            i64_put(&slot.fresh_ns, fitness_fresh_until(core, slot, clock_ns()))
            checkin_give_unused(core, slot)
        else:
            gone += 1
    return gone


cdef bint maintenance_is_well(Checkout look) except -1:
    """Check the connection in hand, however fresh it is; False: it was closed, and its slot is free."""
    cdef int step
    try:
        step = checkout_step(look)
        if step == CHECK:
            checkout_check(look)
            step = checkout_step(look)
        if step == READY:
            look.slot = NULL
            return True
    except BaseException:
        checkout_fail(look)
        checkout_close(look)
        raise
    checkout_close(look)
    return False
