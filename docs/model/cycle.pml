/*
 * The cycle protocol of pagemark, for exhaustive search: two mutators, three objects, two pages.
 * README.md beside this file says what is modelled and what is not. The names are those of gc/src.
 *
 * Claim, asserted at the end of each pause: every object the mutators can reach carries the colour.
 * Claim, asserted when an object is swept: no mutator can reach it.
 *
 * Rounds and cycles are unbounded: the model runs for ever, and the search ends because its states repeat.
 *
 * Good configurations: none, LARGE (page 1 is for a large object), FAILING (a scan may fail half-way), LAZY (handshakes hand over
 * nothing, and mutators allocate in the holes of armed pages while a cycle marks: slower, and right), STICKY (any cycle may keep the
 * marks of the one before), STICKY FILLED_APART (and then sweeps only pages with new objects), and STICKY with each of the others.
 * Each macro listed in `ci/model` breaks one rule and must give a counterexample.
 */

#define MUTATORS 2
#define OBJECTS  3
#define PAGES    2
#define NIL      OBJECTS

#define PAGE(o)  ((o) / 2)              /* objects 0 and 1 on page 0, object 2 on page 1 */
#define BIT(n)   (1 << (n))
#define ALL      (BIT(OBJECTS) - 1)
#define ON(page) (3 + (page))           /* the objects of a page, as bits */
#define IF(condition, bits) (((condition) != 0) * (bits))

/* What a page is to the heap. A block has one page here. */
#define FREE       0                    /* no objects */
#define FULL       1                    /* holds objects, nothing is allocated in it */
#define UNSWEPT    2                    /* marked, nobody has looked which objects are dead */
#define RECYCLABLE 3                    /* swept, with holes */
#define OWNED(m)   (4 + (m))            /* mutator m allocates in it */
#ifdef FILLED_APART
#define FILLED     (4 + MUTATORS)       /* holds objects, some of them made since the last flip; nothing is allocated in it */
#else
#define FILLED     FULL
#endif

byte state[PAGES];
bool written[PAGES] = true;             /* the bit a page; false is armed */
bool stale[PAGES];                      /* armed in the page table, but a processor may still hold a writable translation */

byte exists;                            /* objects that are allocated, one bit each */
byte live;                              /* objects that carry the colour */
byte grey;                              /* marked objects whose references are to be read: the mark stack */
byte slot[OBJECTS] = NIL;               /* the one reference of each object */

byte root[2 * MUTATORS] = NIL;          /* the two roots of each mutator */
byte handed_over;                       /* references handed over, not marked from yet */
bool asked[MUTATORS];                   /* the poll word: hand over */
bool stopping;
bool stopped[MUTATORS];
bool marking;                           /* Heap::marking */
bool flipped[MUTATORS];                 /* the mutator's last handshake belongs to this cycle */

#ifdef LARGE
bool birth[MUTATORS];                   /* what a mutator has read of the colour for the object it is making */
bool large_unswept;                     /* Heap::large_unswept */
#endif
#ifdef STICKY
bool sticky;                            /* this cycle keeps the marks of the one before */
#define KEEPS_MARKS sticky
#else
#define KEEPS_MARKS false
#endif

/* A store to a page that is armed faults first, which makes the page written. A store through a stale translation may not. */
inline note_store(page) {
    if
    :: stale[page]
    :: written[page] = true
    fi
}

/* ---- mutators ------------------------------------------------------------------------------------------- */

inline retire(m) {
    if
    :: state[0] == OWNED(m) -> state[0] = IF(exists & ON(0), FILLED)
    :: else
    fi;
    if
    :: state[1] == OWNED(m) -> state[1] = IF(exists & ON(1), FILLED)
    :: else
    fi
}

inline hand_over_roots(m) {
    handed_over = (handed_over | BIT(root[2 * (m)]) | BIT(root[2 * (m) + 1])) & ALL
}

/* Objects that some mutator can reach now, in `reached`. */
inline reach() {
    reached = (BIT(root[0]) | BIT(root[1]) | BIT(root[2]) | BIT(root[3])) & ALL;
    before = 0;
    do
    :: reached == before -> break
    :: else ->
        before = reached;
        reached = (before | IF(before & BIT(0), BIT(slot[0])) | IF(before & BIT(1), BIT(slot[1])) | IF(before & BIT(2), BIT(slot[2]))) & ALL
    od
}

