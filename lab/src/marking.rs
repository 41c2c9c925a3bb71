//! `mark`: what marking costs an object, with nothing else going on.

use std::sync::{Arc, Mutex};

use pagemark::Config;
use pagemark::telemetry::{CycleReport, EventListener};
use pagemark::typed::{Heap, Mutator};
use serde_json::{Value, json};

use crate::control::Control;
use crate::node::{SMALL, descend, live_tree, store};

#[derive(Default)]
struct Reports(Mutex<Vec<CycleReport>>);

impl EventListener for Reports {
    fn cycle_ended(&self, report: &CycleReport) {
        self.0.lock().expect("nobody panics with it").push(report.clone());
    }
}

pub fn run(config: &Config, levels: u32, cycles: u32, shuffled: bool) -> Result<Value, Box<dyn std::error::Error>> {
    let heap = Heap::new(config)?;
    let reports = Arc::new(Reports::default());
    let mut mutator = heap.attach();
    let root = live_tree(&mut mutator, levels)?;
    if shuffled {
        shuffle(&mutator, &root, levels);
    }
    heap.raw().add_listener(reports.clone());
    let control = Control::start();
    for _ in 0..cycles {
        mutator.collect();
    }
    let control = control.finish();
    let reports = reports.0.lock().expect("nobody panics with it");
    let mut per_object: Vec<f64> = reports
        .iter()
        .map(|report| {
            let time = if report.phases.mark.is_zero() { report.phases.pause } else { report.phases.mark };
            time.as_nanos() as f64 / report.objects_marked as f64
        })
        .collect();
    per_object.sort_by(f64::total_cmp);
    Ok(json!({
        "workload": "mark",
        "levels": levels,
        "order": if shuffled { "random" } else { "allocation" },
        "ns_per_object": {
            "min": per_object.first(),
            "median": per_object.get(per_object.len() / 2),
            "max": per_object.last(),
        },
        "control": control,
        "gc": heap.summary(),
    }))
}

/// Exchanges subtrees of one node all over the tree, so that a walk jumps through memory.
fn shuffle(mutator: &Mutator, root: &pagemark::typed::Root<crate::node::Node>, levels: u32) {
    let tree = root.get(mutator).expect("rooted");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for depth in SMALL.min(levels - 1)..levels {
        for _ in 0..1u64 << depth {
            let a = descend(mutator, tree, depth, next());
            let b = descend(mutator, tree, depth, next());
            let (left, right) = (a.get(mutator), b.get(mutator));
            store(mutator, a, right);
            store(mutator, b, left);
        }
    }
}
