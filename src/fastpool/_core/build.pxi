# How this module was compiled, for `fastpool doctor`.

cdef extern from *:
    int CYTHON_HEX_VERSION
    const char *PY_VERSION

cdef extern from "build.h":
    const char *build_compiler "FP_COMPILER"
    const char *build_libc "FP_LIBC"
    const char *build_sanitizer "FP_SANITIZER"
    bint build_optimized "FP_OPTIMIZED"
    bint build_asserts "FP_ASSERTS"
    bint build_py_debug "FP_PY_DEBUG"


def built_with():
    """Give what the compiler said of itself and its settings, as a dict."""
    cdef int version = CYTHON_HEX_VERSION
    return {
        "cython": f"{version >> 24}.{version >> 16 & 255}.{version >> 8 & 255}",
        "python_headers": PY_VERSION.decode(),
        "compiler": build_compiler.decode(),
        "libc": build_libc.decode(),
        "optimized": build_optimized,
        "asserts": build_asserts,
        "sanitizer": build_sanitizer.decode(),
        "py_debug": build_py_debug,
        "free_threaded": FREE_THREADED,
        "bits": 8 * sizeof(void *),
    }