inline forget(objects) {
    exists = exists & ~(objects) & ALL;
    live = live & ~(objects) & ALL;
    if :: (objects) & BIT(0) -> slot[0] = NIL :: else fi;
    if :: (objects) & BIT(1) -> slot[1] = NIL :: else fi;
    if :: (objects) & BIT(2) -> slot[2] = NIL :: else fi
}

/* Frees what does not carry the colour. Whoever calls this owns the page. */
inline sweep(page) {
    dead = exists & ~live & ON(page);
    reach();
    assert(!(dead & reached));
    forget(dead)
}

inline classify(page) {
    if
    :: !(exists & ON(page)) -> state[page] = FREE
    :: (exists & ON(page)) == ON(page) -> state[page] = FULL
    :: else -> state[page] = RECYCLABLE
    fi
}

#define OWNS_NONE(m)  (state[0] != OWNED(m) && state[1] != OWNED(m))
/* What is taken while a cycle marks has no objects. A mutator learns at its handshake that a cycle marks. */
#ifndef LAZY
#define MAY_RECYCLE(m) (!marking || !flipped[m])
#else
#define MAY_RECYCLE(m) true
#endif
#define MAY_TAKE(m, page) (CAN_RUN(m) && OWNS_NONE(m) && \
    (state[page] == FREE || state[page] == UNSWEPT || state[page] == RECYCLABLE && MAY_RECYCLE(m)))

inline take(m, page) {
    state[page] = OWNED(m);
#ifndef NEW_BLOCK_NOT_DIRTY
    written[page] = true                /* disarm, or never armed */
#else
    written[page] = false
#endif
}

inline take_and_sweep(m, page) {
    if
    :: state[page] == UNSWEPT -> sweep(page); reached = 0; before = 0; dead = 0
    :: else
    fi;
    take(m, page)
}

/* A new object in the mutator's own page: white, its memory zero. */
inline make(m, object, i) {
    exists = exists | BIT(object);
    slot[object] = NIL;
#ifdef BORN_MARKED
    live = live | IF(marking, BIT(object));
#endif
#ifndef NEW_BLOCK_NOT_DIRTY
    written[PAGE(object)] = true;
#endif
    root[2 * (m) + i] = object
}

inline store(m, to, value) {
    assert(exists & BIT(to));
    slot[to] = value;
#ifdef NEW_BLOCK_NOT_DIRTY
    if
    :: state[PAGE(to)] == OWNED(m)
    :: else -> note_store(PAGE(to))
    fi
#else
    note_store(PAGE(to))
#endif
}

#define CAN_RUN(m) (!stopped[m])

proctype mutator(byte m) {
    byte reached, before, dead, o;
end:
    do
    /* The safepoint: a handshake, a stop. One turn of this loop is what a program does between two safepoints. */
    :: atomic {
        asked[m] ->
#ifndef LAZY
        retire(m);
        hand_over_roots(m);
#endif
        flipped[m] = true;
        asked[m] = false
    }
    :: atomic { stopping && !stopped[m] -> stopped[m] = true }

    /* r[i] := r[j].slot */
    :: atomic {
        CAN_RUN(m) && root[2 * m] != NIL ->
        o = root[2 * m];
        assert(exists & BIT(o));
        if
        :: root[2 * m] = slot[o]
        :: root[2 * m + 1] = slot[o]
        fi;
        o = 0
    }
    /* r[0].slot := r[1] (which may be NIL) */
    :: atomic {
        CAN_RUN(m) && root[2 * m] != NIL ->
        o = root[2 * m];
        store(m, o, root[2 * m + 1]);
        o = 0
    }
    /* r[1] := NIL; and the two roots change places */
    :: atomic { CAN_RUN(m) && root[2 * m + 1] != NIL -> root[2 * m + 1] = NIL }
    :: atomic {
        CAN_RUN(m) && root[2 * m] != root[2 * m + 1] ->
        o = root[2 * m]; root[2 * m] = root[2 * m + 1]; root[2 * m + 1] = o; o = 0
    }
    /* allocation: a page, an object on it; a page is given up when it is full, or at any time */
    :: atomic { MAY_TAKE(m, 0) -> take_and_sweep(m, 0) }
#ifndef LARGE
    :: atomic { MAY_TAKE(m, 1) -> take_and_sweep(m, 1) }
#endif
    :: atomic { CAN_RUN(m) && state[0] == OWNED(m) && !(exists & BIT(0)) -> make(m, 0, 1) }
    :: atomic { CAN_RUN(m) && state[0] == OWNED(m) && !(exists & BIT(1)) -> make(m, 1, 1) }
#ifndef LARGE
    :: atomic { CAN_RUN(m) && state[1] == OWNED(m) && !(exists & BIT(2)) -> make(m, 2, 1) }
#endif
    :: atomic { CAN_RUN(m) && !OWNS_NONE(m) -> retire(m) }
#ifdef LARGE
    /* A large object: its page is in the scans from the moment it is taken. No safepoint lies within. */
    :: atomic { CAN_RUN(m) && state[1] == FREE -> state[1] = FULL };
        written[1] = true;
#ifndef BIRTH_ORDER
        birth[m] = true;                /* the colour, ... */
        birth[m] = birth[m] && large_unswept; /* ... then whether what lacks it is being freed */
#else
        o = large_unswept;
        birth[m] = o;
        o = 0;
#endif
        atomic {
            exists = exists | BIT(2);
            slot[2] = NIL;
            live = live | IF(birth[m], BIT(2));
            birth[m] = false;
            root[2 * m + 1] = 2
        }
#endif
    od
}

