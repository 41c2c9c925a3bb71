//! `trace=FILE`: what a heap does, as a timeline to look at (`ui.perfetto.dev`, `chrome://tracing`).
//!
//! A listener like any other, that writes each step as an event of the Trace Event Format. The heap is a process of the picture, and has a track for
//! each thread: the collector's with cycles, their phases, rounds and pauses; one for each helper that marks; one for each mutator with what
//! stops it. Beside them are counters. docs/tuning.md lists them all.
//!
//! Events of one thread are added when they are over and do not overlap but where one is inside the other, which is then begun (`B`) before and
//! ended (`E`) after it: so in each track times never go back. Times are those of `CLOCK_MONOTONIC`, in microseconds, so that
//! several files, or the kernel's trace of the same time, can be laid side by side.
//!
//! *Cost.* Without the key there is no listener, and at a safepoint that has something to do one flag is read. With it an event is formatted, in about a
//! microsecond and under a lock that is held as long, into a buffer. The collector writes the buffer when a cycle's sweep is over: mutators run
//! then, and none waits. An event is added in pauses too, so these are longer by a few microseconds. Nothing is added in a write fault.

mod file;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::events::{CycleKind, CycleStart, EventListener, HeapCreated, MutatorStop, Round, StallCause, StopCause};
use super::report::CycleReport;
use crate::error::BarrierError;
use crate::primitive::meeting::{Mutex, MutexGuard};
use file::TraceFile;

/// The trace of one heap.
pub struct Trace {
    /// As it was configured.
    pattern: String,
    /// What the heap is called in the picture.
    title: String,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    file: TraceFile,
    /// The threads whose tracks have names.
    named: Vec<u32>,
    /// When the last phase of the cycle ended.
    phase: u64,
}

/// Whose track an event is in.
#[derive(Clone, Copy)]
enum Track {
    Collector,
    Marker(usize),
    Mutator,
}

