//! One number over everything that lives when a run is over: its *check*.
//!
//! The same work in another language has to end with the same live data, or the two must not be compared. So each workload folds what lives, word by
//! word and in an order that its essay gives, into one number that any language can compute: `h = 0` at first, then for each word `x`
//!
//! ```text
//! h = rotate_left((h xor x) * 0x9e3779b97f4a7c15, 23)        all modulo 2^64
//! ```
//!
//! It is no secret hash. It has to notice a word that is wrong, missing, or in another's place, and each of these changes it: for a given `x` the step is a
//! bijection of `h`, and for a given `h` one of `x`. The number does not depend on when collections happened, and so a workload draws its random numbers
//! anew only when what it drew them for is done.

/// The fold over the words so far.
pub struct Fold(u64);

impl Fold {
    /// Over nothing.
    pub const fn new() -> Fold {
        Fold(0)
    }

    /// Takes one more word in.
    #[inline(always)]
    pub fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    /// The number.
    pub const fn value(&self) -> u64 {
        self.0
    }

    /// What several threads found, in their order. One thread's number is the run's.
    pub fn of_threads(checks: &[u64]) -> u64 {
        match checks {
            [check] => *check,
            all => {
                let mut fold = Fold::new();
                all.iter().for_each(|check| fold.add(*check));
                fold.value()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[u64]) -> u64 {
        let mut fold = Fold::new();
        words.iter().for_each(|word| fold.add(*word));
        fold.value()
    }

    #[test]
    fn others_get_the_same_numbers() {
        // Computed with Python's integers, for whoever writes it in another language.
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[1]), 15_906_614_094_783_781_820);
        assert_eq!(of(&[1, 2, 3]), 15_282_811_823_401_459_979);
        assert_eq!(of(&[u64::MAX, 0]), 6_523_244_805_379_139_429);
    }

    #[test]
    fn a_word_that_is_wrong_missing_or_elsewhere_changes_it() {
        let right = of(&[5, 6, 7]);
        for other in [&[5, 6, 8][..], &[5, 7], &[6, 5, 7], &[5, 6, 7, 0]] {
            assert_ne!(of(other), right, "{other:?}");
        }
    }

    #[test]
    fn threads_count_in_their_order_and_one_alone_as_it_is() {
        assert_eq!(Fold::of_threads(&[9]), 9);
        assert_ne!(Fold::of_threads(&[1, 2]), Fold::of_threads(&[2, 1]));
    }
}
