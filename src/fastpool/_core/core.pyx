"""The compiled core: checkout and checkin, and the glue between native slots and Python connections.

The protocol itself is in ``_core/c/pool.pxd`` and knows no Python.  Here are the objects that hold references (`Entry`,
`Lease`), the fast paths, and the slow path that waits, connects, checks and discards.  Code in this file is never
interrupted between two of its lines by a signal or an asynchronous exception, except where it calls Python; so code
that owns a slot here either passes it on or gives it back in an ``except``.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_Size
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.pystate cimport PyThreadState
from cpython.weakref cimport PyWeakref_NewRef
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset

from fastpool._core.c.atomic cimport Thread, ThreadHint, generation, i64_add, i64_peek, i64_put, thread_alive, \
    thread_self, u32_add, u32_and, u32_cas, u32_load, u32_load_sc, u32_or, u32_peek, u32_put, u32_store, u32_swap, \
    u64_add, u64_and, u64_cas, u64_load, u64_load_sc, u64_or, u64_peek, u64_put, u64_swap, watch_threads
from fastpool._core.c.clock cimport clock_begin, clock_near_ns, clock_ns, clock_real, clock_set, clock_stopped
from fastpool._core.c.count cimport BUCKETS, Histogram, histogram_add, histogram_edge
from fastpool._core.c.idle cimport idle_put, idle_take
from fastpool._core.c.lease cimport NATIVE, lease_lend, lease_open, lease_retake, lease_shut, hint_find, hint_make
from fastpool._core.c.member cimport member_call, member_clear, member_first_since, member_resign, member_tend
from fastpool._core.c.need cimport need_assign, need_offer, need_ring, need_unassign, need_wanted, \
    need_before
from fastpool._core.c.page cimport NO_CAP, PAGE_FIGURES, PAGE_FIXED, PAGE_HEAD, PAGE_ROW, PAGE_ROWS, SHARES, Page, \
    Row, event_close, event_made, futex_wait, page_cap, page_close, page_count, page_failed, page_free, page_is_over, \
    page_lock, page_locked, page_map, page_open, page_read, page_size, page_unlock, page_unmap
from fastpool._core.c.pool cimport CLOSED, OVER_SIZE, SLOW_GIVE, SLOW_TAKE, WANTED, Pool, pool_abandon_waiters, \
    permit_take, pool_closed_one, pool_give, pool_give_vacant, pool_pass, pool_permit_back, pool_settle, \
    pool_settle_if, pool_shrink_vacant, pool_take_room, pool_take_vacant
from fastpool._core.c.room cimport Member
from fastpool._core.c.sleep cimport OUT_OF_MEMORY, POOL_CLOSED, SLEPT_WELL, sleep_in_line
from fastpool._core.c.slot cimport DESYNC, BUSY, CONNECTING, DROPPED, ENDING, EPOCH, IDLE, LEASED, LISTED, STALE, \
    RENEW, RETIRING, SUSPECT, TAINTED, NEEDS_RESET, VACANT, Slot, slot_grab, slot_lease, slot_move, slot_state
from fastpool._core.c.table cimport table_free, table_slot
from fastpool._core.c.waitq cimport ABANDONED, CANCELLED, HANDED, LOCK_ACQUIRED, LOCK_INTR, QUEUED_MASK, REVOKED, \
    TIMED_OUT, WAITING, Waiter, lock_drop, lock_free, lock_new, lock_status, lock_take, lock_take_timed, \
    queue_enlist, queue_leave, queue_mind_clock, queue_open, thread_lock, waiter_drop, waiter_new, waiter_settle, \
    waiter_take, waiter_woke

import sys
from gc import collect as collect_garbage
from types import GenericAlias

from .._errors import LeaseError, NoConnectionsAvailable, OutOfTime, PoolClosed, PoolError, \
    PoolOverloaded

cdef extern from "sole.h":
    pass

cdef extern from "compat_thread_state.h":
    bint FREE_THREADED "FP_FREE_THREADED"
    bint on_main_stack "fp_on_main_stack"() nogil
    void remember_main_stack "fp_remember_main_stack"() nogil
    bint main_stack_is_known "fp_main_stack_is_known"() nogil
    bint has_context "fp_has_context"() nogil
    bint shows_contexts "fp_shows_contexts"() nogil
    void hide "fp_hide"(bint stacks, bint contexts) nogil
    bint holds_gil "fp_holds_gil"() nogil

cdef extern from "compat_methods.h":
    object fp_rebind(object cls, object descriptor)

cdef extern from "enter_exit.h":
    void fp_call_through(object cls, Py_ssize_t offset)
    int fp_name_in_class(object cls, object name, object value) except -1

cdef extern from "await.h":
    ctypedef void *sendfunc
    void fp_await_through(object cls, sendfunc send)
    object await_step "fp_await_step"(object self)

cdef extern from "compat_running_loop.h":
    PyObject *noted_loop "fp_noted_loop"(object name)

cdef extern from "compat_immortal.h":
    bint MAKES_IMMORTAL "FP_MAKES_IMMORTAL"
    void fp_immortal(object o)

cdef extern from "probe.h":
    enum:
        QUIET "FP_QUIET"
        CLOSED_BY_PEER "FP_CLOSED_BY_PEER"
        DATA_WAITS "FP_DATA_WAITS"
    int probe "fp_probe"(long long fd, bint young) nogil

cdef extern from "Python.h":
    ctypedef void *vectorcallfunc
    Py_ssize_t PyVectorcall_NARGS(size_t given)
    Py_ssize_t Py_REFCNT(object o)
    Py_ssize_t reference_count "Py_REFCNT"(PyObject *o)
    int Py_AddPendingCall(int (*function)(void *) noexcept with gil, void *argument)
    void PyErr_SetObject(object kind, object error)
    PyObject *PyImport_GetModuleDict()
    unsigned long PyThread_get_thread_ident() nogil
    PyThreadState *PyEval_SaveThread() nogil
    void PyEval_RestoreThread(PyThreadState *held) nogil
    enum:
        PYGEN_RETURN
        PYGEN_NEXT
    int PyIter_Send(object to, PyObject *sent, PyObject **value) except -1
    object PyContext_CopyCurrent()
    object PyContext_New()
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1

if watch_threads() != 0:
    raise ImportError(
        "fastpool: cannot register handlers for forks and for threads that end (pthread_atfork, pthread_key_create; "
        "on Windows FlsAlloc): this process has too many of them already")

clock_begin()

# Why a connection was closed: the keys of Stats.closed, in the order of the core's counters.
REASONS = ("lifetime", "idle", "max_uses", "max_idle", "overflow", "dead", "desync", "error", "discarded", "cleared",
           "resized", "closed")

cdef enum:
    KEEP = -1
    ASK = -3        # the driver's check decides
    WHY_LIFETIME = 0, WHY_IDLE, WHY_MAX_USES, WHY_MAX_IDLE, WHY_OVERFLOW, WHY_DEAD, WHY_DESYNC, WHY_ERROR,
    WHY_DISCARDED, WHY_CLEARED, WHY_RESIZED, WHY_CLOSED, REASON_COUNT

# The events that the core itself emits, in the order of the bits EVENT_…
EVENT_NAMES = ("checkout_started", "checkout_failed", "checked_out", "checked_in", "wait_started", "connected",
               "closed_connection")

cdef enum:
    EVENT_CHECKOUT_STARTED = 1
    EVENT_CHECKOUT_FAILED = 2
    EVENT_CHECKED_OUT = 4
    EVENT_CHECKED_IN = 8
    EVENT_WAIT_STARTED = 16
    EVENT_CONNECTED = 32
    EVENT_CLOSED_CONNECTION = 64

cdef enum:          # how a connection is held
    BY_HAND, BY_BLOCK, NATIVELY

cdef enum:          # the state of a lease
    NEW, ENTERED, DONE

cdef enum:          # the next step of a checkout or checkin
    WAIT            # wait in line
    CONNECT         # open the connection of the slot in hand
    CHECK           # call the driver's check on the connection in hand
    RESET           # call the driver's reset on the connection in hand
    CLOSE           # close the connections detached from their slots
    READY           # nothing: the connection is fit for use; the checkin is over

STEP_WAIT, STEP_CONNECT, STEP_CHECK, STEP_RESET, STEP_CLOSE, STEP_READY = WAIT, CONNECT, CHECK, RESET, CLOSE, READY

cdef enum:          # the counters of a pool, beside those of its slots
    WAITS, TIMEOUTS, REJECTED, GAVE_UP, CONNECTS, CONNECT_ERRORS, LEAKS, TOTAL_COUNT

cdef int64_t SLICE_NS = 500_000_000      # longest sleep of the main thread: the longest delay of a signal handler
cdef int64_t LONGEST_NS = 1_000_000_000_000_000  # longest sleep of another thread: not every system allows more
cdef int64_t LOOK_NS = 1_000_000_000      # how often a lookout looks for leases that nobody can end
cdef int64_t COLLECT_NS = 60_000_000_000  # least time between two collections for a pool that seems deadlocked
cdef int64_t BEHIND_NS = 30_000_000_000   # time limit of a connect that goes on without its caller
cdef int64_t APART_NS = 10_000_000        # least time between two such looks at one pool, however many callers wait
cdef int64_t FAIR_CHECK_NS = 1_000_000_000   # a check that fails after this long had no answer, whatever its limit
cdef int64_t HASTY_CHECK_NS = 20_000_000     # a check that fails sooner, at its caller's deadline, proves nothing
cdef int64_t STOPPED_SLICE_NS = 5_000_000  # longest sleep while a test has stopped the clock
cdef int64_t COARSE_NS = 11_000_000         # how far clock_near_ns may be behind: the longest tick and a margin
cdef uint64_t last_pool_id = 0
pools_here = Register()  # every pool of this process, by its name

include "build.pxi"
include "cell.pxi"
include "compat.pxi"
include "owner.pxi"
include "entry.pxi"
include "core_state.pxi"
include "selection.pxi"
include "pool.pxi"
include "prefixed.pxi"
include "defaulted.pxi"
include "events.pxi"
include "maintenance.pxi"
include "lease.pxi"
include "lease_at_once.pxi"
include "lease_sharing.pxi"
include "by_hand.pxi"
include "block_end.pxi"
include "waiting/waiter_handle.pxi"
include "waiting/thread.pxi"
include "waiting/gevent.pxi"
include "waiting/deadlock.pxi"
include "waiting/line.pxi"
include "fitness.pxi"
include "checkout.pxi"
include "checkout_steps.pxi"
include "checkout_run.pxi"
include "connecting.pxi"
include "checkin.pxi"
include "retire.pxi"
include "sharing.pxi"
include "shared_member.pxi"
include "reclaim.pxi"
include "fork.pxi"
include "tasks/timer.pxi"
include "tasks/wakeups.pxi"
include "tasks/line.pxi"
include "tasks/lease.pxi"
include "enter_exit.pxi"
include "c_interface.pxi"


def clock():
    """The pool's clock in seconds: never goes back, runs while the machine is suspended; tests can stop and move it."""
    return clock_ns() / 1e9


