//! Files as a whole, the process and the clock: `(scheme file)` beyond ports, `(scheme process-context)`,
//! `(scheme time)`.

use crate::error::SchemeError;
use crate::prims::{Answer, Registry};
use crate::standard::args;
use crate::value::Value;
use crate::vm::{Stores, Vm};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("file-exists?", 1, 1, |_, a| Ok(Value::bool(fs::exists(args::text("file-exists?", a, 0)?).unwrap_or(false))));
    r.add("file-directory?", 1, 1, |_, a| {
        Ok(Value::bool(fs::metadata(args::text("file-directory?", a, 0)?).is_ok_and(|m| m.is_dir())))
    });
    r.add("file-size", 1, 1, |_, a| match fs::metadata(args::text("file-size", a, 0)?) {
        Ok(m) => Ok(Value::fixnum(m.len() as i64)),
        Err(e) => Err(failed("file-size", &e, a)),
    });
    r.add("delete-file", 1, 1, |_, a| done("delete-file", a, fs::remove_file(args::text("delete-file", a, 0)?)));
    r.add("rename-file", 2, 2, |_, a| {
        let (from, to) = (args::text("rename-file", a, 0)?, args::text("rename-file", a, 1)?);
        done("rename-file", a, fs::rename(from, to))
    });
    r.add("create-directory", 1, 1, |_, a| {
        done("create-directory", a, fs::create_dir(args::text("create-directory", a, 0)?))
    });
    for name in ["directory-list", "directory-files"] {
        r.add(name, 1, 1, |vm, a| {
            let path = args::text("directory-list", a, 0)?;
            let names = list_directory(&path).map_err(|e| failed("directory-list", &e, a))?;
            strings(vm, names.iter().map(String::as_str))
        });
    }
    r.add("command-line", 0, 0, |vm, _| {
        let shared = vm.shared.clone();
        strings(vm, shared.args.iter().map(String::as_str))
    });
    r.add("get-environment-variable", 1, 1, |vm, a| match env::var_os(args::text("get-environment-variable", a, 0)?) {
        Some(value) => vm.string_from(&value.to_string_lossy()),
        None => Ok(Value::FALSE),
    });
    r.add("get-environment-variables", 0, 0, |vm, _| {
        env::vars_os().try_fold(Value::NIL, |l, (name, value)| {
            let name = vm.string_from(&name.to_string_lossy())?;
            let value = vm.string_from(&value.to_string_lossy())?;
            vm.cons(vm.cons(name, value)?, l)
        })
    });
    r.add("exit", 0, 1, |_, a| Err(SchemeError::exit(exit_code(a))));
    // Without unwinding; what ports hold is still written, losing it would help nobody.
    r.add("emergency-exit", 0, 1, |vm, a| {
        crate::standard::ports::flush_all(vm);
        std::process::exit(exit_code(a))
    });

    r.add("current-second", 0, 0, |vm, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        vm.flonum(now.as_secs_f64())
    });
    r.add("current-jiffy", 0, 0, |_, _| Ok(Value::fixnum(since_start().as_nanos() as i64)));
    r.add("jiffies-per-second", 0, 0, |_, _| Ok(Value::fixnum(1_000_000_000)));
    // Seconds and milliseconds since the program started.
    r.add("runtime", 0, 0, |vm, _| vm.flonum(since_start().as_secs_f64()));
    r.add("real-time", 0, 0, |vm, _| vm.flonum(since_start().as_secs_f64() * 1000.0));
}

fn since_start() -> std::time::Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

fn failed(who: &str, e: &io::Error, irritants: &[Value]) -> SchemeError {
    SchemeError::file(format!("{who}: {e}"), irritants)
}

fn done(who: &str, irritants: &[Value], result: io::Result<()>) -> Answer {
    match result {
        Ok(()) => Ok(Value::UNSPECIFIED),
        Err(e) => Err(failed(who, &e, irritants)),
    }
}

/// The names in a directory, in order, without the two every directory has.
fn list_directory(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn strings<'a, S: Stores>(vm: &mut Vm<S>, texts: impl Iterator<Item = &'a str>) -> Answer {
    let mut items = Vec::new();
    for text in texts {
        items.push(vm.string_from(text)?);
    }
    vm.list(&items)
}

/// No argument and `#t` mean success, `#f` means failure; integers are passed on.
fn exit_code(a: &[Value]) -> i32 {
    match a.first() {
        None => 0,
        Some(v) if v.is_fixnum() => (v.as_fixnum() & 0xff) as i32,
        Some(v) => i32::from(v.is_false()),
    }
}
