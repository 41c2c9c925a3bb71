//! Making system calls fail on purpose: what a test writes into a [`Kernel`](super::Kernel).
//!
//! A [`FaultPlan`] has one rule for each kind of call: *when* a call of this kind is to fail, and *how*. A test changes
//! the rules while heaps run, so that it can say "the next scan fails" at the moment it wants; calls that no rule hits
//! go to the kernel as ever. A plan is a value that some heaps share and others do not know of.
//!
//! Half of these calls are made where little is allowed: in signal handlers, on the fault thread, at the end of memory.
//! So looking for a rule takes no lock and allocates nothing. A rule is one word, which makes changing it and counting
//! it down atomic; everything else is counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of system call the collector makes. What differs in what its failure means is a kind of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(usize)]
pub enum Call {
    /// `mmap(2)`: reserving addresses, mapping a memfd.
    Mmap,
    /// `munmap(2)`.
    Munmap,
    /// `memfd_create(2)`.
    MemfdCreate,
    /// `ftruncate(2)` of a memfd.
    Ftruncate,
    /// `prctl(PR_SET_VMA_ANON_NAME)`.
    Name,
    /// `madvise(2)` that keeps KSM or huge pages away.
    Advise,
    /// `madvise(MADV_POPULATE_WRITE)`.
    Populate,
    /// `madvise(MADV_DONTNEED)` and `fallocate(FALLOC_FL_PUNCH_HOLE)`: giving memory back.
    Release,
    /// `userfaultfd(2)`, and the same through `/dev/userfaultfd`.
    Userfaultfd,
    /// `UFFDIO_API`.
    UffdApi,
    /// `UFFDIO_REGISTER`.
    UffdRegister,
    /// `UFFDIO_UNREGISTER`.
    UffdUnregister,
    /// `UFFDIO_WRITEPROTECT` that protects.
    UffdProtect,
    /// `UFFDIO_WRITEPROTECT` that makes writable.
    UffdUnprotect,
    /// `UFFDIO_WAKE`.
    UffdWake,
    /// `read(2)` of events.
    UffdRead,
    /// `poll(2)`, on the fault thread.
    Poll,
    /// `eventfd(2)`.
    Eventfd,
    /// `write(2)` to an eventfd.
    EventfdWrite,
    /// Opening `/proc/self/pagemap`.
    PagemapOpen,
    /// `PAGEMAP_SCAN`.
    PagemapScan,
    /// `mprotect(2)` that protects.
    MprotectProtect,
    /// `mprotect(2)` that makes writable.
    MprotectUnprotect,
    /// `sigaction(2)`.
    Sigaction,
    /// `pthread_create(3)`.
    Spawn,
    /// `fork(2)`.
    Fork,
    /// `dup3(2)` over a descriptor that a child inherited.
    Dup,
    /// `pread(2)` of the parent's memory by a child.
    Copy,
}

impl Call {
    /// Every kind.
    pub const ALL: &[Call] = &[
        Call::Mmap,
        Call::Munmap,
        Call::MemfdCreate,
        Call::Ftruncate,
        Call::Name,
        Call::Advise,
        Call::Populate,
        Call::Release,
        Call::Userfaultfd,
        Call::UffdApi,
        Call::UffdRegister,
        Call::UffdUnregister,
        Call::UffdProtect,
        Call::UffdUnprotect,
        Call::UffdWake,
        Call::UffdRead,
        Call::Poll,
        Call::Eventfd,
        Call::EventfdWrite,
        Call::PagemapOpen,
        Call::PagemapScan,
        Call::MprotectProtect,
        Call::MprotectUnprotect,
        Call::Sigaction,
        Call::Spawn,
        Call::Fork,
        Call::Dup,
        Call::Copy,
    ];
}

const CALLS: usize = Call::ALL.len();

const _: () = {
    let mut at = 0;
    while at < CALLS {
        assert!(Call::ALL[at] as usize == at, "`ALL` lists the kinds in their order");
        at += 1;
    }
};

/// Which calls of a kind fail, counted from the moment the rule is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Each.
    Always,
    /// The `n`th, 1 being the next, and no other.
    Nth(u32),
    /// The `n`th and all after it.
    From(u32),
    /// One in `n`, at random.
    OneIn(u32),
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With this errno, nothing done.
    Fails(i32),
    /// With this errno, after the kernel did the first half of the range. Calls without a range do nothing.
    HalfDone(i32),
    /// It succeeds and does less than was asked: a scan fills one region. Other calls are not changed.
    Short,
    /// It reports success, and nothing was done: a defect, or a filter that answers in the kernel's place. Calls that make or open
    /// something go to the kernel all the same.
    Pretended,
}

/// When and how each kind of call fails; at first none does. Shared by the test and the [`Kernel`](super::Kernel)s it made.
#[derive(Debug)]
pub struct FaultPlan {
    slots: [Slot; CALLS],
    /// The state of the generator for [`When::OneIn`].
    random: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    /// A packed rule; 0 for none.
    rule: AtomicU64,
    calls: AtomicU64,
    hits: AtomicU64,
}

// A rule: the errno in bits 0 to 15, the outcome in 16 to 18 (never 0), the time in 19 to 20, its number from bit 32 on.
const OUTCOME: u32 = 16;
const WHEN: u32 = 19;
const NUMBER: u32 = 32;
const ALWAYS: u64 = 0;
const NTH: u64 = 1;
const FROM: u64 = 2;
const ONE_IN: u64 = 3;

