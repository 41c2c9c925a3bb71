//! Sweeping one block: dead objects lose their metadata, and what is left decides where the block goes.
//!
//! Sweeping touches metadata only, never the objects (but see [`poison`](super::poison)), so it neither faults on armed pages nor warms caches with dead memory.
//! It is lazy: whoever needs a block to allocate in sweeps one, and a background thread sweeps the rest. Both finish before the next cycle starts.

use super::Heap;
use super::block_space::{BlockSpace, BlockState};
use super::holes::Holes;
use super::metadata::{END, Metadata, START};
use crate::layout::{GRANULE, GRANULES_PER_BLOCK};

/// A block is worth allocating in again when at least this many granules are free: an eighth.
const WORTH_RECYCLING: usize = GRANULES_PER_BLOCK / 8;
/// And when this many are, it is nearly as good as free: three quarters.
const ROOMY: usize = GRANULES_PER_BLOCK / 4 * 3;

/// What is left of a block that was swept.
pub struct Swept {
    /// Free granules.
    pub free: usize,
    /// Where they are.
    pub holes: Holes,
}

/// Forgets the objects of the block at `block` that are not live, which the caller owns.
pub fn sweep_block(heap: &Heap, block: usize) -> Swept {
    if !heap.poisoned() {
        return forget_dead(&heap.metadata, block, heap.colour(), |_, _| ());
    }
    forget_dead(&heap.metadata, block, heap.colour(), |at, granules| {
        for bit in 0..64 {
            if granules >> bit & 1 == 1 {
                heap.fill(&(at + bit * GRANULE..at + (bit + 1) * GRANULE));
            }
        }
    })
}

/// Forgets the objects that do not carry the colour `live`; tells `freed` their granules, 64 at a time from an address.
fn forget_dead(metadata: &Metadata, block: usize, live: u8, mut freed: impl FnMut(usize, u64)) -> Swept {
    let mut walk = Walk::default();
    let mut free = 0;
    // Nobody else writes these bytes: the caller owns the block and no marker runs while blocks are unswept.
    let holes = Holes::new(|word| {
        let at = block + word * 64 * GRANULE;
        let verdict = walk.step(Bits::read(metadata, at, live));
        free += verdict.used.count_zeros() as usize;
        if verdict.forget != 0 {
            forget(metadata, at, verdict.forget);
        }
        freed(at, verdict.dead);
        !verdict.used
    });
    debug_assert!(walk.inside == walk.ended && !walk.dying, "an object runs out of the block at {block:#x}");
    Swept { free, holes }
}

/// The holes of the block at `block`, which the caller owns and somebody swept. Markers may be changing colours in it.
pub fn holes(metadata: &Metadata, block: usize) -> Holes {
    let mut walk = Walk::default();
    Holes::new(|word| {
        let bits = Bits::read(metadata, block + word * 64 * GRANULE, 0);
        // All that is here lives.
        !walk.step(Bits { live: bits.starts, ..bits }).used
    })
}

/// The metadata of 64 granules, a bit each, the lowest address in the lowest bit.
#[derive(Clone, Copy)]
struct Bits {
    starts: u64,
    ends: u64,
    /// Starts with the colour that is live.
    live: u64,
}

impl Bits {
    fn read(metadata: &Metadata, at: usize, live: u8) -> Bits {
        let mut bits = Bits { starts: 0, ends: 0, live: 0 };
        for lane in 0..4 {
            let sixteen = [0, 8].map(|granule| metadata.eight(at + (lane * 16 + granule) * GRANULE));
            if sixteen != [0, 0] {
                bits.starts |= gather(sixteen.map(|eight| eight << START.leading_zeros())) << (lane * 16);
                bits.ends |= gather(sixteen.map(|eight| eight << END.leading_zeros())) << (lane * 16);
                bits.live |= gather(sixteen.map(|eight| {
                    // A lane of `other` has its two low bits clear exactly where the colour is `live`.
                    let other = eight ^ (LOW * live as u64);
                    !(other << 7 | other << 6)
                })) << (lane * 16);
            }
        }
        bits.live &= bits.starts;
        bits
    }
}

