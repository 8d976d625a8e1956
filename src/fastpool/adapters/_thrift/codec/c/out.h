/* Writing Thrift's two protocols into memory that grows, to the bit as thriftpy2 writes them.
 *
 * What cannot be had is noted in `failed`, and everything after that does nothing: one look at the end is enough.
 */
#ifndef FASTPOOL_OUT_H
#define FASTPOOL_OUT_H

#include <stdlib.h>

#include "wire.h"

typedef struct {
    unsigned char *b;
    size_t n, room;
    int compact, failed;
} Out;

static inline unsigned char *out_room(Out *o, size_t more)
{
    if (o->room - o->n < more) {
        size_t room = 2 * o->room + more;
        unsigned char *b = room >= more ? (unsigned char *)realloc(o->b, room) : NULL; /* less: it overflowed */
        if (b == NULL) {
            o->failed = 1;
            return NULL;
        }
        o->b = b;
        o->room = room;
    }
    unsigned char *at = o->b + o->n;
    o->n += more;
    return at;
}

static inline void out_free(Out *o)
{
    free(o->b);
    o->b = NULL;
    o->n = o->room = 0;
}

static inline void out_raw(Out *o, const void *p, size_t size)
{
    unsigned char *at = out_room(o, size);
    if (at != NULL && size)
        memcpy(at, p, size);
}

static inline void out_byte(Out *o, int value)
{
    unsigned char *at = out_room(o, 1);
    if (at != NULL)
        *at = (unsigned char)value;
}

static inline void out_u32_at(unsigned char *at, uint32_t v)
{
    at[0] = (unsigned char)(v >> 24);
    at[1] = (unsigned char)(v >> 16);
    at[2] = (unsigned char)(v >> 8);
    at[3] = (unsigned char)v;
}

static inline void out_u32(Out *o, uint32_t v)
{
    unsigned char *at = out_room(o, 4);
    if (at != NULL)
        out_u32_at(at, v);
}

static inline void out_varint(Out *o, uint64_t v)
{
    unsigned char bytes[10];
    size_t n = 0;
    while (v > 0x7f) {
        bytes[n++] = (unsigned char)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (unsigned char)v;
    out_raw(o, bytes, n);
}

/* The header of field `id`, 1 to 15 above `last`, the one before. Of a boolean in compact it is the value, too. */
static inline void out_field(Out *o, int type, int id, int last)
{
    if (o->compact) {
        out_byte(o, (id - last) << 4 | wire_compact_type(type));
        return;
    }
    unsigned char *at = out_room(o, 3);
    if (at != NULL) {
        at[0] = (unsigned char)type;
        at[1] = 0;
        at[2] = (unsigned char)id;
    }
}

static inline void out_bool_field(Out *o, int value, int id, int last)
{
    if (o->compact) {
        out_byte(o, (id - last) << 4 | (value ? COMPACT_TRUE : COMPACT_FALSE));
        return;
    }
    out_field(o, WIRE_BOOL, id, last);
    out_byte(o, value != 0);
}

static inline void out_size(Out *o, size_t size)
{
    if (o->compact)
        out_varint(o, size);
    else
        out_u32(o, (uint32_t)size);
}

static inline void out_text(Out *o, const void *p, size_t size)
{
    out_size(o, size);
    out_raw(o, p, size);
}

static inline void out_integer(Out *o, int type, int64_t v)
{
    if (o->compact) {
        out_varint(o, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
        return;
    }
    if (type == WIRE_I64)
        out_u32(o, (uint32_t)((uint64_t)v >> 32));
    out_u32(o, (uint32_t)(uint64_t)v);
}

static inline void out_list(Out *o, int type, size_t count)
{
    if (!o->compact) {
        out_byte(o, type);
        out_u32(o, (uint32_t)count);
    } else if (count < 15) {
        out_byte(o, (int)count << 4 | wire_compact_type(type));
    } else {
        out_byte(o, 15 << 4 | wire_compact_type(type));
        out_varint(o, count);
    }
}

/* The head of a map of strings to strings. */
static inline void out_map(Out *o, size_t count)
{
    if (o->compact) {
        out_varint(o, count);
        if (count)
            out_byte(o, COMPACT_BINARY << 4 | COMPACT_BINARY);
        return;
    }
    out_byte(o, WIRE_STRING);
    out_byte(o, WIRE_STRING);
    out_u32(o, (uint32_t)count);
}

/* The header of a message; `kind`: 1 a call, 2 a reply. */
static inline void out_message(Out *o, int kind, const void *name, size_t size, uint32_t seqid)
{
    if (o->compact) {
        out_byte(o, 0x82);
        out_byte(o, 1 | kind << 5);
        out_varint(o, seqid);
        out_text(o, name, size);
        return;
    }
    out_u32(o, 0x80010000u | (uint32_t)kind);
    out_text(o, name, size);
    out_u32(o, seqid);
}

#endif