fn pack(when: When, outcome: Outcome) -> u64 {
    let (outcome, errno) = match outcome {
        Outcome::Fails(errno) => (1, errno),
        Outcome::HalfDone(errno) => (2, errno),
        Outcome::Short => (3, 0),
        Outcome::Pretended => (4, 0),
    };
    let (when, number) = match when {
        When::Always => (ALWAYS, 0),
        When::Nth(n) => (NTH, n),
        When::From(n) => (FROM, n),
        When::OneIn(n) => (ONE_IN, n),
    };
    (errno as u64 & 0xffff) | outcome << OUTCOME | when << WHEN | u64::from(number) << NUMBER
}

fn outcome(rule: u64) -> Outcome {
    let errno = (rule & 0xffff) as i32;
    match rule >> OUTCOME & 7 {
        1 => Outcome::Fails(errno),
        2 => Outcome::HalfDone(errno),
        4 => Outcome::Pretended,
        _ => Outcome::Short,
    }
}

impl FaultPlan {
    /// No call fails. `seed` is for [`When::OneIn`].
    pub fn new(seed: u64) -> Arc<FaultPlan> {
        Arc::new(FaultPlan { slots: [const { Slot::new() }; CALLS], random: AtomicU64::new(seed) })
    }

    /// From now on calls of this kind fail so; replaces the rule there was.
    pub fn set(&self, call: Call, when: When, outcome: Outcome) {
        // Release: what the test did before comes before the failure it causes.
        self.slots[call as usize].rule.store(pack(when, outcome), Ordering::Release);
    }

    /// Calls of this kind go to the kernel again.
    pub fn clear(&self, call: Call) {
        self.slots[call as usize].rule.store(0, Ordering::Release);
    }

    /// Every call goes to the kernel again.
    pub fn clear_all(&self) {
        Call::ALL.iter().for_each(|call| self.clear(*call));
    }

    /// How many calls of this kind were made.
    pub fn calls(&self, call: Call) -> u64 {
        self.slots[call as usize].calls.load(Ordering::Acquire)
    }

    /// How many of them a rule hit.
    pub fn hits(&self, call: Call) -> u64 {
        self.slots[call as usize].hits.load(Ordering::Acquire)
    }

    /// A call of this kind is made: how it fails, if it does. Async-signal-safe.
    pub(super) fn next(&self, call: Call) -> Option<Outcome> {
        let slot = &self.slots[call as usize];
        slot.calls.fetch_add(1, Ordering::AcqRel);
        let mut rule = slot.rule.load(Ordering::Acquire);
        loop {
            if rule == 0 {
                return None;
            }
            let number = rule >> NUMBER;
            let (after, hit) = match rule >> WHEN & 3 {
                NTH if number <= 1 => (0, true),
                FROM if number <= 1 => (rule, true),
                NTH | FROM => (rule - (1 << NUMBER), false),
                ONE_IN => (rule, self.draw().is_multiple_of(number.max(1))),
                _ => (rule, true),
            };
            match slot.rule.compare_exchange(rule, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if hit => {
                    slot.hits.fetch_add(1, Ordering::AcqRel);
                    return Some(outcome(rule));
                }
                Ok(_) => return None,
                Err(now) => rule = now,
            }
        }
    }

    /// The next random number: Vigna's splitmix64, whose state is a counter and so can be shared.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut x = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
}

impl Slot {
    const fn new() -> Slot {
        Slot { rule: AtomicU64::new(0), calls: AtomicU64::new(0), hits: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the next ten calls fail.
    fn ten(plan: &FaultPlan, call: Call) -> Vec<usize> {
        (1..=10).filter(|_| plan.next(call).is_some()).collect()
    }

    #[test]
    fn the_calls_that_were_named_fail_and_no_others() {
        let plan = FaultPlan::new(0);
        assert!(ten(&plan, Call::Poll).is_empty());
        plan.set(Call::Poll, When::Nth(3), Outcome::Fails(libc::EINTR));
        assert_eq!(ten(&plan, Call::Poll), [3]);
        plan.set(Call::Poll, When::From(8), Outcome::Fails(libc::EINTR));
        assert!(ten(&plan, Call::UffdRead).is_empty());
        assert_eq!(ten(&plan, Call::Poll), [8, 9, 10]);
        plan.set(Call::Poll, When::Always, Outcome::Fails(libc::EINTR));
        assert_eq!(ten(&plan, Call::Poll).len(), 10);
        plan.clear_all();
        assert!(ten(&plan, Call::Poll).is_empty());
        assert_eq!((plan.calls(Call::Poll), plan.hits(Call::Poll)), (50, 14));
    }

    #[test]
    fn a_seed_decides_which_calls_fail_at_random() {
        let hits = |seed| {
            let plan = FaultPlan::new(seed);
            plan.set(Call::Release, When::OneIn(4), Outcome::Short);
            (0..1000).filter(|_| plan.next(Call::Release).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(hits(1), hits(1));
        assert_ne!(hits(1), hits(2));
        assert!((150..350).contains(&hits(3).len()), "{}", hits(3).len());
    }

    #[test]
    fn an_outcome_comes_back_as_it_was_set() {
        let plan = FaultPlan::new(0);
        for asked in [Outcome::Fails(libc::ENOMEM), Outcome::HalfDone(libc::EBUSY), Outcome::Short, Outcome::Pretended]
        {
            plan.set(Call::PagemapScan, When::Always, asked);
            assert_eq!(plan.next(Call::PagemapScan), Some(asked));
        }
    }
}
