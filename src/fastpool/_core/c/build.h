/* How this module was compiled, as far as the compiler's own macros say: for `fastpool doctor` (build.pxi).
   No date, no path and no flag as it was written, so that two builds of one source are one file. */
#ifndef FASTPOOL_BUILD_H
#define FASTPOOL_BUILD_H

#define FP_TEXT_(x) #x
#define FP_TEXT(x) FP_TEXT_(x)

#if defined(__clang__)
#define FP_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define FP_COMPILER "gcc " __VERSION__
#elif defined(_MSC_FULL_VER)
#define FP_COMPILER "msvc " FP_TEXT(_MSC_FULL_VER)
#else
#define FP_COMPILER "unknown"
#endif

/* MSVC defines no macro for its level of optimisation: there it is what setup.py asks for. */
#if defined(__OPTIMIZE__) || (defined(_MSC_VER) && !defined(__clang__) && !defined(_DEBUG))
#define FP_OPTIMIZED 1
#else
#define FP_OPTIMIZED 0
#endif

#if defined(__has_feature)
#define FP_HAS_FEATURE(x) __has_feature(x)
#else
#define FP_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || FP_HAS_FEATURE(thread_sanitizer)
#define FP_SANITIZER "thread"
#elif defined(__SANITIZE_ADDRESS__) || FP_HAS_FEATURE(address_sanitizer)
#define FP_SANITIZER "address"
#else
#define FP_SANITIZER ""
#endif

#ifdef NDEBUG
#define FP_ASSERTS 0
#else
#define FP_ASSERTS 1
#endif

#ifdef Py_DEBUG
#define FP_PY_DEBUG 1
#else
#define FP_PY_DEBUG 0
#endif

/* The C library whose headers were used; what it must be at least is in the wheel's tag. */
#if defined(__GLIBC__)
#define FP_LIBC "glibc " FP_TEXT(__GLIBC__) "." FP_TEXT(__GLIBC_MINOR__)
#elif defined(_WIN32)
#define FP_LIBC "Windows"
#elif defined(__APPLE__)
#define FP_LIBC "macOS"
#else
#define FP_LIBC "unnamed (musl names itself nowhere)"
#endif

#endif
