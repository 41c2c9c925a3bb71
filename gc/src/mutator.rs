//! A thread that runs the embedder's code, as the collector's user sees it.
//!
//! **Allocation is never a safepoint.** It hands out memory or says that the limit allows none; it does not stop the thread, and nothing
//! the thread holds can be freed by it. Safepoints are explicit: [`Mutator::poll`], [`Mutator::blocking`], [`Mutator::reclaim`], [`Mutator::collect`] and the
//! end of the mutator. So native code between two safepoints may keep plain addresses in registers.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use crate::collector::{Collector, Shared};
use crate::config::Zeal;
use crate::cycle::rendezvous::Party;
use crate::cycle::throttle::Share;
use crate::heap::Exhausted;
use crate::model::Space;
use crate::telemetry::{AllocationSampler, MutatorStop, Reason, StallCause, StopCause};

/// There is no room for `requested` bytes, and a collection of everything unreachable, where the heap is one that collects, made none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "out of memory: {requested} bytes do not fit below the heap limit of {limit} bytes{}",
    if *.collected {
        ", even after a full collection; drop references, or raise `limit`"
    } else {
        ", and `mechanism=none` does not collect; raise `limit`, or take another mechanism"
    }
)]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub requested: usize,
    /// The heap's hard limit in bytes.
    pub limit: usize,
    /// Whether the heap is one that collects first: not under `mechanism=none`.
    pub collected: bool,
}

/// Bytes a mutator takes before it tells the pacer.
const REPORT_BYTES: u64 = 32 * 1024;

/// Collections in a row after which other mutators took what was freed before the one that asked for it could: then it gives up.
const LOST_RACES: u32 = 16;

/// One thread's access to a heap. Dropping it detaches the thread, also while the thread unwinds.
pub struct Mutator {
    party: Arc<Party>,
    collector: Collector,
    reported: std::cell::Cell<u64>,
    /// Bytes of memory without objects it had taken then.
    fresh: std::cell::Cell<u64>,
    refills: std::cell::Cell<u64>,
    safepoints: u64,
    /// When it last came out of a rest.
    rested: Option<Instant>,
    /// Calls of `reclaim` after an exhausted allocation, since the slow path last succeeded.
    failures: std::cell::Cell<u32>,
    /// Where an allocation was exhausted since the last `reclaim`.
    exhausted: std::cell::Cell<Option<Space>>,
    /// Bytes of the allocation that was exhausted last.
    wanted: std::cell::Cell<usize>,
    /// Hears of samples of what it allocates.
    sampler: Option<Arc<dyn AllocationSampler>>,
    /// Bound to its thread: not Send, not Sync.
    _thread: PhantomData<*mut ()>,
}

impl Mutator {
    pub(crate) fn new(collector: Collector, party: Arc<Party>, sampler: Option<Arc<dyn AllocationSampler>>) -> Mutator {
        Mutator {
            party,
            collector,
            reported: 0.into(),
            fresh: 0.into(),
            refills: 0.into(),
            safepoints: 0,
            rested: None,
            failures: 0.into(),
            exhausted: None.into(),
            wanted: 0.into(),
            sampler,
            _thread: PhantomData,
        }
    }

    /// The heap's collector.
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// How the collector sees it.
    pub(crate) fn party(&self) -> &Arc<Party> {
        &self.party
    }

    fn shared(&self) -> &Shared {
        self.collector.shared()
    }

