//! One program, run in this process: its lanes' threads, and the meetings at which everything is checked.
//!
//! A program has phases. In a phase lanes run freely; at its end each waits in a blocking region until all are there
//! and the heap has been checked. A lane is run by one thread after another: when one has ended, by itself or by a
//! panic, the next takes over its list of operations and its objects, but not its roots.

use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pagemark::{Config, Heap};
use serde::{Deserialize, Serialize};

use super::check::{LastCycle, check};
use super::fail::fail;
use super::flat::Flatness;
use super::input::Input;
use super::lane::{Counts, Lane, Phase, Runner, World};
use super::model::{BLOCK, Header, Layout, Model, word};
use super::plan::Plan;
use super::program::{self, End};
use super::roots::{SharedRoots, ThreadRoots};
use super::shadow::Partition;

/// What a run that found nothing wrong tells.
#[derive(Serialize, Deserialize, Debug)]
pub struct Outcome {
    /// What its lanes did.
    pub counts: Counts,
    /// Cycles of its heap.
    pub cycles: u64,
    /// Those of them that were stop-the-world.
    pub cycles_stw: u64,
    /// Whether memory grew, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flat: Option<Flatness>,
}

/// What a thread throws that shall end by a panic.
struct Planned;

/// Makes the heap of a plan.
pub fn heap(plan: &Plan) -> Result<Heap, Box<dyn std::error::Error>> {
    let config = Config::parse(&plan.gc)?;
    Ok(match plan.defect {
        None => Heap::new(&config, Model)?,
        Some(defect) => Heap::with_defect(&config, Model, defect.into())?,
    })
}

/// The lanes of a plan that have something to do, with the phases in which somebody has.
pub fn lanes(plan: &Plan) -> std::io::Result<Vec<Mutex<Lane>>> {
    let mut lists: Vec<(usize, Vec<Phase>)> = Vec::new();
    for index in 0..plan.threads {
        let ops = program::generate(plan.seed, index, plan.ops);
        let keep = |at: &usize| plan.keeps(index, *at);
        let phases = (0..plan.phases).map(|phase| program::phase(phase, plan.phases, ops.len()));
        let kept: Vec<Phase> = phases.map(|range| range.filter(keep).map(|at| (at, ops[at])).collect()).collect();
        if kept.iter().any(|phase| !phase.is_empty()) {
            lists.push((index, kept));
        }
    }
    for phase in (0..plan.phases).rev() {
        if lists.iter().all(|(_, phases)| phases[phase].is_empty()) {
            lists.iter_mut().for_each(|(_, phases)| {
                phases.remove(phase);
            });
        }
    }
    let lane = |(index, phases)| {
        Ok(Mutex::new(Lane {
            index,
            phases,
            at: (0, 0),
            roots: Arc::new(ThreadRoots::new()),
            partition: Partition::new(index),
            input: Input::new()?,
            counts: Counts::default(),
        }))
    };
    lists.into_iter().map(lane).collect()
}

/// Runs a plan. If the heap is found wrong it does not return: the process ends.
pub fn run(plan: &Plan) -> Result<Outcome, Box<dyn std::error::Error>> {
    let heap = heap(plan)?;
    let last = Arc::new(LastCycle::default());
    heap.add_listener(last.clone());
    let shared = Arc::new(SharedRoots::new());
    heap.add_global_roots(shared.clone());
    let lanes = lanes(plan)?;
    // Whole blocks, as the heap has it.
    let limit = Config::parse(&plan.gc)?.limit().map_or(usize::MAX, |limit| limit as usize / BLOCK * BLOCK);
    let world = World {
        cards: heap.cards(),
        heap,
        shared,
        last,
        limit,
        limit_now: limit.into(),
        forks: (!plan.no_fork).into(),
        alone: lanes.len() == 1,
        drop_all: plan.flat.is_some(),
    };
    let phases = lanes.first().map_or(0, |lane| lock(lane).phases.len());
    let meeting = Meeting::default();
    let mut counts = Counts::default();
    let mut flatness = plan.flat.map(Flatness::new);
    std::thread::scope(|scope| {
        for lane in &lanes {
            let (world, meeting) = (&world, &meeting);
            scope.spawn(move || supervise(world, lane, meeting));
        }
        for held in 1.. {
            if phases == 0 {
                break;
            }
            meeting.wait_for(lanes.len());
            if world.drop_all {
                world.shared.clear();
            }
            let (objects, bytes) = check(&world, &mut lanes.iter().map(lock).collect::<Vec<_>>());
            counts.objects_checked += objects;
            counts.most_reachable_bytes = counts.most_reachable_bytes.max(bytes);
            let last = match &mut flatness {
                None => held == phases,
                Some(flatness) => flatness.sample(&world.heap),
            };
            meeting.dismiss(last);
            if last {
                break;
            }
        }
    });
    // No thread, no roots: nothing may be left, and everything can be had again.
    world.shared.clear();
    let mut ended: Vec<_> = lanes.iter().map(lock).collect();
    for lane in &mut ended {
        lane.roots = Arc::new(ThreadRoots::new());
    }
    check(&world, &mut ended);
    if world.limit != usize::MAX {
        world.heap.set_limit(world.limit)?;
        fill_half(&world);
    }
    for lane in &ended {
        counts.add(&Counts { reads_bounced: lane.input.bounced, ..lane.counts });
    }
    let summary = world.heap.summary();
    Ok(Outcome { counts, cycles: summary.cycles, cycles_stw: summary.cycles_stw, flat: flatness })
}

