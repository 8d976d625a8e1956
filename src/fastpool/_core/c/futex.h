/* A word of a page on which a thread sleeps until another process has changed it, as each system has it:
 *
 *     Linux         futex(2)
 *     macOS         os_sync_wait_on_address, which macOS 14.4 and newer have; looked for when the program runs
 *     Windows       an event that is named by the row's key, because WaitOnAddress knows one process only
 *     elsewhere     looking each 10 ms
 *
 * A sleep may end for no reason, and a wake-up that finds nobody asleep is lost: who wakes has changed the word before,
 * and who sleeps says which value it has seen.
 */
#ifndef FASTPOOL_FUTEX_H
#define FASTPOOL_FUTEX_H

#include "clock.h"
#include <errno.h>

#define FP_SLEEP_POLL 0
#define FP_SLEEP_FUTEX 1
#define FP_SLEEP_OS_SYNC 2
#define FP_SLEEP_EVENT 3

#if !defined(FP_SLEEP) /* else a test has chosen */
#if defined(_WIN32)
#define FP_SLEEP FP_SLEEP_EVENT
#elif defined(__APPLE__)
#define FP_SLEEP FP_SLEEP_OS_SYNC
#elif defined(__linux__)
#define FP_SLEEP FP_SLEEP_FUTEX
#else
#define FP_SLEEP FP_SLEEP_POLL
#endif
#endif

#define FP_POLL_NS 10000000

#if FP_SLEEP != FP_SLEEP_EVENT
/* The event of the pool that has this key; 0: there are none, or the system gives none. */
static inline intptr_t fp_event_made(uint64_t key) { return 0; }
static inline void fp_event_close(intptr_t event) {}

static inline void fp_futex_poll(uint32_t *futex, uint32_t seen, int64_t ns)
{
    struct timespec t = {0, FP_POLL_NS};
    int64_t until = fp_clock_real() + ns;
    while (fp_u32_load(futex) == seen && fp_clock_real() < until)
        nanosleep(&t, NULL);
}
#endif

#if FP_SLEEP == FP_SLEEP_FUTEX
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns, intptr_t event)
{
    struct timespec t;
    t.tv_sec = ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    syscall(SYS_futex, futex, FUTEX_WAIT, seen, &t, NULL, 0); /* not _PRIVATE: other processes wake it */
}
static inline void fp_futex_wake(uint32_t *futex, uint64_t key) { syscall(SYS_futex, futex, FUTEX_WAKE, 1, NULL, NULL, 0); }

#elif FP_SLEEP == FP_SLEEP_OS_SYNC
#include <dlfcn.h>

/* What the headers of these names in Apple's SDK say; older ones do not have them. */
#define FP_OS_SYNC_SHARED 1u  /* OS_SYNC_WAIT_ON_ADDRESS_SHARED, OS_SYNC_WAKE_BY_ADDRESS_SHARED */
#define FP_OS_CLOCK_MACH 32u  /* OS_CLOCK_MACH_ABSOLUTE_TIME; the timeout is in ns all the same */
typedef int (*fp_os_wait)(void *, uint64_t, size_t, uint32_t, uint32_t, uint64_t);
typedef int (*fp_os_wake)(void *, size_t, uint32_t);

static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns, intptr_t event)
{
    fp_os_wait wait = (fp_os_wait)dlsym(RTLD_DEFAULT, "os_sync_wait_on_address_with_timeout");
    if (ns <= 0)
        return;
    if (wait == NULL)
        fp_futex_poll(futex, seen, ns);
    else if (wait(futex, seen, sizeof *futex, FP_OS_SYNC_SHARED, FP_OS_CLOCK_MACH, (uint64_t)ns) < 0
             && errno != ETIMEDOUT && errno != EINTR)
        fp_futex_poll(futex, seen, ns < FP_POLL_NS ? ns : FP_POLL_NS); /* out of memory, for example */
}
static inline void fp_futex_wake(uint32_t *futex, uint64_t key)
{
    fp_os_wake wake = (fp_os_wake)dlsym(RTLD_DEFAULT, "os_sync_wake_by_address_any");
    if (wake != NULL)
        wake(futex, sizeof *futex, FP_OS_SYNC_SHARED);
}

#elif FP_SLEEP == FP_SLEEP_EVENT

/* Global: for the user's processes of all sessions, services among them. By default only this user can set it. */
static inline void fp_event_name(uint64_t key, wchar_t *name)
{
    static const wchar_t before[] = L"Global\\fastpool-", digits[] = L"0123456789abcdef";
    size_t i, at = sizeof before / sizeof *before - 1;
    memcpy(name, before, sizeof before);
    for (i = 0; i < 16; i++)
        name[at + i] = digits[key >> (60 - 4 * i) & 15];
    name[at + 16] = 0;
}

static inline intptr_t fp_event_made(uint64_t key)
{
    wchar_t name[40];
    fp_event_name(key, name);
    return (intptr_t)CreateEventW(NULL, FALSE, FALSE, name);
}
static inline void fp_event_close(intptr_t event)
{
    if (event != 0)
        CloseHandle((HANDLE)event);
}

static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns, intptr_t event)
{
    if (fp_u32_load_sc(futex) != seen || ns <= 0)
        return;
    if (event == 0)
        Sleep(FP_POLL_NS / 1000000);
    else
        WaitForSingleObject((HANDLE)event, (DWORD)((ns + 999999) / 1000000));
}
static inline void fp_futex_wake(uint32_t *futex, uint64_t key)
{
    wchar_t name[40];
    HANDLE event;
    fp_event_name(key, name);
    event = OpenEventW(EVENT_MODIFY_STATE, FALSE, name);
    if (event == NULL)
        return;
    SetEvent(event);
    CloseHandle(event);
}

#else
static inline void fp_futex_wait(uint32_t *futex, uint32_t seen, int64_t ns, intptr_t event) { fp_futex_poll(futex, seen, ns); }
static inline void fp_futex_wake(uint32_t *futex, uint64_t key) {}
#endif

#endif
