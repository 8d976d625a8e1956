/* A fuzz target for the C parts of the codec: any bytes, as the body of a reply, in one piece and in many.
 *
 * With clang's -fsanitize=fuzzer it is libFuzzer's target. Built with -DALONE it is a program that mutates the files it
 * is given:  fuzz ROUNDS SEED FILE...  Each input lies in memory of exactly its size, so that AddressSanitizer sees
 * every byte that is read beyond. The first byte of an input says what is expected of the rest.
 */
#include <stdio.h>
#include <stdlib.h>

#include "out.h"
#include "rows.h"

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_codec: %s\n", what);
        abort();
    }
}

/* Read a list of rows, cells or texts in field 0, as the decoder does; 0 if it fits. */
static int read_list(WireCursor *c, int of)
{
    size_t count, size, i, j;
    const unsigned char *at;
    volatile unsigned char seen = 0;
    WireCell cell;
    WireRow row;
    if (wire_field(c, WIRE_LIST, 0, 0) < 0 || wire_list(c, of == 2 ? WIRE_STRING : WIRE_STRUCT, &count) < 0)
        return -1;
    for (i = 0; i < count; i++) {
        if (of == 2) {
            if (wire_text(c, &at, &size) < 0)
                return -1;
            seen ^= size ? at[0] ^ at[size - 1] : 0;
        } else if (of == 1) {
            if (wire_cell(c, &cell) < 0)
                return -1;
            seen ^= cell.size ? cell.at[0] ^ cell.at[cell.size - 1] : 0;
        } else {
            if (wire_row(c, &row) < 0)
                return -1;
            seen ^= row.key_size ? row.key[0] ^ row.key[row.key_size - 1] : 0;
            for (j = 0; j < row.count; j++) {
                if (wire_column(c, row.sorted, &at, &size, &cell) < 0)
                    return -1;
                seen ^= size ? at[0] ^ at[size - 1] : 0;
                seen ^= cell.size ? cell.at[0] ^ cell.at[cell.size - 1] : 0;
            }
            if (wire_stop(c) < 0)
                return -1;
        }
    }
    return wire_stop(c);
}

static void small_results(const unsigned char *data, size_t size, int compact)
{
    int truth;
    int64_t number;
    WireCursor c = {data, data + size, 0, compact};
    if (wire_success_bool(&c, &truth) == 0)
        check(truth == 0 || truth == 1, "a boolean is neither");
    for (int type = WIRE_I32; type <= WIRE_I64; type += WIRE_I64 - WIRE_I32) {
        WireCursor d = {data, data + size, 0, compact};
        if (wire_field(&d, type, 0, 0) == 0 && wire_integer(&d, type, &number) == 0) {
            Out o = {0};
            o.compact = compact;
            out_integer(&o, type, number);
            check(o.n <= 10 && (compact || o.n == (type == WIRE_I64 ? 8 : 4)), "a number of another size");
            WireCursor e = {o.b, o.b + o.n, 0, compact};
            int64_t again;
            check(wire_integer(&e, type, &again) == 0 && again == number && e.p == e.end, "a number changed");
            out_free(&o);
        }
    }
}

/* The walk over rows of this order in pieces ends as the reader did: with the same outcome, at the same byte.
 *
 * `why` is 0 if the reader came to `end`. Each piece is a copy of its own, as the input buffer moves when it grows.
 */
static void walk_in_pieces(
    const unsigned char *data, size_t n, size_t step, int compact, int order, int why, size_t end)
{
    WireWalk walk;
    WireCursor c = {0};
    int found = -1;
    size_t size = 0;
    memset(&walk, 0, sizeof walk);
    c.why = WIRE_MORE;
    while (found < 0 && c.why == WIRE_MORE && size < n) {
        size = size + step < n ? size + step : n;
        unsigned char *part = (unsigned char *)malloc(size);
        memcpy(part, data, size);
        c = (WireCursor){part, part + size, 0, compact};
        found = wire_walk_rows(&c, &walk, order);
        check(walk.at <= size, "the walk left the memory");
        if (found == 0) {
            check(why == 0 && end == (size_t)(c.p - part), "the walk came to another end than the reader");
            check(walk.left == 0 && !walk.inside, "the walk ended within rows");
        }
        free(part);
    }
    if (found < 0 && order == -1)
        check(c.why == why, "the walk stopped for another reason than the reader");
    if (found < 0 && order != -1)
        check(c.why == WIRE_OTHER || c.why == why, "rows of one order stopped for another reason");
}

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
    if (size < 2)
        return 0;
    int compact = input[0] & 1, of = (input[0] >> 1) % 3;
    size_t step = 1 + (input[0] >> 3), n = size - 1;
    unsigned char *data = (unsigned char *)malloc(n);
    memcpy(data, input + 1, n);

    WireCursor c = {data, data + n, 0, compact};
    int found = read_list(&c, of);
    check(found == 0 || c.why == WIRE_MORE || c.why == WIRE_OTHER, "no reason");
    check(c.p >= data && c.p <= data + n, "the cursor left the memory");
    if (of == 0)
        for (int order = -1; order <= 1; order++)
            walk_in_pieces(data, n, step, compact, order, found == 0 ? 0 : c.why, (size_t)(c.p - data));
    small_results(data, n, compact);
    free(data);
    return 0;
}

#ifdef ALONE
static unsigned long long state;

static unsigned drawn(unsigned below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % below;
}

int main(int argc, char **argv)
{
    static const unsigned char usual[] = {0, 1, 2, 8, 10, 11, 12, 13, 15, 0x7f, 0x80, 0xff, 0x18, 0x1b, 0x8c, 0x16};
    long rounds = argc > 3 ? atol(argv[1]) : 0;
    state = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
    for (int i = 3; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        static unsigned char input[1 << 16], changed[1 << 16];
        size_t size = file ? fread(input, 1, sizeof input, file) : 0;
        check(size > 1, "an unreadable file");
        fclose(file);
        for (size_t cut = 0; cut <= size; cut++)
            LLVMFuzzerTestOneInput(input, cut);
        for (long round = 0; round < rounds; round++) {
            size_t n = drawn(3) ? size : 1 + drawn((unsigned)size);
            memcpy(changed, input, n);
            for (unsigned k = 1 + drawn(4); k > 0; k--)
                changed[drawn((unsigned)n)] = drawn(2) ? usual[drawn(sizeof usual)] : (unsigned char)drawn(256);
            LLVMFuzzerTestOneInput(changed, n);
        }
    }
    return 0;
}
#endif
