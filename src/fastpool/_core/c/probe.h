/* What an idle socket says without being read: nothing, that the other side hung up, or that data waits. */
#ifndef FASTPOOL_PROBE_H
#define FASTPOOL_PROBE_H

enum { FP_QUIET = 0, FP_CLOSED_BY_PEER = 1, FP_DATA_WAITS = 2, FP_TLS_WAITS = 3 };

/* What data that waits says, on a connection that nobody has used yet.  Whole records of TLS are no proof that it is out
   of step: a server of TLS 1.3 sends session tickets behind its handshake, which stay unread until somebody reads.
   (FP_TLS_WAITS: they may be tickets, which nobody can see.)  A goodbye among them can be told: an alert is a record of
   its own kind or, encrypted as TLS 1.3 does it, as long as two bytes, their kind and the tag (of 16 bytes, or 8). */
static inline int fp_tls_says(const unsigned char *bytes, int n)
{
    int at = 0;
    while (n - at >= 3 || at == 0) {
        const unsigned char *record = bytes + at;
        int length;
        if (n - at < 3 || record[0] < 0x14 || record[0] > 0x18 || record[1] != 3 || record[2] > 4)
            return FP_DATA_WAITS;
        if (record[0] == 0x15)
            return FP_CLOSED_BY_PEER;
        if (n - at < 5)
            break;
        length = record[3] << 8 | record[4];
        if (length > 16384 + 256)
            return FP_DATA_WAITS;
        if (record[0] == 0x17 && (length == 2 + 1 + 16 || length == 2 + 1 + 8))
            return FP_CLOSED_BY_PEER;
        at += 5 + length;
    }
    return FP_TLS_WAITS;
}

#define FP_PEEK_YOUNG 4096 /* two tickets are half a kilobyte; what lies beyond is as good as a ticket */

#if defined(_WIN32)
#include <winsock2.h>
static inline int fp_probe(long long fd, int young)
{
    WSAPOLLFD p = {(SOCKET)fd, POLLRDNORM, 0};
    char bytes[FP_PEEK_YOUNG];
    int said, n = WSAPoll(&p, 1, 0);
    if (n == 0)
        return FP_QUIET;
    if (n < 0 || (p.revents & (POLLNVAL | POLLERR)))
        return FP_CLOSED_BY_PEER;
    n = recv((SOCKET)fd, bytes, young ? (int)sizeof bytes : 1, MSG_PEEK);
    if (n <= 0)
        return FP_CLOSED_BY_PEER;
    said = young ? fp_tls_says((unsigned char *)bytes, n) : FP_DATA_WAITS;
    return said == FP_TLS_WAITS && (p.revents & POLLHUP) ? FP_CLOSED_BY_PEER : said;
}
#else
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#if defined(POLLRDHUP)
#define FP_HANGS_UP POLLRDHUP /* the end is there, behind data that waits */
#else
#define FP_HANGS_UP POLLHUP /* Linux does not say so by POLLHUP, others do */
#endif
static inline int fp_probe(long long fd, int young)
{
    struct pollfd p = {(int)fd, POLLIN | FP_HANGS_UP, 0};
    char bytes[FP_PEEK_YOUNG];
    int n, said;
    do
        n = poll(&p, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return FP_QUIET;
    if (n < 0 || (p.revents & (POLLNVAL | POLLERR)))
        return FP_CLOSED_BY_PEER;
    do
        n = (int)recv((int)fd, bytes, young ? sizeof bytes : 1, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        said = young ? fp_tls_says((unsigned char *)bytes, n) : FP_DATA_WAITS;
        return said == FP_TLS_WAITS && (p.revents & FP_HANGS_UP) ? FP_CLOSED_BY_PEER : said;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return FP_QUIET;
    if (n < 0 && errno == ENOTSOCK) /* a pipe, say: readable or hung up, and there is no peeking */
        return (p.revents & POLLIN) ? FP_DATA_WAITS : FP_CLOSED_BY_PEER;
    return FP_CLOSED_BY_PEER;
}
#endif
#endif
