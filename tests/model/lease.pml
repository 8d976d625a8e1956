/* A lease ends once (`lease_try_end`, `__exit__`, `checkin`, `close(timeout)`), however many threads try at once.
 *
 * The holder's block ends; `others` check the same connection in by hand, or take it away because the pool was closed.
 * An ending takes a while (the driver's reset, the listeners), and the others may look at the slot meanwhile. A
 * newcomer takes the slot as soon as it is free, and ends its own lease.
 *
 * What must hold: one owner at a time, one ending to a lease, and the slot is free in the end.
 */
#ifndef OTHERS
#define OTHERS 2
#endif
#define FREE 100
#define HOLDER 0
#define NEWCOMER 9

#define IDLE 0
#define LEASED 1
#define VACANT 2
#define STATE 3
#define ENDING 4
#define EPOCH 8

short word = LEASED;
byte owner = HOLDER;
byte finished;

#define state_of(w) ((w) & STATE)

/* End the lease that has this word: one swap. ok: it is ended, and the slot is ours. */
inline try_end(lease, me) {
    do
    :: seen = word;
        if
        :: seen / EPOCH != lease / EPOCH || state_of(seen) != LEASED -> ok = 0; break
#ifndef END_WITHOUT_MARK
        :: seen / EPOCH == lease / EPOCH && state_of(seen) == LEASED && (seen & ENDING) -> ok = 0; break
#endif
        :: else ->
            d_step {
                ok = (word == seen);
                if
                :: ok ->
#ifdef END_WITHOUT_MARK
                    word = seen + EPOCH;
#else
                    word = (seen + EPOCH) | ENDING;
#endif
                    owner = me
                :: else -> skip
                fi
            };
            if
            :: ok -> break
            :: else -> skip
            fi
        fi
    od;
    seen = 0
}

inline publish(me, to) {
    d_step { assert(owner == me && state_of(word) == LEASED); owner = FREE; word = ((word & ~(STATE | ENDING)) | to) + EPOCH }
}

proctype holder() {
    short mine = LEASED, seen;
    bit ok;
    /* the end of the block, where nothing is to be done: one swap ends the lease and frees the slot */
#ifdef FAST_END_WITHOUT_CAS
    ok = (word == mine);
    if
    :: ok -> publish(HOLDER, IDLE)
    :: else -> skip
    fi;
#else
    d_step {
        ok = (word == mine);
        if
        :: ok -> owner = FREE; word = IDLE + EPOCH
        :: else -> skip
        fi
    };
#endif
    /* ... or the slow way */
    if
    :: !ok -> try_end(mine, HOLDER);
        if
        :: ok -> publish(HOLDER, IDLE)
        :: else -> skip
        fi
    :: else -> skip
    fi;
    finished++
}

proctype other(byte me) {
    short mine, seen;
    bit ok;
    mine = word;
    if
    :: state_of(mine) == LEASED && owner != FREE ->
        try_end(mine, me);
        if
        :: ok ->                    /* the reset, the listeners: a while */
            assert(owner == me);
            if
            :: publish(me, IDLE)
            :: publish(me, VACANT)  /* closed over it */
            fi
        :: else -> skip             /* LeaseError */
        fi
    :: else -> skip
    fi;
    finished++
}

proctype newcomer() {
    short mine, seen;
    bit ok;
    mine = word;
    if
    :: state_of(mine) != LEASED ->
        d_step {
            ok = (word == mine);
            if
            :: ok -> assert(owner == FREE); owner = NEWCOMER; word = ((mine & ~STATE) | LEASED) + EPOCH; mine = word
            :: else -> skip
            fi
        };
        if
        :: ok ->
            try_end(mine, NEWCOMER);
            if
            :: ok -> publish(NEWCOMER, IDLE)
            :: else -> skip
            fi
        :: else -> skip
        fi
    :: else -> skip
    fi;
    finished++
}

init {
    byte n;
    atomic {
        run holder();
        run newcomer();
        n = 0;
        do
        :: n < OTHERS -> n++; run other(n)
        :: else -> break
        od
    };
    finished == OTHERS + 2;
    assert(owner == FREE && state_of(word) != LEASED && !(word & ENDING))
}
