//! Several workers marking together.
//!
//! Each worker has a private stack (in its [`Tracer`]) and a deque of *packets*, each some hundred items, from which the others steal.
//! A worker whose private stack is long while somebody is idle moves the older half into a packet. The caller of [`Team::drain`] is worker 0; the
//! others are threads that sleep between drains. Not all of them are called to each: while the program runs, processors are its own, but a mutator that
//! waits for memory needs none.
//!
//! **Termination.** `active` counts the workers that have, or are looking to take, work. Only an active worker makes packets, and it empties its own
//! stack and deque before it goes idle; so when `active` is zero every deque is empty and stays so. An idle worker that sees a
//! packet becomes active *before* it steals. The counter is SeqCst: a worker's decrement comes after its last look at the deques in
//! the one order all threads agree on.
//!
//! **Lifetimes.** A drain lends `&Marking` to the helper threads as an address. [`Team::drain`] does not return before every helper has
//! reported that it let go of it; a worker that panics ends the process.

use std::sync::Arc;
use std::time::Instant;

use crate::fatal::AbortOnUnwind;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::deque::{Injector, Steal, Stealer, Worker};
use crate::primitive::hint;
use crate::primitive::meeting::{Condvar, Mutex};
use crate::primitive::thread::{self, JoinHandle};
use crate::sys::Kernel;

use super::item::Item;
use super::tracer::{Marking, Tracer};

/// Items in a packet. In a model, everything that can be shared is.
const PACKET: usize = if cfg!(loom) { 1 } else { 256 };
/// A stack this long is worth splitting when somebody is idle: depth-first marking of a tree never has more than a few dozen entries.
const WORTH_SHARING: usize = if cfg!(loom) { 2 } else { 16 };
/// Objects traced between two looks at whether somebody is idle.
const SHARE_INTERVAL: usize = if cfg!(loom) { 1 } else { 64 };

type Packet = Vec<usize>;

struct Shared {
    injector: Injector<Packet>,
    stealers: Vec<Stealer<Packet>>,
    /// Workers that have work or look for some.
    active: AtomicUsize,
    job: Mutex<Job>,
    start: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct Job {
    /// Counts drains, so that a helper joins each once.
    generation: u64,
    /// Address of the `Marking` that is lent.
    marking: usize,
    /// Workers that are called to this drain: the caller, and the helpers with numbers below this.
    called: usize,
    /// Helpers that have not finished this drain.
    running: usize,
    /// Helpers that wait for the next.
    waiting: usize,
    shutdown: bool,
}

/// The marking threads of one heap.
pub struct Team {
    shared: Arc<Shared>,
    own: Mutex<Worker<Packet>>,
    helpers: Vec<JoinHandle>,
}

impl Team {
    /// A team of `workers`, of which all but the caller of `drain` are threads of their own, named after the heap, and of `assists` more, or as many of
    /// these as can be started.
    ///
    /// # Errors
    /// When a thread of the workers cannot be started; those that were have ended again.
    pub fn new(workers: usize, assists: usize, name: &str, kernel: &Kernel) -> std::io::Result<Team> {
        let mut deques: Vec<Worker<Packet>> = (0..workers.max(1) + assists).map(|_| Worker::new_lifo()).collect();
        let shared = Arc::new(Shared {
            injector: Injector::new(),
            stealers: deques.iter().map(Worker::stealer).collect(),
            active: AtomicUsize::new(0),
            job: Mutex::default(),
            start: Condvar::default(),
            done: Condvar::default(),
        });
        let own = deques.remove(0);
        let mut team = Team { shared: shared.clone(), own: Mutex::new(own), helpers: Vec::new() };
        for (i, deque) in deques.into_iter().enumerate() {
            let shared = shared.clone();
            let helper = kernel.allow_thread().and_then(|()| {
                thread::spawn(&format!("{name} mark {}", i + 1), move || helper(&shared, &deque, i + 1))
            });
            match helper {
                Ok(helper) => team.helpers.push(helper),
                Err(_) if i + 1 >= workers => break,
                // `team` is dropped, which stops the helpers that did start.
                Err(error) => return Err(error),
            }
        }
        Ok(team)
    }

