"""Typed atomics for the other parts; atomic.h says which order each name stands for."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "atomic.h" nogil:
    const size_t LINE "FP_LINE"
    const size_t HINTS "FP_HINTS"

    uint32_t u32_peek "fp_u32_peek"(const uint32_t *p) noexcept
    void u32_put "fp_u32_put"(uint32_t *p, uint32_t v) noexcept
    uint32_t u32_load "fp_u32_load"(const uint32_t *p) noexcept
    void u32_store "fp_u32_store"(uint32_t *p, uint32_t v) noexcept
    uint32_t u32_load_sc "fp_u32_load_sc"(const uint32_t *p) noexcept
    uint32_t u32_swap "fp_u32_swap"(uint32_t *p, uint32_t v) noexcept
    uint32_t u32_add "fp_u32_add"(uint32_t *p, uint32_t v) noexcept
    uint32_t u32_or "fp_u32_or"(uint32_t *p, uint32_t v) noexcept
    uint32_t u32_and "fp_u32_and"(uint32_t *p, uint32_t v) noexcept
    bint u32_cas "fp_u32_cas"(uint32_t *p, uint32_t seen, uint32_t want) noexcept

    uint64_t u64_peek "fp_u64_peek"(const uint64_t *p) noexcept
    void u64_put "fp_u64_put"(uint64_t *p, uint64_t v) noexcept
    uint64_t u64_load "fp_u64_load"(const uint64_t *p) noexcept
    void u64_store "fp_u64_store"(uint64_t *p, uint64_t v) noexcept
    uint64_t u64_load_sc "fp_u64_load_sc"(const uint64_t *p) noexcept
    uint64_t u64_swap "fp_u64_swap"(uint64_t *p, uint64_t v) noexcept
    uint64_t u64_add "fp_u64_add"(uint64_t *p, uint64_t v) noexcept
    uint64_t u64_or "fp_u64_or"(uint64_t *p, uint64_t v) noexcept
    uint64_t u64_and "fp_u64_and"(uint64_t *p, uint64_t v) noexcept
    bint u64_cas "fp_u64_cas"(uint64_t *p, uint64_t seen, uint64_t want) noexcept

    int64_t i64_peek "fp_i64_peek"(const int64_t *p) noexcept
    void i64_put "fp_i64_put"(int64_t *p, int64_t v) noexcept
    int64_t i64_add "fp_i64_add"(int64_t *p, int64_t v) noexcept

    void *lines_new "fp_lines_new"(size_t size) noexcept
    void lines_free "fp_lines_free"(void *p) noexcept

    uint64_t generation "fp_generation"() noexcept

    ctypedef struct ThreadHint "fp_thread_hint":
        uint64_t pool
        void *slot
        uint64_t held

    ctypedef struct Thread "fp_thread":
        uint64_t uid
        uint64_t ident
        uint64_t forgot
        ThreadHint *hints

    Thread *thread_self "fp_thread_self"() noexcept
    bint thread_alive "fp_thread_alive"(uint64_t uid) noexcept
    int watch_threads "fp_watch_threads"() noexcept
