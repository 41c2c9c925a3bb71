//! A stress program: for each lane a list of heap operations, computed from a seed.
//!
//! A **lane** is one sequence of operations, with the objects it made and alone may change. It is run by one thread
//! after another, since ending the thread is an operation too. Operations are data, and mean something whatever came
//! before: a place in the heap is given as a [`Path`] from the roots, a slot as a number that is taken modulo the
//! slots there are. So any part of a program is a program, which is what makes shrinking possible.
//!
//! Seeds differ in character, not only in order (swarm testing: Groce et al., ISSTA 2012): each multiplies the
//! frequency of every kind of operation, and of every class of size, by a factor of its own, often zero. Bugs that
//! need much of one thing and none of another are found that way and no other.

use std::ops::Range;

use super::model::{Layout, MAX_WORDS};
use super::random::Random;

/// Lanes a program may have.
pub const MOST_LANES: usize = 8;
/// Roots of a lane's thread.
pub const ROOTS: usize = 32;
/// Global roots, which every lane reads and writes.
pub const SHARED: usize = 48;
/// The first of them, which hold what is old. A thread that ends hands them to the next one; only running out of
/// memory clears them.
pub const OLD_ROOTS: usize = 2;
/// The most operations between two polls.
const POLL_AT_LEAST: usize = 64;

/// A walk from a root: at each object it takes the slot that the seed says.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The root it starts from.
    pub root: u8,
    /// How many references it follows, if there are so many.
    pub steps: u8,
    /// What the slots are computed from.
    pub seed: u32,
}

/// The size and layout of a new object.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Words, the header among them.
    pub words: u32,
    /// Where its slots are.
    pub layout: Layout,
}

/// How a run of slots is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copying {
    /// Word by word, each store as the program's other stores.
    Words,
    /// By the C library.
    Memcpy,
}

/// What the bytes of a system call come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// `read(2)` from a pipe.
    Pipe,
    /// `pread(2)` from a file.
    File,
}

/// What a thread does while it is in a blocking region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Nothing: it leaves and comes back.
    Nothing,
    /// It gives the processor away.
    Yield,
    /// It sleeps for so many microseconds.
    Sleep(u16),
    /// It reads from a pipe into a leaf object that is a root.
    Read,
}

/// How a thread ends; another one goes on with its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It returns.
    Return,
    /// It panics, and its mutator is dropped while it unwinds.
    Panic,
}

/// One operation. `at` and `from` lead to an object of the lane's own (the last one on the path), `to` to any object.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Makes an array and an object for each of its slots, each referring to an earlier one; the array becomes a
    /// root.
    Build { root: u8, count: u32, seed: u32 },
    /// Allocates an object and makes it a root.
    Alloc { shape: Shape, root: u8 },
    /// Allocates an object and stores it in a slot.
    Grow { shape: Shape, at: Path, slot: u32 },
    /// Stores a reference in a slot.
    Link { at: Path, slot: u32, to: Path },
    /// Clears a slot.
    Unlink { at: Path, slot: u32 },
    /// Moves a reference from one object to another and clears the first slot: it hides the target from a marker that
    /// has passed the second object and not yet reached the first.
    Hide { from: Path, slot: u32, at: Path, into: u32 },
    /// Moves a reference from a slot to a root.
    Lift { at: Path, slot: u32, root: u8 },
    /// Moves a reference from a root to a slot.
    Lower { root: u8, at: Path, slot: u32 },
    /// Stores one reference in a run of slots.
    Fill { at: Path, start: u32, length: u32, to: Path },
    /// Copies a run of slots between two objects, or within one.
    Copy { from: Path, start: u32, at: Path, into: u32, length: u32, how: Copying },
    /// Writes new data over a part of an object's.
    Write { at: Path, start: u32, length: u32, salt: u32 },
    /// The same, and a system call does it.
    Read { at: Path, start: u32, length: u32, salt: u32, source: Source },
    /// Copies a root.
    Root { root: u8, to: Path },
    /// Clears a root.
    Drop { root: u8 },
    /// Copies a root to a global root.
    Publish { root: u8, shared: u8 },
    /// Copies a global root to a root.
    Fetch { shared: u8, root: u8 },
    /// Moves a global root to a root.
    Take { shared: u8, root: u8 },
    /// Clears a global root.
    Withdraw { shared: u8 },
    /// Follows a path and compares every word of the lane's own objects on it.
    Inspect { at: Path },
    /// The safepoint.
    Poll,
    /// A blocking region.
    Block { wait: Wait },
    /// A full cycle.
    Collect,
    /// Asks for room nobody was refused.
    Reclaim { bytes: u32 },
    /// Sets the heap's limit to so many eighths of what it was at first.
    Limit { eighths: u8 },
    /// The process forks, and both go on.
    Fork,
    /// The lane's thread ends.
    Finish { end: End },
}

