/* Which waiters look for leaks for the whole line (waitq.pxd), and how that duty is handed over.
 *
 * There is one slot, lost at first. Its holder may give it back, which hands it to the first in line; or may lose
 * it, as a thread does that ends with its lease. Then nothing is signalled, and a lookout must find it. Each client waits
 * once: until it is served, or until its time is over, at any moment. The last TASKS of them cannot look
 * for all, and their time is over some day. With -DCLOSE the pool is closed meanwhile: then a thread may be told
 * of that and of its duty at the same moment.
 *
 * What the mutex covers is one step, and so is a ring: the first to swap `rung` releases the lock, and waits for
 * nothing in between. References to a waiter's memory, and the look at the free slots, are in waitline.pml.
 *
 * What must hold: nobody sleeps for ever, so a slot that is lost is found as long as a thread that can look stands in
 * line (Spin's invalid end states); only clients in line that can look are lookouts, never more than LOOKOUTS; no
 * lock is released twice (the asserts). Each -D below takes one step out; test_spin.py expects a counterexample for each.
 */
#ifndef CLIENTS
#define CLIENTS 3
#endif
#ifndef LOOKOUTS
#define LOOKOUTS 1
#endif
#ifndef TASKS
#define TASKS 1
#endif
#define NONE 255

mtype:word = { WAITING, HANDED, QUIT, ABANDONED }
mtype:place = { FREE, TAKEN, LOST }

mtype:place slot = LOST;
chan line = [CLIENTS] of { byte };
bit closed;
mtype:word word[CLIENTS];
bit lookout[CLIENTS];
bit rung[CLIENTS];
bit unlocked[CLIENTS];      /* the lock that this client sleeps on */
byte watchmen;              /* how many in line can be lookouts, and */
byte lookouts;              /* how many are */
byte finished;

#define may_look(w) ((w) < CLIENTS - TASKS)

/* Within a step. */
inline ring(w) {
    if
#ifdef RUNG_BY_ALL
    :: true -> assert(unlocked[w] == 0); unlocked[w] = 1
#else
    :: rung[w] == 0 -> rung[w] = 1; assert(unlocked[w] == 0); unlocked[w] = 1
    :: else -> skip
#endif
    fi
}

inline appoint(w) {
    assert(may_look(w) && word[w] != HANDED);
    lookout[w] = 1;
    lookouts++;
    assert(lookouts <= LOOKOUTS)
}

/* Under the mutex, in one step; `heir`: the client to be told that it is a lookout from now on. */
inline dismiss(w) {
    if
    :: may_look(w) ->
        watchmen--;
        if
        :: lookout[w] ->
            lookout[w] = 0;
            lookouts--;
#ifndef DUTY_NOT_PASSED_ON
            if
            :: lookouts == 0 && watchmen > 0 ->
                i = len(line);
                do                          /* the last that can, so it is seen last */
                :: i > 0 ->
                    line?next; line!next; i--;
                    if
#ifdef HEIR_CANNOT_LOOK
                    :: true -> heir = next
#else
                    :: may_look(next) -> heir = next
                    :: else -> skip
#endif
                    fi
                :: else -> break
                od;
                next = 0;
#ifndef HEIR_CHOSEN_BEFORE
                appoint(heir)
#endif
            :: else -> skip
            fi
#endif
        :: else -> skip
        fi
    :: else -> skip
    fi
}

/* The end of a section that has unlinked a waiter. */
inline tell_heir() {
    if
    :: heir != NONE ->
#ifndef HEIR_NOT_WOKEN
        ring(heir);
#endif
        heir = NONE
    :: else -> skip
    fi
}

/* Unlinks in one section, and appoints an heir in another (with the fault). */
inline between_sections() {
#ifdef HEIR_CHOSEN_BEFORE
    d_step {
        if
        :: heir != NONE -> lookout[heir] = 1; lookouts++
        :: else -> skip
        fi;
        tell_heir()
    }
#else
    skip
#endif
}

