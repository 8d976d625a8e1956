/* Capacity that comes and goes (pool.pxd): vacant slots, permits to connect, connects that fail, discards; and with
 * -DSHRINK, -DGROW or both a pool that is resized meanwhile, with -DCLOSE one that is closed. With -DHOLDER client 0
 * keeps what it got until all others are done, so that no wake-up can come from its return.
 *
 * Idle set, vacant stack and line are one step each here (freeset.pml and waitline.pml open them up); the waiters are
 * patient: nothing but a slot, or the closing of the pool, ends their wait.
 *
 * What must hold: one owner to a slot; every waiter ends; never more permits out than there are; and when all is quiet
 * as many slots can be had as the limit says, no connection is counted that is not there, and a closed pool has none.
 */
#define SLOTS 2
#ifndef LIMIT
#define LIMIT SLOTS
#endif
#ifndef CLIENTS
#define CLIENTS 3
#endif
#define MAX_CONNECTING 1
#define NONE 255
#define FREE 100
#define NODE(w) (50 + (w))

mtype = { VACANT, CONNECTING, IDLE, LEASED, RETIRING, GONE, WAITING, HANDED, ABANDONED }

mtype state[SLOTS];
byte owner[SLOTS];
bit in_vacant[SLOTS];       /* stands in the vacant stack */
byte gate;                  /* how many wait */
bit closed;                 /* ... and the flag, in the same word */
byte in_game = LIMIT;       /* the source's `active`: slots that are not GONE; under the mutex */
byte limit = LIMIT;
byte connecting;            /* permits out */
short opened;
chan line = [CLIENTS] of { byte };
mtype word[CLIENTS];
byte node_slot[CLIENTS];
byte finished;

inline move(s, from, to) { assert(owner[s] == from); owner[s] = to }

/* ---- the free sets -------------------------------------------------------------------------------------------- */

inline idle_take() {
    d_step {
        if
        :: state[0] == IDLE -> got = 0
        :: state[0] != IDLE && state[1] == IDLE -> got = 1
        :: else -> got = NONE
        fi;
        if
        :: got != NONE -> move(got, FREE, me); state[got] = LEASED
        :: else -> skip
        fi
    }
}

inline vacant_take() {
    d_step {
        if
        :: in_vacant[0] -> got = 0
        :: !in_vacant[0] && in_vacant[1] -> got = 1
        :: else -> got = NONE
        fi;
        if
        :: got != NONE -> in_vacant[got] = 0; move(got, FREE, me); assert(state[got] == VACANT)
        :: else -> skip
        fi
    }
}

inline vacant_put() { d_step { assert(!in_vacant[got]); in_vacant[got] = 1; move(got, me, FREE) } }

inline permit_take() {
    d_step {
        if
        :: connecting < MAX_CONNECTING -> connecting++; ok = 1
        :: else -> ok = 0
        fi
    }
}

inline permit_drop() { d_step { assert(connecting > 0); connecting-- } }

/* After a shrink: take the caller's vacant slot out of use if it is one too many; then got becomes NONE. */
inline shrink_slot() {
    if
    :: in_game <= limit -> skip
    :: else ->
        d_step {
            if
            :: in_game > limit -> in_game--; state[got] = GONE; owner[got] = NONE; got = NONE
            :: else -> skip
            fi
        }
    fi
}

inline new_slot() {
    d_step {
        got = NONE;
        if
        :: in_game < limit && state[0] == GONE -> got = 0
        :: in_game < limit && state[0] != GONE && state[1] == GONE -> got = 1
        :: else -> skip
        fi;
        if
        :: got != NONE -> in_game++; state[got] = VACANT; owner[got] = me
        :: else -> skip
        fi
    }
}

#define has_room (in_vacant[0] || in_vacant[1] || in_game < limit)

