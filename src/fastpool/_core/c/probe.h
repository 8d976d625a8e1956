/* The state of an idle socket, found without reading from it: quiet, closed by the peer, or data is waiting. */
#ifndef FASTPOOL_PROBE_H
#define FASTPOOL_PROBE_H

enum { FP_QUIET = 0, FP_CLOSED_BY_PEER = 1, FP_DATA_WAITS = 2, FP_TLS_WAITS = 3 };

/* Judge the data that waits on a connection that was never used.  Whole records of TLS do not prove that it is out of
   sync: a TLS 1.3 server sends session tickets after its handshake, which stay unread until the first read.
   (FP_TLS_WAITS: they may be tickets, as they are encrypted.)  A closing alert can be recognised: it is a record
   of its own type or, encrypted as in TLS 1.3, as long as two bytes, their type and the tag (of 16 bytes, or 8). */
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

#define FP_PEEK_YOUNG 4096 /* two tickets are half a kilobyte; data beyond that counts as a ticket */

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
#define FP_HANGS_UP POLLRDHUP /* the peer has closed, behind data that waits */
#else
#define FP_HANGS_UP POLLHUP /* Linux does not report that by POLLHUP, others do */
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
    if (n < 0 && errno == ENOTSOCK) /* for example a pipe: readable or closed, and it cannot be peeked at */
        return (p.revents & POLLIN) ? FP_DATA_WAITS : FP_CLOSED_BY_PEER;
    return FP_CLOSED_BY_PEER;
}
#endif
#endif
