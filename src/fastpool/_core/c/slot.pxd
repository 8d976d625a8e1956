"""One slot: a place for one connection.

A slot is an index into a table that never moves, so a stale reference to it can be followed without harm.  Its
``word`` says all that two threads could disagree about::

     63                               8  7 .. 5    4        3        2 .. 0
    +----------------------------------+-------+--------+--------+-----------+
    |              epoch               |   0   | ENDING | LISTED |   state   |
    +----------------------------------+-------+--------+--------+-----------+

    VACANT ──> CONNECTING ──> LEASED <──> IDLE          GONE: outside the pool's present size
      ^            │            │           │
      └────────────┴─ RETIRING <┴───────────┘

* A slot has exactly one owner: the set of free slots while it is VACANT or IDLE, otherwise the thread that moved it
  out of there.  Out of IDLE it is moved by one compare-and-swap on this word, out of VACANT by popping it.
* The epoch grows with every checkout and with every checkin, so a word never repeats and identifies a lease.
* LISTED: an entry for this slot stands in the idle stack (or in the hands of the thread that pushes or pops it).
  The thread that turns the bit on pushes the entry; the one that pops the entry turns it off.  The entry may be
  stale: only the state says whether the slot is free.
* ENDING: the lease is being returned (a reset may be under way), and nobody else can end it.  The bit is set until
  the slot is published or moved on.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .atomic cimport u64_cas, u64_peek

cdef enum:
    VACANT = 0      # room for a connection
    CONNECTING = 1  # its owner opens one
    IDLE = 2        # connected and free
    LEASED = 3      # in use, or owned by a thread that checks it
    RETIRING = 4    # its connection is being taken away
    GONE = 5        # removed by a resize
    STATE = 7
    LISTED = 8
    ENDING = 16
    EPOCH = 256     # one step of the epoch

cdef enum:          # marks, for checkin to look at
    BUSY = 1        # a call is under way on the connection
    TAINTED = 2     # not fit for another caller
    NEEDS_RESET = 4      # the driver's reset must run before the next lease
    RENEW = 8       # an inner block broke it: to be rebuilt at the outer holder's next call
    STALE = 16   # opened before the last clear()
    DROPPED = 32    # the pool was closed while it was out
    SUSPECT = 64    # its server lost another connection since it was opened
    DESYNC = 128    # a reply came that belongs to no request; TAINTED, too

cdef struct Slot:
    # Used by its holder, and by threads that look for a free slot.  One cache line.
    uint64_t word         # [atomic] epoch, LISTED, state
    uint64_t owner        # [atomic] uid of the thread that took the lease
    uint64_t order        # [atomic] when it was returned, in clock_order(); 0: the stack's order is right
    int64_t since_ns      # [atomic] leased since, or idle since
    int64_t fresh_ns      # [atomic] handed out unchecked up to this time
    uint32_t index        # its place in the table; constant
    uint32_t next_idle    # [atomic] index + 1 of the entry below it in the idle stack
    uint32_t next_vacant  # [atomic] index + 1 of the entry below it in the vacant stack
    uint32_t mark         # [atomic] BUSY …
    void *entry            # its Python side; constant once the slot can be reached
    # Counters and fields that are seldom read.  A cache line of its own.
    uint64_t checkouts    # [atomic, written by the holder] leases begun
    uint64_t checkins     # [atomic, written by the holder] leases ended
    uint64_t uses         # leases of the present connection
    int64_t born_ns       # when the present connection was opened
    int64_t expires_ns    # when it is too old; INT64_MAX: never
    int64_t checked_ns    # when it was last known to be alive without having been used
    uint32_t depth        # nested blocks of the present lease
    uint32_t server       # key of its server, from connect_server_key; 0: none
    uint64_t thread       # [atomic] the holder's thread ident, for reports


cdef inline int slot_state(uint64_t word) noexcept nogil:
    return word & STATE


cdef inline uint64_t slot_lease(uint64_t word) noexcept nogil:
    """The word of a lease without the bit that other threads may change meanwhile."""
    return word & ~<uint64_t>LISTED


cdef inline uint64_t slot_move(Slot *slot, int state) noexcept nogil:
    """Move a slot that the caller owns to another state in a new epoch: LISTED stays as it is, and ENDING, the last
    lease's, is cleared.  Returns the new word."""
    cdef uint64_t seen, want
    while True:
        seen = u64_peek(&slot.word)
        want = ((seen & ~<uint64_t>(STATE | ENDING)) | <uint64_t>state) + EPOCH
        # seq_cst: what the owner wrote before is seen by every thread that sees the new state
        if u64_cas(&slot.word, seen, want):
            return want


cdef inline bint slot_grab(Slot *slot, uint64_t seen) noexcept nogil:
    """IDLE to LEASED, if the word is still as seen; LISTED stays."""
    return u64_cas(&slot.word, seen, seen + (EPOCH + LEASED - IDLE))
