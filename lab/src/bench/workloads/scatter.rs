//! `scatter`: one write to a random old page at a time, the worst a page barrier can meet.
//!
//! A table leads to many objects of one page each. Each write puts a new cell into one of them, chosen at random, so that while
//! a cycle marks nearly every write is the first one to its page since that was armed, and pays a fault for the eight bytes. Beside it
//! `garbage` bytes die for each write, or there would be no cycles. Card marking pays one store here; run with
//! `--gc mechanism=cards` for the comparison that hurts. The shape is ours; databases with random updates (DaCapo's h2, on which
//! synchronous userfaultfd lost 28 %) come near it.
//!
//! *Lives*: `pages` objects of 4,096 bytes, a cell of 16 for each, and the table; per thread its share. *A step*: 64 writes.
//! *Checked*: every page is the one it was, and the cells add up to the sum of what was written and not overwritten. *Check*: for each page in
//! the table's order, the first of its words, then its cell's value.

use pagemark::Trace;
use pagemark::typed::{Array, Field};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const PAGES: Parameter = Parameter::new("size", "Old objects of one page each", 65_536, 8192, (64, 1 << 24));
const WRITES: Parameter = Parameter::new("writes", "Writes, all threads together", 4_000_000, 500_000, (1, 1 << 40));
const GARBAGE: Parameter =
    Parameter::new("garbage", "Bytes that are allocated and dropped for each write", 256, 256, (0, 8000));

/// Writes in a step.
const STEP: u64 = 64;

/// An object of one page.
#[derive(Trace)]
struct Page {
    cell: Field<Cell>,
    words: [u64; 510],
}

/// What is written: a small object without references.
#[derive(Trace)]
struct Cell {
    value: u64,
}

const _: () = assert!(sizes::of::<Page>() == 4096 && sizes::of::<Cell>() == 16);

/// The workload.
pub struct Scatter;

impl Workload for Scatter {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "scatter",
            about: "One write to a random old page at a time: a page barrier's worst case",
            parameters: &[PAGES, WRITES, GARBAGE],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let one = |pages| pages * (sizes::of::<Page>() + sizes::of::<Cell>()) + sizes::array(pages);
        Live::always(super::shares(values.get(&PAGES), threads).map(one).sum())
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (pages, writes) = (worker.share(worker.value(&PAGES)), worker.share(worker.value(&WRITES)));
        let garbage = worker.value(&GARBAGE) as usize;
        let table = worker.mutator.root::<Array<Page>>(None);
        worker.step(sizes::array(pages), |mutator| {
            table.set(Some(mutator.alloc_array(pages as usize)?));
            Ok(())
        })?;
        let stores = worker.stores();
        for index in 0..pages {
            worker.step(sizes::of::<Page>(), |mutator| {
                let page = mutator.alloc(Page { cell: Field::null(), words: [index; 510] })?;
                page.cell.set(Some(mutator.alloc(Cell { value: index })?));
                let table = table.get(mutator).expect("it is rooted");
                stores.set(&table[index as usize], Some(page));
                Ok(())
            })?;
        }
        // The sum of the values in all cells.
        let mut sum: u64 = (0..pages).sum();
        let mut random = worker.random();

        worker.begin(writes.div_ceil(STEP))?;
        let mut left = writes;
        while left > 0 {
            let mut todo = STEP.min(left);
            left -= todo;
            // What is done stays done if memory runs out in the middle.
            worker.step(sizes::bytes(garbage as u64), |mutator| {
                let table = table.get(mutator).expect("it is rooted");
                while todo > 0 {
                    if garbage > 0 {
                        mutator.alloc_bytes(garbage)?;
                    }
                    let mut next = random.clone();
                    let value = next.below(1 << 32);
                    let cell = mutator.alloc(Cell { value })?;
                    let page = table[next.below(pages) as usize].get(mutator).expect("the table is full");
                    let old = page.cell.get(mutator).expect("every page has a cell");
                    sum = sum.wrapping_add(value).wrapping_sub(old.value);
                    stores.set(&page.value().cell, Some(cell));
                    random = next;
                    todo -= 1;
                }
                Ok(())
            })?;
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let table = table.get(mutator).ok_or("the table is gone")?;
        let (mut found, mut fold) = (0u64, Fold::new());
        for (index, field) in table.fields().iter().enumerate() {
            let page = field.get(mutator).ok_or("a page is gone")?;
            if page.words.iter().any(|word| *word != index as u64) {
                return Err(format!("page {index} is damaged").into());
            }
            let value = page.cell.get(mutator).ok_or("a cell is gone")?.value;
            found = found.wrapping_add(value);
            fold.add(page.words[0]);
            fold.add(value);
        }
        if found == sum { Ok(fold.value()) } else { Err(format!("the cells add up to {found}, not {sum}").into()) }
    }
}
