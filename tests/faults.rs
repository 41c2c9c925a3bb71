//! A system call that fails in a cycle costs time and never an object.
//!
//! Two threads change a graph, checked against a shadow, while the calls of a cycle are made to fail: at its arming, in its
//! rounds, in its pause; before they did anything, or half-way; once, or always. When the barrier cannot say what was
//! written, the cycle must say that it is blind and rescan everything; the next, with the kernel well again, must not be. Everything
//! runs with `verify=mark`, under each mechanism that can fail so, on both backings.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pagemark::__private::{Call, FaultPlan, Kernel, Outcome, When};
use pagemark::Config;
use pagemark::telemetry::{CycleKind, CycleReport, EventListener};
use pagemark::typed::{Heap, Mutator};
use pagemark_gc::error::BarrierError;
use pagemark_workspace::{Watchdog, while_a_graph_changes};

const MECHANISMS: [&str; 4] = ["async", "sync", "sigbus", "mprotect"];
const BACKINGS: [&str; 2] = ["anon", "shmem"];
const SLOTS: usize = 4_000;

/// The call that arms.
fn arming(mechanism: &str) -> Call {
    match mechanism {
        "async" => Call::PagemapScan,
        "mprotect" => Call::MprotectProtect,
        _ => Call::UffdProtect,
    }
}

/// The call that makes writable.
fn disarming(mechanism: &str) -> Call {
    if mechanism == "mprotect" { Call::MprotectUnprotect } else { Call::UffdUnprotect }
}

fn heap(mechanism: &str, backing: &str, keys: &str, plan: &Arc<FaultPlan>) -> Heap {
    let keys = format!("mechanism={mechanism},backing={backing},limit=96M,heap=4M,rounds=2,verify=mark{keys}");
    let config = Config::parse(&keys).expect("a configuration");
    Heap::with_kernel(&config, &Kernel::failing(plan)).expect("it works on this machine")
}

/// The moments of a cycle at which a rule can be set.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    /// Before the pages are armed.
    Arm,
    /// Before the rounds.
    Rounds,
    /// In the pause.
    Pause,
}

type Rule = (Phase, Call, When, Outcome);

/// Sets a rule when a cycle gets to a phase, takes it back when the cycle ends, and remembers what was told.
struct Saboteur {
    plan: Arc<FaultPlan>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    /// Hits of the rule's call when the cycle began.
    hits_before: u64,
    failures: Vec<String>,
    cycles: Vec<Told>,
}

/// What was told of one cycle.
struct Told {
    /// How often the rule hit.
    hits: u64,
    failures: Vec<String>,
    report: CycleReport,
}

impl Saboteur {
    fn of(heap: &Heap, plan: &Arc<FaultPlan>) -> Arc<Saboteur> {
        let saboteur = Arc::new(Saboteur { plan: plan.clone(), state: Mutex::default() });
        heap.raw().add_listener(saboteur.clone());
        saboteur
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hits(&self, rule: Option<Rule>) -> u64 {
        rule.map_or(0, |(_, call, ..)| self.plan.hits(call))
    }

    fn reached(&self, reached: Phase) {
        if let Some((phase, call, when, outcome)) = self.state().rule
            && phase == reached
        {
            self.plan.set(call, when, outcome);
        }
    }

    /// Cycles under a rule, at least one, until it hit.
    fn until_hit(&self, m: &mut Mutator, rule: Rule) -> Vec<Told> {
        let mut told = Vec::new();
        for _ in 0..200 {
            told.append(&mut self.cycles(m, Some(rule)));
            if told.iter().any(|told| told.hits > 0) {
                return told;
            }
        }
        panic!("{rule:?} hit nothing in 200 cycles");
    }

    /// Under a rule, until there was a cycle as `wanted`; others ask for cycles.
    fn until(&self, m: &mut Mutator, rule: Option<Rule>, wanted: impl Fn(&CycleReport) -> bool) {
        let mut state = self.state();
        state.rule = rule;
        state.cycles.clear();
        drop(state);
        while !self.state().cycles.iter().any(|told| wanted(&told.report)) {
            m.blocking(|| std::thread::sleep(Duration::from_millis(1)));
        }
        self.state().rule = None;
    }

    /// One cycle under a rule, and those that ended meanwhile.
    fn cycles(&self, m: &mut Mutator, rule: Option<Rule>) -> Vec<Told> {
        // A cycle that runs now is not counted, since it may have passed the phase.
        m.collect();
        let mut state = self.state();
        state.rule = rule;
        state.hits_before = self.hits(rule);
        state.cycles.clear();
        drop(state);
        m.collect();
        let mut state = self.state();
        state.rule = None;
        std::mem::take(&mut state.cycles)
    }
}

impl EventListener for Saboteur {
    fn handshake_done(&self) {
        self.reached(Phase::Arm);
    }

    fn marking_done(&self) {
        self.reached(Phase::Rounds);
    }

    fn mutators_stopped(&self, _time: Duration) {
        self.reached(Phase::Pause);
    }