/* ---- the collector ---------------------------------------------------------------------------------------- */

#define HOLDS_OBJECTS(page) (state[page] == FULL || state[page] == FILLED || state[page] == UNSWEPT || state[page] == RECYCLABLE)
#ifdef FILLED_APART
#define TO_BE_SWEPT(page) (HOLDS_OBJECTS(page) && (!KEEPS_MARKS || state[page] == FILLED))
#else
#define TO_BE_SWEPT(page) HOLDS_OBJECTS(page)
#endif

inline cover(page) {
    if
    :: HOLDS_OBJECTS(page) -> covered = covered | BIT(page)
    :: state[page] == FREE -> covered = covered | BIT(page)     /* a bridge over a free block */
    :: !HOLDS_OBJECTS(page)
    fi
}

#define TAKES(page) ((covered & BIT(page)) && written[page])

inline take_page(page) {
    if
    :: TAKES(page) -> report = report | BIT(page); written[page] = false; stale[page] = true
    :: else
    fi
}

/* Heap::take_written_and_arm: which pages to cover, then page by page, then the translations are flushed. */
inline take_written_and_arm() {
    atomic { covered = 0; report = 0; cover(0); cover(1) };
#ifdef GET_THEN_ARM
    atomic { report = IF(TAKES(0), BIT(0)) | IF(TAKES(1), BIT(1)) };
    atomic {
        written[0] = written[0] && !(covered & BIT(0));
        written[1] = written[1] && !(covered & BIT(1))
    };
#else
    atomic { take_page(0) };
    atomic { take_page(1) };
#endif
#ifndef NO_FLUSH
    atomic { stale[0] = false; stale[1] = false; covered = 0 };
#else
    atomic { covered = 0 };
#endif
#ifdef FAILING
    atomic {
        if
        :: true
        :: blind = true; report = 0     /* it failed: what it protected was not reported */
        fi
    }
#endif
}

inline handshake() {
    atomic { asked[0] = true; asked[1] = true };
    atomic { !asked[0] && !asked[1] -> roots = handed_over; handed_over = 0 }
}

inline mark_roots() {
    atomic { grey = grey | (roots & ~live & ALL); live = live | roots; roots = 0 }
}

/* The marked objects on the reported pages are to be traced again. */
inline rescan() {
    atomic {
        grey = grey | (live & (IF(report & BIT(0), ON(0)) | IF(report & BIT(1), ON(1))));
        report = 0
    }
}

inline read_slot(object) {
    assert(exists & BIT(object));
    grey = grey & ~BIT(object) & ALL;
    if
    :: slot[object] != NIL ->
        assert(exists & BIT(slot[object]));
        grey = grey | (BIT(slot[object]) & ~live);
        live = live | BIT(slot[object])
    :: else
    fi
}

/* One reference is read at a time, in any order, while mutators run. */
inline drain() {
    do
    :: atomic { grey & BIT(0) -> read_slot(0) }
    :: atomic { grey & BIT(1) -> read_slot(1) }
    :: atomic { grey & BIT(2) -> read_slot(2) }
    :: atomic { grey == 0 -> break }
#ifdef STOP_MARKING_EARLY
    :: atomic { stopping -> grey = 0; break }
#endif
    od
}

inline flip_page(page) {
#ifdef LARGE
    if
    :: page == 0 && TO_BE_SWEPT(page) -> state[page] = UNSWEPT
    :: else
    fi
#else
    if
    :: TO_BE_SWEPT(page) -> state[page] = UNSWEPT
    :: else
    fi
#endif
}