/* The first in line, or NONE: then the slot becomes `now`, and later clients find it. */
inline pop(now) {
    d_step {
        if
        :: empty(line) -> other = NONE; slot = now
        :: nempty(line) ->
            line?other;
#ifndef SERVED_KEEPS_THE_DUTY
            dismiss(other);
#endif
#ifndef HEIR_CHOSEN_BEFORE
            tell_heir()
#endif
        fi
    };
    between_sections()
}

inline step_out() {
    d_step {
        if
        :: line??[eval(me)] ->
            line??eval(me);
            dismiss(me);
#ifndef HEIR_CHOSEN_BEFORE
            tell_heir()
#endif
        :: else -> skip                     /* a giver popped it */
        fi
    };
    between_sections()
}

inline settle(w, to) {
    d_step {
        won = (word[w] == WAITING);
        if
        :: won -> word[w] = to
        :: else -> skip
        fi
    }
}

/* To the first in line that accepts it. */
inline give() {
    do
    :: pop(FREE);
        if
        :: other == NONE -> break
        :: else -> skip
        fi;
        settle(other, HANDED);
        if
        :: won -> d_step { ring(other); other = NONE; won = 0 }; break
        :: else -> other = NONE
        fi
    od
}

/* A slot that was received is given back or lost. */
inline use() {
    if
    :: give()
    :: slot = LOST
    fi
}

proctype client(byte me) {
    byte other = NONE, heir = NONE, next, i;
    bit won, looks, hurried, late;

    atomic {
        if
        :: may_look(me) -> hurried = 0
        :: hurried = 1
        fi;
        d_step {
            line!me;
            late = closed;
            if
            :: may_look(me) ->
                watchmen++;
                if
                :: lookouts < LOOKOUTS -> appoint(me)
                :: else -> skip
                fi
            :: else -> skip
            fi
        }
    };
    if
    :: late -> goto quit
    :: else -> skip
    fi;
    if
    :: atomic { slot == FREE -> slot = TAKEN }; give()
    :: else -> skip
    fi;
#ifdef LOOKOUT_READ_ONCE
    looks = lookout[me];
#endif
    do
    :: word[me] != WAITING -> break
    :: atomic {
            word[me] == WAITING ->
#ifndef LOOKOUT_READ_ONCE
            looks = lookout[me]
#endif
        };
sleep:  if                                  /* until */
        :: unlocked[me] ->
            unlocked[me] = 0;
#ifdef RUNG_TAKEN_BACK_LATE
            if
            :: word[me] != WAITING -> break
            :: else -> looks = lookout[me]; rung[me] = 0; goto sleep
            fi
#else
            rung[me] = 0
#endif
        :: atomic { looks && slot == LOST -> slot = TAKEN; looks = 0 };
            give()                          /* ... it has slept for a second, and finds what is lost */
        :: hurried -> break                 /* its time is over */
        fi
    od;
quit:
    looks = 0;
    settle(me, QUIT);
    if
    :: won -> step_out()
    :: word[me] == HANDED -> use()
    :: word[me] == ABANDONED -> skip
    fi;
    assert(lookout[me] == 0);
    atomic { finished++; won = 0; hurried = 0; late = 0 }
}

#ifdef CLOSE
proctype closer() {
    byte other = NONE, heir = NONE, next, i;
    bit won;
    closed = 1;
    do
    :: pop(slot);
        if
        :: other == NONE -> break
        :: else -> skip
        fi;
        settle(other, ABANDONED);
        if
        :: won -> d_step { ring(other); won = 0 }
        :: else -> skip
        fi
    od
}
#endif

init {
    byte n;
    atomic {
        do
        :: n < CLIENTS -> word[n] = WAITING; n++
        :: else -> break
        od;
#ifdef CLOSE
        run closer();
#endif
        n = 0;
        do
        :: n < CLIENTS -> run client(n); n++
        :: else -> break
        od
    };
    finished == CLIENTS;
    assert(empty(line) && lookouts == 0 && watchmen == 0)
}
