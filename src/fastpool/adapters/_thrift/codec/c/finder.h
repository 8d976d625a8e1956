/* Where does a struct end? A walk over any well-formed struct that goes on where it stopped when more has come.
 *
 * It commits to a step only when all of the step's bytes are there: a header with the value behind it, if that is no
 * struct or container. Nothing is read beyond what is there, and nesting is bounded as thriftpy2 bounds it.
 */
#ifndef FASTPOOL_FINDER_H
#define FASTPOOL_FINDER_H

#include "wire.h"

enum { FINDER_DEEPEST = 64 };
enum { FINDER_BAD = -1, FINDER_MORE = 0, FINDER_DONE = 1 };

typedef struct {
    uint8_t kind, key, value; /* types as the binary protocol numbers them; kind: STRUCT, LIST or MAP */
    uint64_t left;            /* of a container: values to come, of a map keys and values */
} FinderLevel;

typedef struct {
    size_t at; /* up to here all was walked over */
    int depth;
    int compact;
    FinderLevel level[FINDER_DEEPEST];
} Finder;

static inline void finder_begin(Finder *f, size_t at, int compact)
{
    f->at = at;
    f->depth = 1;
    f->compact = compact;
    f->level[0].kind = WIRE_STRUCT;
    f->level[0].left = 0;
}

static inline int finder_type(const Finder *f, int type)
{
    static const uint8_t types[16] = {
        0, WIRE_BOOL, WIRE_BOOL, WIRE_BYTE, WIRE_I16, WIRE_I32, WIRE_I64, WIRE_DOUBLE, WIRE_STRING, WIRE_LIST, WIRE_SET,
        WIRE_MAP, WIRE_STRUCT, 0, 0, 0
    };
    return f->compact ? types[type & 15] : type;
}

static inline int finder_why(const WireCursor *c)
{
    return c->why == WIRE_MORE ? FINDER_MORE : FINDER_BAD;
}

static inline int finder_enter(Finder *f, int kind, int key, int value, uint64_t left)
{
    if (f->depth >= FINDER_DEEPEST)
        return FINDER_BAD;
    FinderLevel *level = &f->level[f->depth++];
    level->kind = (uint8_t)kind;
    level->key = (uint8_t)key;
    level->value = (uint8_t)value;
    level->left = left;
    return FINDER_DONE;
}

static inline int finder_list(Finder *f, WireCursor *c)
{
    uint64_t n;
    int type;
    if (f->compact) {
        if (c->p == c->end)
            return FINDER_MORE;
        type = finder_type(f, *c->p);
        n = *c->p++ >> 4;
        if (n == 15 && wire_varint(c, &n) < 0)
            return finder_why(c);
    } else {
        if (wire_left(c) < 5)
            return FINDER_MORE;
        type = c->p[0];
        n = wire_u32(c->p + 1);
        c->p += 5;
    }
    return n > INT32_MAX ? FINDER_BAD : finder_enter(f, WIRE_LIST, type, type, n);
}

static inline int finder_map(Finder *f, WireCursor *c)
{
    uint64_t n;
    int key = 0, value = 0;
    if (f->compact) {
        if (wire_varint(c, &n) < 0)
            return finder_why(c);
        if (n) {
            if (c->p == c->end)
                return FINDER_MORE;
            key = finder_type(f, *c->p >> 4);
            value = finder_type(f, *c->p++);
        }
    } else {
        if (wire_left(c) < 6)
            return FINDER_MORE;
        key = c->p[0];
        value = c->p[1];
        n = wire_u32(c->p + 2);
        c->p += 6;
    }
    return n > INT32_MAX ? FINDER_BAD : finder_enter(f, WIRE_MAP, key, value, 2 * n);
}

/* Over the value of `type` at the cursor, into it if it has parts; FINDER_DONE when that was possible. */
static inline int finder_value(Finder *f, WireCursor *c, int type)
{
    const unsigned char *at;
    size_t size = 0;
    uint64_t n;
    switch (type) {
    case WIRE_STRING: return wire_text(c, &at, &size) < 0 ? finder_why(c) : FINDER_DONE;
    case WIRE_STRUCT: return finder_enter(f, WIRE_STRUCT, 0, 0, 0);
    case WIRE_LIST: case WIRE_SET: return finder_list(f, c);
    case WIRE_MAP: return finder_map(f, c);
    case WIRE_BOOL: case WIRE_BYTE: size = 1; break;
    case WIRE_DOUBLE: size = 8; break;
    case WIRE_I16: size = 2; break;
    case WIRE_I32: size = 4; break;
    case WIRE_I64: size = 8; break;
    default: return FINDER_BAD;
    }
    if (f->compact && (type == WIRE_I16 || type == WIRE_I32 || type == WIRE_I64))
        return wire_varint(c, &n) < 0 ? finder_why(c) : FINDER_DONE;
    if (wire_left(c) < size)
        return FINDER_MORE;
    c->p += size;
    return FINDER_DONE;
}

/* The next field of the struct that is walked over, or its end. */
static inline int finder_field(Finder *f, WireCursor *c)
{
    uint64_t id;
    if (c->p == c->end)
        return FINDER_MORE;
    int head = *c->p++;
    int type = finder_type(f, head);
    if ((f->compact ? head & 15 : head) == WIRE_STOP) {
        f->depth--;
        return FINDER_DONE;
    }
    if (!f->compact) {
        if (wire_left(c) < 2)
            return FINDER_MORE;
        c->p += 2;
        return finder_value(f, c, type);
    }
    if (!(head >> 4) && wire_varint(c, &id) < 0)
        return finder_why(c);
    return type == WIRE_BOOL ? FINDER_DONE : finder_value(f, c, type); /* a boolean is in the header */
}

/* Go on over `size` bytes at `data`; the earlier ones are as they were. FINDER_DONE: the struct ends at f->at. */
static inline int finder_go_on(Finder *f, const unsigned char *data, size_t size)
{
    while (f->depth) {
        WireCursor c = {data + f->at, data + size, 0, f->compact};
        FinderLevel *level = &f->level[f->depth - 1];
        int found;
        if (level->kind == WIRE_STRUCT) {
            found = finder_field(f, &c);
        } else if (level->left == 0) {
            f->depth--;
            continue;
        } else {
            int type = level->kind == WIRE_MAP && level->left % 2 == 0 ? level->key : level->value;
            found = finder_value(f, &c, type);
            if (found == FINDER_DONE)
                level->left--;
        }
        if (found != FINDER_DONE)
            return found;
        f->at = (size_t)(c.p - data);
    }
    return FINDER_DONE;
}

#endif
