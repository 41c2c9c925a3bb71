//! How numbers are written: three digits that mean something, thin on zeros, and never in powers of ten.

use super::document::Entry;
use super::statistics::Sample;

/// For what is not known.
pub const UNKNOWN: &str = "–";

/// Three significant digits, more only before the point.
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { UNKNOWN.into() };
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    let text = format!("{value:.0$}", digits.clamp(0, 6) as usize);
    // Rounding may have added a digit: 9.999 is 10.00, and 10.0 is enough.
    let again = text.parse::<f64>().unwrap_or(value);
    let digits = if again == 0.0 { digits } else { 2 - again.abs().log10().floor() as i32 };
    format!("{value:.0$}", digits.clamp(0, 6) as usize)
}

/// Like [`number`], without zeros at the end: for ticks and labels.
pub fn short(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Like [`short`], with a unit for thousands and millions where they would be long: for ticks.
pub fn compact(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", short(value / 1e6))
    } else if value >= 1e4 {
        format!("{} k", short(value / 1e3))
    } else {
        short(value)
    }
}

/// A ratio as a factor.
pub fn factor(value: f64) -> String {
    format!("×{}", number(value))
}

/// The median, and from where to where it was seen if it was seen more than once.
pub fn entry(sample: Option<&Sample>) -> Entry {
    let Some(sample) = sample else { return Entry::from(UNKNOWN) };
    let spread = format!("{}–{}", number(sample.least()), number(sample.most()));
    Entry { text: number(sample.median()), spread: (sample.count() > 1).then_some(spread) }
}

/// Bytes in megabytes of 2^20.
pub fn megabytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_mean_something() {
        let written = [0.0, 0.001_234, 0.12, 1.0, 9.999, 12.345, 123.4, 1234.5].map(number);
        assert_eq!(written, ["0", "0.00123", "0.120", "1.00", "10.0", "12.3", "123", "1234"]);
        assert_eq!([0.01, 2.0, 0.5, 100.0].map(short), ["0.01", "2", "0.5", "100"]);
        assert_eq!([2000.0, 20_000.0, 1.5e6].map(compact), ["2000", "20 k", "1.5 M"]);
    }

    #[test]
    fn one_value_has_no_spread() {
        assert_eq!(entry(Sample::of([2.0]).as_ref()).spread, None);
        assert_eq!(entry(Sample::of([2.0, 3.0]).as_ref()).spread.as_deref(), Some("2.00–3.00"));
    }
}