/// A one in the lowest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte, as sixteen bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn gather([low, high]: [u64; 2]) -> u64 {
    use std::arch::x86_64::{_mm_movemask_epi8, _mm_set_epi64x};
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { _mm_movemask_epi8(_mm_set_epi64x(high as i64, low as i64)) as u64 }
}

#[cfg(not(target_arch = "x86_64"))]
use gather_by_multiplying as gather;

/// The same on any processor. The products of the multiplication meet in no bit but the eight highest.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn gather_by_multiplying(lanes: [u64; 2]) -> u64 {
    let [low, high] = lanes.map(|lanes| (lanes >> 7 & LOW).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    low | high << 8
}

/// Eight bits as bytes of ones and zeroes.
fn spread(bits: u64) -> u64 {
    let one_each = bits.wrapping_mul(LOW) & 0x8040_2010_0804_0201;
    const BELOW_HIGH: u64 = 0x7f * LOW;
    let high = (((one_each & BELOW_HIGH) + BELOW_HIGH) | one_each) & !BELOW_HIGH;
    (high >> 7) * 0xff
}

fn forget(metadata: &Metadata, at: usize, granules: u64) {
    for lane in 0..8 {
        let bits = granules >> (lane * 8) & 0xff;
        if bits != 0 {
            let addr = at + lane * 8 * GRANULE;
            metadata.set_eight(addr, metadata.eight(addr) & !spread(bits));
        }
    }
}

/// Which objects live, for 64 granules at a time, by carries: a walk from object to object would take a step each, mispredicted every other time.
///
/// Read the bits of the block as one number. An object from granule `s` to granule `e` is the difference `2^(e+1) − 2^s`: ones from `s` to `e`. Objects
/// do not overlap, so the sum of all of them is `2 × ends − starts`. Take the ends out of it, and adding a dead object's start turns its ones into zeroes
/// and carries into its end, which no other carry reaches. So the ends of the dead are the ends that are ones in that sum.
#[derive(Default)]
struct Walk {
    /// The borrow of the subtraction: an object began in an earlier word, and ended with its last granule or not yet.
    inside: bool,
    /// The carry of the addition: that object is dead.
    dying: bool,
    /// The last granule of the word before was an end.
    ended: bool,
}

/// What a [`Walk`] says of 64 granules.
struct Verdict {
    /// Granules of live objects.
    used: u64,
    /// Granules of dead ones.
    dead: u64,
    /// Their starts and ends.
    forget: u64,
}

impl Walk {
    fn step(&mut self, bits: Bits) -> Verdict {
        let behind_ends = bits.ends << 1 | u64::from(self.ended);
        let (objects, borrow) = behind_ends.overflowing_sub(bits.starts);
        let (objects, borrow_in) = objects.overflowing_sub(u64::from(self.inside));
        let bodies = objects & !bits.ends;
        let dead = bits.starts & !bits.live;
        let (sum, carry) = bodies.overflowing_add(dead);
        let (sum, carry_in) = sum.overflowing_add(u64::from(self.dying));
        *self = Walk { inside: borrow | borrow_in, dying: carry | carry_in, ended: bits.ends >> 63 != 0 };
        let dead_ends = sum & bits.ends;
        let used = sum & bodies | bits.ends & !dead_ends;
        Verdict { used, dead: objects & !used, forget: dead | dead_ends }
    }
}

/// Sweeps one unswept block of `space`, one of the heap's, and lists it. False when none is left.
///
/// The live colour is asked for once the block is taken: from then on no cycle starts before it is listed. Asked earlier, by a mutator that is
/// away and sleeps through a whole cycle in between, the answer would be the colour of the dead.
pub fn sweep_one(heap: &Heap, space: &BlockSpace) -> bool {
    let Some(index) = space.take_unswept() else { return false };
    let swept = sweep_block(heap, space.address(index));
    space.swept(index, classify(swept.free));
    true
}

/// How many granules of a block with holes, or of a roomy one, are free at least.
pub fn least_free(roomy: bool) -> usize {
    if roomy { ROOMY } else { WORTH_RECYCLING }
}

