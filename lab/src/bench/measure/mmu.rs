//! Minimum mutator utilisation (Cheng and Blelloch, PLDI 2001): of all windows of a given length, the one that left
//! the program the least. One curve says what a list of pauses does not: whether short pauses come in heaps.
//!
//! A window that is worst can be moved until it begins where a stall begins, or ends where one ends, without getting
//! better. So only those are looked at, in one pass for each, over sums of the stalls before each. A window longer than the run has
//! no utilisation. Over several mutators it is the worst of them.

use serde::Serialize;

use super::stalls::Interval;

/// The windows, in milliseconds.
pub const WINDOWS_MS: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];

/// One window of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The window's length.
    pub window_ms: u64,
    /// The least share of such a window that was left, 0 to 1; `None` where the run was shorter.
    pub utilisation: Option<f64>,
}

/// The curve of mutators that each ran for `lengths` nanoseconds and stalled in those intervals, which are in order.
pub fn curve<'a>(mutators: impl Iterator<Item = (u64, &'a [Interval])> + Clone) -> Vec<Point> {
    let point = |window_ms| {
        let all = mutators.clone().filter_map(|(length, stalls)| utilisation(window_ms * 1_000_000, length, stalls));
        Point { window_ms, utilisation: all.reduce(f64::min).map(|share| (share * 1e4).round() / 1e4) }
    };
    WINDOWS_MS.map(point).to_vec()
}

/// The least share of a window of `window` in a run of `length` that no stall took. Stalls are in order and may overlap.
fn utilisation(window: u64, length: u64, stalls: &[Interval]) -> Option<f64> {
    if length < window {
        return None;
    }
    let stalls = merged(length, stalls);
    let before: Vec<u64> = std::iter::once(0)
        .chain(stalls.iter().scan(0, |sum, (from, to)| {
            *sum += to - from;
            Some(*sum)
        }))
        .collect();
    // Stalled time from the beginning to `at`.
    let until = |at: u64| {
        let index = stalls.partition_point(|(from, _)| *from < at);
        let last = index.checked_sub(1).map_or(0, |last| stalls[last].1.saturating_sub(at));
        before[index] - last
    };
    let stalled = |start: u64| until(start + window) - until(start);
    let starts = stalls.iter().flat_map(|(from, to)| [*from, to.saturating_sub(window)]);
    let most = starts.map(|start| stalled(start.min(length - window))).max().unwrap_or(0);
    Some(1.0 - most as f64 / window as f64)
}

/// The same time without overlaps, and none of it after the end.
fn merged(length: u64, stalls: &[Interval]) -> Vec<Interval> {
    let mut merged: Vec<Interval> = Vec::with_capacity(stalls.len());
    for &(from, to) in stalls {
        let (from, to) = (from.min(length), to.min(length));
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn of(stalls: &[Interval], length: u64) -> Vec<Point> {
        curve(std::iter::once((length, stalls)))
    }

    fn share(curve: &[Point], window_ms: u64) -> Option<f64> {
        curve.iter().find(|point| point.window_ms == window_ms).expect("it is one of the windows").utilisation
    }

    #[test]
    fn without_stalls_everything_is_left() {
        let curve = of(&[], 150 * MS);
        assert!(curve.iter().all(|point| point.utilisation == Some(1.0)), "{curve:?}");
        assert_eq!(curve.len(), WINDOWS_MS.len());
    }

    #[test]
    fn one_stall_takes_its_share_of_each_window() {
        let curve = of(&[(70 * MS, 72 * MS)], 150 * MS);
        let shares: Vec<_> = curve.iter().map(|point| point.utilisation.expect("the run is long")).collect();
        assert_eq!(shares, [0.0, 0.0, 0.6, 0.8, 0.9, 0.96, 0.98]);
    }

    #[test]
    fn stalls_close_together_meet_in_one_window_and_overlaps_count_once() {
        let curve = of(&[(10 * MS, 11 * MS), (12 * MS, 13 * MS), (12 * MS, 13 * MS)], 30 * MS);
        assert_eq!(share(&curve, 5), Some(0.6));
        assert_eq!(share(&curve, 2), Some(0.5));
        assert_eq!(share(&curve, 50), None, "the run is shorter");
    }

    #[test]
    fn a_stall_at_either_end_of_the_run_counts_whole() {
        assert_eq!(share(&of(&[(0, 5 * MS)], 20 * MS), 10), Some(0.5));
        assert_eq!(share(&of(&[(15 * MS, 20 * MS)], 20 * MS), 10), Some(0.5));
    }

    #[test]
    fn the_worst_mutator_decides_and_every_window_agrees_with_trying_all() {
        let a: Vec<Interval> = vec![(3 * MS, 4 * MS), (9 * MS, 12 * MS), (13 * MS, 14 * MS), (40 * MS, 41 * MS)];
        let length = 60 * MS;
        for ms in [1, 2, 5, 10, 20, 50] {
            let window = ms * MS;
            let tried = (0..=(length - window) / (MS / 4)).map(|i| {
                let start = i * (MS / 4);
                let inside = |(from, to): &Interval| (*to).min(start + window).saturating_sub((*from).max(start));
                1.0 - a.iter().map(inside).sum::<u64>() as f64 / window as f64
            });
            let tried = tried.reduce(f64::min).expect("at least one window");
            assert_eq!(utilisation(window, length, &a), Some(tried), "{ms}");
        }
        let quiet: &[Interval] = &[];
        let both = curve([(length, quiet), (length, a.as_slice())].into_iter());
        assert_eq!(both, of(&a, length));
    }
}
