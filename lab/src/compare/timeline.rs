//! One cycle, event by event: what the report draws as a timeline.
//!
//! A run with `trace=FILE` writes events in Chrome's format, of all of its cycles. The one that is kept is typical: of the concurrent cycles the one whose
//! length is the median. It is kept with what happened within a tenth of its length before and after, whoever did it, so that one sees what it interrupts.

use serde_json::{Value, json};

/// A cycle: its number, and from when to when it lasted, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cycle {
    number: u64,
    from: f64,
    to: f64,
}

/// The number and the events of a typical concurrent cycle in `trace`, if it has one.
pub fn typical_cycle(trace: &Value) -> Option<(u64, Value)> {
    // The format allows both.
    let events = trace.as_array().or_else(|| trace["traceEvents"].as_array())?;
    let mut cycles = cycles(events);
    cycles.sort_by(|a, b| (a.to - a.from).total_cmp(&(b.to - b.from)));
    let cycle = *cycles.get(cycles.len() / 2)?;
    Some((cycle.number, json!({ "traceEvents": around(events, cycle) })))
}

fn at(event: &Value) -> Option<f64> {
    event["ts"].as_f64()
}

/// Concurrent cycles that began and ended.
fn cycles(events: &[Value]) -> Vec<Cycle> {
    let mut begun = None;
    let mut cycles = Vec::new();
    for event in events.iter().filter(|event| event["name"] == "cycle") {
        match event["ph"].as_str() {
            Some("B") => begun = at(event).zip(event["args"]["number"].as_u64()),
            Some("E") => {
                if let Some(((from, number), to)) = begun.take().zip(at(event)) {
                    cycles.push(Cycle { number, from, to });
                }
            }
            _ => {}
        }
    }
    cycles
}

/// The names of all tracks, and what happened around the cycle. What began before or ends later is there whole if it is one event (`X`), and not at all if
/// one of two is elsewhere.
fn around(events: &[Value], cycle: Cycle) -> Vec<Value> {
    let margin = (cycle.to - cycle.from) / 10.0;
    let (from, to) = (cycle.from - margin, cycle.to + margin);
    let mut kept: Vec<(&Value, bool)> = Vec::new();
    // Where in `kept` the events are that began something and wait for its end, by thread.
    let mut open: Vec<(&Value, usize)> = Vec::new();
    for event in events {
        if event["ph"] == "M" {
            kept.push((event, true));
            continue;
        }
        let Some(begin) = at(event) else { continue };
        let end = begin + event["dur"].as_f64().unwrap_or(0.0);
        if end < from || begin > to {
            continue;
        }
        match event["ph"].as_str() {
            Some("B") => {
                open.push((&event["tid"], kept.len()));
                kept.push((event, false));
            }
            Some("E") => {
                if let Some(last) = open.iter().rposition(|(thread, _)| **thread == event["tid"]) {
                    kept[open.remove(last).1].1 = true;
                    kept.push((event, true));
                }
            }
            _ => kept.push((event, true)),
        }
    }
    kept.into_iter().filter(|(_, whole)| *whole).map(|(event, _)| event.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(phase: &str, name: &str, thread: u64, ts: u64) -> Value {
        json!({ "ph": phase, "name": name, "pid": 1, "tid": thread, "ts": ts, "args": {} })
    }

    fn cycle(number: u64, from: u64, to: u64) -> [Value; 2] {
        let mut begin = event("B", "cycle", 1, from);
        begin["args"]["number"] = number.into();
        [begin, event("E", "cycle", 1, to)]
    }

    fn stop(thread: u64, ts: u64, dur: u64) -> Value {
        let mut stop = event("X", "stop", thread, ts);
        stop["dur"] = dur.into();
        stop
    }

    #[test]
    fn the_cycle_of_median_length_is_kept_with_what_happened_around_it() {
        let mut events = vec![json!({ "ph": "M", "name": "thread_name", "tid": 2 })];
        events.extend(cycle(1, 0, 1000));
        events.extend([stop(2, 5000, 10), stop(2, 9_950, 100), stop(2, 10_500, 10)]);
        events.extend(cycle(2, 10_000, 20_000));
        events.extend([event("B", "pause", 1, 21_500), stop(2, 21_900, 5), event("C", "heap bytes", 1, 22_000)]);
        events.extend(cycle(3, 21_600, 90_000));
        let (number, kept) = typical_cycle(&Value::Array(events.clone())).expect("there are three");
        assert_eq!(number, 2);
        let kept = kept["traceEvents"].as_array().expect("a list");
        let times: Vec<_> = kept.iter().map(|event| event["ts"].as_u64()).collect();
        assert_eq!(times, [None, Some(9_950), Some(10_500), Some(10_000), Some(20_000)]);
        let (again, _) = typical_cycle(&json!({ "traceEvents": events })).expect("the other form");
        assert_eq!(again, 2);
    }

    #[test]
    fn a_trace_without_concurrent_cycles_has_none() {
        assert_eq!(typical_cycle(&json!([event("B", "cycle, stop-the-world", 1, 0)])), None);
        assert_eq!(typical_cycle(&json!({})), None);
    }
}
