//! What the programs with the libraries have in common: the parameters, the log, the random numbers, and the check.

pub mod bench;
pub mod fold;
pub mod random;
