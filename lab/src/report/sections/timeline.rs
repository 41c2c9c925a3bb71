//! One cycle, event by event, from a trace in Chrome's format (`PAGEMARK_GC=trace=FILE`).
//!
//! Read are complete events (`X`), begins and ends (`B`, `E`), counters (`C`) and names of threads (`M`). An end closes the last begin of its thread. A
//! begin without an end lasts until the last event; an end without a begin began before the first.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::report::document::{Block, Entry, Figure, Panel, Section, code};
use crate::report::figures::gantt::{self, Counter, Lane, Span};
use crate::report::figures::looks::{Look, Marker};
use crate::report::figures::theme::Ink;
use crate::report::figures::{Fault, sample};
use crate::report::input::Results;
use crate::report::numbers::number;

/// More lanes than this do not fit on a screen.
const MOST_LANES: usize = 16;

/// More counters than this would be a page of their own.
const MOST_COUNTERS: usize = 6;

/// The series whose colours tell kinds apart: all but the grey one, which is that of frames.
const COLOURS: [usize; 7] = [0, 1, 2, 3, 4, 5, 7];

/// What lasts this share of the picture and lies in nothing is a frame.
const FRAME: f64 = 0.6;

/// The chapter.
pub fn section(results: &Results) -> Result<Section, Fault> {
    let mut section = Section::chapter("One cycle");
    let Some(timeline) = &results.timeline else {
        section.say("These results have no trace of a cycle.");
        return Ok(section);
    };
    let trace = Trace::of(&timeline.trace.events);
    if trace.lanes.is_empty() {
        section.say("The trace has no events that last.");
        return Ok(section);
    }
    let counters = &trace.counters[..trace.counters.len().min(MOST_COUNTERS)];
    let lanes = &trace.lanes[..trace.lanes.len().min(MOST_LANES)];
    let about = format!("One cycle of {}: what each thread did", timeline.workload);
    let svg = gantt::draw(&about, trace.end, lanes, counters)?;
    let legend = trace.names.iter().enumerate().map(|(index, name)| {
        let (ink, open) = colour(index);
        let marker = if open { Marker::Box } else { Marker::Square };
        let look = Look { ink, dash: 0, marker, width: 2 };
        Ok((name.clone(), sample(&look, false)?))
    });
    let cycle = timeline.cycle.map_or_else(|| "A cycle".to_string(), |cycle| format!("Cycle {cycle}"));
    let mut hidden = String::new();
    if lanes.len() < trace.lanes.len() || counters.len() < trace.counters.len() {
        hidden = format!(
            " Not drawn: {} more threads and {} more counters.",
            trace.lanes.len() - lanes.len(),
            trace.counters.len() - counters.len()
        );
    }
    section.blocks.push(Block::Figure(Figure {
        caption: format!(
            "{cycle} of a run of `{}`. A lane is a thread; what lies in something else stands below it. A stop of a mutator is only as long as its box in the mutator's own \
             lane: everything else happens while the program runs.{hidden}",
            timeline.workload
        ),
        panels: vec![Panel { title: String::new(), svg, legend: legend.collect::<Result<_, Fault>>()? }],
        command: format!("{}, and any viewer of Chrome's traces.", code(&timeline.command)),
    }));
    let rows = trace.sums().into_iter().map(|((lane, name), (count, total, longest))| {
        vec![
            Entry::from(format!("{lane}: {name}")),
            count.to_string().into(),
            number(total).into(),
            number(longest).into(),
        ]
    });
    section.table(&["", "times", "together, ms", "longest, ms"], rows.collect());
    Ok(section)
}

/// A trace as lanes and counters, in milliseconds since its first event.
struct Trace {
    lanes: Vec<Lane>,
    counters: Vec<Counter>,
    /// Names of spans, in order of their colours.
    names: Vec<String>,
    end: f64,
}

/// A thread of the trace.
struct Thread {
    /// Process and thread.
    key: String,
    /// How it is called.
    name: String,
    /// Where the trace wants it; last, if it does not say.
    order: f64,
}

