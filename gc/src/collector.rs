//! One heap's collector: the handle embedding layers hold, and the state its threads share.

use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use crate::barrier::{self, Barrier, Mechanism, cards::CardTable};
use crate::config::{Config, Log, Sticky, Zeal};
use crate::cycle;
use crate::cycle::defect::Defect;
use crate::cycle::pacer::Pacer;
use crate::cycle::rendezvous::{Party, Rendezvous};
use crate::cycle::throttle::Throttle;
use crate::error::{BarrierError, MemoryError};
use crate::fatal::say;
use crate::heap::Heap;
use crate::layout::{BLOCK, PAGE};
use crate::mark::team::Team;
use crate::mark::tracer::{Tracer, Watch};
use crate::memory::Backing;
use crate::model::{ObjectModel, RootSource};
use crate::mutator::Mutator;
use crate::primitive::Mutex;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::meeting::{self, Condvar};
use crate::primitive::thread::{self, JoinHandle};
use crate::sys::kernel::Kernel;
use crate::sys::limits;
use crate::telemetry::{AllocationSampler, EventListener, HeapCreated, Reason, Stats, Summary, Trace};
use crate::verify::oracle::Oracle;

/// Why a heap could not be created.
#[derive(Debug, thiserror::Error)]
pub enum HeapError {
    /// The address range or its tables.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The mechanism that was asked for.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    /// The collector is built for 4 KB pages.
    #[error("this kernel has pages of {0} bytes; pagemark is built for pages of 4096 bytes")]
    PageSize(usize),
    /// A thread of the collector.
    #[error("cannot start a collector thread: {0}; is the limit on threads reached (RLIMIT_NPROC, pids cgroup)?")]
    Thread(#[source] std::io::Error),
    /// The file of the key `trace`.
    #[error("cannot write the trace to `{file}`: {source}")]
    Trace {
        /// The file as it was configured.
        file: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
}

/// The smallest hard limit: below it not even a block for each of a handful of threads is left.
const LEAST_LIMIT: usize = 64 * BLOCK;

/// A hard limit that this heap cannot have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a limit of {asked} bytes is not possible: at least {least}, and at most {most}, for which the heap was created"
)]
pub struct LimitError {
    /// Bytes asked for.
    pub asked: usize,
    /// The smallest limit of any heap.
    pub least: usize,
    /// What this heap reserved addresses for.
    pub most: usize,
}

/// What is shared by mutators, the cycle and the workers of one heap.
///
/// Field order is drop order: the team ends first, then the barrier lets go of the memory, then the memory goes.
pub struct Shared {
    team: Mutex<Team>,
    barrier: Box<dyn Barrier>,
    /// The software cards that page reports are compared with.
    pub(crate) oracle: Option<Oracle>,
    /// Memory, metadata, objects' places.
    pub heap: Heap,
    /// How objects are traced.
    pub model: Box<dyn ObjectModel>,
    /// What was configured.
    pub config: Config,
    /// Where mutators and collector meet.
    pub rendezvous: Rendezvous,
    /// When cycles start.
    pub pacer: Pacer,
    /// What happened so far.
    pub stats: Stats,
    /// Which part of the time mutators run while a cycle does not converge.
    pub throttle: Throttle,
    /// Requests to the collector thread.
    pub control: Control,
    /// References that handshakes handed over and marking has not taken yet.
    pub handed_over: meeting::Mutex<Vec<usize>>,
    pub(crate) globals: meeting::Mutex<Vec<Arc<dyn RootSource>>>,
    pub(crate) listeners: meeting::Mutex<Vec<Arc<dyn EventListener>>>,
    /// One of them hears what single threads do. A flag that orders nothing: who sees it late is heard late.
    threads_are_heard: std::sync::atomic::AtomicBool,
    /// The listener that writes the timeline, which a fork must know.
    pub(crate) trace: Option<Arc<Trace>>,
    /// The process whose threads collect: not that of a child that was forked without telling.
    process: AtomicU32,
    /// Who hears of samples of what mutators that attach from now on allocate.
    pub(crate) sampling: meeting::Mutex<Option<Sampling>>,
    /// For tests: what the cycle does wrong on purpose.
    pub(crate) defect: Option<Defect>,
    /// Entries a mark stack may hold.
    pub(crate) stack_bound: usize,
}

