//! `churn`: allocation of short-lived trees beside a large live one that keeps changing.

use std::time::Instant;

use pagemark::Config;
use pagemark::typed::Heap;
use serde_json::{Value, json};

use crate::control::{Control, Stalls, histogram};
use crate::node::{SMALL, build, check, count, descend, live_tree, store};

pub fn run(config: &Config, levels: u32, trees: u64) -> Result<Value, Box<dyn std::error::Error>> {
    let heap = Heap::new(config)?;
    let mut mutator = heap.attach();
    let setup = Instant::now();
    let root = live_tree(&mut mutator, levels)?;
    let setup = setup.elapsed();
    let top = levels - SMALL;

    let control = Control::start();
    let mut worst = histogram();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let clock = Instant::now();
    for tree in 0..trees {
        let one = Instant::now();
        loop {
            if let Ok(subtree) = build(&mutator, SMALL, tree) {
                if tree % 16 == 15 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let field = descend(&mutator, root.get(&mutator).expect("rooted"), top, random);
                    store(&mutator, field, Some(subtree));
                }
                break;
            }
            mutator.reclaim(32 << SMALL)?;
        }
        mutator.poll();
        worst.record(one.elapsed().as_nanos() as u64).expect("an auto-resizing histogram takes every value");
    }
    let elapsed = clock.elapsed().as_secs_f64();
    let control = control.finish();

    let tree = root.get(&mutator).expect("rooted");
    let nodes = count(&mutator, tree);
    if nodes != (1 << levels) - 1 {
        return Err(format!("the live tree has {nodes} nodes, not {}", (1u64 << levels) - 1).into());
    }
    for path in 0..1u64 << top {
        let subtree = descend(&mutator, tree, top, path).get(&mutator).ok_or("a subtree is gone")?;
        let value = subtree.value;
        if check(&mutator, subtree, value) != Some((1 << SMALL) - 1) {
            return Err(format!("subtree {path} is damaged").into());
        }
    }
    let allocated = trees * ((1 << SMALL) - 1);
    Ok(json!({
        "workload": "churn",
        "levels": levels,
        "trees": trees,
        "setup_s": setup.as_secs_f64(),
        "elapsed_s": elapsed,
        "million_nodes_per_s": allocated as f64 / elapsed / 1e6,
        "one_tree": Stalls::of(&worst),
        "control": control,
        "gc": heap.summary(),
    }))
}
