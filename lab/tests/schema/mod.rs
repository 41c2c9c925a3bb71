//! Comparing what is printed with the page that describes it.

use std::collections::BTreeSet;

use serde_json::Value;

/// Adds the paths of all values to `found`: `cpu.mutator.user_s`, `mmu.seen[].window_ms`. What lies below a path that is `opaque` is not the schema's.
pub fn paths(value: &Value, path: &str, opaque: &dyn Fn(&str) -> bool, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !opaque(path) => {
            let dot = if path.is_empty() { "" } else { "." };
            map.iter().for_each(|(key, value)| paths(value, &format!("{path}{dot}{key}"), opaque, found));
        }
        Value::Array(list) if !opaque(path) => {
            list.iter().for_each(|value| paths(value, &format!("{path}[]"), opaque, found));
        }
        _ => {
            found.insert(path.to_string());
        }
    }
}

/// What a page describes: the first column of its tables.
pub fn documented(document: &str) -> BTreeSet<String> {
    let first = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_string());
    document.lines().filter_map(first).collect()
}