/// How allocations are sampled.
pub(crate) struct Sampling {
    /// Bytes from one point to the next, on average.
    mean: u64,
    /// Mutators so far, each of which has points of its own.
    mutators: u64,
    sampler: Arc<dyn AllocationSampler>,
}

/// What the collector thread is asked to do.
#[derive(Default)]
pub struct Control {
    state: meeting::Mutex<ControlState>,
    changed: Condvar,
    /// A mutator waits for memory: no more rounds than necessary.
    pub hurry: AtomicBool,
    /// Mutators that wait for a cycle. A count that orders nothing.
    waiting: std::sync::atomic::AtomicUsize,
}

/// A cycle that somebody asked for.
pub struct Request {
    /// Why.
    pub reason: Reason,
    /// Whether mutators are to be stopped from beginning to end.
    pub stop_the_world: bool,
    /// When it was asked for first. On a busy machine that may be a while before it begins.
    pub at: Instant,
}

/// What its lock guards.
#[derive(Default)]
pub struct ControlState {
    requested: Option<Reason>,
    /// When.
    requested_at: Option<Instant>,
    stop_the_world: bool,
    running: bool,
    /// The collector thread does something, if only after the end of a cycle.
    busy: bool,
    /// A thread forks: no cycle starts.
    held: bool,
    completed: u64,
    shutdown: bool,
}

impl Control {
    /// Mutators that wait for a cycle now, and leave their processors to it.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until `completed` cycles have ended.
    fn wait_until(&self, mut state: meeting::MutexGuard<'_, ControlState>, completed: u64) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        while state.completed < completed {
            self.changed.wait(&mut state);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits for the cycle that runs now or is about to, if there is one.
    pub fn wait_for_running(&self) {
        let state = self.state.lock();
        self.hurry.store(true, Ordering::Relaxed);
        let target = state.completed + u64::from(state.running || state.requested.is_some());
        self.wait_until(state, target);
    }

    /// Requests a cycle and waits for one that started after this call.
    pub fn request_and_wait(&self, reason: Reason, stop_the_world: bool) {
        let mut state = self.state.lock();
        let target = state.completed + if state.running { 2 } else { 1 };
        state.requested = Some(reason);
        state.requested_at.get_or_insert_with(Instant::now);
        state.stop_the_world |= stop_the_world;
        self.changed.notify_all();
        self.wait_until(state, target);
    }

    /// For the collector thread: the next request, or `None` at the end. Marks a cycle as running.
    pub fn next(&self) -> Option<Request> {
        let mut state = self.state.lock();
        state.busy = false;
        self.changed.notify_all();
        loop {
            if state.shutdown {
                return None;
            }
            if !state.held
                && let Some(reason) = state.requested.take()
            {
                state.running = true;
                state.busy = true;
                let at = state.requested_at.take().unwrap_or_else(Instant::now);
                if reason == Reason::OutOfMemory {
                    // The cycle before has ended the haste that was asked of it.
                    self.hurry.store(true, Ordering::Relaxed);
                }
                return Some(Request { reason, stop_the_world: std::mem::take(&mut state.stop_the_world), at });
            }
            self.changed.wait(&mut state);
        }
    }

    /// Whether somebody waits until the collector thread is done with the last request.
    pub fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        state.requested.is_some() || state.held || state.shutdown
    }

    /// Keeps cycles from starting, once the collector thread has nothing to do, until [`Control::release`].
    pub fn hold(&self) {
        let mut state = self.state.lock();
        while state.held {
            self.changed.wait(&mut state);
        }
        // First, or one cycle after the other might be requested in time.
        state.held = true;
        while state.busy {
            self.changed.wait(&mut state);
        }
    }

    /// Cycles may start again.
    pub fn release(&self) {
        self.state.lock().held = false;
        self.changed.notify_all();
    }

