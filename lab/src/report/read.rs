//! Reading a file of results, and saying what is wrong with one that is not.

use std::path::Path;

use serde_json::Value;

use super::input::{KIND, Results, SCHEMA};

/// The results in `path`, and the text they were made of.
///
/// # Errors
///
/// Names the file, and in it the place and what is wrong there.
pub fn read(path: &Path) -> Result<(Results, String), String> {
    let named = |problem: String| format!("{}: {problem}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let results = parse(&text).map_err(named)?;
    Ok((results, text))
}

/// The results that `text` holds.
pub fn parse(text: &str) -> Result<Results, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?;
    // Asked before the rest, since with another schema other keys are missing.
    match &value["kind"] {
        Value::String(kind) if kind == KIND => {}
        Value::Null => return Err(format!("`kind` is missing; what `pagemark compare` writes has `\"{KIND}\"` there")),
        other => {
            return Err(format!(
                "`kind` is {other}; only a `\"{KIND}\"`, written by `pagemark compare`, can be reported"
            ));
        }
    }
    match &value["schema"] {
        Value::Number(schema) if schema.as_u64() == Some(SCHEMA) => {}
        Value::Null => return Err(format!("`schema` is missing; this program reads version {SCHEMA}")),
        other => return Err(format!("`schema` is {other}; this program reads version {SCHEMA}")),
    }
    // From the text and not from the value, so that the error can say the line.
    let mut source = serde_json::Deserializer::from_str(text);
    let results: Results = serde_path_to_error::deserialize(&mut source).map_err(|error| {
        let place = error.path().to_string();
        format!("at `{place}`: {}", error.inner())
    })?;
    for (index, run) in results.runs.iter().enumerate() {
        if results.contestants.iter().all(|contestant| contestant.name != run.contestant) {
            return Err(format!("at `runs[{index}].contestant`: `{}` is not among `contestants`", run.contestant));
        }
        if run.ok && run.measured.is_none() {
            return Err(format!("at `runs[{index}]`: `ok` is true, but nothing is `measured`"));
        }
    }
    Ok(results)
}