    /// Workers, the caller of `drain` included.
    pub fn workers(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Returns when all helpers wait for the next drain. One that was not called to the last may still be waking for it, which takes the lock of the job once.
    pub fn settle(&self) {
        let mut job = self.shared.job.lock();
        while job.waiting < self.helpers.len() {
            self.shared.done.wait(&mut job);
        }
    }

    /// Marks from `items` (encoded [`Item`]s) on and from `edges` (plain references) until nothing is left, with so many workers, if there are that many.
    pub fn drain(&self, marking: &Marking<'_>, items: Vec<usize>, edges: &[usize], workers: usize) {
        let workers = workers.clamp(1, self.workers());
        self.drain_once(marking, items, edges, workers);
        loop {
            let mut pages = std::mem::take(&mut *marking.overflow.lock());
            if pages.is_empty() {
                return;
            }
            pages.sort_unstable();
            pages.dedup();
            let items = pages.into_iter().map(|page| Item::Page(page).encode()).collect();
            self.drain_once(marking, items, &[], workers);
        }
    }

    fn drain_once(&self, marking: &Marking<'_>, mut items: Vec<usize>, edges: &[usize], workers: usize) {
        let own = self.own.lock();
        if workers == 1 {
            let mut tracer = Tracer::marking(marking, true);
            tracer.stack = items;
            edges.iter().for_each(|edge| tracer.edge(*edge));
            while tracer.step() {}
            tracer.finish();
            return;
        }
        while items.len() > PACKET {
            self.shared.injector.push(items.split_off(items.len() - PACKET));
        }
        {
            let mut job = self.shared.job.lock();
            job.generation += 1;
            job.marking = marking as *const Marking<'_> as usize;
            job.called = workers;
            job.running = workers - 1;
            self.shared.active.store(workers, Ordering::SeqCst);
            self.shared.start.notify_all();
        }
        let finish = WaitForHelpers(&self.shared);
        let mut tracer = Tracer::marking(marking, false);
        tracer.stack = items;
        edges.iter().for_each(|edge| tracer.edge(*edge));
        work(&self.shared, &own, &mut tracer, workers);
        tracer.finish();
        drop(finish);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.job.lock().shutdown = true;
        self.shared.start.notify_all();
        for helper in self.helpers.drain(..) {
            helper.join();
        }
    }
}

/// Waits, when dropped, until every helper has let go of the lent `Marking`.
struct WaitForHelpers<'a>(&'a Shared);

impl Drop for WaitForHelpers<'_> {
    fn drop(&mut self) {
        let mut job = self.0.job.lock();
        while job.running > 0 {
            self.0.done.wait(&mut job);
        }
    }
}

/// Reports, when dropped, that a helper has let go, also while it unwinds.
struct Leave<'a>(&'a Shared);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut job = self.0.job.lock();
        job.running -= 1;
        if job.running == 0 {
            self.0.done.notify_all();
        }
    }
}

fn helper(shared: &Shared, deque: &Worker<Packet>, number: usize) {
    // A worker that is gone without having gone idle would be waited for for ever.
    let _abort = AbortOnUnwind;
    let mut seen = 0;
    loop {
        let (address, workers) = {
            let mut job = shared.job.lock();
            job.waiting += 1;
            shared.done.notify_all();
            // What `called` says is of the last drain. None is over before all that it called have joined it, so this helper has missed none.
            while (job.generation == seen || number >= job.called) && !job.shutdown {
                seen = job.generation;
                shared.start.wait(&mut job);
            }
            job.waiting -= 1;
            if job.shutdown {
                return;
            }
            seen = job.generation;
            (job.marking, job.called)
        };
        let leave = Leave(shared);
        // SAFETY: `drain_once` lends the marking until every helper dropped its `Leave`.
        let marking = unsafe { &*(address as *const Marking<'_>) };
        let since = marking.watch.map(|_| Instant::now());
        let mut tracer = Tracer::marking(marking, false);
        work(shared, deque, &mut tracer, workers);
        tracer.finish();
        drop(tracer);
        if let (Some(watch), Some(since)) = (marking.watch, since) {
            watch.marked(number, since);
        }
        drop(leave);
    }
}

fn work(shared: &Shared, deque: &Worker<Packet>, tracer: &mut Tracer<'_>, workers: usize) {
    loop {
        let mut steps = 0;
        while tracer.step() {
            steps += 1;
            if steps % SHARE_INTERVAL == 0
                && tracer.stack.len() >= WORTH_SHARING
                && shared.active.load(Ordering::Relaxed) < workers
            {
                // The older half: those items lead to the larger parts of the graph.
                let rest = tracer.stack.split_off(tracer.stack.len() / 2);
                deque.push(std::mem::replace(&mut tracer.stack, rest));
            }
        }
        if let Some(packet) = take(shared, deque) {
            tracer.stack = packet;
            continue;
        }
        shared.active.fetch_sub(1, Ordering::SeqCst);
        let mut spins = 0u32;
        loop {
            if shared.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            if !shared.injector.is_empty() || shared.stealers.iter().any(|stealer| !stealer.is_empty()) {
                shared.active.fetch_add(1, Ordering::SeqCst);
                break;
            }
            spins += 1;
            if spins > 64 {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }
}

fn take(shared: &Shared, deque: &Worker<Packet>) -> Option<Packet> {
    if let Some(packet) = deque.pop() {
        return Some(packet);
    }
    loop {
        let steal = shared.injector.steal().or_else(|| shared.stealers.iter().map(Stealer::steal).collect());
        match steal {
            Steal::Success(packet) => return Some(packet),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

#[cfg(all(test, loom))]
mod interleavings;
