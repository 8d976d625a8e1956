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

/* The fewest bytes that a column takes: what is presized by a count must be there. */
static inline size_t wire_least_column(const WireCursor *c)
{
    return c->compact ? 6 : 20;
}

#endif