    fn scan_failed(&self, error: &BarrierError) {
        self.state().failures.push(error.to_string());
    }

    fn cycle_ended(&self, report: &CycleReport) {
        self.plan.clear_all();
        let mut state = self.state();
        let hits = self.hits(state.rule);
        let told = Told {
            hits: hits - state.hits_before.min(hits),
            failures: std::mem::take(&mut state.failures),
            report: report.clone(),
        };
        state.hits_before = hits;
        state.cycles.push(told);
    }
}

/// Of cycles under a rule, those it hit must be blind and say so, and no others.
fn blind_where_hit(mechanism: &str, rule: Rule, cycles: &[Told]) {
    for told in cycles {
        let line = told.report.log_line();
        assert_eq!(told.report.blind, told.hits > 0, "{mechanism}, {rule:?}: {} hits, {line}", told.hits);
        assert_eq!((line.contains("BLIND"), told.failures.is_empty()), (told.hits > 0, told.hits == 0), "{line}");
        assert!(told.failures.iter().all(|message| message.contains(mechanism)), "{:?}", told.failures);
    }
}

fn none_is_blind(mechanism: &str, what: &str, cycles: &[Told]) {
    assert!(cycles.iter().all(|told| !told.report.blind && told.failures.is_empty()), "{mechanism}, {what}");
}

/// One mechanism on one backing: a heap whose graph changes, and its saboteur.
fn each(body: impl Fn(&str, &mut Mutator, &Arc<FaultPlan>, &Saboteur)) {
    each_with("", body);
}

/// The same with more keys.
fn each_with(keys: &str, body: impl Fn(&str, &mut Mutator, &Arc<FaultPlan>, &Saboteur)) {
    let _watchdog = Watchdog::start(Duration::from_secs(600));
    for mechanism in MECHANISMS {
        for backing in BACKINGS {
            let plan = FaultPlan::new(1);
            let heap = heap(mechanism, backing, keys, &plan);
            let saboteur = Saboteur::of(&heap, &plan);
            while_a_graph_changes(&heap, 2, SLOTS, &format!("{mechanism} on {backing}"), |m| {
                // Once round, so that there is something to arm.
                m.collect();
                body(mechanism, m, &plan, &saboteur);
            });
        }
    }
}

#[test]
fn a_scan_that_fails_makes_its_cycle_blind_and_no_other() {
    each(|mechanism, m, _, saboteur| {
        let failures = [
            (When::Nth(1), Outcome::Fails(libc::EPERM)),
            (When::Nth(1), Outcome::Fails(libc::EBUSY)),
            (When::Nth(1), Outcome::HalfDone(libc::ENOMEM)),
            (When::Nth(2), Outcome::HalfDone(libc::EPERM)),
            (When::Always, Outcome::Fails(libc::ENOMEM)),
            (When::Always, Outcome::HalfDone(libc::ENOMEM)),
        ];
        for phase in [Phase::Arm, Phase::Rounds, Phase::Pause] {
            for (when, outcome) in failures {
                let rule = (phase, arming(mechanism), when, outcome);
                blind_where_hit(mechanism, rule, &saboteur.until_hit(m, rule));
                none_is_blind(mechanism, &format!("after {rule:?}"), &saboteur.cycles(m, None));
            }
        }
    });
}

#[test]
fn a_blind_cycle_among_sticky_ones_loses_nothing() {
    each_with(",sticky=always,zeal=alloc:1", |mechanism, m, _, saboteur| {
        for phase in [Phase::Arm, Phase::Rounds, Phase::Pause] {
            for outcome in [Outcome::Fails(libc::ENOMEM), Outcome::HalfDone(libc::ENOMEM)] {
                let rule = (phase, arming(mechanism), When::Always, outcome);
                let is =
                    |blind: bool| move |report: &CycleReport| report.kind == CycleKind::Sticky && report.blind == blind;
                saboteur.until(m, Some(rule), is(true));
                saboteur.until(m, None, is(false));
            }
        }
    });
}

#[test]
fn a_request_told_to_try_again_is_tried_again_and_fails_only_when_it_always_is() {
    each(|mechanism, m, _, saboteur| {
        let retried = matches!(mechanism, "sync" | "sigbus");
        for phase in [Phase::Arm, Phase::Rounds, Phase::Pause] {
            for errno in [libc::EAGAIN, libc::EINTR] {
                let rule = (phase, arming(mechanism), When::Nth(1), Outcome::Fails(errno));
                let cycles = saboteur.until_hit(m, rule);
                match retried {
                    true => none_is_blind(mechanism, &format!("{rule:?}"), &cycles),
                    false => blind_where_hit(mechanism, rule, &cycles),
                }
                let rule = (phase, arming(mechanism), When::Always, Outcome::Fails(errno));
                blind_where_hit(mechanism, rule, &saboteur.until_hit(m, rule));
            }
        }
        none_is_blind(mechanism, "once it is well again", &saboteur.cycles(m, None));
    });
}

#[test]
fn a_scan_with_a_short_vector_goes_on_where_it_stopped() {
    each(|mechanism, m, _, saboteur| {
        if mechanism == "async" {
            for phase in [Phase::Arm, Phase::Rounds, Phase::Pause] {
                let rule = (phase, Call::PagemapScan, When::Always, Outcome::Short);
                none_is_blind(mechanism, "a short vector", &saboteur.until_hit(m, rule));
            }
        }
    });
}

#[test]
fn a_report_whose_last_request_fails_is_not_believed() {
    each(|mechanism, m, _, saboteur| {
        if mechanism == "sigbus" {
            for phase in [Phase::Arm, Phase::Rounds, Phase::Pause] {
                let rule = (phase, Call::UffdWake, When::Nth(1), Outcome::Fails(libc::EBADF));
                let cycles = saboteur.until_hit(m, rule);
                blind_where_hit(mechanism, rule, &cycles);
                let message = cycles.iter().find_map(|told| told.failures.first()).expect("it says why");
                assert!(message.contains("UFFDIO_WAKE") && message.contains("closed a descriptor"), "{message}");
            }
        }
    });
}

#[test]
fn calls_that_fail_at_random_lose_nothing() {
    each(|mechanism, m, plan, _| {
        for turn in 0..30 {
            // The saboteur heals the kernel at the end of each cycle, so this lasts for one.
            let errno = [libc::ENOMEM, libc::EPERM, libc::EBUSY][turn % 3];
            let outcome = if turn % 2 == 0 { Outcome::Fails(errno) } else { Outcome::HalfDone(errno) };
            plan.set(arming(mechanism), When::OneIn(3), outcome);
            plan.set(Call::Populate, When::OneIn(2), Outcome::HalfDone(libc::ENOMEM));
            plan.set(Call::Release, When::OneIn(2), Outcome::Fails(libc::ENOMEM));
            if mechanism == "mprotect" {
                plan.set(disarming(mechanism), When::OneIn(3), Outcome::HalfDone(libc::ENOMEM));
            }
            m.collect();
        }
        assert!(plan.hits(arming(mechanism)) > 0);
    });
}

#[test]
fn a_block_that_cannot_be_disarmed_is_used_all_the_same() {
    each(|mechanism, m, plan, _| {
        // Where faults are resolved by the same call, one that always fails is another test's.
        let (when, outcomes) = match mechanism {
            "async" => (When::Always, [Outcome::Fails(libc::EPERM), Outcome::HalfDone(libc::ENOMEM)]),
            "sync" => return,
            _ => (When::OneIn(2), [Outcome::Fails(libc::ENOMEM), Outcome::HalfDone(libc::EAGAIN)]),
        };
        for outcome in outcomes {
            let before = plan.hits(disarming(mechanism));
            for _ in 0..200 {
                plan.set(disarming(mechanism), when, outcome);
                m.collect();
                if plan.hits(disarming(mechanism)) > before + 20 {
                    break;
                }
            }
            assert!(plan.hits(disarming(mechanism)) > before, "{mechanism}, {outcome:?}");
        }
    });
}

#[test]
fn memory_that_cannot_be_given_back_is_kept_and_used_again() {
    let _watchdog = Watchdog::start(Duration::from_secs(600));
    for (mechanism, backing) in MECHANISMS.iter().flat_map(|m| BACKINGS.map(|b| (*m, b))) {
        let what = format!("{mechanism} on {backing}");
        let plan = FaultPlan::new(1);
        let heap = heap(mechanism, backing, "", &plan);
        while_a_graph_changes(&heap, 1, SLOTS, &what, |m| {
            for errno in [libc::ENOMEM, libc::EPERM, libc::EINVAL, libc::EINTR] {
                let before = plan.hits(Call::Release);
                plan.set(Call::Release, When::Always, Outcome::Fails(errno));
                for _ in 0..3 {
                    // Most of the limit, twice over: what the first left must serve the second.
                    let held: Vec<_> = (0..60)
                        .map(|_| {
                            loop {
                                match m.alloc_bytes(1 << 20) {
                                    Ok(bytes) => {
                                        // Every page is zero, whatever lay there.
                                        let bytes = bytes.bytes();
                                        let words = bytes.iter().step_by(4096);
                                        assert!(
                                            words.clone().all(|b| b.load(std::sync::atomic::Ordering::Relaxed) == 0)
                                        );
                                        words.for_each(|b| b.store(7, std::sync::atomic::Ordering::Relaxed));
                                        break;
                                    }
                                    Err(_) => m.reclaim(1 << 20).expect("nothing of it is held"),
                                }
                            }
                        })
                        .collect();
                    drop(held);
                    m.collect();
                    m.collect();
                }
                assert!(plan.hits(Call::Release) > before, "{what}: nothing was given back under errno {errno}");
                plan.clear_all();
            }
        });
        assert!(heap.summary().peak_heap_bytes <= 96 << 20, "{what}");
    }
}