/// Something that lasted: from, to, name, what else is known of it.
type Lasting = (f64, f64, String, String);

impl Trace {
    fn of(events: &[Value]) -> Trace {
        let microseconds = |event: &Value, key: &str| event[key].as_f64();
        let ends = events.iter().filter_map(|e| Some(microseconds(e, "ts")? + microseconds(e, "dur").unwrap_or(0.0)));
        let first =
            events.iter().filter(|e| e["ph"] != "M").filter_map(|e| microseconds(e, "ts")).fold(f64::MAX, f64::min);
        let last = ends.fold(0.0, f64::max);
        let since = |at: f64| (at - first) / 1e3;
        let end = since(last).max(1e-3);
        let mut threads: Vec<Thread> = Vec::new();
        let mut spans: BTreeMap<String, Vec<Lasting>> = BTreeMap::new();
        let mut open: BTreeMap<String, Vec<(f64, String, String)>> = BTreeMap::new();
        let mut counters: Vec<Counter> = Vec::new();
        for event in events {
            let thread = format!("{} {}", event["pid"], event["tid"]);
            let name = event["name"].as_str().unwrap_or("").to_string();
            if event["ph"] == "M" {
                let known = know_thread(&mut threads, thread, event);
                match name.as_str() {
                    "thread_name" => known.name = event["args"]["name"].as_str().unwrap_or(&known.name).to_string(),
                    "thread_sort_index" => known.order = event["args"]["sort_index"].as_f64().unwrap_or(known.order),
                    _ => {}
                }
                continue;
            }
            let Some(at) = microseconds(event, "ts").map(since) else { continue };
            match event["ph"].as_str() {
                Some("X") => {
                    know_thread(&mut threads, thread.clone(), event);
                    let long = microseconds(event, "dur").unwrap_or(0.0) / 1e3;
                    spans.entry(thread).or_default().push((at, at + long, name, details(event)));
                }
                Some("B") => {
                    know_thread(&mut threads, thread.clone(), event);
                    open.entry(thread).or_default().push((at, name, details(event)));
                }
                Some("E") => {
                    know_thread(&mut threads, thread.clone(), event);
                    let begun = open.entry(thread.clone()).or_default().pop();
                    let (from, name, known) = begun.unwrap_or((0.0, name, String::new()));
                    let known = if known.is_empty() { details(event) } else { known };
                    spans.entry(thread).or_default().push((from, at, name, known));
                }
                Some("C") => count(&mut counters, at, &name, &event["args"]),
                _ => {}
            }
        }
        for (thread, left) in open {
            spans
                .entry(thread)
                .or_default()
                .extend(left.into_iter().map(|(from, name, known)| (from, end, name, known)));
        }
        let mut names = Vec::new();
        threads.sort_by(|a, b| a.order.total_cmp(&b.order));
        let lane = |thread: Thread| {
            Some(Lane { spans: nested(spans.remove(&thread.key)?, end, &mut names), name: thread.name })
        };
        let lanes = threads.into_iter().filter_map(lane).collect();
        Trace { lanes, counters, names, end }
    }

    /// By lane and name: how often, how long together, how long at most.
    fn sums(&self) -> BTreeMap<(String, String), (usize, f64, f64)> {
        let mut sums: BTreeMap<(String, String), (usize, f64, f64)> = BTreeMap::new();
        for lane in &self.lanes {
            for span in &lane.spans {
                let sum = sums.entry((lane.name.clone(), kind(&span.name).to_string())).or_default();
                let long = span.to - span.from;
                *sum = (sum.0 + 1, sum.1 + long, sum.2.max(long));
            }
        }
        sums
    }
}

/// The thread of an event, which is new if it is not known.
fn know_thread<'a>(threads: &'a mut Vec<Thread>, key: String, event: &Value) -> &'a mut Thread {
    let index = threads.iter().position(|thread| thread.key == key).unwrap_or_else(|| {
        threads.push(Thread { key, name: format!("thread {}", event["tid"]), order: f64::MAX });
        threads.len() - 1
    });
    &mut threads[index]
}

