//! Traces (`trace=FILE`) as a viewer reads them, and the rules of their format that viewers rely on.

use std::collections::BTreeMap;

use serde_json::Value;

/// The events of a trace that may have been cut off: its closing bracket may be missing.
pub fn parse(text: &str) -> Vec<Value> {
    let events: Result<Vec<Value>, _> = serde_json::from_str(text);
    events.or_else(|_| serde_json::from_str(&format!("{text}\n]"))).expect("an array of events")
}

/// Nanoseconds, of a time in microseconds.
fn nanos(time: &Value) -> u64 {
    (time.as_f64().expect("a time") * 1000.0).round() as u64
}

/// What is open in a track, and where the last span in it ended.
#[derive(Default)]
struct Track {
    open: Vec<(String, u64)>,
    last: u64,
}

/// Checks what the Trace Event Format asks of events, and what its readers need: known phases with the members they must have; in each track, spans
/// that do not go back in time and do not overlap but where one is inside another; ends that fit their beginnings. With `complete`, nothing is left open.
pub fn check(events: &[Value], complete: bool) {
    let mut tracks: BTreeMap<u64, Track> = BTreeMap::new();
    for event in events {
        let name = event["name"].as_str().unwrap_or_else(|| panic!("no name: {event}"));
        assert!(event["pid"].is_u64() && event["tid"].is_u64() && event["args"].is_object(), "{event}");
        let phase = event["ph"].as_str().expect("a phase");
        if phase == "M" {
            let args = &event["args"];
            match name {
                "process_name" | "thread_name" => assert!(args["name"].is_string(), "{event}"),
                "thread_sort_index" => assert!(args["sort_index"].is_u64(), "{event}"),
                other => panic!("unknown metadata {other}"),
            }
            continue;
        }
        assert!(event["ts"].is_number() && event["cat"].is_string(), "{event}");
        let at = nanos(&event["ts"]);
        let track = tracks.entry(event["tid"].as_u64().expect("a number")).or_default();
        assert!(at >= track.last, "back in time, or into the span before: {event}");
        match phase {
            "X" => track.last = at + nanos(&event["dur"]),
            "B" => {
                track.open.push((name.to_owned(), at));
                track.last = at;
            }
            "E" => {
                let (begun, _) = track.open.pop().unwrap_or_else(|| panic!("ends without a beginning: {event}"));
                assert_eq!(begun, name);
                track.last = at;
            }
            "i" => assert_eq!(event["s"], "t", "{event}"),
            "C" => assert!(event["args"]["value"].is_u64(), "{event}"),
            other => panic!("unknown phase {other}"),
        }
    }
    if complete {
        for (tid, track) in tracks {
            assert!(track.open.is_empty(), "track {tid}: {:?} does not end", track.open);
        }
    }
}

/// The events of that phase and name.
pub fn named<'e>(events: &'e [Value], phase: &str, name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["ph"] == phase && event["name"] == name).collect()
}

/// The tracks by name, with their thread ids.
pub fn tracks(events: &[Value]) -> Vec<(String, u64)> {
    let name = |event: &Value| Some((event["args"]["name"].as_str()?.to_owned(), event["tid"].as_u64()?));
    named(events, "M", "thread_name").into_iter().filter_map(name).collect()
}