/// How often each kind of operation occurs in a program, before the seed's factor.
const FREQUENCIES: [u64; 24] =
    [240, 360, 360, 120, 240, 80, 80, 24, 64, 80, 24, 160, 120, 48, 48, 48, 24, 160, 480, 20, 2, 1, 1, 1];
/// Places in [`FREQUENCIES`] that every program keeps: without them it has nothing to work on.
const KEPT: [usize; 4] = [0, 1, 2, 18];
/// How often each class of size occurs: two words at most, small, medium, large, huge.
const SIZES: [u64; 5] = [30, 120, 20, 6, 2];

/// The operations of `lane` in the program of `seed`, `count` of them.
pub fn generate(seed: u64, lane: usize, count: usize) -> Vec<Op> {
    let mut generator = Generator::new(seed, lane);
    let mut ops = Vec::with_capacity(count);
    if generator.old > 0 {
        // First of all, so that there is something to mark while the rest happens. Not more than the rest can touch.
        let count = generator.old.min(count as u64) as u32;
        ops.extend((0..OLD_ROOTS as u8).map(|root| Op::Build { root, count, seed: generator.number() }));
    }
    let mut since_poll = 0;
    while ops.len() < count {
        let again = generator.old > 0 && generator.random.one_in(10_000);
        let op = if again {
            Op::Build { root: 0, count: generator.old.min(count as u64) as u32, seed: generator.number() }
        } else if generator.forks && generator.random.one_in(count as u64) {
            Op::Fork
        } else if since_poll >= POLL_AT_LEAST {
            Op::Poll
        } else {
            generator.op()
        };
        since_poll = if matches!(op, Op::Poll) { 0 } else { since_poll + 1 };
        ops.push(op);
    }
    ops
}

struct Generator {
    random: Random,
    kinds: [u64; FREQUENCIES.len()],
    sizes: [u64; SIZES.len()],
    /// Steps of a path, at most.
    depth: u64,
    /// Objects of an old array.
    old: u64,
    /// Whether there are forks: about one in a lane, however long it is, as each checks the whole heap twice.
    forks: bool,
}

impl Generator {
    fn new(seed: u64, lane: usize) -> Generator {
        // The character is the program's, the order the lane's.
        let mut character = Random::new(seed, 0);
        let mut kinds = FREQUENCIES.map(|frequency| frequency * character.choose(&[0, 1, 1, 1, 2, 6]));
        for kept in KEPT {
            kinds[kept] = kinds[kept].max(FREQUENCIES[kept] / 2);
        }
        let mut sizes = SIZES.map(|frequency| frequency * character.choose(&[0, 1, 1, 2, 4]));
        if sizes.iter().all(|frequency| *frequency == 0) {
            sizes = SIZES;
        }
        let depth = character.choose(&[2, 6, 20, 60]);
        let old = character.choose(&[0, 0, 300, 300, 3_000, 20_000]);
        let forks = character.one_in(3);
        Generator { random: Random::new(seed, 1 + lane as u64), kinds, sizes, depth, old, forks }
    }

