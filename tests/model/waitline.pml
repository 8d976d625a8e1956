/* The line of waiters: registration, hand-off, time-out, cancellation, dead loops.
 *
 * The free sets are one bit per slot here (freeset.pml opens them up), so every step below is one atomic access of
 * the source. Clients 0 .. SLOTS-1 begin with a lease, the others check out; each may wait for ever, or may time
 * out, or may be cancelled, or may lose its event loop, at any moment.
 *
 * What must hold: a slot has one owner at every moment (the asserts on `owner`), nobody sleeps for ever (Spin's
 * invalid end states), and at the end every slot is free and the gate is zero (the asserts of `audit`).
 * Each -D below takes one step of the protocol out; test_spin.py expects a counterexample for each.
 */
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef CLIENTS
#define CLIENTS 3
#endif

#define NONE 255
#define FREE 100            /* owner: the free set */
#define NODE(w) (50 + (w))  /* owner: a waiter it was handed to, that has not taken it yet */

#ifdef REFERENCE_NOT_KEPT
#define ENLIST_REFS 1       /* the giver borrows it */
#else
#define ENLIST_REFS 2
#endif

mtype:word = { WAITING, HANDED, TAKEN, REVOKED, TIMED_OUT, CANCELLED }
mtype:mood = { PATIENT, HURRIED, DOOMED, LOOPLESS }

bit free[SLOTS];
byte owner[SLOTS];
byte gate;                  /* how many are linked */
chan line = [CLIENTS] of { byte };
mtype:word word[CLIENTS];
byte node_slot[CLIENTS];
byte refs[CLIENTS];         /* of the waiter's memory: one for the client, one for the queue or the giver that popped it */
bit woken[CLIENTS];
bit loop_gone[CLIENTS];
byte finished;
byte leaked;                /* waiters whose loop is gone and that are never collected */

/* The queue's mutex covers the list only, and `gate` is the one thing in a section that is seen from outside it: each
   section is therefore one step here. */
#define alive(w) assert(refs[w] > 0)

inline drop(w) { d_step { alive(w); refs[w]-- } }

inline move(s, from, to) { assert(owner[s] == from); owner[s] = to }

/* A free slot, or NONE. One CAS on the slot's word decides its owner. */
inline take_free() {
#ifdef NO_CAS_TAKE
    got = NONE;
    if
    :: free[0] -> got = 0
    :: else -> skip
    fi;
    if
    :: got != NONE -> d_step { free[got] = 0; move(got, FREE, me) }
    :: else -> skip
    fi
#else
    d_step {
        got = NONE;
        i = 0;
        do
        :: i < SLOTS && free[i] == 0 -> i++
        :: else -> break
        od;
        if
        :: i < SLOTS -> got = i; free[got] = 0; move(got, FREE, me)
        :: else -> skip
        fi;
        i = 0
    }
#endif
}

/* Give slot `got` to the first waiter that accepts it; then `got` becomes NONE. */
inline hand_over() {
    do
    :: got != NONE ->
        d_step {
            if
            :: empty(line) -> assert(gate == 0); other = NONE
            :: nempty(line) -> line?other; gate--
            fi
        };
        if
        :: other == NONE -> break
        :: else -> skip
        fi;
#ifndef HAND_BEFORE_SLOT
        d_step { alive(other); node_slot[other] = got };
#endif
#ifdef NO_CAS_HAND
        d_step { alive(other); won = (word[other] == WAITING) };
        if
        :: won -> word[other] = HANDED; move(got, me, NODE(other))
        :: else -> skip
        fi;
#else
        d_step {
            alive(other);
            won = (word[other] == WAITING);
            if
            :: won -> word[other] = HANDED; move(got, me, NODE(other))
            :: else -> skip
            fi
        };
#endif
#ifdef HAND_BEFORE_SLOT
        node_slot[other] = got;
#endif
        if
#ifdef LOST_CAS_DROPS
        :: !won -> got = NONE
#else
        :: !won -> skip
#endif
        :: atomic { won && !loop_gone[other] -> alive(other); woken[other] = 1; got = NONE }
#ifdef WAKE_FAILURE_IGNORED
        :: won && loop_gone[other] -> got = NONE
#else
        :: won && loop_gone[other] ->
#ifdef TAKE_BACK_WITHOUT_CAS
            word[other] = REVOKED; owner[got] = me
#else
            d_step {
                alive(other);
                won = (word[other] == HANDED);
                if
                :: won -> word[other] = REVOKED; move(got, NODE(other), me)
                :: else -> got = NONE           /* it took the slot without a wake-up */
                fi
            }
#endif
#endif
        fi;
#ifndef REFERENCE_NOT_KEPT
        drop(other)
#endif
    :: else -> break
    od;
    atomic { other = NONE; won = 0 }
}

