//! Whole numbers and sizes in bytes, as text.

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

/// A whole number without sign, underscore or space.
pub(super) fn whole(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `auto` or a size.
pub(super) fn size_or_auto(text: &str) -> Option<Option<u64>> {
    if text == "auto" { Some(None) } else { parse_size(text).map(Some) }
}

/// A size in bytes: a decimal number and a unit. A fraction of a byte is cut off; a fraction without a unit, which
/// could only be a mistake, is none.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => KIB,
        "m" | "mib" => MIB,
        "g" | "gib" => GIB,
        "t" | "tib" => TIB,
        _ => return None,
    };
    let (integer, fraction) = match number.split_once('.') {
        Some((integer, fraction)) if unit > 1 && !fraction.is_empty() => (integer, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    // In whole numbers, so that 0.1G is the same on every machine: thirteen decimals are finer than a byte of any unit.
    let fraction = &fraction[..fraction.len().min(13)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { whole(fraction)? };
    let scaled = u128::from(whole(integer)?) * scale + u128::from(fraction);
    u64::try_from(scaled.checked_mul(u128::from(unit))? / scale).ok()
}

/// A size as [`parse_size`] accepts it: in the largest unit that says it exactly.
pub(super) fn size_text(bytes: u64) -> String {
    for (unit, suffix) in [(TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{suffix}", bytes / unit);
        }
    }
    bytes.to_string()
}

pub(super) fn size_or_auto_text(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "auto".to_string(), size_text)
}