inline take_vacant() {
    do
    :: !has_room -> got = NONE; break
    :: else ->
        permit_take();
        if
        :: !ok -> got = NONE; break
        :: else -> skip
        fi;
        vacant_take();
#ifndef TAKE_WITHOUT_SHRINK
        if
        :: got != NONE -> shrink_slot()
        :: else -> new_slot()
        fi;
#else
        if
        :: got == NONE -> new_slot()
        :: else -> skip
        fi;
#endif
        if
        :: got != NONE -> d_step { state[got] = CONNECTING; opened++; ok = 0 }; break
        :: else -> permit_drop()
#ifdef PERMIT_DROPPED_UNSEEN
            ; break
#endif
        fi
    od;
    ok = 0
}

inline take_free() {
    idle_take();
    if
    :: got == NONE -> take_vacant()
    :: else -> skip
    fi
}

/* ---- hand-off --------------------------------------------------------------------------------------------------- */

inline hand() {
    d_step {
        if
        :: empty(line) -> skip
        :: nempty(line) -> line?other; gate--; node_slot[other] = got; move(got, me, NODE(other)); got = NONE;
            word[other] = HANDED; other = 0
        fi
    }
}

inline publish_vacant() {
    d_step { state[got] = VACANT; opened-- };
    shrink_slot();
    if
    :: got != NONE -> vacant_put()
    :: else -> skip
    fi
}

inline idle_put() { d_step { state[got] = IDLE; move(got, me, FREE) } }

inline settle() {
    do
    :: gate == 0 -> break
    :: else ->
        take_free();
        if
        :: got == NONE -> break
        :: else -> hand()
        fi;
        if
        :: got != NONE && state[got] == CONNECTING -> publish_vacant(); permit_drop()
        :: got != NONE && state[got] == LEASED -> idle_put()
        :: got == NONE -> skip
        fi;
        got = NONE
    od
}

/* Too many connections are open, or the pool is closed: the idle ones go. */
#define unwanted (closed || opened > limit)

/* ---- the processes ------------------------------------------------------------------------------------------------ */

#define RESIZER CLIENTS             /* takes no part in the line */
#define CLOSER (CLIENTS + 1)

mtype = { WAIT, HOLD, END }         /* where to go on after `settling`: there is one copy of each step, like functions */