    /// `bytes` of zeroed memory, aligned to 16. Never a safepoint.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the hard limit is reached: nothing was allocated. Call [`Mutator::reclaim`] and try again.
    #[inline(always)]
    pub fn alloc(&self, bytes: usize, space: Space) -> Result<NonNull<u8>, Exhausted> {
        // SAFETY: this is the mutator's thread (Mutator is not Send), outside its safepoints; no other reference to the locals is alive.
        let locals = unsafe { self.party.locals() };
        let local = match space {
            Space::Tracked => &mut locals.tracked,
            Space::Leaf => &mut locals.leaf,
        };
        match local.bump(&self.shared().heap, bytes) {
            // SAFETY: a heap address is not null.
            Some(addr) => Ok(unsafe { NonNull::new_unchecked(addr as *mut u8) }),
            None => self.alloc_slow(bytes, space),
        }
    }

    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, bytes: usize, space: Space) -> Result<NonNull<u8>, Exhausted> {
        let shared = self.shared();
        // SAFETY: as in `alloc`, whose reference is not used any more.
        let locals = unsafe { self.party.locals() };
        let local = match space {
            Space::Tracked => &mut locals.tracked,
            Space::Leaf => &mut locals.leaf,
        };
        let mut sample = None;
        let result = match self.sampler {
            None => local.refill_and_alloc(&shared.heap, shared.barrier(), bytes),
            Some(_) => local.alloc_counted(&shared.heap, shared.barrier(), bytes).map(|(addr, bytes)| {
                sample = bytes;
                addr
            }),
        };
        let taken = locals.tracked.taken() + locals.leaf.taken();
        let new = taken.saturating_sub(self.reported.get());
        if new >= REPORT_BYTES {
            self.reported.set(taken);
            let fresh = locals.tracked.fresh() + locals.leaf.fresh();
            let from_holes = self.fresh.replace(fresh) == fresh;
            let enough = shared.pacer.allocated(new);
            // While blocks are being swept more are in use than will be.
            if enough && !from_holes && !shared.heap.sweeping() && shared.pacer.due(shared.heap.used_bytes() as u64) {
                shared.request(Reason::Trigger, false);
            }
        }
        self.refills.set(self.refills.get() + 1);
        if let Zeal::Alloc(every) = shared.config.zeal()
            && self.refills.get().is_multiple_of(every)
        {
            shared.request(Reason::Zeal, false);
        }
        if let (Some(sampler), Some(bytes)) = (&self.sampler, sample) {
            sampler.sampled(bytes);
        }
        match result {
            Ok(addr) => {
                // A smaller one says nothing: a program that makes a small and a big object in turn would try for ever.
                if bytes >= self.wanted.get() {
                    self.failures.set(0);
                }
                // SAFETY: a heap address is not null.
                Ok(unsafe { NonNull::new_unchecked(addr as *mut u8) })
            }
            Err(exhausted) => {
                self.exhausted.set(Some(space));
                self.wanted.set(bytes);
                shared.request(Reason::LimitReached, true);
                Err(exhausted)
            }
        }
    }

    /// Whether [`Mutator::poll`] may have something to do: a load and a compare. Not a condition to wait for: while mutators are held back it stays true.
    #[inline(always)]
    pub fn poll_requested(&self) -> bool {
        self.party.asked()
    }

    /// The safepoint: a load and a branch when nothing is asked. The thread's roots must be complete.
    #[inline(always)]
    pub fn poll(&mut self) {
        if self.party.asked() {
            self.safepoint();
        }
    }

    /// A safepoint that counts for `zeal=safepoint:N`; [`Mutator::poll`]'s slow path.
    #[cold]
    #[inline(never)]
    fn safepoint(&mut self) {
        // While mutators are held back each poll comes here, and most have nothing to do but to look whether a rest is due.
        if self.party.is_only_throttled() {
            return self.rest();
        }
        let shared = self.shared();
        let visit = shared.rendezvous.safepoint(&self.party, &|party| shared.hand_over(party));
        for stop in visit.handshake.iter().chain(&visit.pause) {
            shared.listen_to_threads(|listener| listener.mutator_resumed(stop));
        }
        if self.party.is_throttled() {
            self.rest();
        }
        self.safepoints += 1;
        if let Zeal::Safepoint(every) = self.shared().config.zeal()
            && self.safepoints.is_multiple_of(every)
        {
            self.shared().request(Reason::Zeal, false);
        }
    }

    /// A rest, if one is due: [`crate::cycle::throttle`].
    fn rest(&mut self) {
        let shared = self.shared();
        // The bit was set after the share was made smaller. Only if the loads come in the other order (both are relaxed, and no lock may lie between) is
        // the bit cleared that was just set; the next handshake sets it again.
        let Some(Share { run, rest }) = shared.throttle.share() else { return self.party.ends_throttling() };
        if self.rested.is_some_and(|rested| rested.elapsed() < run) {
            return;
        }
        let since = Instant::now();
        let (rested, pause) = shared.rendezvous.rest(&self.party, &|party| shared.hand_over(party), rest);
        // Only now: another mutator may have forked meanwhile, and in the child a listener's own lock would have been held for ever.
        shared.stats.record_stall(rested, StallCause::Throttle);
        shared.listen(|listener| listener.mutator_stalled(since, rested, StallCause::Throttle));
        if let Some(stop) = pause {
            shared.listen_to_threads(|listener| listener.mutator_resumed(&stop));
        }
        self.rested = Some(Instant::now());
    }

    /// Runs `f`, a system call, a join, foreign code: pauses go on without this thread meanwhile. `f` must not use the heap. The
    /// thread's roots must be complete, and stay as they are.
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let mut away = Away::go(self);
        away.tells = true;
        let result = f();
        drop(away);
        result
    }

    /// A safepoint. Runs one full cycle that starts after this call, and waits until everything unreachable at the call can be
    /// allocated again.
    pub fn collect(&mut self) {
        let start = Instant::now();
        self.wait_for_cycle(Reason::Explicit, false);
        let stop = MutatorStop::until_now(StopCause::Collection, start);
        self.shared().listen_to_threads(|listener| listener.mutator_resumed(&stop));
    }

    /// A safepoint. After [`Exhausted`]: waits for the cycle that runs, then collects with all mutators stopped, until `bytes` can be
    /// allocated in the space that was exhausted, or in both if none was since the last call. Under `mechanism=none` it collects nothing.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`] when they cannot. The heap stays usable: drop references and try again.
    pub fn reclaim(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let start = Instant::now();
        let shared = self.shared();
        let limit = shared.heap.footprint.limit();
        // Only where it is wanted: a heap with one object left in each tracked block has no room for leaves, and plenty otherwise.
        let exhausted = self.exhausted.take();
        let spaces = exhausted.map_or(vec![Space::Tracked, Space::Leaf], |space| vec![space]);
        let has_room =
            |shared: &Shared| spaces.iter().all(|space| shared.heap.has_room_for(shared.barrier(), bytes, *space));
        let mut fits = false;
        // A second call in a row means that the room there is does not fit the caller: holes too small for it, or other mutators
        // faster. Then only a collection helps; and when that did not either, nothing will.
        let again = if exhausted.is_some() { self.failures.get() } else { 0 };
        self.failures.set(again + 1);
        let alone = shared.rendezvous.count() <= 1;
        let patience = if alone { 4 } else { LOST_RACES };
        if bytes <= limit && again < patience {
            // The second time too, if a cycle has started since: no holes are handed out until it ends.
            if again == 0 || again == 1 && shared.heap.marking() {
                self.wait_for_running_cycle();
                fits = has_room(self.shared());
            }
            // A sticky cycle leaves what died old. One that marks everything may do, and need not stop everybody.
            if !fits && self.shared().pacer.last_was_sticky() {
                self.wait_for_cycle(Reason::OutOfMemory, false);
                fits = has_room(self.shared());
            }
            let mut races = 0;
            while !fits && self.shared().collects() {
                self.wait_for_cycle(Reason::OutOfMemory, true);
                fits = has_room(self.shared());
                races += 1;
                // There was room when the cycle ended, unless what is alive takes it all (but for a sixteenth, in holes); then
                // others were faster.
                let live = self.shared().stats.snapshot().live_bytes_last as usize;
                if alone || races >= LOST_RACES || live + bytes > limit - limit / 16 {
                    break;
                }
            }
        }
        if !fits {
            self.failures.set(0);
        }
        let stalled = start.elapsed();
        self.shared().stats.record_stall(stalled, StallCause::Allocation);
        self.shared().listen(|listener| listener.mutator_stalled(start, stalled, StallCause::Allocation));
        if fits { Ok(()) } else { Err(OutOfMemory { requested: bytes, limit, collected: self.shared().collects() }) }
    }

    /// A child that was forked in another way than [`Mutator::fork`] would wait for ever.
    fn assert_collected(&self) {
        assert!(
            self.shared().in_its_process(),
            "this heap has no collector in this process, which was forked without it: fork with Mutator::fork, or exec"
        );
    }

    fn wait_for_running_cycle(&mut self) {
        self.assert_collected();
        let away = Away::go(self);
        let shared = away.mutator.shared();
        shared.control.wait_for_running();
        shared.heap.finish_sweeping();
    }

    fn wait_for_cycle(&mut self, reason: Reason, stop_the_world: bool) {
        self.assert_collected();
        let away = Away::go(self);
        let shared = away.mutator.shared();
        shared.control.request_and_wait(reason, stop_the_world);
        shared.heap.finish_sweeping();
    }

    /// Bytes this mutator allocated since it was attached.
    pub fn allocated_bytes(&self) -> u64 {
        // SAFETY: as in `alloc`.
        let locals = unsafe { self.party.locals() };
        locals.tracked.allocated() + locals.leaf.allocated()
    }
}

