/* A fork at any moment, in the middle of any operation of other threads, seen from the child.
 *
 * Only the forking thread exists in the child: the others stop where they are, perhaps in a critical section. Two
 * greenlets live in the forking thread and take turns: `forker` forks inside its block (or outside), `sleeper` stands in the
 * parent's line, or joins it later. The first use of the pool in the child finds another generation and makes a new
 * pool state (slots, gate, line, mutex). Index 0 is the parent's state, 1 the child's; each has one slot.
 *
 * What must hold in the child: the new state has nothing of the parent's in it, no lease and no waiter from before the
 * fork touches it, and every greenlet in the child ends, whatever was locked at the fork.
 */
#define FREE 100
#define OTHER 2                     /* a thread that the child does not have */

mtype = { AWAY, WAITING, HANDED, ABANDONED }

bit forked;
bit state;                          /* core.pool */
byte owner[2] = FREE;
bit open[2];                        /* its slot has a connection */
bit parents[2];                     /* ... which is the parent's */
bit mutex[2];
byte gate[2];
bit in_line[2];                     /* the sleeper's waiter is linked */
mtype word = AWAY;                  /* ... and its state */
bit turn;                           /* the greenlet that has the thread; it changes only where one yields */
byte finished;

#define generation forked           /* 0 in the parent, 1 in the child */

inline run_on()  { atomic { turn == 0 -> turn = 1 } }
inline yield()   { turn = 0 }

inline lock(h)   { atomic { mutex[h] == 0 -> mutex[h] = 1 } }
inline unlock(h) { mutex[h] = 0 }

/* The first use in another generation: after_fork. */
inline arrive() {
    atomic {
        if
        :: state != generation ->
            state = 1;
#ifdef MUTEX_INHERITED
            mutex[1] = mutex[0];
#endif
#ifdef GATE_INHERITED
            gate[1] = gate[0];
#endif
#ifdef IDLE_INHERITED
            if
            :: owner[0] == FREE -> open[1] = open[0]; parents[1] = open[0]
            :: else -> skip
            fi;
#endif
#ifndef WAITERS_LEFT_BEHIND
            if
            :: word == WAITING -> word = ABANDONED
            :: else -> skip
            fi
#endif
        :: else -> skip
        fi
    }
}

inline take(h, who) {
    atomic {
        if
        :: owner[h] == FREE ->
            owner[h] = who; got = 1;
            if
            :: !open[h] -> open[h] = 1; parents[h] = !generation
            :: else -> skip
            fi;
            assert(parents[h] == !generation)
        :: else -> got = 0
        fi
    }
}

/* Return the slot of state h: to the sleeper if it waits there, else to the free ones, and look once more. */
inline give(h, who) {
    do
    :: lock(h);
        if
        :: in_line[h] -> atomic { in_line[h] = 0; gate[h]--; w = 1 }
        :: else -> w = 0
        fi;
        unlock(h);
        atomic {
            assert(owner[h] == who);
            if
            :: w && word == WAITING -> word = HANDED; owner[h] = 1
            :: else -> owner[h] = FREE
            fi;
            if
            :: owner[h] == FREE && gate[h] != 0 -> take(h, who)
            :: else -> got = 0
            fi
        };
        if
        :: got -> skip
        :: else -> break
        fi
    od
}

proctype other() {
    bit got, w;
    {
        take(0, OTHER);
        if
        :: got -> give(0, OTHER)
        :: else -> lock(0); unlock(0)
        fi
    } unless { forked };            /* does not exist in the child */
    finished++
}

proctype forker() {
    bit got, w, born_in;
    run_on();
    take(0, 0);
    if
    :: got -> skip
    :: else ->                      /* holds nothing: forks outside of a block */
        forked = 1;
        arrive();
        take(1, 0);
        if
        :: got -> give(1, 0)
        :: else -> skip
        fi;
        goto done
    fi;
    yield();
    run_on();
    if
    :: forked = 1
    :: skip
    fi;
    if
    :: forked ->                    /* uses the pool in the child, inside its block, or does not */
        if
        :: arrive(); take(1, 0);
            if
            :: got -> yield(); run_on(); give(1, 0)
            :: else -> skip
            fi
        :: yield(); run_on()
        fi
    :: else -> skip
    fi;
    /* its block ends */
#ifdef PARENTS_LEASE_ENDS_IN_CHILD
    if
    :: state == generation -> give(state, 0)
    :: else -> skip
    fi;
#else
    if
    :: born_in == generation -> give(born_in, 0)
    :: else ->                      /* abandoned: the parent goes on using that connection */
#ifndef ABANDONED_WITHOUT_A_LOOK
        arrive()
#endif
    fi;
#endif
done:
    yield();
    finished++
}

proctype sleeper() {
    bit got, w, h, patient;
    if
    :: patient = 1
    :: patient = 0
    fi;
again:
    run_on();
    arrive();
    h = state;
    if
    :: gate[h] == 0 -> take(h, 1)
    :: else -> got = 0
    fi;
    if
    :: got -> goto leased
    :: else -> skip
    fi;
    lock(h);
    atomic { word = WAITING; gate[h]++; in_line[h] = 1 };
    unlock(h);
    take(h, 1);
    if
    :: got -> give(h, 1)
    :: else -> skip
    fi;
    got = 0;
    yield();
    if
    :: atomic { word == HANDED && turn == 0 -> turn = 1; got = 1; word = AWAY }
    :: atomic { word == ABANDONED -> word = AWAY; goto again }
    :: atomic { !patient && word == WAITING && turn == 0 -> turn = 1; word = AWAY };    /* timed out */
#ifdef LEAVES_THE_NEW_LINE
        h = state;
        lock(h);
        if
        :: in_line[0] || in_line[1] -> atomic { assert(in_line[h]); in_line[h] = 0; gate[h]-- }
        :: else -> skip
        fi;
        unlock(h)
#else
#ifdef LOCKS_THE_PARENTS_LINE
        if
        :: true ->
#else
        if
        :: h == generation ->
#endif
            lock(h);
            if
            :: in_line[h] -> atomic { in_line[h] = 0; gate[h]-- }
            :: else -> skip
            fi;
            unlock(h)
        :: else -> skip             /* the parent's line: the child must not touch it, nor its mutex */
        fi
#endif
    fi;
    if
    :: got -> skip
    :: else -> goto done
    fi;
leased:
    yield();
    run_on();
    if
    :: h == generation -> give(h, 1)
    :: else -> arrive()
    fi;
done:
    yield();
    finished++
}

init {
    bit got;
    atomic { run other(); run forker(); run sleeper() };
    finished == 3;
    if
    :: forked && state == 1 ->
        assert(owner[1] == FREE && gate[1] == 0 && mutex[1] == 0);
        take(1, 5);
        assert(got)
    :: else -> skip
    fi
}
