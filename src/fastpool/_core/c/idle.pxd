"""The set of free slots, without a lock.

Two stacks of slot indices.  Their heads are ``(tag << 32) | (index + 1)``; the tag grows with every change, so a
head that looks the same is the same (no ABA), and slots are never freed, so a stale link can be followed.

A *vacant* slot is owned by the thread that pops it.

*Idle* slots may be taken past the stack: a thread takes its own last slot back by a compare-and-swap on the slot's
word and writes no shared line at all.  Its entry stays in the stack (LISTED), and may by then be

* stale: the slot is not idle.  A thread that pops such an entry turns LISTED off and goes on; the slot's next return
  pushes a new entry, because LISTED is off.  Both sides decide by one swap of the slot's word, so exactly one acts.
* too deep: the slot was taken past the stack and returned again, later than the entries above it.  Such a slot is
  *warm*: it sets its bit in the warm map and stamps ``order``.  A thread that has no slot of its own compares the
  warm slots with the top of the stack and so gets the one returned last: of up to WARM_LOOKS of them, so that a large
  pool costs no more than a small one.  The map is a hint about order and nothing else: a warm slot is still LISTED, so
  it can be lost from the map and never from the set.

Taking costs a bounded number of steps, and one more for each stale entry, which some push has made.

With ``oldest_first`` (``order="fifo"``) there is no stack: each return stamps ``order``, and a take compares all slots,
so that it costs some nanoseconds for each slot of the table.
"""

from libc.stdint cimport uint32_t, uint64_t

from .atomic cimport u32_load_sc, u32_peek, u32_put, u64_add, u64_and, u64_cas, u64_load, u64_load_sc, u64_or, \
    u64_peek, u64_put
from .clock cimport clock_order
from .slot cimport ENDING, EPOCH, IDLE, LEASED, LISTED, STATE, Slot, slot_grab, slot_state
from .table cimport Table, low_bit, table_chunks, table_slot, table_warm, table_warm_words

cdef enum:
    WARM_LOOKS = 64    # warm slots that are compared at most, those with low numbers first
    WARM_WORDS = 256   # words of the map that are read at most: the first 16,000 slots and more

cdef struct Idle:
    uint64_t head    # [atomic] top of the stack of entries for idle slots
    uint64_t warm    # [atomic] number of bits set in the warm map; 0: no need to read it
    uint64_t oldest_first  # constant: whether the slot that was returned first is taken, not the one returned last


cdef inline uint64_t stack_link(uint64_t head, uint32_t entry) noexcept nogil:
    return ((head >> 32) + 1) << 32 | entry


cdef inline void idle_push(Idle *idle, Table *table, Slot *slot) noexcept nogil:
    """Push the entry of a slot whose LISTED the caller turned on."""
    cdef uint64_t head
    while True:
        head = u64_load(&idle.head)
        u32_put(&slot.next_idle, <uint32_t>head)  # relaxed: published by the swap of the head
        # seq_cst, as every change of the set: the first half of "publish the slot, then look at the gate"
        if u64_cas(&idle.head, head, stack_link(head, slot.index + 1)):
            return


cdef inline void idle_heat(Idle *idle, Table *table, Slot *slot) noexcept nogil:
    """Put the slot in the warm map; called by its holder.  A bit cleared at this moment is lost, which does no harm."""
    cdef uint64_t bit
    cdef uint64_t *word = table_warm(table, slot.index, &bit)
    if not u64_peek(word) & bit:
        if not u64_or(word, bit) & bit:
            u64_add(&idle.warm, 1)


cdef inline void idle_cool(Idle *idle, Table *table, Slot *slot) noexcept nogil:
    """Take the slot out of the warm map; called by its holder, or by the thread that popped its entry."""
    cdef uint64_t bit
    cdef uint64_t *word
    if u64_peek(&idle.warm) == 0:
        return
    word = table_warm(table, slot.index, &bit)
    if u64_peek(word) & bit:
        if u64_and(word, ~bit) & bit:
            u64_add(&idle.warm, <uint64_t>-1)


cdef inline bint idle_publish(Idle *idle, Table *table, Slot *slot) noexcept nogil:
    """Make a slot that the caller holds (LEASED) IDLE; True: its entry is in no stack, and the caller's to push."""
    cdef uint64_t word = u64_peek(&slot.word)
    if word & LISTED and <uint32_t>u64_peek(&idle.head) != slot.index + 1:
        u64_put(&slot.order, clock_order())
        idle_heat(idle, table, slot)
    elif u64_peek(&idle.warm) != 0:
        u64_put(&slot.order, clock_order())
    return not idle_release(slot, LISTED) & LISTED


cdef inline uint64_t idle_release(Slot *slot, uint64_t listed) noexcept nogil:
    """LEASED to IDLE, with LISTED turned on if `listed` is that; returns the word before."""
    cdef uint64_t word
    while True:
        # One swap makes it IDLE and decides which side pushes: if LISTED were turned on in a second step, the slot
        # could be taken past the stack, and listed by its next holder, in between.  seq_cst: the next lease sees what
        # this one wrote, and if no entry is pushed this is the first half of "publish the slot, then look at the gate".
        word = u64_load(&slot.word)
        if u64_cas(&slot.word, word, ((word & ~<uint64_t>ENDING) + (EPOCH + IDLE - LEASED)) | listed):
            return word


