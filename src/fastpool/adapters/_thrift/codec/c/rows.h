/* Reading HBase's structs in their canonical shape: cells, columns and rows. */
#ifndef FASTPOOL_ROWS_H
#define FASTPOOL_ROWS_H

#include "wire.h"

typedef struct {
    const unsigned char *at;
    size_t size;
    int64_t timestamp;
} WireCell;

/* TCell, to its end. */
static inline int wire_cell(WireCursor *c, WireCell *cell)
{
    if (wire_field(c, WIRE_STRING, 1, 0) < 0 || wire_text(c, &cell->at, &cell->size) < 0)
        return -1;
    if (wire_field(c, WIRE_I64, 2, 1) < 0 || wire_integer(c, WIRE_I64, &cell->timestamp) < 0)
        return -1;
    return wire_stop(c);
}

typedef struct {
    const unsigned char *key;
    size_t key_size;
    size_t count;
    int sorted; /* the columns are a list of TColumn, not a map of names to TCell */
} WireRow;

/* The head of a TRowResult, up to its first column. */
static inline int wire_row(WireCursor *c, WireRow *row)
{
    if (wire_field(c, WIRE_STRING, 1, 0) < 0 || wire_text(c, &row->key, &row->key_size) < 0)
        return -1;
    if (c->p == c->end)
        return wire_fail(c, WIRE_MORE);
    row->sorted = *c->p == (c->compact ? 2 << 4 | COMPACT_LIST : WIRE_LIST);
    if (row->sorted)
        return wire_field(c, WIRE_LIST, 3, 1) < 0 ? -1 : wire_list(c, WIRE_STRUCT, &row->count);
    return wire_field(c, WIRE_MAP, 2, 1) < 0 ? -1 : wire_map(c, &row->count);
}

/* One column of a row. */
static inline int wire_column(WireCursor *c, int sorted, const unsigned char **name, size_t *size, WireCell *cell)
{
    if (!sorted)
        return wire_text(c, name, size) < 0 ? -1 : wire_cell(c, cell);
    if (wire_field(c, WIRE_STRING, 1, 0) < 0 || wire_text(c, name, size) < 0)
        return -1;
    if (wire_field(c, WIRE_STRUCT, 2, 1) < 0 || wire_cell(c, cell) < 0)
        return -1;
    return wire_stop(c);
}

/* A walk over a list of rows that checks all of it and goes on where it stopped when more has come. */
typedef struct {
    size_t at; /* counted from where the list's field begins: up to here all was walked over */
    size_t count, left, columns; /* rows in all, rows and columns of the present row still to come */
    int begun, inside, sorted;
} WireWalk;

static inline int wire_walk_columns(WireCursor *c, WireWalk *w, const unsigned char *begin)
{
    const unsigned char *name;
    size_t size;
    WireCell cell;
    while (w->columns) {
        if (wire_column(c, w->sorted, &name, &size, &cell) < 0)
            return -1;
        w->columns--;
        w->at = (size_t)(c->p - begin);
    }
    if (wire_stop(c) < 0)
        return -1;
    w->inside = 0;
    w->left--;
    w->at = (size_t)(c->p - begin);
    return 0;
}

/* Walk on; the cursor is where the list's field begins. Rows of another order than `sorted` do not fit; -1: any. */
static inline int wire_walk_rows(WireCursor *c, WireWalk *w, int sorted)
{
    const unsigned char *begin = c->p;
    WireRow row;
    c->p += w->at;
    if (!w->begun) {
        if (wire_field(c, WIRE_LIST, 0, 0) < 0 || wire_list(c, WIRE_STRUCT, &w->count) < 0)
            return -1;
        w->left = w->count;
        w->begun = 1;
        w->at = (size_t)(c->p - begin);
    }
    while (w->left) {
        if (!w->inside) {
            if (wire_row(c, &row) < 0)
                return -1;
            if (sorted >= 0 && row.sorted != sorted)
                return wire_fail(c, WIRE_OTHER);
            w->sorted = row.sorted;
            w->columns = row.count;
            w->inside = 1;
            w->at = (size_t)(c->p - begin);
        }
        if (wire_walk_columns(c, w, begin) < 0)
            return -1;
    }
    return wire_stop(c);
}

/* The fewest bytes that a column takes: what is presized by a count must be there. */
static inline size_t wire_least_column(const WireCursor *c)
{
    return c->compact ? 6 : 20;
}

#endif