impl Drop for Mutator {
    fn drop(&mut self) {
        let shared = self.collector.shared();
        let taken = {
            // SAFETY: this is the mutator's thread, outside its safepoints.
            let locals = unsafe { self.party.locals() };
            locals.tracked.taken() + locals.leaf.taken()
        };
        shared.pacer.allocated(taken.saturating_sub(self.reported.get()));
        // While it still is one: a fork waits for what mutators do.
        shared.listen_to_threads(|listener| listener.mutator_detached());
        shared.rendezvous.leave(&self.party, |party| shared.retire(party));
    }
}

/// The mutator is away while this lives, also while it unwinds.
pub(crate) struct Away<'a> {
    mutator: &'a Mutator,
    /// A stop that it comes back into is told by nobody else.
    tells: bool,
}

impl<'a> Away<'a> {
    pub(crate) fn go(mutator: &'a mut Mutator) -> Away<'a> {
        let shared = mutator.shared();
        shared.rendezvous.go_away(&mutator.party, &|party| shared.hand_over(party));
        Away { mutator, tells: false }
    }

    pub(crate) fn mutator(&self) -> &'a Mutator {
        self.mutator
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let shared = self.mutator.shared();
        if let Some(stop) = shared.rendezvous.come_back(&self.mutator.party)
            && self.tells
        {
            shared.listen_to_threads(|listener| listener.mutator_resumed(&stop));
        }
    }
}