cdef inline void idle_put(Idle *idle, Table *table, Slot *slot) noexcept nogil:
    """Return a slot that the caller holds (LEASED) to the set, as the one returned last."""
    if idle.oldest_first:
        u64_put(&slot.order, clock_order())
        idle_release(slot, 0)
    elif idle_publish(idle, table, slot):
        idle_push(idle, table, slot)


cdef inline Slot *idle_warmest(Idle *idle, Table *table) noexcept nogil:
    """The idle slot of the warm map that was returned last, not taken yet; NULL if there is none."""
    cdef Slot *best = NULL
    cdef Slot *slot
    cdef uint64_t bits
    cdef uint64_t left = u64_peek(&idle.warm)
    cdef uint32_t word
    cdef int words = WARM_WORDS
    cdef int chunk
    if left > WARM_LOOKS:
        left = WARM_LOOKS
    for chunk in range(table_chunks(table)):
        for word in range(table_warm_words(chunk)):
            bits = u64_peek(&table.warm[chunk][word])  # relaxed: a hint, the slot's word decides
            words -= 1
            if left == 0 or words < 0:
                return best
            while bits and left:
                slot = &table.chunks[chunk][word * 64 + low_bit(bits)]
                bits &= bits - 1
                left -= 1
                if slot_state(u64_peek(&slot.word)) == IDLE:
                    if best == NULL or u64_peek(&slot.order) > u64_peek(&best.order):
                        best = slot
    return best


cdef inline Slot *idle_pop(Idle *idle, Table *table, uint64_t head) noexcept nogil:
    """Take the top entry off the stack, if the head is still as seen; the slot may or may not be idle."""
    cdef Slot *slot = table_slot(table, <uint32_t>head - 1)
    # relaxed: the link belongs to the head that was loaded before it, and counts only if that head is still there
    if u64_cas(&idle.head, head, stack_link(head, u32_peek(&slot.next_idle))):
        return slot
    return NULL


cdef inline bint idle_unlist(Idle *idle, Table *table, Slot *slot) noexcept nogil:
    """With the slot's entry in hand: turn LISTED off, and take the slot (True) if it is idle, in one step."""
    cdef uint64_t word
    while True:
        word = u64_load(&slot.word)
        if slot_state(word) == IDLE:
            if u64_cas(&slot.word, word, word + (EPOCH + LEASED - IDLE - LISTED)):
                idle_cool(idle, table, slot)
                return True
        elif u64_cas(&slot.word, word, word & ~<uint64_t>LISTED):
            idle_cool(idle, table, slot)  # its next return pushes it, and so needs no map
            return False


cdef inline Slot *idle_take_oldest(Table *table) noexcept nogil:
    """Take the idle slot that was returned first; NULL if none is idle."""
    cdef uint64_t word, seen = 0
    cdef uint32_t i
    cdef Slot *slot
    cdef Slot *oldest
    while True:
        oldest = NULL
        # seq_cst, size and words: a waiter looks here after it has counted itself in the gate
        for i in range(u32_load_sc(&table.size)):
            slot = table_slot(table, i)
            word = u64_load_sc(&slot.word)
            if slot_state(word) == IDLE and (oldest == NULL or u64_peek(&slot.order) < u64_peek(&oldest.order)):
                oldest, seen = slot, word
        if oldest == NULL or slot_grab(oldest, seen):
            return oldest


cdef inline Slot *idle_take(Idle *idle, Table *table) noexcept nogil:
    """Take the idle slot that was returned last, or first: LEASED and the caller's; NULL if none is idle."""
    cdef uint64_t head, word
    cdef Slot *slot
    cdef Slot *warm = NULL
    cdef bint looked = False
    if idle.oldest_first:
        return idle_take_oldest(table)
    while True:
        # seq_cst: a waiter looks here after it has counted itself in the gate
        head = u64_load_sc(&idle.head)
        if <uint32_t>head == 0:
            return NULL
        slot = table_slot(table, <uint32_t>head - 1)
        if not looked and u64_peek(&idle.warm) != 0:
            warm = idle_warmest(idle, table)
            looked = True  # once, however many stale entries are popped: the stack's own order is known by its stamps
        if warm != NULL and warm != slot and u64_peek(&warm.order) > u64_peek(&slot.order):
            word = u64_load(&warm.word)
            if slot_state(word) == IDLE and slot_grab(warm, word):
                idle_cool(idle, table, warm)
                return warm
            warm = NULL
            looked = False  # another thread was faster
            continue
        slot = idle_pop(idle, table, head)
        if slot != NULL and idle_unlist(idle, table, slot):
            return slot


cdef inline void vacant_put(uint64_t *stack, Slot *slot) noexcept nogil:
    """Push a slot that the caller owns; the same orders as in idle_push."""
    cdef uint64_t head
    while True:
        head = u64_load(stack)
        u32_put(&slot.next_vacant, <uint32_t>head)
        if u64_cas(stack, head, stack_link(head, slot.index + 1)):
            return


cdef inline Slot *vacant_take(uint64_t *stack, Table *table) noexcept nogil:
    """Pop a slot, the caller's from then on; NULL if there is none."""
    cdef uint64_t head
    cdef Slot *slot
    while True:
        head = u64_load_sc(stack)  # seq_cst: the second look of a waiter, as in idle_take
        if <uint32_t>head == 0:
            return NULL
        slot = table_slot(table, <uint32_t>head - 1)
        if u64_cas(stack, head, stack_link(head, u32_peek(&slot.next_vacant))):
            return slot
