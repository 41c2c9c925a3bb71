//! The interactive loop.

use crate::env::PROGRAM;
use crate::error::{Body, SchemeError};
use crate::reader::{Reader, Text};
use crate::value::Value;
use crate::vm::{Stores, Vm};
use rustyline::error::ReadlineError;

pub fn repl<S: Stores>(vm: &mut Vm<S>) -> Result<(), SchemeError> {
    let mut editor = match rustyline::DefaultEditor::new() {
        Ok(e) => e,
        Err(e) => return Err(SchemeError::error(format!("no terminal: {e}"), &[])),
    };
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() { "> " } else { "  " };
        match vm.blocking(|| editor.readline(prompt)) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(ReadlineError::Interrupted) => {
                text.clear();
                continue;
            }
            Err(_) => return Ok(()),
        }
        if evaluate(vm, &text)? {
            let _ = editor.add_history_entry(text.trim_end());
            text.clear();
        }
    }
}

/// Evaluates what was typed; false if it is not complete yet.
fn evaluate<S: Stores>(vm: &mut Vm<S>, text: &str) -> Result<bool, SchemeError> {
    let mut source = Text::new(text);
    let mut reader = Reader::new(&mut source, "repl");
    let mut forms = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(form)) => forms.push(form),
            Ok(None) => break,
            Err(e) if e.incomplete => return Ok(false),
            Err(e) => {
                eprintln!("repl:{}:{}: {}", e.line, e.column, e.message);
                return Ok(true);
            }
        }
    }
    for form in forms {
        // Flushing is a safepoint, and the answer refers to the heap: it becomes text first.
        let answer = match vm.eval_form(&form, PROGRAM) {
            Ok(Value::UNSPECIFIED) => Ok(None),
            Ok(v) => Ok(Some(crate::standard::print::write_to_string(v))),
            Err(e) if matches!(*e.0, Body::Exit(_)) => return Err(e),
            Err(e) => Err(crate::describe(&e)),
        };
        crate::standard::ports::flush_all(vm);
        match answer {
            Ok(None) => {}
            Ok(Some(text)) => println!("{text}"),
            Err(text) => {
                eprintln!("{text}");
                // What was bound, handled and guarded inside is left.
                vm.roots.reset();
                break;
            }
        }
    }
    Ok(true)
}