impl Trace {
    /// Opens the trace of a heap.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(pattern: &str, heap: &HeapCreated<'_>) -> io::Result<Trace> {
        let title = format!("pagemark[{}] {} {}", heap.name, heap.mechanism, heap.backing.name());
        let file = TraceFile::open(pattern)?;
        let state = State { file, named: Vec::new(), phase: 0 };
        let trace = Trace { pattern: pattern.to_owned(), title, clock: Clock::new(), state: Mutex::new(state) };
        trace.begin(&mut trace.state.lock());
        Ok(trace)
    }

    /// Keeps everybody from adding events until the lock is dropped.
    pub(crate) fn lock(&self) -> impl Sized + '_ {
        self.state.lock()
    }

    /// In the child of a fork, on the only mutator's thread: goes on in a file of its own.
    ///
    /// # Errors
    /// When that file cannot be written.
    pub(crate) fn restart_in_child(&self) -> io::Result<()> {
        let file = TraceFile::open(&self.pattern)?;
        {
            let mut state = self.state.lock();
            *state = State { file, named: Vec::new(), phase: 0 };
            self.begin(&mut state);
        }
        self.mutator_attached();
        Ok(())
    }

    /// Names the process of the picture.
    fn begin(&self, state: &mut State) {
        let (process, title) = (state.file.process(), Text(&self.title));
        state
            .file
            .event(format_args!(r#""name":"process_name","ph":"M","pid":{process},"tid":0,"args":{{"name":{title}}}"#));
        state.file.write();
    }

    /// The state, and the track of the calling thread, which has a name from now on.
    fn track(&self, track: Track) -> (MutexGuard<'_, State>, u32) {
        // SAFETY: only asks.
        let tid = unsafe { libc::gettid() }.cast_unsigned();
        let mut state = self.state.lock();
        if !state.named.contains(&tid) {
            state.named.push(tid);
            let pid = state.file.process();
            let current = std::thread::current();
            let (name, order) = match track {
                Track::Collector => ("collector".to_owned(), 0),
                Track::Marker(number) => (format!("marker {number}"), number),
                Track::Mutator => (format!("mutator {}", current.name().unwrap_or("without a name")), 100),
            };
            let name = Text(&name);
            state.file.event(format_args!(
                r#""name":"thread_name","ph":"M","pid":{pid},"tid":{tid},"args":{{"name":{name}}}"#
            ));
            state.file.event(format_args!(
                r#""name":"thread_sort_index","ph":"M","pid":{pid},"tid":{tid},"args":{{"sort_index":{order}}}"#
            ));
        }
        (state, tid)
    }

    /// A phase of the cycle is over, which began when the one before was.
    fn phase(&self, name: &str, args: fmt::Arguments<'_>) -> (MutexGuard<'_, State>, u32) {
        let (mut state, tid) = self.track(Track::Collector);
        let now = self.clock.now();
        let since = state.phase;
        state.span(tid, name, since, now, args);
        state.phase = now;
        (state, tid)
    }
}

impl State {
    /// Something that lasted.
    fn span(&mut self, tid: u32, name: &str, since: u64, until: u64, args: fmt::Arguments<'_>) {
        let (ts, duration) = (Micros(since), Micros(until.saturating_sub(since)));
        self.event(tid, "X", name, ts, format_args!(r#","dur":{duration},"args":{{{args}}}"#));
    }

    /// Something begins (`B`) or ends (`E`).
    fn edge(&mut self, tid: u32, phase: &str, name: &str, at: u64, args: fmt::Arguments<'_>) {
        self.event(tid, phase, name, Micros(at), format_args!(r#","args":{{{args}}}"#));
    }

    /// Something happened.
    fn instant(&mut self, tid: u32, name: &str, at: u64, args: fmt::Arguments<'_>) {
        self.event(tid, "i", name, Micros(at), format_args!(r#","s":"t","args":{{{args}}}"#));
    }

    /// What a counter counts from now on.
    fn counter(&mut self, tid: u32, name: &str, at: u64, value: u64) {
        self.event(tid, "C", name, Micros(at), format_args!(r#","args":{{"value":{value}}}"#));
    }

    fn event(&mut self, tid: u32, phase: &str, name: &str, ts: Micros, rest: fmt::Arguments<'_>) {
        let pid = self.file.process();
        self.file.event(format_args!(
            r#""name":"{name}","cat":"gc","ph":"{phase}","pid":{pid},"tid":{tid},"ts":{ts}{rest}"#
        ));
    }
}

impl EventListener for Trace {
    fn hears_threads(&self) -> bool {
        true
    }

    fn cycle_started(&self, cycle: &CycleStart) {
        let (mut state, tid) = self.track(Track::Collector);
        let now = self.clock.now();
        state.phase = now;
        let CycleStart { number, kind, reason, heap_bytes } = *cycle;
        let name = match kind {
            CycleKind::Concurrent => "cycle",
            CycleKind::Sticky => "cycle, sticky",
            CycleKind::StopTheWorld => "cycle, stop-the-world",
        };
        state.counter(tid, "heap bytes", now, heap_bytes);
        state.edge(
            tid,
            "B",
            name,
            now,
            format_args!(r#""number":{number},"reason":"{reason}","heap_bytes":{heap_bytes}"#),
        );
    }

    fn sweep_awaited(&self) {
        self.phase("wait for sweep", format_args!(""));
    }

    fn handshake_done(&self) {
        self.phase("handshake", format_args!(""));
    }

    fn pages_armed(&self, pages: u64) {
        self.phase("arm", format_args!(r#""pages":{pages}"#));
    }

    fn marking_done(&self) {
        self.phase("mark", format_args!(""));
    }

    fn round_done(&self, round: &Round) {
        let Round { index, dirty_pages, .. } = *round;
        let (mut state, tid) = self.phase("round", format_args!(r#""index":{index},"dirty_pages":{dirty_pages}"#));
        let now = state.phase;
        state.counter(tid, "dirty pages", now, dirty_pages);
    }

    fn scan_failed(&self, error: &BarrierError) {
        let (mut state, tid) = self.track(Track::Collector);
        let (now, error) = (self.clock.now(), error.to_string());
        state.instant(tid, "scan failed", now, format_args!(r#""error":{}"#, Text(&error)));
    }

    fn mutators_stopped(&self, _time_to_stop: Duration) {
        let (mut state, tid) = self.phase("stop mutators", format_args!(""));
        let now = state.phase;
        state.edge(tid, "B", "pause", now, format_args!(""));
    }

    fn roots_traced(&self) {
        self.phase("roots", format_args!(""));
    }

    fn pause_ended(&self, pause: Duration) {
        let (mut state, tid) = self.phase("mark the rest", format_args!(""));
        let now = state.phase;
        let pause = Micros(pause.as_nanos() as u64);
        state.edge(tid, "E", "pause", now, format_args!(r#""pause_us":{pause}"#));
    }

    fn cycle_ended(&self, report: &CycleReport) {
        let (mut state, tid) = self.track(Track::Collector);
        let now = self.clock.now();
        state.phase = now;
        let name = match report.kind {
            CycleKind::Concurrent => "cycle",
            CycleKind::Sticky => "cycle, sticky",
            CycleKind::StopTheWorld => "cycle, stop-the-world",
        };
        let CycleReport { live_bytes, objects_marked, pages_residual, allocated_during, .. } = *report;
        state.edge(
            tid,
            "E",
            name,
            now,
            format_args!(
                r#""live_bytes":{live_bytes},"objects_marked":{objects_marked},"pages_residual":{pages_residual},"allocated_during":{allocated_during}"#
            ),
        );
        state.counter(tid, "heap bytes", now, report.heap_after);
        if report.kind.is_concurrent() {
            state.counter(tid, "dirty pages", now, pages_residual);
        }
        if let Some(faults) = report.faults {
            state.counter(tid, "faults of the cycle", now, faults);
        }
    }

    fn pages_disarmed(&self, pages: u64) {
        self.phase("disarm", format_args!(r#""pages":{pages}"#));
    }

    fn sweep_done(&self) {
        let (mut state, _) = self.phase("sweep", format_args!(""));
        state.file.write();
    }

    fn memory_released(&self, bytes: u64) {
        let (mut state, tid) = self.track(Track::Collector);
        let now = self.clock.now();
        state.instant(tid, "memory released", now, format_args!(r#""bytes":{bytes}"#));
    }

    fn worker_marked(&self, worker: usize, since: Instant) {
        let (mut state, tid) = self.track(Track::Marker(worker));
        let (since, now) = (self.clock.at(since), self.clock.now());
        state.span(tid, "mark", since, now, format_args!(""));
    }

    fn mutator_attached(&self) {
        let (mut state, tid) = self.track(Track::Mutator);
        let now = self.clock.now();
        state.edge(tid, "B", "mutator", now, format_args!(""));
        state.file.relieve();
    }

    fn mutator_detached(&self) {
        let (mut state, tid) = self.track(Track::Mutator);
        let now = self.clock.now();
        state.edge(tid, "E", "mutator", now, format_args!(""));
        // The kernel may give the number to another thread.
        state.named.retain(|named| *named != tid);
    }

    fn mutator_resumed(&self, stop: &MutatorStop) {
        let name = match stop.cause {
            StopCause::Handshake => "handshake",
            StopCause::Pause => "pause",
            StopCause::Collection => "collection asked for",
        };
        let (mut state, tid) = self.track(Track::Mutator);
        let since = self.clock.at(stop.since);
        state.span(tid, name, since, since + stop.duration.as_nanos() as u64, format_args!(""));
    }

    fn mutator_stalled(&self, since: Instant, duration: Duration, cause: StallCause) {
        let name = match cause {
            StallCause::Allocation => "wait for memory",
            StallCause::Throttle => "throttled",
        };
        let (mut state, tid) = self.track(Track::Mutator);
        let since = self.clock.at(since);
        state.span(tid, name, since, since + duration.as_nanos() as u64, format_args!(""));
    }
}

/// `CLOCK_MONOTONIC`, of which `Instant` tells differences only.
struct Clock {
    instant: Instant,
    nanos: u64,
}

impl Clock {
    fn new() -> Clock {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a writable timespec. This clock is always there.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        Clock { instant: Instant::now(), nanos: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 }
    }

    fn at(&self, instant: Instant) -> u64 {
        self.nanos + instant.saturating_duration_since(self.instant).as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.at(Instant::now())
    }
}

/// Nanoseconds, shown as microseconds with all their digits.
#[derive(Clone, Copy)]
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A string, shown as JSON.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}