    /// Keeps everybody from asking for anything until the lock is dropped.
    pub fn lock(&self) -> meeting::MutexGuard<'_, ControlState> {
        self.state.lock()
    }

    /// For the collector thread: the cycle is over.
    pub fn completed(&self) {
        let mut state = self.state.lock();
        state.running = false;
        state.completed += 1;
        // Not when the next one starts: who waits for that one may be in a hurry already.
        self.hurry.store(false, Ordering::Relaxed);
        // What was requested while it ran only by the pacer or a failed allocation has been answered by it.
        if matches!(state.requested, Some(Reason::Trigger | Reason::LimitReached)) {
            state.requested = None;
            state.requested_at = None;
        }
        self.changed.notify_all();
    }

    fn request(&self, reason: Reason, hurry: bool) {
        let mut state = self.state.lock();
        if hurry {
            self.hurry.store(true, Ordering::Relaxed);
        }
        if state.running && reason == Reason::Trigger {
            return;
        }
        if state.requested.is_none() {
            state.requested = Some(reason);
            state.requested_at = Some(Instant::now());
            self.changed.notify_all();
        }
    }

    fn shut_down(&self) {
        self.state.lock().shutdown = true;
        self.changed.notify_all();
    }
}

impl Shared {
    /// What the threads of one heap share, the helpers that mark included; the collector thread is not started.
    pub(crate) fn new(
        config: &Config,
        model: impl ObjectModel,
        heap: Heap,
        barrier: Box<dyn Barrier>,
        defect: Option<Defect>,
        kernel: &Kernel,
    ) -> Result<Shared, HeapError> {
        let name = config.name();
        let limit = heap.footprint.limit() as u64;
        let mechanism = mechanism_of(&*barrier);
        // `cards` would be compared with itself, and `stop` and `none` see nothing.
        let oracle = (config.oracle() && barrier.writes_fault())
            .then(|| Oracle::open(&heap.tracked.range, kernel))
            .transpose()?;
        let created = HeapCreated { name, mechanism, backing: config.backing(), limit_bytes: limit };
        let open = |file: &str| {
            Trace::open(file, &created).map_err(|source| HeapError::Trace { file: file.to_owned(), source })
        };
        let trace = config.trace().map(open).transpose()?.map(Arc::new);
        let listeners = trace.iter().map(|trace| trace.clone() as Arc<dyn EventListener>).collect();
        let team = Team::new(config.markers(), config.assists(), name, kernel).map_err(HeapError::Thread)?;
        let sticky = if barrier.remembers_writes() { config.sticky() } else { Sticky::Off };
        Ok(Shared {
            team: Mutex::new(team),
            barrier: cycle::defect::wrap(barrier, defect),
            oracle,
            heap,
            model: Box::new(model),
            config: config.clone(),
            rendezvous: Rendezvous::new(name),
            pacer: Pacer::new(config.growth(), config.heap().min(limit), limit, sticky, config.disarm()),
            stats: Stats::new(name, mechanism, config.backing()),
            throttle: Throttle::default(),
            control: Control::default(),
            handed_over: meeting::Mutex::default(),
            globals: meeting::Mutex::default(),
            listeners: meeting::Mutex::new(listeners),
            threads_are_heard: std::sync::atomic::AtomicBool::new(trace.is_some()),
            trace,
            process: std::process::id().into(),
            sampling: meeting::Mutex::default(),
            defect,
            stack_bound: if defect == Some(Defect::TinyMarkStack) { 8 } else { 4 << 20 },
        })
    }

    /// How writes are seen.
    #[inline]
    pub fn barrier(&self) -> &dyn Barrier {
        &*self.barrier
    }

