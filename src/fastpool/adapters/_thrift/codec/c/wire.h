/* Reading Thrift's two protocols from a piece of memory that may end anywhere.
 *
 * Only the shape that servers send is read: fields in the order of the IDL, nothing unknown. Each function reads one
 * piece and returns 0, or returns -1 and says why in the cursor: WIRE_MORE if the memory ended first, WIRE_OTHER if
 * something else is there. No Python, no allocation, and no byte at or behind `end` is read.
 */
#ifndef FASTPOOL_WIRE_H
#define FASTPOOL_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WIRE_MORE = 1, WIRE_OTHER = 2 };

/* Types, as the binary protocol numbers them. */
enum {
    WIRE_STOP = 0, WIRE_BOOL = 2, WIRE_BYTE = 3, WIRE_DOUBLE = 4, WIRE_I16 = 6, WIRE_I32 = 8, WIRE_I64 = 10,
    WIRE_STRING = 11, WIRE_STRUCT = 12, WIRE_MAP = 13, WIRE_SET = 14, WIRE_LIST = 15
};

/* Types, as the compact protocol numbers them. */
enum {
    COMPACT_TRUE = 1, COMPACT_FALSE = 2, COMPACT_BYTE = 3, COMPACT_I16 = 4, COMPACT_I32 = 5, COMPACT_I64 = 6,
    COMPACT_DOUBLE = 7, COMPACT_BINARY = 8, COMPACT_LIST = 9, COMPACT_SET = 10, COMPACT_MAP = 11, COMPACT_STRUCT = 12
};

typedef struct {
    const unsigned char *p, *end;
    int why;
    int compact;
} WireCursor;

static inline int wire_fail(WireCursor *c, int why)
{
    c->why = why;
    return -1;
}

static inline size_t wire_left(const WireCursor *c)
{
    return (size_t)(c->end - c->p);
}

static inline uint32_t wire_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t wire_u64(const unsigned char *p)
{
    return (uint64_t)wire_u32(p) << 32 | wire_u32(p + 4);
}

/* The type of a value in the compact protocol; 0: none. Booleans have two. */
static inline int wire_compact_type(int type)
{
    switch (type) {
    case WIRE_BOOL: return COMPACT_TRUE;
    case WIRE_BYTE: return COMPACT_BYTE;
    case WIRE_DOUBLE: return COMPACT_DOUBLE;
    case WIRE_I16: return COMPACT_I16;
    case WIRE_I32: return COMPACT_I32;
    case WIRE_I64: return COMPACT_I64;
    case WIRE_STRING: return COMPACT_BINARY;
    case WIRE_STRUCT: return COMPACT_STRUCT;
    case WIRE_MAP: return COMPACT_MAP;
    case WIRE_SET: return COMPACT_SET;
    case WIRE_LIST: return COMPACT_LIST;
    default: return 0;
    }
}

static inline int wire_byte(WireCursor *c, int expected)
{
    if (c->p == c->end)
        return wire_fail(c, WIRE_MORE);
    if (*c->p != expected)
        return wire_fail(c, WIRE_OTHER);
    c->p++;
    return 0;
}

static inline int wire_varint(WireCursor *c, uint64_t *value)
{
    uint64_t found = 0;
    const unsigned char *p = c->p;
    for (int shift = 0;; shift += 7) {
        if (p == c->end)
            return wire_fail(c, WIRE_MORE);
        if (shift == 63 && *p > 1)
            return wire_fail(c, WIRE_OTHER); /* more than 64 bits */
        found |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p++ & 0x80))
            break;
    }
    c->p = p;
    *value = found;
    return 0;
}

/* The header of field `id`, which follows field `last` of the same struct. */
static inline int wire_field(WireCursor *c, int type, int id, int last)
{
    if (c->compact && id != last)
        return wire_byte(c, (id - last) << 4 | wire_compact_type(type));
    if (c->compact) { /* field 0, the result, is no step forward: its number is spelt out */
        if (wire_byte(c, wire_compact_type(type)) < 0)
            return -1;
        return wire_byte(c, id << 1);
    }
    if (wire_byte(c, type) < 0 || wire_byte(c, 0) < 0) /* one by one: a struct may end here, and nothing follow */
        return -1;
    return wire_byte(c, id);
}