cpdef int64_t seconds_to_ns(str name, object value) except -2:
    """A time of the public interface in ns: seconds >= 0; -1, no limit, for None and for more than 285 years.

    TypeError, ValueError: name the argument and the value.
    """
    cdef double seconds
    if value is None:
        return -1
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name!r} must be a number of seconds or None, not {value!r} ({type(value).__name__})")
    try:
        seconds = value if isinstance(value, float) else float(value)
    except OverflowError:  # an int of more than 308 digits
        seconds = 9e9 if value > 0 else -1
    if not seconds >= 0:
        raise ValueError(f"{name!r} must be a non-negative number of seconds or None, not {value!r}")
    if seconds >= 9e9:
        return -1
    return <int64_t>(seconds * 1e9 + 0.5) or (seconds > 0)


def deadline_after(timeout):
    """When, by the pool's clock in seconds, `timeout` seconds are over; infinity for None.  Raises as seconds_to_ns."""
    cdef int64_t limit = seconds_to_ns("timeout", timeout)
    return float("inf") if limit < 0 else (clock_ns() + limit) / 1e9


def running_task():
    """The current task of the loop that runs in this thread, or None."""
    owner_notice_imports()
    return owner_task()


def loop_of_thread():
    """The asyncio loop that runs in this thread, or None."""
    owner_notice_imports()
    return owner_loop_running()


def clock_stop(double seconds):
    """Stop the clock of all pools at `seconds` (a testing tool); 0 lets it run again."""
    clock_set(<int64_t>(seconds * 1e9 + 0.5))


def histogram_edges():
    """The least duration of each histogram bucket, in ns, and the end of the last."""
    cdef int i
    return [histogram_edge(i) for i in range(BUCKETS)]


def clock_is_stopped():
    """Whether a test has stopped the clock."""
    return i64_peek(&clock_stopped) != 0
