//! The number that says what lives at the end, the same in every language.

/// Takes in one number after the other.
#[derive(Default)]
pub struct Fold(u64);

impl Fold {
    /// Takes in `x`.
    pub fn add(&mut self, x: u64) {
        self.0 = (self.0 ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    /// What came of it.
    pub fn value(&self) -> u64 {
        self.0
    }
}
