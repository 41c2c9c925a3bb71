//! `scheme`: R7RS-small Scheme on the pagemark collector.
//!
//! Usage: `scheme [--gc KEYS] [PROGRAM.scm [ARGS]]`; without a program, a REPL. All Scheme data, closures and
//! continuations live in the collected heap; see `vm` for the machine, `expand` and `codegen` for the compiler, and
//! `standard` and `natives` for the procedures.

mod ast;
mod boot;
mod code;
mod codegen;
mod consts;
mod env;
mod error;
mod expand;
mod heap;
mod inline;
mod jumps;
mod natives;
mod prims;
mod reader;
mod repl;
mod standard;
mod strings;
mod syntax;
mod value;
mod vm;

use crate::error::{Body, SchemeError};
use crate::value::Type;
use crate::vm::{CardStores, PlainStores, Stores, Vm};
use pagemark::{Config, Heap};
use std::path::PathBuf;

/// What the command line asks for.
struct Options {
    gc: Vec<String>,
    program: Option<PathBuf>,
    args: Vec<String>,
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut o = Options { gc: Vec::new(), program: None, args: Vec::new() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("gc") => o.gc.push(parser.value()?.string()?),
            Short('h') | Long("help") => {
                println!("usage: scheme [--gc KEYS] [PROGRAM.scm [ARGS...]]");
                std::process::exit(0);
            }
            Value(program) => {
                o.args.push(program.to_string_lossy().into_owned());
                o.program = Some(program.into());
                for a in parser.raw_args()? {
                    o.args.push(a.string()?);
                }
            }
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(o)
}

/// Ends the process: outputs flushed, the collector's summary printed if it was asked for.
pub fn finish<S: Stores>(vm: &mut Vm<S>, code: i32) -> ! {
    standard::ports::flush_all(vm);
    if let Some(line) = vm.shared.heap.summary_line() {
        eprintln!("pagemark: {line}");
    }
    std::process::exit(code)
}

/// An error that nothing handled, in words.
pub fn describe(e: &SchemeError) -> String {
    match &*e.0 {
        Body::Uncaught(v, _) | Body::Raise(v) | Body::RaiseContinuable(v) if heap::is_type(*v, Type::Condition) => {
            natives::report(*v, true)
        }
        Body::Uncaught(v, at) => {
            let place = at.map_or_else(String::new, |at| format!("{at}: "));
            format!("{place}uncaught exception: {}", standard::print::write_to_string(*v))
        }
        Body::Raise(v) | Body::RaiseContinuable(v) => standard::print::write_to_string(*v),
        Body::Condition { message, .. } => message.clone(),
        Body::Exhausted(_) => "out of memory".into(),
        Body::Exit(code) => format!("exit {code}"),
    }
}

fn run<S: Stores>(heap: Heap, limit: Option<u64>, stores: S, options: Options) -> ! {
    let shared = boot::shared(heap, limit, options.args);
    let mut vm = Vm::new(shared, stores, |_| {});
    let result = boot::boot(&mut vm).and_then(|()| match &options.program {
        Some(path) => {
            let forms = expand::read_file(path)?;
            vm.load_forms(&forms, env::PROGRAM).map(|_| ())
        }
        None => repl::repl(&mut vm),
    });
    let code = match result {
        Ok(()) => 0,
        Err(e) => match &*e.0 {
            Body::Exit(code) => *code,
            _ => {
                // Flushing is a safepoint, and the error refers to the heap.
                let text = describe(&e);
                standard::ports::flush_all(&mut vm);
                eprintln!("{text}");
                1
            }
        },
    };
    finish(&mut vm, code)
}

fn start(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::from_env()?;
    for keys in &options.gc {
        config.apply(keys)?;
    }
    let heap = Heap::new(&config, heap::Model)?;
    // The compiler recurses over the program's text, so it gets a deep stack.
    let builder = std::thread::Builder::new().name("main".into()).stack_size(512 << 20);
    let main = builder
        .spawn(move || match heap.cards() {
            Some(cards) => run(heap, config.limit(), CardStores(cards), options),
            None => run(heap, config.limit(), PlainStores, options),
        })
        .map_err(|error| {
            format!(
                "cannot start the interpreter's thread: {error}; it needs 512 MB of addresses for its stack (RLIMIT_AS), \
                 and one thread more (RLIMIT_NPROC, pids cgroup)"
            )
        })?;
    match main.join() {
        Ok(()) => Ok(()),
        Err(_) => std::process::exit(70),
    }
}

fn main() {
    let result = options().map_err(|e| e.into()).and_then(start);
    if let Err(e) = result {
        eprintln!("scheme: {e}");
        std::process::exit(2);
    }
}
