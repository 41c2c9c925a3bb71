//! Random numbers that are the same on every machine.

use super::model::mix;

/// A SplitMix64 generator. A clone draws what the original will draw next.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of `seed`; two `stream`s of a seed have nothing in common.
    pub fn new(seed: u64, stream: u64) -> Random {
        Random(mix(mix(seed) ^ stream))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((self.any() as u128 * n as u128) >> 64) as u64
    }

    /// A number from `low` to `high`, both possible.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Whether something that happens once in `n` times happens.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
