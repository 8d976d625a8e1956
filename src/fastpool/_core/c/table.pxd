"""The table of slots: it grows without moving existing slots, so other threads need not stop.

Chunk k holds 8·2^k slots, found from an index with two shifts::

    chunk   0        1               2
    index   0 … 7    8 … 23          24 … 55   …

A chunk's address is written once, before the first index in it is published.
"""

from libc.stdint cimport INT64_MAX, uint32_t, uint64_t
from libc.string cimport memset

from .atomic cimport LINE, lines_free, lines_new, u32_add, u32_load
from .slot cimport GONE, Slot

cdef extern from * nogil:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static inline int fp_top_bit(uint32_t v) { unsigned long i; _BitScanReverse(&i, v); return (int)i; }
    static inline int fp_low_bit(uint64_t v) { unsigned long i; _BitScanForward64(&i, v); return (int)i; }
    #else
    static inline int fp_top_bit(uint32_t v) { return 31 - __builtin_clz(v); }
    static inline int fp_low_bit(uint64_t v) { return __builtin_ctzll(v); }
    #endif
    """
    int top_bit "fp_top_bit"(uint32_t v) noexcept
    int low_bit "fp_low_bit"(uint64_t v) noexcept

cdef enum:
    FIRST = 8        # slots in chunk 0
    FIRST_BIT = 3
    CHUNKS = 18      # up to 2^20 slots and more
    MOST_SLOTS = 1 << 20

cdef struct Table:
    uint32_t size           # [atomic] slots that exist; grows only
    Slot *chunks[CHUNKS]    # written once each, before `size` passes their first index
    uint64_t *warm[CHUNKS]  # one bit per slot, for the idle set


cdef inline Slot *table_slot(Table *table, uint32_t index) noexcept nogil:
    cdef uint32_t place = index + FIRST
    cdef int bit = top_bit(place)
    return &table.chunks[bit - FIRST_BIT][place - (<uint32_t>1 << bit)]


cdef inline uint64_t *table_warm(Table *table, uint32_t index, uint64_t *bit_out) noexcept nogil:
    """The word, and in it the bit, that the idle set keeps for this slot."""
    cdef uint32_t place = index + FIRST
    cdef int bit = top_bit(place)
    cdef uint32_t offset = place - (<uint32_t>1 << bit)
    bit_out[0] = <uint64_t>1 << (offset & 63)
    return &table.warm[bit - FIRST_BIT][offset >> 6]


cdef inline int table_chunks(Table *table) noexcept nogil:
    """The number of chunks that hold a slot.  From the size: its load makes them visible, unlike that of an address."""
    return top_bit(u32_load(&table.size) + FIRST - 1) - FIRST_BIT + 1


cdef inline uint32_t table_warm_words(int chunk) noexcept nogil:
    return ((<uint32_t>FIRST << chunk) + 63) >> 6


cdef inline int table_grow(Table *table) noexcept nogil:
    """Add one slot in state GONE; -1 without memory or past MOST_SLOTS.  Only under the queue's mutex."""
    cdef uint32_t index = u32_load(&table.size)
    cdef int chunk
    cdef size_t slots, words
    cdef Slot *slot
    if index >= MOST_SLOTS:
        return -1
    chunk = top_bit(index + FIRST) - FIRST_BIT
    if table.chunks[chunk] == NULL:
        slots = (<size_t>FIRST << chunk) * sizeof(Slot)
        words = table_warm_words(chunk) * sizeof(uint64_t)
        if table.warm[chunk] == NULL:
            table.warm[chunk] = <uint64_t *>lines_new(words)
            if table.warm[chunk] == NULL:
                return -1
            memset(table.warm[chunk], 0, words)
        table.chunks[chunk] = <Slot *>lines_new(slots)
        if table.chunks[chunk] == NULL:
            return -1
    slot = table_slot(table, index)
    # one by one, so that the unused part of a large chunk takes no memory
    memset(slot, 0, sizeof(Slot))
    slot.index = index
    slot.word = GONE
    slot.expires_ns = INT64_MAX
    # A thread that reads the new size also sees the chunk; seq_cst for idle_take_oldest.
    u32_add(&table.size, 1)
    return 0


cdef inline void table_free(Table *table) noexcept nogil:
    cdef int chunk
    for chunk in range(CHUNKS):
        if table.chunks[chunk] != NULL:
            lines_free(table.chunks[chunk])
            table.chunks[chunk] = NULL
        if table.warm[chunk] != NULL:
            lines_free(table.warm[chunk])
            table.warm[chunk] = NULL
    table.size = 0