    fn weighted(random: &mut Random, weights: &[u64]) -> usize {
        let mut at = random.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if at < *weight {
                return index;
            }
            at -= weight;
        }
        0
    }

    fn number(&mut self) -> u32 {
        self.random.any() as u32
    }

    /// A root that an operation changes.
    fn root(&mut self) -> u8 {
        self.random.within(OLD_ROOTS as u64, ROOTS as u64 - 1) as u8
    }

    fn shared(&mut self) -> u8 {
        self.random.below(SHARED as u64) as u8
    }

    fn path(&mut self) -> Path {
        // A root that is null stands for the next one, so without old arrays this makes no difference.
        let root = if self.random.one_in(3) { self.random.below(OLD_ROOTS as u64) as u8 } else { self.root() };
        Path { root, steps: self.random.within(0, self.depth) as u8, seed: self.number() }
    }

    fn shape(&mut self) -> Shape {
        let random = &mut self.random;
        let words = match Self::weighted(random, &self.sizes) {
            0 => random.within(1, 2),
            1 => random.within(3, 63),
            2 => random.choose(&[64, 65, 511, 512, 513, 1023, 1024, 0]),
            // Just above the bound, and on both sides of whole pages.
            3 => random.choose(&[1025, 1026, 1535, 1536, 1537, 2048, 2049, 4096, 6000]),
            _ => random.within(12_000, MAX_WORDS as u64 - 30_000),
        };
        let words = if words == 0 { random.within(64, 1024) } else { words };
        Shape { words: words as u32, layout: random.choose(&Layout::ALL) }
    }

    fn length(&mut self) -> u32 {
        let longest = self.random.choose(&[1, 4, 32, 600, 20_000]);
        self.random.within(1, longest) as u32
    }

    fn op(&mut self) -> Op {
        match Self::weighted(&mut self.random, &self.kinds) {
            0 => Op::Alloc { shape: self.shape(), root: self.root() },
            1 => Op::Grow { shape: self.shape(), at: self.path(), slot: self.number() },
            2 => Op::Link { at: self.path(), slot: self.number(), to: self.path() },
            3 => Op::Unlink { at: self.path(), slot: self.number() },
            4 => Op::Hide { from: self.path(), slot: self.number(), at: self.path(), into: self.number() },
            5 => Op::Lift { at: self.path(), slot: self.number(), root: self.root() },
            6 => Op::Lower { root: self.root(), at: self.path(), slot: self.number() },
            7 => Op::Fill { at: self.path(), start: self.number(), length: self.length(), to: self.path() },
            8 => Op::Copy {
                from: self.path(),
                start: self.number(),
                at: self.path(),
                into: self.number(),
                length: self.length(),
                how: self.random.choose(&[Copying::Words, Copying::Memcpy]),
            },
            9 => Op::Write { at: self.path(), start: self.number(), length: self.length(), salt: self.number() },
            10 => Op::Read {
                at: self.path(),
                start: self.number(),
                length: self.length(),
                salt: self.number(),
                source: self.random.choose(&[Source::Pipe, Source::File]),
            },
            11 => Op::Root { root: self.root(), to: self.path() },
            12 => Op::Drop { root: self.root() },
            13 => Op::Publish { root: self.root(), shared: self.shared() },
            14 => Op::Fetch { shared: self.shared(), root: self.root() },
            15 => Op::Take { shared: self.shared(), root: self.root() },
            16 => Op::Withdraw { shared: self.shared() },
            17 => Op::Inspect { at: self.path() },
            18 => Op::Poll,
            19 => Op::Block { wait: self.wait() },
            20 => Op::Collect,
            21 => Op::Reclaim { bytes: self.length() },
            22 => Op::Limit { eighths: self.random.choose(&[1, 2, 4, 6, 8, 8]) },
            _ => Op::Finish { end: self.random.choose(&[End::Return, End::Panic]) },
        }
    }

    fn wait(&mut self) -> Wait {
        match self.random.below(4) {
            0 => Wait::Nothing,
            1 => Wait::Yield,
            2 => Wait::Sleep(self.random.below(300) as u16),
            _ => Wait::Read,
        }
    }
}

/// The part of phase `phase` of `phases` in a list of `count` operations.
pub fn phase(phase: usize, phases: usize, count: usize) -> Range<usize> {
    count * phase / phases..count * (phase + 1) / phases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_program_and_another_seed_another() {
        let text = |seed, lane| format!("{:?}", generate(seed, lane, 2000));
        assert_eq!(text(7, 0), text(7, 0));
        assert_ne!(text(7, 0), text(8, 0));
        assert_ne!(text(7, 0), text(7, 1));
    }

    #[test]
    fn no_program_goes_long_without_a_poll() {
        for seed in 0..20 {
            let ops = generate(seed, 0, 5000);
            let longest = ops.split(|op| matches!(op, Op::Poll)).map(<[Op]>::len).max();
            assert!(longest <= Some(POLL_AT_LEAST), "{longest:?}");
        }
    }

    #[test]
    fn the_phases_of_a_program_are_all_of_it() {
        for (phases, count) in [(1, 0), (3, 10), (7, 5), (4, 4000)] {
            let all: Vec<usize> = (0..phases).flat_map(|at| phase(at, phases, count)).collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