/// A counter event has one value for each of its series.
fn count(counters: &mut Vec<Counter>, at: f64, name: &str, values: &Value) {
    let Value::Object(values) = values else { return };
    for (series, value) in values {
        let Some(value) = value.as_f64() else { continue };
        let called = if values.len() == 1 { name.to_string() } else { format!("{name}, {series}") };
        match counters.iter_mut().find(|counter| counter.name == called) {
            Some(counter) => counter.points.push((at, value)),
            None => counters.push(Counter { name: called, points: vec![(at, value)] }),
        }
    }
}

/// The numbers that an event carries.
fn details(event: &Value) -> String {
    let Value::Object(known) = &event["args"] else { return String::new() };
    let numbers = known.iter().filter(|(_, value)| value.is_number());
    numbers.take(3).map(|(key, value)| format!("{} {value}", key.replace('_', " "))).collect::<Vec<_>>().join(", ")
}

/// A name without the number that tells it from others of its kind.
fn kind(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or(name);
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '#');
    if kind.is_empty() { name } else { kind }
}

/// The colour of a kind, and whether it is drawn empty, since another has that colour.
fn colour(kind: usize) -> (Ink, bool) {
    (Ink::Series(COLOURS[kind % COLOURS.len()]), kind >= COLOURS.len())
}

/// Spans with their depths and colours, in order of time. What lasts nearly as long as all of it only frames the rest, and has no colour.
fn nested(mut spans: Vec<Lasting>, end: f64, names: &mut Vec<String>) -> Vec<Span> {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut around: Vec<f64> = Vec::new();
    spans
        .into_iter()
        .map(|(from, to, name, known)| {
            // Times are rounded to microseconds, and neighbours may seem to overlap by one.
            around.retain(|end| *end > from + 2e-3);
            let depth = around.len();
            around.push(to);
            let (ink, open) = if depth == 0 && to - from > FRAME * end {
                (Ink::Faint, false)
            } else {
                let kind = kind(&name).to_string();
                let index = names.iter().position(|known| *known == kind).unwrap_or_else(|| {
                    names.push(kind);
                    names.len() - 1
                });
                colour(index)
            };
            let name = if known.is_empty() { name } else { format!("{name}: {known}") };
            Span { from, to, depth, name, ink, open }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ends_close_the_last_begin_of_their_thread_and_what_lies_in_something_is_deeper() {
        let events = [
            json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": 7, "args": {"name": "collector"}}),
            json!({"ph": "B", "name": "cycle", "pid": 1, "tid": 7, "ts": 1000}),
            json!({"ph": "B", "name": "mark", "pid": 1, "tid": 7, "ts": 2000}),
            json!({"ph": "X", "name": "stop", "pid": 1, "tid": 8, "ts": 2500, "dur": 500}),
            json!({"ph": "C", "name": "dirty", "pid": 1, "ts": 2600, "args": {"pages": 9}}),
            json!({"ph": "E", "pid": 1, "tid": 7, "ts": 4000}),
            json!({"ph": "E", "pid": 1, "tid": 7, "ts": 5000}),
        ];
        let trace = Trace::of(&events);
        let lanes: Vec<_> = trace.lanes.iter().map(|lane| (lane.name.as_str(), lane.spans.len())).collect();
        assert_eq!(lanes, [("collector", 2), ("thread 8", 1)]);
        let spans: Vec<_> =
            trace.lanes[0].spans.iter().map(|span| (span.name.as_str(), span.from, span.to, span.depth)).collect();
        assert_eq!(spans, [("cycle", 0.0, 4.0, 0), ("mark", 1.0, 3.0, 1)]);
        assert_eq!((trace.counters[0].name.as_str(), &trace.counters[0].points), ("dirty", &vec![(1.6, 9.0)]));
        assert_eq!(trace.end, 4.0);
    }

    #[test]
    fn events_that_are_nothing_of_the_kind_are_no_lanes() {
        assert!(Trace::of(&[json!({"ph": "i", "ts": 3}), json!(17), json!({"ph": "C"})]).lanes.is_empty());
    }
}
