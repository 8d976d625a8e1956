/* The file of a page on Windows (see page.h): LockFileEx, on bytes beyond any file's end, because a locked byte cannot
 * be read or written there. The locks end with their handle, which no child inherits.
 *
 * Nobody opens a page's file with FILE_SHARE_DELETE, so it can be neither removed nor replaced while anybody has it open
 * or mapped: whoever closes it tries to remove it, and succeeds if nobody else uses it.
 */
#ifndef FASTPOOL_PAGE_WINDOWS_H
#define FASTPOOL_PAGE_WINDOWS_H

#include <windows.h>

#define FP_SHARES 1

typedef struct {
    HANDLE file;
    wchar_t path[1]; /* as long as it is */
} fp_page_file;

static inline HANDLE fp_page_handle(intptr_t page) { return ((fp_page_file *)page)->file; }

/* `name` is the whole path in UTF-16, with a zero at its end. It may be no folder and no link. */
static inline intptr_t fp_page_open(int folder, const char *name)
{
    const wchar_t *path = (const wchar_t *)(const void *)name;
    size_t length = wcslen(path);
    BY_HANDLE_FILE_INFORMATION found;
    fp_page_file *page = malloc(sizeof(fp_page_file) + length * sizeof(wchar_t));
    if (page == NULL) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return -1;
    }
    memcpy(page->path, path, (length + 1) * sizeof(wchar_t));
    /* "temporary": kept in memory as long as there is enough of it */
    page->file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
                             FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (page->file != INVALID_HANDLE_VALUE) {
        if (GetFileInformationByHandle(page->file, &found)
            && !(found.dwFileAttributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY)))
            return (intptr_t)page;
        CloseHandle(page->file);
        SetLastError(ERROR_ACCESS_DENIED);
    }
    free(page);
    return -1;
}

static inline void fp_page_close(intptr_t page, int mapped)
{
    CloseHandle(fp_page_handle(page));
    if (mapped)
        DeleteFileW(((fp_page_file *)page)->path);
    free((void *)page);
}

static inline int64_t fp_page_size(intptr_t page)
{
    LARGE_INTEGER size;
    return GetFileSizeEx(fp_page_handle(page), &size) ? (int64_t)size.QuadPart : -1;
}

static inline int fp_page_read(intptr_t page, void *to, int bytes)
{
    OVERLAPPED at;
    DWORD done = 0;
    memset(&at, 0, sizeof at);
    if (!ReadFile(fp_page_handle(page), to, (DWORD)bytes, &done, &at) && GetLastError() != ERROR_HANDLE_EOF)
        return -1;
    return (int)done;
}

static inline OVERLAPPED fp_page_beyond(uint32_t byte)
{
    OVERLAPPED at;
    memset(&at, 0, sizeof at);
    at.Offset = byte;
    at.OffsetHigh = 1;
    return at;
}

static inline int fp_page_lock(intptr_t page, uint32_t byte)
{
    OVERLAPPED at = fp_page_beyond(byte);
    DWORD how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    return LockFileEx(fp_page_handle(page), how, 0, 1, 0, &at) ? 0 : -1;
}
static inline void fp_page_unlock(intptr_t page, uint32_t byte)
{
    OVERLAPPED at = fp_page_beyond(byte);
    UnlockFileEx(fp_page_handle(page), 0, 1, 0, &at);
}

/* By taking, for an instant, a lock that others may share: who wants one of these bytes for itself in that instant is
 * refused, and tries again, or takes another. Never for a byte that this handle has locked: it would be unlocked. */
static inline int fp_page_locked(intptr_t page, uint32_t byte, uint32_t bytes)
{
    OVERLAPPED at = fp_page_beyond(byte);
    if (!LockFileEx(fp_page_handle(page), LOCKFILE_FAIL_IMMEDIATELY, 0, bytes, 0, &at))
        return GetLastError() == ERROR_LOCK_VIOLATION || GetLastError() == ERROR_IO_PENDING ? 1 : -1;
    UnlockFileEx(fp_page_handle(page), 0, bytes, 0, &at);
    return 0;
}

/* Makes the file as long as what is mapped of it. */
static inline void *fp_page_map(intptr_t page, int folder, const char *name, size_t bytes)
{
    void *at = NULL;
    HANDLE section = CreateFileMappingW(fp_page_handle(page), NULL, PAGE_READWRITE, 0, (DWORD)bytes, NULL);
    if (section != NULL) {
        at = MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, bytes);
        CloseHandle(section);
    }
    return at;
}
static inline void fp_page_unmap(void *at, size_t bytes) { UnmapViewOfFile(at); }

static inline void fp_page_failed(void) { PyErr_SetFromWindowsErr(0); }

#endif
