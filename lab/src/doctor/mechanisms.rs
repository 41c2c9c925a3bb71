//! Which mechanisms work here, on each backing, found out as a heap finds it out: by opening and trying them.

use std::time::Duration;

use pagemark::Config;
use pagemark::typed::Heap;
use pagemark_gc::barrier::{self, Mechanism, Opened};
use pagemark_gc::error::BarrierError;
use pagemark_gc::layout::PAGE;
use pagemark_gc::memory::{Backing, Mapping};
use pagemark_gc::sys::Kernel;
use serde::Serialize;

use super::cost::{self, Cost};

/// What was found out about mechanisms and heaps.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// Each mechanism on each backing.
    pub mechanisms: Vec<Attempt>,
    /// What `auto` takes, on each backing.
    pub auto: Vec<Choice>,
}

/// One mechanism on one backing.
#[derive(Debug, Serialize)]
pub struct Attempt {
    /// Its name.
    pub mechanism: &'static str,
    /// The backing's name.
    pub backing: &'static str,
    /// Whether a heap may have it.
    pub works: bool,
    /// What works less well than one may think.
    pub note: Option<String>,
    /// Why it does not work.
    pub why_not: Option<String>,
    /// What would help then.
    pub remedy: Option<String>,
    /// What it costs, where it was measured.
    pub cost: Option<Cost>,
}

/// What a heap gets that asks for nothing in particular.
#[derive(Debug, Serialize)]
pub struct Choice {
    /// The backing's name.
    pub backing: &'static str,
    /// The mechanism `auto` takes; `None` where there is no heap at all.
    pub mechanism: Option<&'static str>,
    /// Whether it marks while the program runs.
    pub concurrent: bool,
    /// Why it is this one and not a better one, what works less well with it, or why there is no heap.
    pub reason: Option<String>,
}

impl Findings {
    /// Tries everything, and measures each mechanism that works for `time`, half of it on each backing.
    pub fn gather(time: Duration) -> Findings {
        // `none` does not collect, so that it works is no news, and no help.
        let no_candidate = |mechanism: &Mechanism| matches!(mechanism, Mechanism::Auto | Mechanism::None);
        let candidates = || Mechanism::ALL.iter().copied().filter(|mechanism| !no_candidate(mechanism));
        let on = |backing: Backing| candidates().map(move |mechanism| attempt(mechanism, backing, time / 2));
        Findings {
            mechanisms: Backing::ALL.iter().copied().flat_map(on).collect(),
            auto: Backing::ALL.iter().copied().map(choice).collect(),
        }
    }
}

/// Opens a mechanism on a mapping of its own and tries it.
fn open(mechanism: Mechanism, mapping: &Mapping) -> Result<Opened, BarrierError> {
    barrier::open_tried(mechanism, mapping, &[mapping.range()], &Kernel::real())
}

fn mapping(backing: Backing) -> Result<Mapping, String> {
    Mapping::new(backing, cost::PAGES * PAGE, "pagemark doctor").map_err(|error| error.to_string())
}

fn attempt(mechanism: Mechanism, backing: Backing, time: Duration) -> Attempt {
    let mut attempt = Attempt {
        mechanism: mechanism.name(),
        backing: backing.name(),
        works: false,
        note: None,
        why_not: None,
        remedy: None,
        cost: None,
    };
    let mapping = match mapping(backing) {
        Ok(mapping) => mapping,
        Err(error) => return Attempt { why_not: Some(error), ..attempt },
    };
    let measured = open(mechanism, &mapping).and_then(|Opened { barrier, reason }| {
        attempt.note = reason;
        if time.is_zero() || !barrier.sees_writes() {
            return Ok(None);
        }
        cost::measure(&*barrier, &mapping.range(), time).map(Some)
    });
    match measured {
        Ok(cost) => Attempt { works: true, cost, ..attempt },
        Err(BarrierError::Unavailable { cause, remedy, .. }) => {
            Attempt { why_not: Some(cause), remedy: Some(remedy), ..attempt }
        }
        Err(error) => Attempt { why_not: Some(error.to_string()), ..attempt },
    }
}

fn choice(backing: Backing) -> Choice {
    let none = |reason| Choice { backing: backing.name(), mechanism: None, concurrent: false, reason: Some(reason) };
    if let Err(error) = heap(backing) {
        return none(error);
    }
    // The heap said that there is memory and that threads start; the barrier alone tells its reason.
    let opened = mapping(backing).and_then(|mapping| {
        let Opened { barrier, reason } = open(Mechanism::Auto, &mapping).map_err(|error| error.to_string())?;
        Ok((barrier.name(), barrier.sees_writes(), reason))
    });
    match opened {
        Ok((mechanism, concurrent, reason)) => {
            Choice { backing: backing.name(), mechanism: Some(mechanism), concurrent, reason }
        }
        Err(error) => none(error),
    }
}

/// Makes the least demanding heap, and collects in it.
fn heap(backing: Backing) -> Result<(), String> {
    let config = Config::parse(&format!("mechanism=stop,limit=64M,backing={backing}")).map_err(|e| e.to_string())?;
    let heap = Heap::new(&config).map_err(|error| error.to_string())?;
    heap.attach().collect();
    Ok(())
}
