/* The permits of a page that several processes share (page.pxd), each access a step, and a process may be killed
 * between any two: its connections are closed by the system then, and its lock is gone. Whoever has a row's lock clears it:
 * a reaper, or the next process that takes the row.
 *
 * What must hold: never more connections open than the cap; and when all is quiet, and what dead processes had is
 * cleared, no permit is out, in `total` as in the counts of the rows.
 */
#ifndef ROWS
#define ROWS 2
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define TAKEN 1
#define GIVEN 2
#define CLEARED 3

byte t_out, t_row, t_kind, t_seq;   /* one word: `total` */
byte h_count[ROWS], h_seq[ROWS];    /* one word each: the row's `held` */
bit locked[ROWS];                   /* by a file lock: gone with its process */
byte conns[ROWS];                   /* connections that a process has */
byte open;                          /* what the server sees */
byte deaths = DEATHS;
byte finished;

/* The process may end here, except where it is the reaper (one is left to do the work). Before each write is enough: a
 * process that has read more is as dead. */
inline step() {
    if
    :: d_step { mortal && deaths > 0 -> deaths-- }; goto dead
    :: skip
    fi
}

inline read_total() { d_step { o = t_out; r = t_row; k = t_kind; s = t_seq } }

inline finish() {
    if
    :: k == 0 -> skip
    :: else ->
        d_step { hc = h_count[r]; hs = h_seq[r] };
        step();
#ifdef FINISH_WITHOUT_SEQ
        if
        :: true
#else
        if
        :: hs + 1 == s
#endif
           ->
            d_step {
#ifdef FINISH_WITHOUT_CAS
                if
                :: true ->
#else
                if
                :: h_count[r] == hc && h_seq[r] == hs ->
#endif
                    if
                    :: k == TAKEN -> h_count[r] = hc + 1
                    :: k == GIVEN -> h_count[r] = (hc > 0 -> hc - 1 : 0)
                    :: else -> h_count[r] = 0
                    fi;
                    h_seq[r] = s
                :: else -> skip
                fi
            }
        :: else -> skip
        fi
    fi
}

/* Change what `row` has by one permit, or clear it; ok: it was changed. */
inline change(row, kind) {
    do
    :: true ->
        read_total();
#ifndef NO_HELP
        finish();
#endif
        d_step { hc = h_count[row]; hs = h_seq[row] };
        step();
        if
        :: kind == TAKEN && o >= CAP -> ok = 0; break
        :: kind != TAKEN && hc == 0 ->
            if
            :: t_out == o && t_row == r && t_kind == k && t_seq == s -> ok = 0; break
            :: else -> skip
            fi
        :: else ->
            ok = 0;
            d_step {
#ifdef TOTAL_WITHOUT_CAS
                if
                :: true ->
#else
                if
                :: t_out == o && t_row == r && t_kind == k && t_seq == s ->
#endif
                    t_out = (kind == TAKEN -> o + 1 : (kind == GIVEN -> o - 1 : o - hc));
                    t_row = row; t_kind = kind; t_seq = hs + 1;
                    ok = 1
                :: else -> skip
                fi
            };
            if
            :: ok ->
                step();
                read_total();
                finish();
                ok = 1;
                break
            :: else -> skip
            fi
        fi
    od;
    atomic { o = 0; r = 0; k = 0; s = 0; hc = 0; hs = 0 }
}

proctype client(byte me) {
    byte o, r, k, s, hc, hs, round;
    bit ok;
    bit mortal = 1;
again:
    skip;
    atomic { locked[me] == 0 -> locked[me] = 1 };
#ifndef ROW_TAKEN_UNCLEARED
    change(me, CLEARED);
#endif
    /* nothing of a dead process is taken for this one's */
    assert(h_count[me] == 0 || (t_row == me && t_seq == h_seq[me] + 1 && t_kind != TAKEN));
    round = 0;
    do
    :: round < ROUNDS ->
        round++;
        change(me, TAKEN);
        if
        :: ok ->
            d_step { conns[me]++; open++; assert(open <= CAP) };
            step();
#ifdef GIVEN_BEFORE_CLOSED
            change(me, GIVEN);
            d_step { conns[me]--; open-- }
#else
            d_step { conns[me]--; open-- };
            change(me, GIVEN)
#endif
        :: else -> skip /* it waits elsewhere */
        fi
    :: else -> break
    od;
    step();
    change(me, CLEARED);
    d_step { locked[me] = 0; finished++ };
    goto over;
dead:
    skip;
    d_step { open = open - conns[me]; conns[me] = 0; locked[me] = 0 };
    if
    :: goto again                       /* another process takes the row */
    :: d_step { finished++ }
    fi;
over:
    skip
}

active proctype reaper() {
    byte o, r, k, s, hc, hs, row;
    bit ok;
    bit mortal = 0;
    byte i;
    i = 0;
    do
    :: i < ROWS -> run client(i); i++
    :: else -> break
    od;
    do
    :: finished < ROWS ->
        if
        :: row = 0
        :: row = 1
        fi;
#ifdef REAPED_WITHOUT_LOCK
        if
        :: locked[row] == 0 -> change(row, CLEARED)
        :: else -> skip
        fi
#else
        if
        :: atomic { locked[row] == 0 && h_count[row] > 0 -> locked[row] = 1 };
            change(row, CLEARED);
            locked[row] = 0
        :: finished == ROWS -> skip
        fi
#endif
    :: finished == ROWS -> break
    od;
    row = 0;
    do
    :: row < ROWS -> change(row, CLEARED); row++
    :: else -> break
    od;
    read_total();
    finish();
    assert(t_out == 0 && h_count[0] == 0 && h_count[1] == 0);
    assert(open == 0);
dead:
    skip
}
