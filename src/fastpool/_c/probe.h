/* What an idle socket says without being read: nothing, that the other side hung up, or that data waits. */
#ifndef FASTPOOL_PROBE_H
#define FASTPOOL_PROBE_H

enum { FP_QUIET = 0, FP_CLOSED_BY_PEER = 1, FP_DATA_WAITS = 2 };

#if defined(_WIN32)
#include <winsock2.h>
static inline int fp_probe(long long fd)
{
    WSAPOLLFD p = {(SOCKET)fd, POLLRDNORM, 0};
    char byte;
    int n = WSAPoll(&p, 1, 0);
    if (n == 0)
        return FP_QUIET;
    if (n < 0 || (p.revents & (POLLNVAL | POLLERR)))
        return FP_CLOSED_BY_PEER;
    n = recv((SOCKET)fd, &byte, 1, MSG_PEEK);
    return n > 0 ? FP_DATA_WAITS : FP_CLOSED_BY_PEER;
}
#else
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
static inline int fp_probe(long long fd)
{
    struct pollfd p = {(int)fd, POLLIN, 0};
    char byte;
    int n;
    do
        n = poll(&p, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return FP_QUIET;
    if (n < 0 || (p.revents & (POLLNVAL | POLLERR)))
        return FP_CLOSED_BY_PEER;
    do
        n = (int)recv((int)fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return FP_DATA_WAITS;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return FP_QUIET;
    if (n < 0 && errno == ENOTSOCK) /* a pipe, say: readable or hung up, and there is no peeking */
        return (p.revents & POLLIN) ? FP_DATA_WAITS : FP_CLOSED_BY_PEER;
    return FP_CLOSED_BY_PEER;
}
#endif
#endif
