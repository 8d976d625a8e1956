"""Monotonic nanoseconds without the GIL; the coarse one is for stamps, the precise one for deadlines."""

from libc.stdint cimport int64_t, uint64_t

from .atomic cimport Thread

cdef extern from "clock.h" nogil:
    int64_t clock_stopped "fp_clock_stopped"
    uint64_t clock_stops "fp_clock_stops"
    void clock_set "fp_clock_stop"(int64_t at) noexcept
    int64_t clock_ns "fp_clock_ns"() noexcept
    int64_t clock_coarse_ns "fp_clock_coarse_ns"() noexcept
    void clock_begin "fp_clock_begin"() noexcept
    int64_t clock_near_ns "fp_clock_near_ns"(Thread *me) noexcept
    uint64_t clock_order "fp_clock_order"() noexcept
    int64_t clock_real "fp_clock_real"() noexcept