/* To find an unswept page and to own it are one step, an exchange. */
#ifdef SWEEP_WITHOUT_EXCHANGE
#define OWN_UNSWEPT(page) state[page] == UNSWEPT -> skip } ; atomic {
#else
#define OWN_UNSWEPT(page) state[page] == UNSWEPT ->
#endif

inline finish_sweeping() {
    do
    :: atomic { OWN_UNSWEPT(0) sweep(0); classify(0); reached = 0; before = 0; dead = 0 }
    :: atomic { OWN_UNSWEPT(1) sweep(1); classify(1); reached = 0; before = 0; dead = 0 }
    :: atomic { state[0] != UNSWEPT && state[1] != UNSWEPT -> break }
    od
}

proctype collector() {
    byte roots, covered, report, reached, before, dead;
#ifdef FAILING
    bool blind;
#endif
end:
    do
    :: true ->
        /* Flip: every object is white. Or not: those that are marked stay so. */
        marking = true;
        atomic {
#ifdef STICKY
            if
            :: sticky = false
            :: sticky = true
            fi;
#endif
            if
            :: !KEEPS_MARKS ->
                live = 0;
#ifdef LARGE
                birth[0] = false; birth[1] = false  /* what was read before is the other colour now */
#endif
            :: KEEPS_MARKS
            fi;
            flipped[0] = false; flipped[1] = false
        };
        handshake();
#ifdef MARK_BEFORE_ARM
        mark_roots();
        drain();
#endif
        /* Arm; what the scan reports is dropped if nothing has been marked. */
        take_written_and_arm();
#ifndef FORGET_OLD_TO_YOUNG
        if
        :: !KEEPS_MARKS -> report = 0
        :: KEEPS_MARKS
        fi;
#else
        report = 0;
#endif
        rescan();
        mark_roots();
        drain();
        /* Rounds, as many as one likes. */
        do
        :: atomic { true -> break }
#ifdef FAILING
        :: !blind ->
#else
        :: true ->
#endif
            handshake();
#ifdef ARM_AFTER_READ
            atomic {
                report = IF(HOLDS_OBJECTS(0) && written[0], BIT(0)) | IF(HOLDS_OBJECTS(1) && written[1], BIT(1));
                covered = report
            };
            rescan();
            mark_roots();
            drain();
            atomic {
                written[0] = written[0] && !(covered & BIT(0));
                written[1] = written[1] && !(covered & BIT(1));
                covered = 0
            }
#else
            take_written_and_arm();
#ifdef IGNORE_REPORT
            report = 0;
#endif
            rescan();
            mark_roots();
            drain()
#endif
        od;
        /* The pause. */
        stopping = true;
#ifndef STOP_ONE_ONLY
        atomic { stopped[0] && stopped[1] ->
#else
        atomic { stopped[0] ->
#endif
#ifndef NO_RETIRE_IN_PAUSE
            retire(0); retire(1);
#endif
            hand_over_roots(0); hand_over_roots(1);
            roots = handed_over; handed_over = 0;
#ifdef ROOTS_NOT_RESCANNED
            roots = 0;
#endif
        };
#ifndef SKIP_LAST_SCAN
        take_written_and_arm();
#endif
#ifdef FAILING
        atomic {
            if
#ifndef BLIND_IGNORED
            :: blind -> report = BIT(0) | BIT(1)
#endif
            :: else
            fi;
            blind = false
        };
#endif
        rescan();
        mark_roots();
        drain();
        atomic {
            reach();
            assert(!(reached & ~live));
            reached = 0; before = 0;
            flip_page(0); flip_page(1);
#ifdef LARGE
            large_unswept = true;
#endif
            marking = false;
            stopping = false; stopped[0] = false; stopped[1] = false;
#ifdef NO_FLUSH
            stale[0] = false; stale[1] = false;
#endif
        };
#ifdef STICKY
        /* Perhaps no page stays armed until the next cycle: page by page, while mutators run. */
        if
        :: true -> written[0] = true; written[1] = true
        :: true
        fi;
#endif
        /* Sweep, while mutators run and sweep too. */
#ifdef LARGE
        atomic {
            if
            :: exists & ~live & BIT(2) -> sweep(1); state[1] = FREE
            :: else
            fi;
            large_unswept = false;
            reached = 0; before = 0; dead = 0
        };
#endif
        finish_sweeping()
    od
}

init {
    atomic { run collector(); run mutator(0); run mutator(1) }
}
