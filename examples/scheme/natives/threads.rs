//! Threads, mutexes and condition variables (SRFI 18).
//!
//! A Scheme thread is an operating system thread with a machine of its own on the shared heap. The native halves of
//! these objects are kept in tables; the objects hold an index. Every wait happens inside `blocking`, so collections
//! never wait for a waiting thread.

use crate::error::{Body, SchemeError};
use crate::heap::*;
use crate::prims::{Answer, Registry};
use crate::value::{Type, Value};
use crate::vm::{Reg, Stores, Vm};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// A flag one can wait for: "the thread has ended", or "the mutex is locked".
#[derive(Default)]
struct Signal {
    flag: Mutex<bool>,
    changed: Condvar,
}
/// Who waits at a condition variable, the longest first. A signal takes the first of them off the list; one whose time
/// is up takes itself off, so that no signal is lost on it.
#[derive(Default)]
struct Waiters {
    next: u64,
    list: VecDeque<u64>,
}
#[derive(Default)]
struct Bell {
    waiters: Mutex<Waiters>,
    changed: Condvar,
}

#[derive(Default)]
struct Tables {
    signals: Mutex<Vec<Arc<Signal>>>,
    bells: Mutex<Vec<Arc<Bell>>>,
    /// Held while a thread goes from new to running.
    starting: Mutex<()>,
}
static TABLES: LazyLock<Tables> = LazyLock::new(Tables::default);

const NAME: usize = 1;
const SPECIFIC: usize = 2;
const THUNK: usize = 3;
const RESULT: usize = 4;
const STATE: usize = 5;
const NEW: Value = Value::fixnum(-2);
const RUNNING: Value = Value::fixnum(-1);
const DONE: Value = Value::fixnum(0);
const FAILED: Value = Value::fixnum(1);

fn check(who: &str, v: Value, ty: Type, what: &str) -> Result<usize, SchemeError> {
    if is_type(v, ty) { Ok(field(v, 0).as_fixnum() as usize) } else { Err(SchemeError::wrong_type(who, 1, what, v)) }
}
fn signal(i: usize) -> Arc<Signal> {
    TABLES.signals.lock()[i].clone()
}
fn bell(i: usize) -> Arc<Bell> {
    TABLES.bells.lock()[i].clone()
}
fn new_signal() -> Value {
    let mut all = TABLES.signals.lock();
    all.push(Arc::default());
    Value::fixnum(all.len() as i64 - 1)
}

/// Seconds of an optional timeout; absent or `#f` is for ever.
fn timeout(a: &[Value], i: usize) -> Result<Option<Instant>, SchemeError> {
    match a.get(i) {
        None | Some(&Value::FALSE) => Ok(None),
        Some(v) => Ok(Some(Instant::now() + seconds(*v)?)),
    }
}
fn seconds(v: Value) -> Result<Duration, SchemeError> {
    let s = if v.is_fixnum() {
        v.as_fixnum() as f64
    } else if is_flonum(v) {
        flonum_value(v)
    } else if is_type(v, Type::Ratnum) && field(v, 0).is_fixnum() && field(v, 1).is_fixnum() {
        field(v, 0).as_fixnum() as f64 / field(v, 1).as_fixnum() as f64
    } else {
        return Err(SchemeError::wrong_type("thread-sleep!", 1, "number of seconds", v));
    };
    Ok(Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::from_secs(1 << 30)))
}

fn make_thread<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    if !is_procedure(a[0]) {
        return Err(SchemeError::wrong_type("make-thread", 1, "procedure", a[0]));
    }
    let f = Value::FALSE;
    let thread = vm.object(Type::Thread, 0, &[NEW, a.get(1).copied().unwrap_or(f), f, a[0], f, NEW])?;
    vm.init(thread, 0, new_signal());
    Ok(thread)
}