/// Where a block with `free` free granules belongs.
pub fn classify(free: usize) -> BlockState {
    match free {
        GRANULES_PER_BLOCK => BlockState::Free,
        ROOMY.. => BlockState::Roomy,
        WORTH_RECYCLING.. => BlockState::Recyclable,
        _ => BlockState::Full,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::memory::TableMapping;

    const BASE: usize = 1 << 30;

    /// Fills a block with objects of the lengths that `length` says (0: a free granule), each live as `alive` says, sweeps it, and compares.
    fn check(mut length: impl FnMut() -> usize, mut alive: impl FnMut() -> bool) {
        let table = TableMapping::new(GRANULES_PER_BLOCK + 8, "pagemark test metadata").unwrap();
        let metadata = Metadata::new(table, BASE);
        let mut expected = vec![0; GRANULES_PER_BLOCK];
        let (mut at, mut used) = (0, 0);
        while at < GRANULES_PER_BLOCK {
            let granules = length().min(GRANULES_PER_BLOCK - at);
            if granules == 0 {
                at += 1;
                continue;
            }
            let addr = BASE + at * GRANULE;
            metadata.record(addr, granules);
            let live = alive();
            // Colour 2 is live; the dead have the other colour, or none.
            let colour = if live { 2 } else { (at % 2) as u8 };
            let start = metadata.at(addr);
            start.store(start.load(Ordering::Relaxed) | colour, Ordering::Relaxed);
            if live {
                used += granules;
                for (granule, byte) in expected.iter_mut().enumerate().skip(at).take(granules) {
                    *byte = metadata.at(BASE + granule * GRANULE).load(Ordering::Relaxed);
                }
            }
            at += granules;
        }
        let mut swept = forget_dead(&metadata, BASE, 2, |_, _| ());
        assert_eq!(swept.free, GRANULES_PER_BLOCK - used);
        let found: Vec<u8> = (0..GRANULES_PER_BLOCK)
            .map(|granule| metadata.at(BASE + granule * GRANULE).load(Ordering::Relaxed))
            .collect();
        assert_eq!(found, expected);
        let mut free: Vec<usize> = Vec::new();
        let mut again = holes(&metadata, BASE);
        while let Some(hole) = swept.holes.next(1) {
            assert_eq!(again.next(1), Some(hole.clone()));
            free.extend(hole);
        }
        assert_eq!(again.next(1), None);
        let mut object = false;
        let expected = (0..GRANULES_PER_BLOCK).filter(|granule| {
            object |= found[*granule] & START != 0;
            let inside = object;
            object &= found[*granule] & END == 0;
            !inside
        });
        assert_eq!(free, expected.collect::<Vec<_>>());
    }

    fn random(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed | 1;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % below
        }
    }

    #[test]
    fn exactly_the_dead_are_forgotten_whatever_their_lengths() {
        for seed in 1..200 {
            let (mut lengths, mut lives) = (random(seed), random(seed * 7919));
            let longest = [1, 2, 3, 8, 70, 512][seed as usize % 6];
            let share = seed % 5;
            check(|| lengths(longest + 1) as usize, || lives(4) < share);
        }
    }

    #[test]
    fn both_ways_to_gather_bits_agree() {
        let mut random = random(1);
        for _ in 0..10_000 {
            let lanes = [(); 2].map(|()| random(1 << 32) << 32 | random(1 << 32));
            let bytes = lanes.iter().flat_map(|lanes| lanes.to_le_bytes());
            let expected = bytes.enumerate().fold(0, |bits, (at, byte)| bits | u64::from(byte >> 7) << at);
            assert_eq!(gather(lanes), expected);
            assert_eq!(gather_by_multiplying(lanes), expected);
        }
    }

    #[test]
    fn objects_that_touch_a_word_s_border_live_and_die_alone() {
        for length in [1, 2, 31, 32, 33, 63, 64, 65, 128, 512] {
            for period in 1..4 {
                let mut count = 0;
                check(
                    || length,
                    || {
                        count += 1;
                        count % period == 0
                    },
                );
            }
        }
    }
}