static inline int wire_stop(WireCursor *c)
{
    return wire_byte(c, WIRE_STOP);
}

static inline int wire_text(WireCursor *c, const unsigned char **at, size_t *size)
{
    uint64_t n;
    if (c->compact) {
        if (wire_varint(c, &n) < 0)
            return -1;
    } else {
        if (wire_left(c) < 4)
            return wire_fail(c, WIRE_MORE);
        n = wire_u32(c->p);
        c->p += 4;
    }
    if (n > INT32_MAX)
        return wire_fail(c, WIRE_OTHER);
    if (wire_left(c) < n)
        return wire_fail(c, WIRE_MORE);
    *at = c->p;
    *size = (size_t)n;
    c->p += n;
    return 0;
}

static inline int wire_integer(WireCursor *c, int type, int64_t *value)
{
    uint64_t n;
    if (c->compact) {
        if (wire_varint(c, &n) < 0)
            return -1;
        *value = (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
        return 0;
    }
    size_t size = type == WIRE_I64 ? 8 : 4;
    if (wire_left(c) < size)
        return wire_fail(c, WIRE_MORE);
    *value = size == 8 ? (int64_t)wire_u64(c->p) : (int32_t)wire_u32(c->p);
    c->p += size;
    return 0;
}

/* The head of a list of `type`; an empty list, too, is of a type. */
static inline int wire_list(WireCursor *c, int type, size_t *count)
{
    uint64_t n;
    int found, expected = type;
    if (c->compact) {
        if (c->p == c->end)
            return wire_fail(c, WIRE_MORE);
        n = *c->p >> 4;
        found = *c->p & 15;
        expected = wire_compact_type(type);
        c->p++;
        if (n == 15 && wire_varint(c, &n) < 0)
            return -1;
    } else {
        if (wire_left(c) < 5)
            return wire_fail(c, WIRE_MORE);
        found = c->p[0];
        n = wire_u32(c->p + 1);
        c->p += 5;
    }
    if (n > INT32_MAX || found != expected)
        return wire_fail(c, WIRE_OTHER);
    *count = (size_t)n;
    return 0;
}

/* The head of a map of strings to structs. */
static inline int wire_map(WireCursor *c, size_t *count)
{
    uint64_t n;
    int key, value;
    if (c->compact) {
        if (wire_varint(c, &n) < 0)
            return -1;
        if (n && wire_byte(c, COMPACT_BINARY << 4 | COMPACT_STRUCT) < 0)
            return -1;
        key = WIRE_STRING;
        value = WIRE_STRUCT;
    } else {
        if (wire_left(c) < 6)
            return wire_fail(c, WIRE_MORE);
        key = c->p[0];
        value = c->p[1];
        n = wire_u32(c->p + 2);
        c->p += 6;
    }
    if (n > INT32_MAX || key != WIRE_STRING || value != WIRE_STRUCT)
        return wire_fail(c, WIRE_OTHER);
    *count = (size_t)n;
    return 0;
}

/* The value of boolean field 0. */
static inline int wire_success_bool(WireCursor *c, int *value)
{
    if (!c->compact) {
        if (wire_field(c, WIRE_BOOL, 0, 0) < 0)
            return -1;
        if (c->p == c->end)
            return wire_fail(c, WIRE_MORE);
        if (*c->p > 1)
            return wire_fail(c, WIRE_OTHER);
        *value = *c->p++;
        return 0;
    }
    if (c->p == c->end)
        return wire_fail(c, WIRE_MORE);
    if (*c->p != COMPACT_TRUE && *c->p != COMPACT_FALSE)
        return wire_fail(c, WIRE_OTHER);
    *value = *c->p++ == COMPACT_TRUE;
    return wire_byte(c, 0);
}

#endif
