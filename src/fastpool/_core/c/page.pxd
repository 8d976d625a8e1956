"""The page that the processes of one `shared` name map: permits, needs, and who is told of what.

A *permit* is the right to have one connection open.  How many are out altogether, and how many each row (a pool in some
process) holds, are two words, and a process may be killed between any two instructions.  So the word `total` says, too,
which row's count the last change belongs to, and whoever wants to change it next first completes that::

    total:  permits out (17 bits) | row (10) | kind (2) | seq (35)        row.held:  count (17) | seq (35)

    1. read `total`; if held[row].seq is the one before seq, apply kind to held[row]     page_finish
    2. swap `total` to the new sum, with this row, kind and held[row].seq + 1            decides
    3. the same as 1., for oneself

At every moment the sum of all counts, with the change of `total` applied that is not applied yet, is the number in
`total`.  There is no lock, so a process that is stopped or killed anywhere holds up nobody.  A row whose process is
dead (its lock is gone) is cleared by one such change of kind CLEARED, by whoever has the row's lock by then.
"""

from libc.stdint cimport int64_t, intptr_t, uint32_t, uint64_t

from .atomic cimport u32_load_sc, u64_cas, u64_load_sc

cdef extern from "page.h" nogil:
    const bint SHARES "FP_SHARES"
    intptr_t page_open "fp_page_open"(int folder, const char *name) noexcept
    void page_close "fp_page_close"(intptr_t file, bint mapped) noexcept
    int64_t page_size "fp_page_size"(intptr_t file) noexcept
    int page_read "fp_page_read"(intptr_t file, void *to, int size) noexcept
    int page_lock "fp_page_lock"(intptr_t file, uint32_t byte) noexcept
    void page_unlock "fp_page_unlock"(intptr_t file, uint32_t byte) noexcept
    int page_locked "fp_page_locked"(intptr_t file, uint32_t byte, uint32_t count) noexcept
    void *page_map "fp_page_map"(intptr_t file, int folder, const char *name, size_t size) noexcept
    void page_unmap "fp_page_unmap"(void *at, size_t size) noexcept

cdef extern from "page.h":
    void page_failed "fp_page_failed"() except *

cdef extern from "futex.h" nogil:
    intptr_t event_made "fp_event_made"(uint64_t key) noexcept
    void event_close "fp_event_close"(intptr_t event) noexcept
    void futex_wait "fp_futex_wait"(uint32_t *futex, uint32_t seen, int64_t ns, intptr_t event) noexcept
    void futex_wake "fp_futex_wake"(uint32_t *futex, uint64_t key) noexcept

cdef enum:
    PAGE_HEAD = 4096           # bytes before the first row
    PAGE_ROW = 896             # bytes of a row: 64 of them and the head are 60 KB
    PAGE_ROWS = 1024           # most rows
    PAGE_FIXED = 2048          # bytes for what the file says of itself
    PAGE_FIGURES = 808         # bytes for what a pool says of itself
    PAGE_JOIN = 0              # the byte locked while a process joins or leaves; row n has byte n + 1

cdef enum:
    MOST_PERMITS = 0x1FFFF

cdef enum:                     # kinds of change
    TAKEN_ONE = 1, GIVEN_ONE = 2, CLEARED = 3

cdef extern from * nogil:
    """
    #define FP_SEQ 0x7FFFFFFFFULL
    #define FP_NO_CAP 0xFFFFFFFFU
    """
    const uint64_t SEQ "FP_SEQ"
    const uint32_t NO_CAP "FP_NO_CAP"

cdef struct Row:
    uint64_t held              # [atomic] count and seq
    uint64_t need              # [atomic] waiters (16 bits) | being freed for them (16) | stamp (32)
    int64_t since              # [atomic] when the first of them came, in ns; 0: nobody waits for a permit
    int64_t offered            # [atomic] when it was told that one is free; 0: not
    uint64_t key               # [atomic] differs for each pool that ever had the row; 0: nobody has it
    uint64_t process           # a random number of the process
    uint32_t futex             # [atomic] what the row's watcher sleeps on
    uint32_t pid
    uint32_t seq               # [atomic] odd while the figures are written
    uint32_t length
    unsigned char figures[PAGE_FIGURES]
    uint32_t asked             # [atomic] number of the last question about the pool's leases
    unsigned char spare[PAGE_ROW - PAGE_FIGURES - 68]

cdef struct Page:
    unsigned char fixed[PAGE_FIXED]  # what the file says of itself; never changes
    uint64_t total             # [atomic]
    unsigned char apart[56]
    uint32_t cap               # [atomic] most permits; NO_CAP: none is set
    uint32_t rows              # [atomic] how many the file has room for
    uint32_t used              # [atomic] no row from this one on was ever taken
    unsigned char rest[PAGE_HEAD - PAGE_FIXED - 64 - 12]
    Row row[PAGE_ROWS]


cdef inline uint32_t page_count(uint64_t word) noexcept nogil:
    """The permits in `total`, or in a row's `held`."""
    return <uint32_t>(word >> 47)


cdef inline uint32_t page_cap(Page *page) noexcept nogil:
    cdef uint32_t cap = u32_load_sc(&page.cap)
    return cap if cap < MOST_PERMITS else MOST_PERMITS


cdef inline uint32_t page_free(Page *page) noexcept nogil:
    """How many permits are free."""
    cdef uint32_t out = page_count(u64_load_sc(&page.total))
    cdef uint32_t cap = page_cap(page)
    return cap - out if cap > out else 0


cdef inline void page_finish(Page *page, uint64_t total) noexcept nogil:
    """Complete the change that this `total` decided, if nobody has."""
    cdef Row *row = &page.row[(total >> 37) & 1023]
    cdef uint64_t held = u64_load_sc(&row.held)
    cdef uint64_t count = page_count(held)
    cdef uint32_t kind = (total >> 35) & 3
    if kind == 0 or ((held + 1) & SEQ) != (total & SEQ):
        return
    if kind == TAKEN_ONE:
        count += 1
    elif kind == GIVEN_ONE:
        count -= 1
    else:
        count = 0
    u64_cas(&row.held, held, (count << 47) | (total & SEQ))


cdef inline bint page_change(Page *page, uint32_t number, uint32_t kind) noexcept nogil:
    """Take a permit for this row, give one back, or clear it.  False: none is free; or the row has none."""
    cdef uint64_t total, held, out, count
    while True:
        total = u64_load_sc(&page.total)
        page_finish(page, total)
        held = u64_load_sc(&page.row[number].held)
        out, count = page_count(total), page_count(held)
        if kind == TAKEN_ONE:
            if out >= page_cap(page):
                return False
            out += 1
        elif count == 0:
            if u64_load_sc(&page.total) == total:
                return False  # else the count may belong to a later `total`
            continue
        else:
            out -= 1 if kind == GIVEN_ONE else count
        if u64_cas(
            &page.total, total,
            (out << 47) | (<uint64_t>number << 37) | (<uint64_t>kind << 35) | ((held + 1) & SEQ)
        ):
            page_finish(page, u64_load_sc(&page.total))
            return True


cdef inline bint page_is_over(Page *page) noexcept nogil:
    """Whether more permits are out than the cap allows, because it was lowered."""
    return page_count(u64_load_sc(&page.total)) > page_cap(page)
