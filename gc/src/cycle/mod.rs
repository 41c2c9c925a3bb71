//! The cycle: what the collector thread of a heap does, phase by phase.
//!
//! *Incremental update, in rounds.* The colour flips, and everything is white.
//!
//! 1. **Handshake.** Each mutator, at its own next safepoint, retires its blocks and hands over its roots. Nobody is stopped. From
//!    here on mutators allocate in no holes of tracked blocks.
//! 2. **Arm.** Every page that holds objects and is not armed is armed: one scan, O(pages written since the last cycle) and 0.7 ns for each
//!    page that is armed still. What the scan reports is ignored, as nothing has been marked yet.
//! 3. **Mark** from the roots while mutators run. Every page that holds an object the marker reads was armed before, or is *written*
//!    in the barrier's sense (a block filled since), so whatever a mutator changes behind the marker's back is reported by a later scan.
//! 4. **Rounds.** Handshake; take the written pages and arm them again; trace again what lies on them, of marked objects; mark from that and from the
//!    roots. Each round is shorter than the one before if the program lets it, since fewer pages are written in a shorter time
//!    (bounded dirty sets, adaptive repetition: Endo & Taura, ISMM 2002). When a round finds few pages and marks little it is the last; when it finds no
//!    fewer pages than the one before, mutators are held back ([`throttle`]).
//! 5. **Pause.** All mutators stop. Roots again, the residual written pages again, close over. Now everything reachable carries the
//!    colour: a path from a root to a white object would have a first edge from a marked object (or root) to a white one; that
//!    object was traced, so the edge was stored later, so its page is written and was reported, in a round or now, and then the edge
//!    was traced. Flip: all blocks are unswept.
//! 6. **Sweep**, lazily, by mutators that need a block and by this thread.
//!
//! Objects are born white. Those reachable at the end are found through the page that refers to them, which is written, or through a root.
//!
//! *Sticky* cycles keep the marks of the cycle before, and mark only what was made since: the generational mode (the marks stick: Demers, Weiser, Hayes, Boehm, Bobrow and
//! Shenker, POPL 1990). The colour does not flip, so what survived is marked and not traced. At the end of a pause every reference in a marked object leads
//! to a marked one. So one that leads to a new object was stored after the scan in that pause, and its page is written: what the scan of step 2
//! reports is not ignored here, but traced again before anything else. The rest is the same. What died after it was marked stays until a cycle that
//! marks everything; [`pacer`] says when that is.
//!
//! *Stop-the-world*: the same with all mutators stopped from the handshake on, and without arming and rounds: for the mechanism `stop`, and when memory runs out.
//!
//! When the kernel refuses a scan half-way, nothing is known about writes any more: the cycle goes to its pause and there traces **every** marked
//! object again, which is slow and right.

pub mod defect;
pub mod pacer;
pub mod phase;
pub mod rendezvous;
pub mod retention;
pub mod throttle;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::barrier::PageRange;
use crate::collector::Shared;
use crate::config::{Log, Zeal};
use crate::error::BarrierError;
use crate::fatal::{AbortOnUnwind, say};
use crate::layout::PAGE;
use crate::mark::item::Item;
use crate::mark::tracer::Marking;
use crate::telemetry::{CycleKind, CycleReport, CycleStart, Reason, Round, Watched};
use crate::verify;
use crate::verify::oracle::Comparison;
use defect::Defect;
use pacer::Lesson;
use phase::Phase;
use retention::Retention;

/// A round that finds at most this many written pages, and marks at most that many objects, is the last: each takes the pause 0.3 to 0.6 ms
/// (2 to 5 µs a page by `log=gc` of `scatter` and `lru`; 15 to 36 ns an object by `bench mark`). Objects count because one page can lead to most of the heap, if the program has moved the way there behind the marker.
const FEW_PAGES: u64 = 128;
const FEW_OBJECTS: u64 = 16 * 1024;
/// So many rounds in a row that do not shrink, although mutators cannot be held back any more, are the last. The first of them found what was written
/// before they ran for the smallest share.
const IN_VAIN: u32 = 2;