    /// The marking threads.
    pub fn team(&self) -> impl DerefMut<Target = Team> + '_ {
        self.team.lock()
    }

    /// Whether cycles start when memory is short or about to be. Under `none` they do not, and only somebody's wish is one: `auto` never
    /// becomes it.
    pub fn collects(&self) -> bool {
        self.config.mechanism() != Mechanism::None
    }

    /// Asks the collector thread for a cycle, without waiting.
    pub fn request(&self, reason: Reason, hurry: bool) {
        if self.collects() || reason == Reason::Zeal {
            self.control.request(reason, hurry);
        }
    }

    /// What a handshake asks of a mutator: retire its blocks, hand over its roots.
    pub fn hand_over(&self, party: &Party) {
        self.retire(party);
        let mut tracer = Tracer::collecting(&self.heap);
        party.roots.trace_roots(&mut tracer);
        self.handed_over.lock().append(&mut tracer.stack);
    }

    /// Retires the blocks of a mutator. The caller is its thread, or the collector while it is stopped or away.
    pub fn retire(&self, party: &Party) {
        // SAFETY: the callers are those that `Party::locals` allows.
        let locals = unsafe { party.locals() };
        locals.tracked.retire(&self.heap);
        locals.leaf.retire(&self.heap);
    }

    /// The global roots, collected.
    pub fn global_roots(&self) -> Vec<usize> {
        let sources = self.globals.lock().clone();
        let mut tracer = Tracer::collecting(&self.heap);
        for source in sources {
            source.trace_roots(&mut tracer);
        }
        tracer.stack
    }

    /// Whether this process has the heap's threads.
    pub fn in_its_process(&self) -> bool {
        self.process.load(Ordering::Relaxed) == std::process::id()
    }

    /// Tells all listeners.
    pub fn listen(&self, tell: impl Fn(&dyn EventListener)) {
        let listeners = self.listeners.lock().clone();
        listeners.iter().for_each(|listener| tell(&**listener));
    }

    /// Tells all listeners what one thread did, if one of them wants to hear that. Not in a child that was forked without telling, where
    /// their locks may be held for ever.
    pub fn listen_to_threads(&self, tell: impl Fn(&dyn EventListener)) {
        if self.threads_are_heard() && self.in_its_process() {
            self.listen(tell);
        }
    }

    /// Whether a listener hears what single threads do.
    pub fn threads_are_heard(&self) -> bool {
        self.threads_are_heard.load(Ordering::Relaxed)
    }
}

/// Nine tenths of the memory this process may use; less where the address space is limited, since a heap reserves six times its
/// limit of addresses, and tables besides.
fn default_limit(backing: Backing) -> usize {
    let memory = limits::memory().min(1 << 40) as usize / 10 * 9;
    let share = match backing {
        Backing::Anon => 10,
        // Mapped twice.
        Backing::Shmem => 16,
    };
    limits::address_space().map_or(memory, |addresses| memory.min(addresses as usize / share))
}

impl Watch for Shared {
    fn marked(&self, helper: usize, since: Instant) {
        self.listen(|listener| listener.worker_marked(helper, since));
    }
}

/// A barrier never calls itself `auto`.
fn mechanism_of(barrier: &dyn Barrier) -> Mechanism {
    Mechanism::ALL.iter().copied().find(|mechanism| mechanism.name() == barrier.name()).unwrap_or(Mechanism::Auto)
}

/// Starts the collector thread.
fn start(shared: &Arc<Shared>, kernel: &Kernel) -> std::io::Result<JoinHandle> {
    let for_thread = shared.clone();
    kernel.allow_thread()?;
    thread::spawn(&format!("{} gc", shared.config.name()), move || cycle::run(&for_thread))
}

struct Owner {
    shared: Arc<Shared>,
    thread: meeting::Mutex<Option<JoinHandle>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.shared.in_its_process() {
            // There is no thread to end, and to wait for it would be for ever.
            return;
        }
        self.shared.control.shut_down();
        // On the collector's own thread, where a listener may hold the last handle, there is nobody to wait for: it ends once the listener returns.
        if let Some(thread) = self.thread.lock().take()
            && !thread.is_current()
        {
            thread.join();
        }
    }
}

/// A heap and its collector. Clones are handles to the same heap, which ends with the last handle and mutator.
#[derive(Clone)]
pub struct Collector(Arc<Owner>);