proctype client(byte me) {
    byte got = NONE, held, other;
    mtype then = END;
    bit ok;

    if
    :: me == RESIZER -> goto resizing
    :: me == CLOSER -> goto closing
    :: me < CLIENTS && closed -> goto done
    :: me < CLIENTS && !closed && gate == 0 -> take_free()
    :: me < CLIENTS && !closed && gate != 0 -> skip
    fi;
    if
    :: got != NONE -> goto owned
    :: else -> skip
    fi;
    d_step {
        word[me] = WAITING; then = WAIT;
        if
#ifdef CLOSE_NOT_SEEN_IN_LINE
        :: true -> line!me; gate++
#else
        :: closed -> then = END             /* the gate, as it was before, says so */
        :: !closed -> line!me; gate++
#endif
        fi
    };
    goto settling;

waiting:
    word[me] != WAITING;
    if
    :: word[me] == ABANDONED -> goto done
    :: else -> d_step { got = node_slot[me]; move(got, NODE(me), me) }
    fi;

owned:
    then = END;
    if
    :: state[got] == LEASED -> goto holding
    :: state[got] == CONNECTING ->          /* the connect fails */
#ifdef FAILED_CONNECT_KEEPS_SLOT
        d_step { got = NONE; opened--; connecting-- }; goto settling
#else
#ifdef FAILED_CONNECT_KEEPS_PERMIT
        d_step { state[got] = RETIRING }; goto freeing
#else
        goto freeing
#endif
#endif
    :: state[got] == CONNECTING ->          /* ... or it does not */
        d_step { state[got] = LEASED; held = got; got = NONE };
        permit_drop();
#ifdef CONNECT_ENDED_WAKES_NOBODY
        d_step { got = held; held = 0 };
#else
        then = HOLD; goto settling
#endif
    fi;

holding:
    assert(owner[got] == me && state[got] == LEASED);
#ifdef HOLDER
    if
    :: me == 0 -> finished == CLIENTS       /* held until all others are done: none may need this slot */
    :: else -> skip
    fi;
#endif
    if                                      /* the end of the block: kept or discarded */
    :: !unwanted ->
        if
        :: gate != 0 -> hand()
        :: else -> skip
        fi;
        if
        :: got != NONE -> d_step { idle_put(); got = NONE }
        :: else -> skip
        fi;
        goto settling
    :: true -> state[got] = RETIRING
    fi;

freeing:                                    /* RETIRING, or CONNECTING with a permit: the slot is the caller's */
    ok = (state[got] == CONNECTING);
    publish_vacant();
    got = NONE;
    if
    :: ok ->
        permit_drop();
#ifdef FAILED_CONNECT_WAKES_NOBODY
        ok = 0; goto done
#endif
    :: else ->
#ifdef DISCARD_WAKES_NOBODY
        goto done
#else
        skip
#endif
    fi;
    ok = 0;

settling:
    settle();
    if
    :: then == WAIT -> then = END; goto waiting
    :: then == HOLD -> d_step { got = held; held = 0; then = END }; goto holding
    :: then == END -> goto done
    fi;

resizing:
#ifdef SHRINK
    limit = 1;
    do                                      /* shrink_vacant */
    :: in_game <= limit -> break
    :: else ->
        vacant_take();
        if
        :: got == NONE -> break
        :: else -> shrink_slot()
        fi;
        if
        :: got != NONE -> vacant_put(); got = NONE
        :: else -> skip
        fi
    od;
#endif
#ifdef GROW
    limit = 2;
#ifdef GROWTH_WAKES_NOBODY
    goto done;
#endif
#endif
    goto settling;

closing:
    closed = 1;
    do
    :: d_step {
            if
            :: nempty(line) -> line?other; gate--; word[other] = ABANDONED; other = 0; ok = 1
            :: empty(line) -> ok = 0
            fi
        };
        if
        :: ok -> skip
        :: else -> break
        fi
    od;

done:
    ok = 0;
#ifdef FLAGS_NOT_SEEN_AFTER_PUBLISH
    if
    :: me < CLIENTS -> goto gone
    :: else -> skip
    fi;
#endif
    /* "Publish, then look at the gate" holds for its flags as well as for its count: a close, or a shrink, that came
       since this one looked has not seen the slots that were in its hands meanwhile. */
    if
    :: unwanted ->
        idle_take();
        if
        :: got != NONE -> state[got] = RETIRING; goto freeing
        :: else -> skip
        fi
    :: else -> skip
    fi;
gone:
    finished++
}

init {
    byte me = 40, got = NONE, n, had;
    bit ok;
    atomic {
        do
        :: n < LIMIT -> state[n] = VACANT; in_vacant[n] = 1; owner[n] = FREE; n++
        :: else -> break
        od;
        do
        :: n < SLOTS -> state[n] = GONE; owner[n] = NONE; n++
        :: else -> break
        od;
#if defined(SHRINK) || defined(GROW)
        run client(RESIZER);
#else
#ifdef CLOSE
        run client(CLOSER);
#else
        finished++;
#endif
#endif
        n = 0;
        do
        :: n < CLIENTS -> run client(n); n++
        :: else -> break
        od
    };
    finished == CLIENTS + 1;
    assert(connecting == 0 && gate == 0 && empty(line));
    assert(opened == (state[0] == IDLE) + (state[1] == IDLE));
    assert(opened <= (closed -> 0 : limit));
    /* take all there is: as many as the limit says */
    atomic {
        do
        :: take_free();
            if
            :: got == NONE -> break
            :: else -> had++;
                if
                :: state[got] == CONNECTING -> permit_drop(); state[got] = LEASED
                :: else -> skip
                fi
            fi
        od;
        assert(had == limit)
    }
}