/// The collector thread of one heap.
pub fn run(shared: &Shared) {
    let _abort = AbortOnUnwind;
    let mut number = 0;
    let mut retention = Retention::new(Instant::now());
    let mut last = (Instant::now(), shared.pacer.total());
    while let Some(request) = shared.control.next() {
        number += 1;
        let stop_the_world = request.stop_the_world || !shared.barrier().sees_writes();
        let kind = match request.reason {
            _ if stop_the_world => CycleKind::StopTheWorld,
            Reason::Trigger | Reason::LimitReached | Reason::Zeal if shared.pacer.sticky_is_next() => CycleKind::Sticky,
            // Who asks for a collection, or found no memory after the last one, wants to be rid of everything that is dead.
            _ => CycleKind::Concurrent,
        };
        let begun = (Instant::now(), shared.pacer.total());
        let report = Cycle::new(shared, number, request.reason, kind).run();
        let concurrent = if stop_the_world { Duration::ZERO } else { request.at.elapsed() };
        let goal = shared.pacer.learn(Lesson {
            kind,
            live: report.live_bytes,
            survived: report.young_bytes,
            exhausted: request.reason == Reason::LimitReached,
            length: report.phases.total(),
            allocated_during: report.allocated_during,
            concurrent,
            allocated_before: begun.1 - last.1,
            before: begun.0 - last.0,
            watched: report.watched,
        });
        shared.heap.prefer_fresh(shared.pacer.sticky_is_next());
        last = (Instant::now(), shared.pacer.total());
        finish(shared, &report, goal, &mut retention);
        if matches!(shared.config.zeal(), Zeal::Phase(_)) {
            shared.request(Reason::Zeal, false);
        }
    }
}

/// The end of a phase, where `zeal=phase:NAME` stops all mutators for a moment: each meets the cycle in the state between two phases, at a
/// safepoint.
fn boundary(shared: &Shared, phase: Phase) {
    if shared.config.zeal() == Zeal::Phase(phase) {
        drop(shared.rendezvous.stop());
    }
}

/// After the pause: tell, let waiters go, sweep, give back what the heap does not need below its `goal`.
fn finish(shared: &Shared, report: &CycleReport, goal: u64, retention: &mut Retention) {
    shared.stats.record_cycle(report);
    shared.stats.record_heap(shared.pacer.total(), shared.heap.footprint.peak() as u64);
    if shared.config.log() != Log::Off {
        say(&report.log_line());
    }
    shared.listen(|listener| listener.cycle_ended(report));
    boundary(shared, Phase::Pause);
    let needed = retention.keep(shared.heap.used_bytes() as u64, Instant::now(), report.reason == Reason::Explicit);
    shared.heap.sweep_large();
    shared.control.completed();
    if report.kind.is_concurrent() && !shared.pacer.pages_stay_armed() && shared.barrier().writes_fault() {
        // Not where the next cycle, which arms them again, is about to start.
        let pages = shared.heap.disarm(shared.barrier(), || shared.control.is_wanted());
        shared.listen(|listener| listener.pages_disarmed(pages as u64));
    }
    shared.heap.finish_sweeping();
    shared.listen(|listener| listener.sweep_done());
    boundary(shared, Phase::Sweep);
    let keep = needed.max(goal).min(shared.heap.footprint.limit() as u64);
    if shared.heap.footprint.committed() as u64 > keep + keep / 8 {
        let released =
            shared.heap.release_free(shared.barrier(), (keep.saturating_sub(report.live_bytes) / 2) as usize);
        if released > 0 {
            shared.listen(|listener| listener.memory_released(released as u64));
        }
    }
}

/// What is known while one cycle runs.
struct Cycle<'s> {
    shared: &'s Shared,
    marking: Option<Marking<'s>>,
    report: CycleReport,
    allocated_before: u64,
    stall_before: Duration,
    faults_before: Option<u64>,
    /// A scan failed: nothing is known about writes.
    blind: bool,
    /// Pages reported by the rounds and the pause, for `verify`.
    reported: HashSet<usize>,
    /// The page mechanism's reports against the embedder's cards.
    comparison: Option<Comparison<'s>>,
}