impl Collector {
    /// Reserves a heap and starts its threads.
    ///
    /// # Errors
    ///
    /// When the address range cannot be reserved, when the mechanism that the configuration names is not available here
    /// (the error says why, and what would help), or when no thread can be started.
    pub fn new(config: &Config, model: impl ObjectModel) -> Result<Collector, HeapError> {
        Collector::create(config, model, None, &Kernel::real())
    }

    /// A heap on a kernel whose calls fail as a test wants.
    #[doc(hidden)]
    pub fn with_kernel(config: &Config, model: impl ObjectModel, kernel: &Kernel) -> Result<Collector, HeapError> {
        Collector::create(config, model, None, kernel)
    }

    /// A heap whose cycle does something wrong on purpose, for tests of the tests.
    #[doc(hidden)]
    pub fn with_defect(
        config: &Config,
        model: impl ObjectModel,
        defect: Option<Defect>,
    ) -> Result<Collector, HeapError> {
        Collector::create(config, model, defect, &Kernel::real())
    }

    fn create(
        config: &Config,
        model: impl ObjectModel,
        defect: Option<Defect>,
        kernel: &Kernel,
    ) -> Result<Collector, HeapError> {
        let page = limits::page_size();
        if page != PAGE {
            return Err(HeapError::PageSize(page));
        }
        let limit = match config.limit() {
            Some(limit) => limit as usize,
            None => default_limit(config.backing()),
        };
        let limit = (limit / BLOCK * BLOCK).max(LEAST_LIMIT);
        let name = config.name();
        let heap = Heap::reserve(kernel, config.backing(), limit, config.poison(), name)?;
        let opened =
            barrier::open_tried(config.mechanism(), &heap.mapping, std::slice::from_ref(&heap.tracked.range), kernel)?;
        if let Some(reason) = &opened.reason {
            log::info!("pagemark[{name}] mechanism {}: {reason}", opened.barrier.name());
            let fell_back = config.mechanism() == Mechanism::Auto && !opened.barrier.sees_writes();
            if config.log() != Log::Off || fell_back {
                say(&format!("pagemark[{name}] mechanism {}: {reason}", opened.barrier.name()));
            }
        }
        let shared = Arc::new(Shared::new(config, model, heap, opened.barrier, defect, kernel)?);
        let thread = start(&shared, kernel).map_err(HeapError::Thread)?;
        if matches!(config.zeal(), Zeal::Phase(_)) {
            shared.request(Reason::Zeal, false);
        }
        Ok(Collector(Arc::new(Owner { shared, thread: meeting::Mutex::new(Some(thread)) })))
    }

    /// In the child of a fork, on its only thread: a marking team and a collector thread in place of those that only the parent has.
    pub(crate) fn restart_threads(&self) -> std::io::Result<()> {
        let shared = &self.0.shared;
        let kernel = shared.heap.mapping.kernel();
        let team = Team::new(shared.config.markers(), shared.config.assists(), shared.config.name(), kernel)?;
        // Who waited for a cycle in the parent is not here.
        shared.control.waiting.store(0, Ordering::Relaxed);
        // Not dropped: that would wait for threads that are not there.
        std::mem::forget(std::mem::replace(&mut *shared.team.lock(), team));
        shared.process.store(std::process::id(), Ordering::Relaxed);
        let thread = start(shared, kernel)?;
        std::mem::forget(self.0.thread.lock().replace(thread));
        // SAFETY: the parent's collector thread holds one count, and in this process it is not there to give it up.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(shared)) };
        Ok(())
    }