fn lock(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty heap has room for half its limit of objects that are kept.
fn fill_half(world: &World) {
    const WORDS: usize = 512;
    let roots = Arc::new(ThreadRoots::new());
    let mut mutator = world.heap.attach(roots.clone());
    let mut partition = Partition::new(program::MOST_LANES);
    let mut bytes = 0;
    while bytes < world.limit / 2 {
        let header = Header { number: partition.number(), layout: Layout::Slots, words: WORDS };
        if let Ok(memory) = mutator.alloc(header.bytes(), header.layout.space()) {
            let addr = memory.as_ptr() as usize;
            // SAFETY: a new object of that many words. Nobody knows it yet, so its first stores need no mark.
            unsafe {
                word(addr, header.slot_word(0)).store(roots.get(0).map_or(0, |(addr, _)| addr), Ordering::Relaxed);
                word(addr, 0).store(header.encode(), Ordering::Release);
            }
            roots.set(0, Some((addr, header)));
            bytes += header.occupied();
        } else if let Err(error) = mutator.reclaim(header.bytes()) {
            fail(&format!("in a heap that was empty, after {bytes} bytes of new objects: {error}"));
        }
    }
}

/// Runs a lane's threads, one after another.
fn supervise(world: &World, lane: &Mutex<Lane>, meeting: &Meeting) {
    loop {
        let thread = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(format!("lane {}", lock(lane).index));
            thread.spawn_scoped(scope, || work(world, lane, meeting)).map(|thread| thread.join())
        });
        match thread {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => {}
            Ok(Err(payload)) if payload.is::<Planned>() => {}
            Ok(Err(payload)) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
                fail(&format!("a thread panicked: {}", text.unwrap_or_default()));
            }
            Err(error) => fail(&format!("no thread can be started: {error}")),
        }
        lock(lane).counts.threads_ended += 1;
    }
}

/// The life of one of a lane's threads. True when the lane's list is done.
fn work(world: &World, lane: &Mutex<Lane>, meeting: &Meeting) -> bool {
    let roots = Arc::new(ThreadRoots::new());
    let mut mutator = world.heap.attach(roots.clone());
    let mut guard = lock(lane);
    world.shared.inherit(guard.index, &roots);
    guard.roots = roots;
    loop {
        if let Some(end) = run_phase(world, &mut guard, &mut mutator) {
            world.shared.leave(guard.index, &guard.roots);
            match end {
                End::Return => return false,
                End::Panic => resume_unwind(Box::new(Planned)),
            }
        }
        if world.drop_all {
            (0..program::ROOTS as u8).for_each(|root| guard.roots.set(root, None));
        }
        guard.at = ((guard.at.0 + 1) % guard.phases.len(), 0);
        drop(guard);
        if mutator.blocking(|| meeting.attend()) {
            return true;
        }
        guard = lock(lane);
    }
}

/// Runs what is left of a lane's phase.
pub fn run_phase(world: &World, lane: &mut Lane, mutator: &mut pagemark::Mutator) -> Option<End> {
    loop {
        let (phase, next) = lane.at;
        let op = *lane.phases[phase].get(next)?;
        lane.at.1 += 1;
        let mut runner = Runner { lane: &mut *lane, world, mutator: &mut *mutator, op };
        if let Some(end) = runner.execute() {
            return Some(end);
        }
    }
}

/// Where lanes wait for one another.
#[derive(Default)]
struct Meeting {
    state: Mutex<Attendance>,
    changed: Condvar,
}

#[derive(Default)]
struct Attendance {
    /// Lanes that are here.
    lanes: usize,
    /// Meetings that are over.
    meetings: u64,
    /// There will be no other.
    last: bool,
}

impl Meeting {
    /// For a lane: it is here, until the meeting is over. True if that was the last.
    fn attend(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lanes += 1;
        self.changed.notify_all();
        let meeting = state.meetings;
        while state.meetings == meeting {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.last
    }

    /// Waits until `lanes` lanes are here.
    fn wait_for(&self, lanes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.lanes < lanes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The meeting is over, and there is no other if it was the `last`.
    fn dismiss(&self, last: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = Attendance { lanes: 0, meetings: state.meetings + 1, last };
        self.changed.notify_all();
    }
}