impl<'s> Cycle<'s> {
    fn new(shared: &'s Shared, number: u64, reason: Reason, kind: CycleKind) -> Cycle<'s> {
        let heap_before = shared.heap.used_bytes() as u64;
        shared.listen(|listener| listener.cycle_started(&CycleStart { number, kind, reason, heap_bytes: heap_before }));
        let report = CycleReport {
            heap_name: shared.config.name().into(),
            number,
            kind,
            reason,
            heap_before,
            ..CycleReport::default()
        };
        Cycle {
            shared,
            marking: None,
            report,
            allocated_before: shared.pacer.total(),
            stall_before: shared.stats.total_stall(),
            faults_before: shared.barrier().faults(),
            blind: false,
            reported: HashSet::new(),
            comparison: None,
        }
    }

    fn run(mut self) -> CycleReport {
        let start = Instant::now();
        self.shared.heap.finish_sweeping();
        self.report.phases.sweep_wait = start.elapsed();
        self.shared.listen(|listener| listener.sweep_awaited());
        self.verify_structures_before();
        if self.report.kind.is_concurrent() {
            self.mark_concurrently();
        }
        self.pause();
        let shared = self.shared;
        let report = &mut self.report;
        report.allocated_during = shared.pacer.total() - self.allocated_before;
        report.heap_after = report.live_bytes;
        report.mutator_stall = shared.stats.total_stall().saturating_sub(self.stall_before);
        report.faults = shared.barrier().faults().map(|now| now - self.faults_before.unwrap_or(0));
        self.report
    }

    fn mark_concurrently(&mut self) {
        let shared = self.shared;
        self.start_marking();
        let clock = Instant::now();
        self.handshake(false);
        self.report.phases.handshake = clock.elapsed();
        shared.listen(|listener| listener.handshake_done());
        boundary(shared, Phase::Handshake);

        let roots = self.take_roots();
        if shared.defect == Some(Defect::MarkBeforeArming) {
            self.drain(Vec::new(), &roots);
        }
        let clock = Instant::now();
        let keeps_marks = self.keeps_marks();
        self.comparison = shared.oracle.as_ref().map(|oracle| Comparison::begin(oracle, &shared.heap, keeps_marks));
        let mut armed = self.arm();
        if let Some(comparison) = &mut self.comparison {
            comparison.after_scan(pages(&armed));
        }
        self.report.pages_armed = armed.len() as u64;
        self.report.phases.arm = clock.elapsed();
        shared.listen(|listener| listener.pages_armed(armed.len() as u64));
        boundary(shared, Phase::Arm);

        let clock = Instant::now();
        if keeps_marks && shared.defect != Some(Defect::ForgetOldToYoung) {
            self.note_reported(&armed);
        } else {
            armed.clear();
        }
        self.drain(armed, &roots);
        self.report.phases.mark = clock.elapsed();
        shared.listen(|listener| listener.marking_done());
        boundary(shared, Phase::Mark);

        let clock = Instant::now();
        self.rounds();
        shared.throttle.end();
        self.report.phases.rounds = clock.elapsed();
    }

    fn rounds(&mut self) {
        let shared = self.shared;
        let mut before = u64::MAX;
        let mut in_vain = 0;
        for index in 0..shared.config.rounds() {
            if self.blind {
                return;
            }
            let clock = Instant::now();
            let hurry = shared.control.hurry.load(Ordering::Relaxed);
            self.handshake(shared.throttle.share().is_some());
            let roots = self.take_roots();
            let (written, _) = self.take_written_compared();
            let dirty = written.len() as u64;
            self.note_reported(&written);
            let marked = self.objects_marked();
            self.drain(written, &roots);
            let marked = self.objects_marked() - marked;
            self.report.rounds += 1;
            self.report.pages_dirty += dirty;
            let ms = clock.elapsed().as_secs_f64() * 1e3;
            shared.listen(|listener| listener.round_done(&Round { index, dirty_pages: dirty, ms }));
            boundary(shared, Phase::Round);
            // A page is traced again in about the time in which so many objects are marked: see `FEW_PAGES`.
            let work = dirty + marked / (FEW_OBJECTS / FEW_PAGES);
            let shrinks = work < before - before / 4;
            // Who waits for memory waits for the pause as well as for a round, in which others run. But who waits writes nothing, so the first
            // round in which a mutator waits says nothing of the next.
            if dirty <= FEW_PAGES && marked <= FEW_OBJECTS || hurry && !shrinks {
                return;
            }
            in_vain = if shrinks || shared.throttle.tighten() { 0 } else { in_vain + 1 };
            if in_vain == IN_VAIN {
                // What another round would find, the pause will find: then the faults of that round are for nothing.
                return;
            }
            before = work;
        }
    }

    /// Everything with all mutators stopped: the end of a concurrent cycle, or the whole of one that is not.
    fn pause(&mut self) {
        let shared = self.shared;
        let (stopped, time_to_stop) = shared.rendezvous.stop();
        let clock = Instant::now();
        self.report.phases.time_to_stop = time_to_stop;
        shared.listen(|listener| listener.mutators_stopped(time_to_stop));
        if self.report.kind == CycleKind::StopTheWorld {
            self.start_marking();
        }
        for party in stopped.parties() {
            shared.hand_over(party);
        }
        let roots = self.take_roots();
        shared.listen(|listener| listener.roots_traced());
        let mut written = Vec::new();
        if self.report.kind.is_concurrent() {
            shared.barrier().settle();
            let (residual, failed) = self.take_written_compared();
            self.name_unseen();
            written = if failed || self.blind { self.every_page() } else { residual };
            self.report.pages_residual = written.len() as u64;
            self.note_reported(&written);
        }
        self.drain(written, &roots);
        if shared.config.verify().marks() {
            self.report.verify_failures += verify::marks(shared, &roots, &self.reported);
        }
        if shared.config.verify().structures() {
            self.report.verify_failures += verify::structures(shared, stopped.parties(), verify::Moment::AfterMarking);
        }
        self.report.objects_marked = self.objects_marked();
        if let Some(marking) = &self.marking {
            self.report.young_bytes = marking.young_bytes.load(Ordering::Relaxed);
            let born_live = shared.heap.take_born_live();
            let kept = if self.keeps_marks() { shared.pacer.marked() + born_live } else { 0 };
            self.report.live_bytes = kept + marking.bytes.load(Ordering::Relaxed);
            self.report.verify_failures += marking.dangling.load(Ordering::Relaxed);
        }
        self.report.verify_failures += shared.heap.take_poison_failures();
        shared.heap.end_marking(self.keeps_marks());
        drop(stopped);
        let pause = clock.elapsed();
        self.report.phases.pause = pause;
        shared.listen(|listener| listener.pause_ended(pause));
    }

    /// So far, by the drains that are over.
    fn objects_marked(&self) -> u64 {
        self.marking.as_ref().map_or(0, |marking| marking.objects.load(Ordering::Relaxed))
    }

    fn keeps_marks(&self) -> bool {
        self.report.kind == CycleKind::Sticky
    }

    fn start_marking(&mut self) {
        self.shared.heap.start_marking(self.keeps_marks());
        self.marking = Some(Marking {
            heap: &self.shared.heap,
            model: &*self.shared.model,
            stack_bound: self.shared.stack_bound,
            overflow: parking_lot::Mutex::default(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            young_bytes: AtomicU64::new(0),
            dangling: AtomicU64::new(0),
            watch: self.shared.threads_are_heard().then_some(self.shared),
        });
    }

    fn handshake(&self, throttle: bool) {
        let shared = self.shared;
        shared.rendezvous.handshake(throttle, &|party| shared.hand_over(party));
    }

    fn take_roots(&self) -> Vec<usize> {
        let mut roots = std::mem::take(&mut *self.shared.handed_over.lock());
        roots.append(&mut self.shared.global_roots());
        roots
    }

    /// The first scan: the pages it armed, as items. Counts which of them mutators had to fault on.
    fn arm(&mut self) -> Vec<usize> {
        let shared = self.shared;
        if !shared.pacer.pages_stay_armed() || !shared.barrier().writes_fault() {
            return self.take_written(|_| ()).0;
        }
        let mut watched = Watched { armed: shared.heap.pages_left_armed() as u64, written: 0 };
        let (items, failed) = self.take_written(|run| watched.written += shared.heap.left_armed_in(run) as u64);
        self.report.watched = (!failed && watched.armed > 0).then_some(watched);
        items
    }

    /// The written pages as items, armed again; and whether the kernel refused. `found` hears of each run before its pages count as armed.
    fn take_written(&mut self, mut found: impl FnMut(&PageRange)) -> (Vec<usize>, bool) {
        let mut items = Vec::new();
        let taken = self.shared.heap.take_written_and_arm(self.shared.barrier(), &mut |run| {
            found(&run);
            items.extend(run.step_by(PAGE).map(|page| Item::Page(page).encode()));
        });
        if let Err(error) = taken {
            self.went_blind(&error);
            return (items, true);
        }
        (items, false)
    }

    /// A scan failed. The first time in a heap it is said aloud, whatever is logged: pauses grow, perhaps for good.
    fn went_blind(&mut self, error: &BarrierError) {
        let shared = self.shared;
        self.blind = true;
        self.report.blind = true;
        let line = format!("pagemark[{}] {error}; this cycle rescans everything in its pause", shared.config.name());
        log::error!("{line}");
        if shared.stats.snapshot().cycles_blind == 0 {
            say(&line);
        }
        shared.listen(|listener| listener.scan_failed(error));
    }

    /// The same, held against the embedder's cards where `oracle` is on.
    fn take_written_compared(&mut self) -> (Vec<usize>, bool) {
        if let Some(comparison) = &mut self.comparison {
            comparison.before_scan(&self.shared.heap);
        }
        let (written, failed) = self.take_written(|_| ());
        if let Some(comparison) = &mut self.comparison {
            comparison.after_scan(pages(&written));
        }
        (written, failed)
    }

    /// In the pause: names the pages that the embedder's store function wrote to and no scan reported.
    fn name_unseen(&mut self) {
        let comparison = self.comparison.take().filter(|_| !self.blind);
        let unseen = comparison.map_or(Vec::new(), |comparison| comparison.unseen(&self.shared.heap));
        for page in unseen.iter().take(verify::PRINTED as usize) {
            let name = self.shared.config.name();
            say(&format!("pagemark[{name}] ORACLE: the page {page:#x} was written to, and not reported as written"));
        }
        self.report.verify_failures += unseen.len() as u64;
    }

    /// `verify=heap`, before anything of the cycle happened: stops the mutators for it.
    fn verify_structures_before(&mut self) {
        if self.shared.config.verify().structures() {
            let (stopped, _) = self.shared.rendezvous.stop();
            self.report.verify_failures +=
                verify::structures(self.shared, stopped.parties(), verify::Moment::BeforeCycle);
        }
    }

    fn every_page(&self) -> Vec<usize> {
        let heap = &self.shared.heap;
        let runs = heap.tracked.blocks.runs(1).into_iter().chain(heap.tracked.large.runs(1));
        runs.flat_map(|run| run.step_by(PAGE)).map(|page| Item::Page(page).encode()).collect()
    }

    fn note_reported(&mut self, items: &[usize]) {
        if self.shared.config.verify().marks() {
            self.reported.extend(pages(items));
        }
    }

    fn drain(&self, items: Vec<usize>, edges: &[usize]) {
        if let Some(marking) = &self.marking {
            let team = self.shared.team();
            // Where nobody runs, or somebody waits, processors are idle.
            let workers = match self.report.kind {
                CycleKind::StopTheWorld => team.workers(),
                _ => self.shared.config.markers() + self.shared.control.waiting(),
            };
            team.drain(marking, items, edges, workers);
        }
    }
}

/// The pages that items stand for.
fn pages(items: &[usize]) -> impl Iterator<Item = usize> {
    items.iter().map(|item| item & !(PAGE - 1))
}

#[cfg(all(test, loom))]
mod interleavings;