    /// What its threads share.
    #[inline(always)]
    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// The calling thread becomes a mutator with the roots that `roots` reports.
    ///
    /// # Panics
    ///
    /// When it is one already: every cycle would wait for one at a safepoint that the thread, busy with the other, never reaches.
    pub fn attach(&self, roots: Arc<dyn RootSource>) -> Mutator {
        assert!(
            !self.shared().rendezvous.includes_caller(),
            "this thread has a Mutator of this heap already (or leaked one with mem::forget): a thread has one at a time, or each would wait \
             for the other's safepoint for ever. Pass that one on, or drop it first"
        );
        let count_polls = matches!(self.shared().config.zeal(), Zeal::Safepoint(_));
        let party = self.shared().rendezvous.join(roots, count_polls);
        let sampler = self.shared().sampling.lock().as_mut().map(|sampling| {
            // SAFETY: this is the mutator's thread, outside its safepoints.
            let locals = unsafe { party.locals() };
            locals.tracked.sample(sampling.mean, 2 * sampling.mutators);
            locals.leaf.sample(sampling.mean, 2 * sampling.mutators + 1);
            sampling.mutators += 1;
            sampling.sampler.clone()
        });
        let mutator = Mutator::new(self.clone(), party, sampler);
        self.shared().listen_to_threads(|listener| listener.mutator_attached());
        mutator
    }

    /// Adds roots that belong to no thread. They are traced while mutators run, so the source synchronises itself.
    pub fn add_global_roots(&self, roots: Arc<dyn RootSource>) {
        self.shared().globals.lock().push(roots);
    }

    /// Adds a listener; it is told first what heap it hears. It is called on collector threads and, for stalls and stops, on mutators.
    pub fn add_listener(&self, listener: Arc<dyn EventListener>) {
        let shared = self.shared();
        listener.heap_created(&HeapCreated {
            name: shared.config.name(),
            mechanism: mechanism_of(shared.barrier()),
            backing: shared.config.backing(),
            limit_bytes: shared.heap.footprint.limit() as u64,
        });
        if listener.hears_threads() {
            shared.threads_are_heard.store(true, Ordering::Relaxed);
        }
        shared.listeners.lock().push(listener);
    }

    /// Tells `sampler` of about one allocation in `mean` bytes of the mutators that attach from now on: of those in which certain bytes lie, with the
    /// distances of a Poisson process ([`crate::heap::sampling`]).
    pub fn sample_allocations(&self, mean: u64, sampler: Arc<dyn AllocationSampler>) {
        *self.shared().sampling.lock() = Some(Sampling { mean, mutators: 0, sampler });
    }

    /// The card table that stores into existing objects must mark: only under `mechanism=cards`, or with `oracle`.
    pub fn cards(&self) -> Option<CardTable> {
        let shared = self.shared();
        shared.barrier().cards().or_else(|| shared.oracle.as_ref().and_then(Oracle::table))
    }

    /// Changes the hard limit, up to the one the heap was created with. A lower one takes effect as cycles free memory: one is requested if
    /// more is committed now (but under `mechanism=none`), and until then allocation goes on in what is.
    ///
    /// # Errors
    ///
    /// [`LimitError`] for a limit that is too low or too high; nothing has changed then.
    pub fn set_limit(&self, bytes: usize) -> Result<(), LimitError> {
        let shared = self.shared();
        let most = shared.heap.tracked.border - shared.heap.tracked.range.start;
        if !(LEAST_LIMIT..=most).contains(&bytes) {
            return Err(LimitError { asked: bytes, least: LEAST_LIMIT, most });
        }
        shared.heap.footprint.set_limit(bytes);
        shared.pacer.set_limit(bytes as u64);
        if shared.heap.footprint.committed() > bytes {
            // A full one, which also forgets what cycles used to need.
            shared.request(Reason::Explicit, false);
        }
        Ok(())
    }

    /// The mechanism's name: never `auto`.
    pub fn mechanism(&self) -> &'static str {
        self.shared().barrier().name()
    }

    /// Everything measured so far.
    pub fn summary(&self) -> Summary {
        let shared = self.shared();
        shared.stats.record_heap(shared.pacer.total(), shared.heap.footprint.peak() as u64);
        shared.stats.snapshot()
    }

    /// The longest mutator stall, total time stopped and so on can be read from [`Collector::summary`]; this is the time
    /// mutators waited outside pauses.
    pub fn total_stall(&self) -> Duration {
        self.shared().stats.total_stall()
    }
}

#[cfg(all(test, loom))]
mod interleavings;