fn start<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let thread = a[0];
    let done = signal(check("thread-start!", thread, Type::Thread, "thread")?);
    {
        let _one_at_a_time = TABLES.starting.lock();
        if field(thread, STATE) != NEW {
            return Err(SchemeError::error("thread-start!: already started", &[thread]));
        }
        vm.set_field(thread, STATE, RUNNING);
    }
    let (shared, stores, dynamic) = (vm.shared.clone(), vm.stores, vm.roots.get(Reg::Dynamic));
    let (ready, attached) = std::sync::mpsc::channel();
    let body = move || {
        let mut vm = Vm::new(shared, stores, |roots| {
            roots.set(Reg::Thread, thread);
            roots.set(Reg::Dynamic, dynamic);
        });
        // The starter waits for this, so the thread object and the bindings were alive until here.
        let _ = ready.send(());
        let result = match vm.system_value("%run-thread") {
            Ok(f) => vm.run_with(f, &[field(thread, THUNK)]),
            Err(e) => Err(e),
        };
        let (value, state) = match result {
            Ok(v) => (v, DONE),
            Err(e) => match *e.0 {
                Body::Uncaught(v, _) | Body::Raise(v) => (v, FAILED),
                Body::Exit(code) => crate::finish(&mut vm, code),
                _ => (Value::FALSE, FAILED),
            },
        };
        vm.set_field(thread, RESULT, value);
        vm.set_field(thread, STATE, state);
        drop(vm);
        *done.flag.lock() = true;
        done.changed.notify_all();
    };
    let spawned = std::thread::Builder::new().stack_size(64 << 20).spawn(body);
    if let Err(e) = spawned {
        vm.set_field(thread, STATE, NEW);
        return Err(SchemeError::error(format!("thread-start!: {e}"), &[thread]));
    }
    let _ = vm.blocking(|| attached.recv());
    Ok(thread)
}

fn wait(s: &Signal, wanted: bool, until: Option<Instant>) -> Option<parking_lot::MutexGuard<'_, bool>> {
    let mut flag = s.flag.lock();
    while *flag != wanted {
        match until {
            None => s.changed.wait(&mut flag),
            Some(t) => {
                if s.changed.wait_until(&mut flag, t).timed_out() && *flag != wanted {
                    return None;
                }
            }
        }
    }
    Some(flag)
}

fn join<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let done = signal(check("thread-join!", a[0], Type::Thread, "thread")?);
    let until = timeout(a, 1)?;
    let ended = vm.blocking(|| wait(&done, true, until).is_some());
    if ended { vm.cons(field(a[0], STATE), field(a[0], RESULT)) } else { vm.cons(Value::fixnum(2), Value::FALSE) }
}

fn lock<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let s = signal(check("mutex-lock!", a[0], Type::Mutex, "mutex")?);
    let until = timeout(a, 1)?;
    {
        let mut flag = s.flag.lock();
        if !*flag {
            *flag = true;
            return Ok(Value::TRUE);
        }
    }
    let got = vm.blocking(|| match wait(&s, false, until) {
        Some(mut flag) => {
            *flag = true;
            true
        }
        None => false,
    });
    Ok(Value::bool(got))
}

fn release(s: &Signal) {
    *s.flag.lock() = false;
    s.changed.notify_one();
}

/// `(mutex-unlock! mutex condition-variable [timeout])`: nothing signalled in between is lost.
fn unlock_wait<S: Stores>(vm: &mut Vm<S>, a: &[Value]) -> Answer {
    let s = signal(check("mutex-unlock!", a[0], Type::Mutex, "mutex")?);
    let b = bell(check("mutex-unlock!", a[1], Type::CondVar, "condition variable")?);
    let until = timeout(a, 2)?;
    let rung = vm.blocking(|| {
        let mut waiters = b.waiters.lock();
        let mine = waiters.next;
        waiters.next += 1;
        waiters.list.push_back(mine);
        release(&s);
        while let Some(at) = waiters.list.iter().position(|w| *w == mine) {
            match until {
                None => b.changed.wait(&mut waiters),
                Some(t) if Instant::now() >= t => {
                    waiters.list.remove(at);
                    return false;
                }
                Some(t) => {
                    b.changed.wait_until(&mut waiters, t);
                }
            }
        }
        true
    });
    Ok(Value::bool(rung))
}

