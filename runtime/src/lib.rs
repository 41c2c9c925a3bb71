//! What an embedder imports: a garbage-collected heap whose write barrier is the page table.
//!
//! Two layers. **Raw** (this module): the embedder has objects of its own shape and tells the collector how to trace one from its first word
//! ([`ObjectModel`]); roots come from a [`RootSource`]; memory comes from [`Mutator::alloc`]. For interpreters and compilers. **Typed** ([`typed`]):
//! Rust structs with `#[derive(Trace)]`, safe references, handles that cannot dangle.
//!
//! In both, a store of a reference into an object is **one plain store**. There is no barrier to call, in Rust, in C, or in generated code.
//!
//! # Safepoints
//!
//! A thread gives the collector its roots, or stops for a pause, only at a safepoint: [`Mutator::poll`] (a load and a branch),
//! [`Mutator::blocking`], [`Mutator::reclaim`], [`Mutator::collect`], and when it ends. Allocation is not one. So whatever native code does between
//! two safepoints needs no handles: nothing can be freed. In exchange a thread must reach a safepoint often; a pause waits for it.
//!
//! # Why concurrent tracing is sound
//!
//! The collector reads fields while mutators write them. With plain accesses that would be a data race, which Rust does not define. Fields are
//! therefore atomics: a mutator stores with `Release`, the tracer loads with `Acquire`. On x86-64 both are the plain `mov` they would be anyway,
//! on AArch64 `stlr` and `ldar`. The pair means that a tracer which sees a reference also sees the object behind it initialised, and its start in the collector's
//! tables. A field that is overwritten while it is traced may be seen with either value: the overwritten page is traced again before the cycle ends.
//!
//! Code that Rust does not compile (a JIT's, a C extension's) uses stores of its own: on x86-64 any store will do, since stores
//! become visible in order; on AArch64 a store that publishes a new object must be a release.

pub mod typed;

use std::ptr::NonNull;
use std::sync::Arc;

pub use pagemark_derive::Trace;
pub use pagemark_gc::barrier::cards::CardTable;
pub use pagemark_gc::collector::{HeapError, LimitError};
pub use pagemark_gc::config::{Config, ConfigBuilder, ConfigError};
pub use pagemark_gc::fork::{ForkError, Forked};
pub use pagemark_gc::heap::Exhausted;
pub use pagemark_gc::model::{ObjectModel, RootSource, Space, Tracer};
pub use pagemark_gc::mutator::OutOfMemory;
pub use pagemark_gc::telemetry;
pub use typed::Trace;

use pagemark_gc::collector::Collector;

#[doc(hidden)]
pub mod __private {
    //! For `#[derive(Trace)]` and for tests of the collector itself.

    pub use pagemark_gc::cycle::defect::Defect;
    pub use pagemark_gc::sys::{Call, FaultPlan, Kernel, Outcome, When};

    /// Implemented by what has a destructor, so that the derive can refuse it: the collector runs none.
    pub trait MustNotImplDrop {}
    #[expect(drop_bounds, reason = "to find out exactly who implements Drop by hand")]
    impl<T: Drop> MustNotImplDrop for T {}
}

/// A heap. Clones are handles to the same one; it ends with the last handle and mutator.
#[derive(Clone)]
pub struct Heap {
    collector: Collector,
}

impl Heap {
    /// Reserves a heap for objects of `model` and starts its collector.
    ///
    /// # Errors
    ///
    /// When the address range cannot be reserved, a thread cannot be started, or the mechanism the configuration names is not
    /// available: the error says why, and what would help.
    pub fn new(config: &Config, model: impl ObjectModel) -> Result<Heap, HeapError> {
        Ok(Heap { collector: Collector::new(config, model)? })
    }

    #[doc(hidden)]
    pub fn with_kernel(
        config: &Config,
        model: impl ObjectModel,
        kernel: &__private::Kernel,
    ) -> Result<Heap, HeapError> {
        Ok(Heap { collector: Collector::with_kernel(config, model, kernel)? })
    }

    #[doc(hidden)]
    pub fn with_defect(config: &Config, model: impl ObjectModel, defect: __private::Defect) -> Result<Heap, HeapError> {
        Ok(Heap { collector: Collector::with_defect(config, model, Some(defect))? })
    }

    /// The calling thread becomes a mutator of this heap; `roots` is asked for its roots at its safepoints. A thread has one mutator of a heap at a
    /// time, and drops it before it ends: every cycle waits for one that was leaked (`mem::forget`), for ever. After ten seconds a line on standard
    /// error names the thread.
    ///
    /// # Panics
    ///
    /// When the calling thread is a mutator of this heap already: each of the two would wait for the other's safepoint.
    pub fn attach(&self, roots: Arc<dyn RootSource>) -> Mutator {
        Mutator { inner: self.collector.attach(roots), heap: self.clone() }
    }

    /// Adds roots that belong to no thread: a symbol table, globals. They are traced **while mutators run**, so the source synchronises
    /// itself, and in each pause, so it should be short: one heap object that holds everything is best.
    pub fn add_global_roots(&self, roots: Arc<dyn RootSource>) {
        self.collector.add_global_roots(roots);
    }

