/* The file of a page as this system has it: opened, mapped, and with locks that the kernel drops when their owner dies,
 * however it dies.  Byte n of the locks has nothing to do with byte n of the file.
 *
 *     fp_page_open      a page's file; -1: fp_page_failed says why.  Noted before any other thread can fork
 *     fp_page_close     `mapped`: it is a page, which may be removed if nobody else has it open (Windows)
 *     fp_page_size      of the file; -1: the system does not say
 *     fp_page_read      its first bytes; how many, or -1
 *     fp_page_lock      0: locked; -1: somebody else has it, or the system refuses
 *     fp_page_locked    0: nobody else has one of these; 1: somebody has; -1: the system refuses
 *     fp_page_map       `bytes` of it, which may be more than the file has; NULL: fp_page_failed says why
 *     fp_page_failed    raises the OSError of what failed last in this thread
 */
#ifndef FASTPOOL_PAGE_H
#define FASTPOOL_PAGE_H

#include "atomic.h"
#include "clock.h"
#include <errno.h>

#if defined(_WIN32)
#include "page_windows.h"
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__) && !defined(F_OFD_SETLK)
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif
#if defined(F_OFD_SETLK) && defined(O_CLOEXEC) && defined(O_NOFOLLOW)
#include "page_posix.h"
#else
#include "page_none.h"
#endif
#endif

#endif