/* While there are a waiter and a free slot: hand the slot over. */
inline settle() {
    do
    :: gate == 0 -> break
    :: else ->
        take_free();
        if
        :: got == NONE -> break
        :: else -> hand_over()
        fi;
        if
#ifdef SETTLE_KEEPS
        :: got != NONE -> got = NONE; break
#else
        :: got != NONE -> publish(); got = NONE
#endif
        :: else -> skip
        fi
    od
}

inline publish() {
    atomic { move(got, me, FREE); free[got] = 1 }
}

inline give_back() {
    if
    :: gate != 0 -> hand_over()
    :: else -> skip
    fi;
    if
    :: got == NONE -> skip
    :: else ->
#ifdef LOOK_BEFORE_PUBLISH
        if
        :: gate != 0 -> publish(); settle()
        :: else -> publish()
        fi;
#else
        publish();
#ifndef NO_LOOK_AFTER_PUBLISH
        settle();
#endif
#endif
        got = NONE
    fi
}

inline leave_line(w) {
    d_step {
        won = 0;
        if
#ifdef COUNT_NOT_TAKEN_BACK
        :: line??[eval(w)] -> line??eval(w); refs[w]--
#else
        :: line??[eval(w)] -> line??eval(w); refs[w]--; gate--
#endif
#ifdef COUNT_TAKEN_BACK_TWICE
        :: !line??[eval(w)] && gate > 0 -> gate--
#endif
        :: else -> skip
        fi
    }
}

inline quit(to) {
#ifdef NO_CAS_QUIT
    won = (word[me] == WAITING);
    if
    :: won -> word[me] = to
    :: else -> skip
    fi
#else
    d_step {
        won = (word[me] == WAITING);
        if
        :: won -> word[me] = to
        :: else -> skip
        fi
    }
#endif
}

inline take_handed() {
    d_step {
        if
        :: word[me] == HANDED -> word[me] = TAKEN; got = node_slot[me]; move(got, NODE(me), me)
        :: else -> assert(word[me] == REVOKED && loop_gone[me]); got = NONE
        fi
    }
}

proctype client(byte me; byte got) {
    byte other = NONE, i = 0;
    bit won;
    mtype:mood mood;

    if
    :: got != NONE -> give_back()
    :: else -> skip
    fi;

    /* checkout */
    if
    :: gate == 0 -> take_free()
    :: else -> skip
    fi;
    if
    :: got != NONE -> goto leased
    :: else -> skip
    fi;
    if
    :: mood = PATIENT
#ifdef LOOPS
    :: mood = LOOPLESS
#else
    :: mood = HURRIED
    :: mood = DOOMED
#endif
    fi;

#ifdef LOOK_BEFORE_ENLIST
    take_free();
    if
    :: got != NONE -> goto leased
    :: else -> skip
    fi;
    d_step { word[me] = WAITING; node_slot[me] = NONE; refs[me] = ENLIST_REFS; line!me; gate++ };
#else
    d_step { word[me] = WAITING; node_slot[me] = NONE; refs[me] = ENLIST_REFS; line!me; gate++ };
#ifndef NO_RECHECK
    settle();
#endif
#endif
    if
    :: woken[me] -> take_handed()
    :: mood == HURRIED ->
        quit(TIMED_OUT);
        if
        :: won -> leave_line(me)
#ifdef LATE_SUCCESS_DROPPED
        :: else -> got = NONE
#else
        :: else -> take_handed()
#endif
        fi
    :: mood == DOOMED ->
cancel: quit(CANCELLED);
        if
        :: won -> leave_line(me)
#ifdef CANCEL_LOSES_SLOT
        :: else -> skip
#else
        :: else ->
            take_handed();
            if
            :: got != NONE -> give_back()
            :: else -> skip
            fi
#endif
        fi
    :: mood == LOOPLESS ->              /* its loop closes and its task is collected later, which cancels it ... */
        loop_gone[me] = 1;
        goto cancel
    :: atomic {                         /* ... or never (only a wake that the loop took can then be lost, docs/core.md) */
            mood == LOOPLESS && !woken[me] -> loop_gone[me] = 1; leaked++; goto gone
        }
    fi;
    drop(me);
    if
    :: got != NONE -> goto leased
    :: else -> goto done
    fi;

leased:
    assert(owner[got] == me);
    give_back();
done:
    skip;
gone:
    finished++
}

init {
    byte n;
    atomic {
        n = 0;
        do
        :: n < SLOTS -> owner[n] = n; run client(n, n); n++
        :: else -> break
        od;
        do
        :: n < CLIENTS -> run client(n, NONE); n++
        :: else -> break
        od
    };
    /* audit */
    finished == CLIENTS;
    assert(gate == len(line) && len(line) <= leaked);
    n = 0;
    do
    :: n < SLOTS -> assert(free[n] && owner[n] == FREE); n++
    :: else -> break
    od
}
