//! Why a configuration is refused, and what was probably meant.

use thiserror::Error;

use super::Config;
use super::keys::KEYS;
use super::sizes::size_text;

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text names a key that does not exist.
    #[error("unknown key `{key}`{}; the keys are {}", did_you_mean(*suggestion), key_names())]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// The one key that is at most two typing errors away, where there is one.
        suggestion: Option<&'static str>,
    },
    /// A key that needs a value stands alone.
    #[error("`{key}` needs a value: {key}={allowed}")]
    MissingValue {
        /// The key.
        key: &'static str,
        /// What may follow it.
        allowed: &'static str,
    },
    /// A value is not one of those allowed, or lies outside its range.
    #[error("`{key}={value}` is not possible: allowed is {allowed}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value as it was written, or as it would have been.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// One text gives the same key twice.
    #[error("`{key}` is given twice")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// The heap could reach its limit before its first cycle.
    #[error("`heap={}` is above `limit={}`: the first cycle would never start", size_text(*heap), size_text(*limit))]
    HeapAboveLimit {
        /// The initial heap target in bytes.
        heap: u64,
        /// The hard limit in bytes.
        limit: u64,
    },
    /// The environment variable holds something that is not text.
    #[error("the value is not valid UTF-8")]
    NotText,
    /// The environment variable was refused.
    #[error("in the environment variable {}: {source}", Config::ENVIRONMENT)]
    Environment {
        /// What was wrong with it.
        source: Box<ConfigError>,
    },
}

fn key_names() -> String {
    KEYS.map(|key| key.name).join(", ")
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |key| format!(" (did you mean `{key}`?)"))
}

/// The key nearest to what was written, if it is near enough to be what was meant.
pub(super) fn nearest_key(written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let near = KEYS.iter().map(|key| (edit_distance(&written, key.name), key.name));
    near.filter(|(distance, _)| *distance <= 2).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many characters must be inserted, deleted or replaced to make one text the other (Levenshtein 1966), by the
/// two-row recurrence (Wagner & Fischer 1974) with one of the rows folded away.
pub(super) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
