/* The set of free slots (idle.pxd), access by access: the word with its LISTED bit and its epoch, the stack of entries
 * with its tag, the retake past the stack.
 *
 * Every thread checks out and in, ROUNDS times; it takes the slot it had last (retake, or a warm slot: the map is only a
 * hint, so any slot may be tried past the stack) or pops the stack. At most SLOTS threads hold something, and one that
 * finds nothing ends.
 *
 * What must hold: a slot is taken by one thread only (`owner`), an entry never stands in the stack twice (`entries`),
 * and when all is quiet every slot is idle and can be found by walking the stack (`audit`).
 */
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

#define IDLE 1
#define LEASED 2
#define VACANT 0
#define STATE 3
#define LISTED 4
#define SPARE 8             /* the bit above LISTED: never set by a correct protocol */
#define EPOCH 16
#define NOBODY 255
#define EMPTY 255

short word[SLOTS];
byte below[SLOTS];          /* slot.next_idle */
byte top = EMPTY;           /* head: the entry ... */
byte tag;                   /* ... and the tag, in one 64-bit word */
byte owner[SLOTS];          /* NOBODY: the set */
byte entries[SLOTS];        /* ghost: entries of this slot, in the stack or being pushed or popped */
byte finished;

#define state_of(w) ((w) & STATE)

/* got := the slot, owned; the caller's CAS took it out of IDLE */
inline own(s) { assert(owner[s] == NOBODY); owner[s] = _pid; got = s }

inline grab(s) {            /* lease_retake, or a warm slot: load, then CAS */
    seen = word[s];
    if
    :: state_of(seen) == IDLE ->
#ifdef RETAKE_WITHOUT_CAS
        word[s] = seen + EPOCH + LEASED - IDLE; own(s)
#else
        d_step {
            if
            :: word[s] == seen -> word[s] = seen + EPOCH + LEASED - IDLE; own(s)
            :: else -> skip
            fi
        }
#endif
    :: else -> skip
    fi;
    seen = 0
}

inline idle_take() {
    do
    :: d_step { h = top; h_tag = tag };
        if
        :: h == EMPTY -> break
        :: else -> skip
        fi;
        nxt = below[h];
        d_step {
#ifdef NO_TAG
            ok = (top == h);
#else
            ok = (top == h && tag == h_tag);
#endif
            if
            :: ok -> top = nxt; tag++
            :: else -> skip
            fi;
            nxt = 0; h_tag = 0
        };
        if
        :: !ok -> skip
        :: else ->
            /* we have popped the entry */
            do
            :: seen = word[h];
                if
#ifdef STALE_ENTRY_TAKEN
                :: true ->
#else
                :: state_of(seen) == IDLE ->
#endif
                    d_step {
                        ok = (word[h] == seen);
                        if
                        :: ok ->
                            word[h] = ((seen & ~STATE) | LEASED) + EPOCH - (seen & LISTED);
                            entries[h]--;
                            own(h)
                        :: else -> skip
                        fi
                    }
                :: else ->
#ifdef STALE_ENTRY_STAYS_LISTED
                    d_step { ok = 1; entries[h]-- }
#else
#ifdef UNLIST_WITHOUT_CAS
                    d_step { ok = 1; word[h] = seen & ~LISTED; entries[h]-- }
#else
                    d_step {
                        ok = (word[h] == seen);
                        if
                        :: ok -> word[h] = seen & ~LISTED; entries[h]--
                        :: else -> skip
                        fi
                    }
#endif
#endif
                fi;
                if
                :: ok -> break
                :: else -> skip
                fi
            od;
            if
            :: got != NOBODY -> break
            :: else -> skip
            fi
        fi
    od;
    atomic { h = 0; h_tag = 0; seen = 0; ok = 0 }
}

inline idle_push() {
    assert(entries[got] == 0);      /* else its link, still in use, would be overwritten */
    entries[got]++;
    do
    :: d_step { h = top; h_tag = tag };
        below[got] = h;
        d_step {
            ok = (top == h && tag == h_tag);
            if
            :: ok -> top = got; tag++
            :: else -> skip
            fi
        };
        if
        :: ok -> break
        :: else -> skip
        fi
    od;
    atomic { h = 0; h_tag = 0; ok = 0 }
}

inline disown() { assert(owner[got] == _pid); owner[got] = NOBODY }

/* Publish: one RMW makes the slot IDLE and LISTED and says whether an entry is there already. */
inline idle_put() {
#ifdef LISTED_IN_TWO_STEPS
    /* As first written: LISTED is seen, later added; in between the slot may be taken and returned by another. */
    seen = word[got];
    if
    :: seen & LISTED ->
        d_step { seen = word[got]; word[got] = seen + EPOCH + IDLE - LEASED; disown() };
        if
        :: !(seen & LISTED) ->
            d_step { seen = word[got]; word[got] = seen | LISTED };
            if
            :: !(seen & LISTED) -> idle_push()
            :: else -> skip
            fi
        :: else -> skip
        fi
    :: else ->
        d_step { word[got] = word[got] + EPOCH + IDLE - LEASED + LISTED; disown() };
        idle_push()
    fi;
#else
    do
    :: seen = word[got];
        d_step {
#ifdef PUBLISH_WITHOUT_CAS
            ok = 1;
            word[got] = (seen + EPOCH + IDLE - LEASED) | LISTED; disown()
#else
            ok = (word[got] == seen);
            if
            :: ok -> word[got] = (seen + EPOCH + IDLE - LEASED) | LISTED; disown()
            :: else -> skip
            fi
#endif
        };
        if
        :: ok -> break
        :: else -> skip
        fi
    od;
    atomic { ok = 0 };
    if
#ifdef PUSH_ALWAYS
    :: true -> idle_push()
#else
    :: !(seen & LISTED) -> idle_push()
#endif
    :: else -> skip
    fi;
#endif
    atomic { got = NOBODY; seen = 0 }
}

proctype client(byte last; byte got) {
    short seen;
    byte h, h_tag, nxt, round;
    bit ok;
    if
    :: got != NOBODY -> idle_put()
    :: else -> skip
    fi;
    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
        if
        :: grab(last)
        :: idle_take()
        fi;
        if
        :: got != NOBODY -> last = got; idle_put()
        :: else -> skip
        fi
    od;
    finished++
}

init {
    byte n, found;
    atomic {
        /* Slot 0 is held by thread 1, past the stack: its entry stands there. The other slots are idle in it. */
        do
        :: n < SLOTS ->
            word[n] = LISTED | (n == 0 -> LEASED : IDLE);
            owner[n] = (n == 0 -> 1 : NOBODY);
            entries[n] = 1; below[n] = top; top = n; n++
        :: else -> break
        od;
        n = 0;
        do
        :: n < THREADS -> n++; run client(n % SLOTS, (n == 1 -> 0 : NOBODY))
        :: else -> break
        od
    };
    finished == THREADS;
    d_step {
        n = 0;
        do
        :: n < SLOTS ->
            assert(owner[n] == NOBODY && state_of(word[n]) == IDLE);
            assert(word[n] & LISTED && !(word[n] & SPARE));
            n++
        :: else -> break
        od;
        n = top;
        do
        :: n != EMPTY -> found++; assert(found <= SLOTS); n = below[n]
        :: else -> break
        od;
        assert(found == SLOTS)
    }
}
