# A thread that is started when it is needed, one at a time, and started anew when it has died.  There is no lock, and
# no line at which a signal's exception could lose what was claimed: no handler runs inside of compiled code.

@cython.final
@cython.internal
cdef class Life:
    """Owned by a thread alone, and before that by whoever starts it: when it is gone, so is the thread."""
    cdef object __weakref__


@cython.final
@cython.internal
cdef class Turn:
    """One thread's time at a post.  Nothing is ever assigned to it, so that it can be read without a lock."""
    cdef object life     # weak reference; None: there was no thread yet
    cdef object resigned  # a dict, with something in it once the thread has said that it ends
    cdef object next     # a dict: 1 -> the turn after this one

    def __cinit__(self, life):
        self.life = life
        self.resigned = {}
        self.next = {}


cdef inline bint is_held(Turn turn) except -1:
    return turn.life is not None and turn.life() is not None and not turn.resigned


@cython.final
@cython.internal
cdef class Errand:
    """What the new thread runs."""
    cdef Life life
    cdef object work, limbo, thread

    def __call__(self):
        try:
            self.work()
        except BaseException:
            pass  # killed, or there is no interpreter any more: whoever needs the thread will start another
        if self.thread is not None:
            self.limbo.pop(self.thread, None)  # killed before it had begun


@cython.final
cdef class Post:
    """A post that is held by one thread at a time."""
    cdef object now      # a dict: 1 -> the last turn that somebody knew of; later ones are found from there

    def __cinit__(self):
        self.now = {1: Turn(None)}

    @property
    def held(self):
        """Is the thread there, or about to be, and has it not said that it ends?"""
        return is_held(<Turn>self.now.get(1))

    def fill(self, start, work, limbo=None, thread=None):
        """Have `start`, the interpreter's own way, run `work` in a thread, unless the post is held.

        limbo, thread: threading's book of threads that are about to be, and what to enter there.
        Raises what `start` raises; the post is free again then.
        """
        cdef Turn turn = <Turn>self.now.get(1)
        cdef Turn mine
        cdef Errand errand
        if is_held(turn):
            return
        errand = Errand.__new__(Errand)
        errand.life = Life.__new__(Life)
        errand.work = work
        mine = Turn(PyWeakref_NewRef(errand.life, None))
        while True:
            turn = <Turn>turn.next.setdefault(1, mine)
            if turn is mine:
                break
            if is_held(turn):
                self.now[1] = turn
                return
        self.now[1] = mine
        try:
            if thread is None:
                start(errand, ())
            else:
                errand.limbo, errand.thread = limbo, thread
                limbo[thread] = thread
                thread._ident = start(errand, ())
        except BaseException:
            errand.life = None  # the error's traceback may have the errand, and somebody may keep the error
            if thread is not None:
                limbo.pop(thread, None)
            raise

    def resign(self):
        """Said by the thread that holds the post: it ends, and another one may be started."""
        (<Turn>self.now.get(1)).resigned[1] = True

    def forget(self):
        """In a forked child: the thread was the parent's."""
        self.now[1] = Turn(None)


KEEPER_POST = Post()
cdef Post keeper_post = KEEPER_POST


cdef inline bint lacks_keeper(Core core) except -1:
    """Whether nobody looks after a pool that has asked for it: the thread could not be started, or it has died."""
    if not (core.needs_keeper and core.was_opened) or u64_load(&core.pool.gate) & CLOSED:
        return False
    return core.keeping is None or not is_held(<Turn>keeper_post.now.get(1))