    /// Adds a listener to what the heap does.
    pub fn add_listener(&self, listener: Arc<dyn telemetry::EventListener>) {
        self.collector.add_listener(listener);
    }

    /// Tells `sampler` of about one allocation in `mean` bytes, of mutators that attach from now on: what a profile of allocation sites is made of.
    /// An object of `s` bytes is a sample with probability `1 − e^(−s/mean)`. Costs nothing where an allocation finds room.
    pub fn sample_allocations(&self, mean: u64, sampler: Arc<dyn telemetry::AllocationSampler>) {
        self.collector.sample_allocations(mean, sampler);
    }

    /// Changes the hard limit, up to the one the heap was created with. A lower one takes effect as cycles free memory.
    ///
    /// # Errors
    ///
    /// [`LimitError`] for a limit that is too low or too high; nothing has changed then.
    pub fn set_limit(&self, bytes: usize) -> Result<(), LimitError> {
        self.collector.set_limit(bytes)
    }

    /// `None` but under `mechanism=cards` or with `oracle`: then every store of a reference into an object must be followed by marking the card of the
    /// slot. An embedder that wants to offer this baseline compiles its store function twice.
    pub fn cards(&self) -> Option<CardTable> {
        self.collector.cards()
    }

    /// The mechanism in use: never `auto`.
    pub fn mechanism(&self) -> &'static str {
        self.collector.mechanism()
    }

    /// Everything measured so far.
    pub fn summary(&self) -> telemetry::Summary {
        self.collector.summary()
    }

    /// The summary as one line of JSON if the configuration has `summary`; the embedder prints it when the program ends,
    /// after `pagemark: `.
    pub fn summary_line(&self) -> Option<String> {
        self.collector.shared().config.summary().then(|| self.summary().to_json_line())
    }

    /// Bytes mutators took for objects since the heap was created.
    pub fn allocated_bytes(&self) -> u64 {
        self.collector.shared().pacer.total()
    }

    /// Bytes of memory behind the heap: of objects, dead or alive, and of free memory that was not given back to the system.
    pub fn committed_bytes(&self) -> u64 {
        self.collector.shared().heap.footprint.committed() as u64
    }

    /// Cycles completed.
    pub fn cycles(&self) -> u64 {
        self.summary().cycles
    }

    /// The address range that all objects lie in.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.collector.shared().heap.range()
    }

    /// Whether `trace` reports no reference: for the typed layer's checks.
    pub(crate) fn holds_none(&self, trace: impl FnOnce(&mut Tracer<'_>)) -> bool {
        Tracer::finds_none(&self.collector.shared().heap, trace)
    }

    /// The object that any address in it leads to, as start and size in bytes (whole granules); `None` outside objects. An object that is
    /// unreachable may be found until it is swept.
    pub fn object_at(&self, addr: usize) -> Option<(usize, usize)> {
        self.collector.shared().heap.object_at(addr).map(|object| (object.start, object.len()))
    }
}

/// One thread's access to a heap. It stays on its thread; dropping it detaches the thread, also while it unwinds.
pub struct Mutator {
    inner: pagemark_gc::mutator::Mutator,
    heap: Heap,
}

impl Mutator {
    /// The heap.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// `bytes` of zeroed memory aligned to 16. Never a safepoint: nothing is freed during or because of this call.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] at the hard limit; nothing was allocated. Get to a point where the roots are complete, call [`Mutator::reclaim`], try again.
    #[inline(always)]
    pub fn alloc(&self, bytes: usize, space: Space) -> Result<NonNull<u8>, Exhausted> {
        self.inner.alloc(bytes, space)
    }

    /// Whether [`Mutator::poll`] may have something to do, for those who must spill registers first. Not a condition to wait for: while mutators are
    /// held back it stays true.
    #[inline(always)]
    pub fn poll_requested(&self) -> bool {
        self.inner.poll_requested()
    }

    /// The safepoint: a load and a branch when nothing is asked. The thread's [`RootSource`] must be complete.
    #[inline(always)]
    pub fn poll(&mut self) {
        self.inner.poll();
    }

    /// A safepoint. Collects until `bytes` can be allocated in either space.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`] when that is not possible. The heap stays usable: drop references and go on.
    pub fn reclaim(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.inner.reclaim(bytes)
    }

    /// A safepoint. Runs one full cycle that begins now, and waits for it.
    pub fn collect(&mut self) {
        self.inner.collect();
    }

    /// Runs `f`, a blocking system call or foreign code, while pauses go on without this thread. `f` must not use the heap (reading or writing the
    /// bytes of a leaf object that is a root is fine). The thread's [`RootSource`] must be complete, and stays as it is.
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.inner.blocking(f)
    }

    /// Forks the process; parent and child each go on with a heap of their own. A safepoint. See [`pagemark_gc::fork`].
    ///
    /// # Errors
    ///
    /// [`ForkError`]: there is no child, and nothing has changed.
    ///
    /// # Safety
    ///
    /// As for any `fork(2)` of a process with threads: in the child, what threads outside of this heap were changing stays half changed, and
    /// the locks they held stay held. What the child uses afterwards must not depend on those.
    pub unsafe fn fork(&mut self) -> Result<Forked, ForkError> {
        // SAFETY: by this function's contract.
        unsafe { self.inner.fork() }
    }
}
