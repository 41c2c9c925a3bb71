//! `verify=mark`: in the pause, after marking, everything reachable is traced a second time and must carry the colour.
//!
//! The second trace shares nothing with marking but the object model: a visited bitmap of its own, one thread, a plain stack, no ring, no
//! pages. It starts from the same roots. What it finds unmarked was **lost**: it names the object, the object that refers to it, and whether
//! the page of that reference was reported as written, which tells a lost write (not reported) from a fault in rescanning (reported).
//!
//! A lost object is then marked, and so is all it leads to, so that the program goes on with its data whole; the failure is counted in
//! `verify_failures` and printed.

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use super::PRINTED;
use crate::collector::Shared;
use crate::fatal::say;
use crate::heap::metadata::{MARK_MASK, START};
use crate::layout::{GRANULE, PAGE};
use crate::mark::tracer::Tracer;

/// Traces everything reachable from `roots` again; returns how many objects marking had missed. All mutators are stopped.
/// `reported` holds the pages that this cycle rescanned.
pub fn verify(shared: &Shared, roots: &[usize], reported: &HashSet<usize>) -> u64 {
    let heap = &shared.heap;
    let colour = heap.colour();
    let mut lost: HashSet<usize> = HashSet::new();
    let mut visited = Bitmap::default();
    let base = heap.range().start;
    let mut stack: Vec<(usize, usize)> = roots.iter().map(|root| (*root, 0)).collect();
    let mut failures = 0;
    let mut tracer = Tracer::collecting(heap);
    while let Some((object, parent)) = stack.pop() {
        if !visited.insert((object - base) / GRANULE) {
            continue;
        }
        let slot = heap.metadata.at(object);
        let byte = slot.load(Ordering::Relaxed);
        if byte & START == 0 {
            failures += 1;
            if failures <= PRINTED {
                say(&describe(shared, "a reference leads to freed memory", object, parent, reported));
            }
            continue;
        }
        if byte & MARK_MASK != colour {
            slot.store(byte & !MARK_MASK | colour, Ordering::Relaxed);
            // Report the first object of a lost subgraph, not all that hangs on it.
            if !lost.contains(&parent) {
                failures += 1;
                if failures <= PRINTED {
                    say(&describe(shared, "a reachable object is not marked", object, parent, reported));
                }
            }
            lost.insert(object);
        }
        if heap.is_leaf(object) {
            continue;
        }
        let bytes = heap.object_bytes(object);
        // SAFETY: an object starts at this address, which is not null; it is in the tracked space, mutators are stopped and nothing has been swept.
        unsafe {
            shared.model.trace(NonNull::new_unchecked(object as *mut u8), 0..bytes, &mut tracer);
        }
        stack.extend(tracer.stack.drain(..).map(|child| (child, object)));
    }
    failures
}

fn describe(shared: &Shared, what: &str, object: usize, parent: usize, reported: &HashSet<usize>) -> String {
    let name = shared.config.name();
    if parent == 0 {
        return format!("pagemark[{name}] VERIFY: {what}: {object:#x}, held by a root");
    }
    let bytes = shared.heap.object_bytes(parent);
    let pages: Vec<String> = (parent & !(PAGE - 1)..parent + bytes)
        .step_by(PAGE)
        .take(4)
        .map(|page| {
            let seen = if reported.contains(&page) { "reported as written" } else { "not reported as written" };
            format!("{page:#x} ({seen})")
        })
        .collect();
    format!(
        "pagemark[{name}] VERIFY: {what}: {object:#x}, held by the object of {bytes} bytes at {parent:#x} on page {}",
        pages.join(", ")
    )
}

/// A set of granules, in chunks that exist only where something is set.
#[derive(Default)]
struct Bitmap {
    chunks: std::collections::HashMap<usize, Box<[u64; Bitmap::WORDS]>>,
}

impl Bitmap {
    const WORDS: usize = 1024;

    /// Adds `index`; false when it was there.
    fn insert(&mut self, index: usize) -> bool {
        let (chunk, rest) = (index / (64 * Self::WORDS), index % (64 * Self::WORDS));
        let words = self.chunks.entry(chunk).or_insert_with(|| Box::new([0; Self::WORDS]));
        let bit = 1 << (rest % 64);
        let new = words[rest / 64] & bit == 0;
        words[rest / 64] |= bit;
        new
    }
}