fn ring(who: &str, a: &[Value], all: bool) -> Answer {
    let b = bell(check(who, a[0], Type::CondVar, "condition variable")?);
    let mut waiters = b.waiters.lock();
    let awake = if all { waiters.list.len() } else { waiters.list.len().min(1) };
    waiters.list.drain(..awake);
    b.changed.notify_all();
    Ok(Value::UNSPECIFIED)
}

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("%make-thread", 1, 2, make_thread);
    r.add("thread?", 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::Thread))));
    r.add("thread-start!", 1, 1, start);
    r.add("%thread-join", 1, 3, join);
    r.add("current-thread", 0, 0, |vm, _| Ok(vm.roots.get(Reg::Thread)));
    r.add("thread-yield!", 0, 0, |vm, _| {
        vm.blocking(std::thread::yield_now);
        Ok(Value::UNSPECIFIED)
    });
    r.add("thread-sleep!", 1, 1, |vm, a| {
        let time = seconds(a[0])?;
        vm.blocking(|| std::thread::sleep(time));
        Ok(Value::UNSPECIFIED)
    });
    r.add("make-mutex", 0, 1, |vm, a| {
        let name = a.first().copied().unwrap_or(Value::FALSE);
        let mutex = vm.object(Type::Mutex, 0, &[Value::FALSE, name, Value::FALSE])?;
        vm.init(mutex, 0, new_signal());
        Ok(mutex)
    });
    r.add("mutex?", 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::Mutex))));
    r.add("mutex-lock!", 1, 3, lock);
    r.add("%mutex-unlock", 1, 1, |_, a| {
        release(&signal(check("mutex-unlock!", a[0], Type::Mutex, "mutex")?));
        Ok(Value::TRUE)
    });
    r.add("%mutex-unlock-wait", 2, 3, unlock_wait);
    r.add("make-condition-variable", 0, 1, |vm, a| {
        let mut all = TABLES.bells.lock();
        let name = a.first().copied().unwrap_or(Value::FALSE);
        let v = vm.object(Type::CondVar, 0, &[Value::fixnum(all.len() as i64), name, Value::FALSE])?;
        all.push(Arc::default());
        Ok(v)
    });
    r.add("condition-variable?", 1, 1, |_, a| Ok(Value::bool(is_type(a[0], Type::CondVar))));
    r.add("condition-variable-signal!", 1, 1, |_, a| ring("condition-variable-signal!", a, false));
    r.add("condition-variable-broadcast!", 1, 1, |_, a| ring("condition-variable-broadcast!", a, true));
    macro_rules! accessors {
        ($ty:expr, $what:literal, $name:literal, $get:literal, $set:literal) => {
            r.add($name, 1, 1, |_, a| {
                check($name, a[0], $ty, $what)?;
                Ok(field(a[0], NAME))
            });
            r.add($get, 1, 1, |_, a| {
                check($get, a[0], $ty, $what)?;
                Ok(field(a[0], SPECIFIC))
            });
            r.add($set, 2, 2, |vm, a| {
                check($set, a[0], $ty, $what)?;
                vm.set_field(a[0], SPECIFIC, a[1]);
                Ok(Value::UNSPECIFIED)
            });
        };
    }
    accessors!(Type::Thread, "thread", "thread-name", "thread-specific", "thread-specific-set!");
    accessors!(Type::Mutex, "mutex", "mutex-name", "mutex-specific", "mutex-specific-set!");
    accessors!(
        Type::CondVar,
        "condition variable",
        "condition-variable-name",
        "condition-variable-specific",
        "condition-variable-specific-set!"
    );
}
