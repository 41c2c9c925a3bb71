//! `arrays`: large arrays of references, written seldom or often.
//!
//! A few arrays of a megabyte and more, each slot with a cell of its own. A step drops some memory and puts `mutation` new cells into random slots. An array is
//! one object: a collector that rescans an object whole when one word of it was written does a thousand times too much work with `--mutation 1`, and one
//! that keeps it out of its barrier loses writes. With `--mutation 4096` nearly every page is written in every round. (bpf-fault, a
//! synchronous page barrier, gained 18 % on DaCapo's xalan, which is such a program.)
//!
//! *Lives*: `arrays` arrays of `size` references, and a cell of 16 bytes a slot; the arrays are divided among threads. *A step*: as above. *Checked*: each cell is of its
//! slot, and their sum is that of what was written and not overwritten.
//! *Check*: the value of each cell, from the first array's first slot to the last array's last. A value is the number of the slot among all (array times `size` plus slot)
//! times 65,536, plus the 16 bits that were drawn for it (0 at first).

use pagemark::Trace;
use pagemark::typed::{Array, Field};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const ARRAYS: Parameter = Parameter::new("arrays", "Arrays, all threads together", 16, 8, (1, 4096));
const SIZE: Parameter = Parameter::new("size", "References in an array", 262_144, 65_536, (16, 1 << 28));
const STEPS: Parameter = Parameter::new("steps", "Steps, all threads together", 100_000, 15_000, (1, 1 << 40));
const MUTATION: Parameter = Parameter::new("mutation", "References written in a step", 16, 16, (0, 1 << 20));
const GARBAGE: Parameter = Parameter::new("garbage", "Bytes allocated and dropped in a step", 8192, 8192, (0, 1 << 24));

/// The bits of a cell's value that are drawn; those above are its place.
const DRAWN: u32 = 16;

#[derive(Trace)]
struct Cell {
    value: u64,
}

/// Holds a thread's arrays.
#[derive(Trace)]
struct Shelf {
    array: Field<Array<Cell>>,
    next: Field<Shelf>,
}

/// The workload.
pub struct Arrays;

impl Workload for Arrays {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "arrays",
            about: "Large arrays of references, written seldom (--mutation 1) or often (--mutation 4096)",
            parameters: &[ARRAYS, SIZE, STEPS, MUTATION, GARBAGE],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, _threads: u64) -> Live {
        let size = values.get(&SIZE);
        let one = sizes::array(size) + size * sizes::of::<Cell>() + sizes::of::<Shelf>();
        Live::always(values.get(&ARRAYS) * one)
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (arrays, size) = (worker.share(worker.value(&ARRAYS)), worker.value(&SIZE));
        let (steps, mutation) = (worker.share(worker.value(&STEPS)), worker.value(&MUTATION));
        let garbage = worker.value(&GARBAGE) as usize;
        let stores = worker.stores();
        // A handle for each: what the steps reach the arrays by. The shelves only make them reachable in the heap, too.
        let shelves = worker.mutator.root::<Shelf>(None);
        let mut handles = Vec::new();
        for array in 0..arrays {
            let handle = worker.mutator.root::<Array<Cell>>(None);
            worker.step(sizes::array(size), |mutator| {
                let made = mutator.alloc_array(size as usize)?;
                let shelf = mutator.alloc(Shelf { array: Field::null(), next: Field::null() })?;
                shelf.array.set(Some(made));
                shelf.next.set(shelves.get(mutator));
                shelves.set(Some(shelf));
                handle.set(Some(made));
                Ok(())
            })?;
            for from in (0..size).step_by(512) {
                worker.step(sizes::of::<Cell>(), |mutator| {
                    let made = handle.get(mutator).expect("it is rooted");
                    for slot in from..size.min(from + 512) {
                        let cell = mutator.alloc(Cell { value: place(array, size, slot) << DRAWN })?;
                        stores.set(&made[slot as usize], Some(cell));
                    }
                    Ok(())
                })?;
            }
            handles.push(handle);
        }
        let mut sum = 0u64;
        let mut random = worker.random();

        // A thread without an array has nothing to do: there may be more threads than arrays.
        let steps = if arrays == 0 { 0 } else { steps };
        worker.begin(steps)?;
        for _ in 0..steps {
            if garbage > 0 {
                worker.attempt(sizes::bytes(garbage as u64), |mutator| mutator.alloc_bytes(garbage).map(|_| ()))?;
            }
            let mut todo = mutation;
            worker.step(sizes::of::<Cell>(), |mutator| {
                while todo > 0 {
                    let mut next = random.clone();
                    let (array, slot) = (next.below(arrays), next.below(size));
                    let drawn = next.below(1 << DRAWN);
                    let cell = mutator.alloc(Cell { value: place(array, size, slot) << DRAWN | drawn })?;
                    let field = &handles[array as usize].get(mutator).expect("it is rooted").value()[slot as usize];
                    let old = field.get(mutator).expect("every slot is full").value & ((1 << DRAWN) - 1);
                    sum = sum.wrapping_add(drawn).wrapping_sub(old);
                    stores.set(field, Some(cell));
                    random = next;
                    todo -= 1;
                }
                Ok(())
            })?;
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let mut shelf = shelves.get(mutator);
        let mut found = 0u64;
        for array in (0..arrays).rev() {
            let this = shelf.ok_or("a shelf is gone")?;
            for (slot, field) in this.array.get(mutator).ok_or("an array is gone")?.fields().iter().enumerate() {
                let value = field.get(mutator).ok_or("a cell is gone")?.value;
                if value >> DRAWN != place(array, size, slot as u64) {
                    return Err(format!("array {array} has the cell of another slot at {slot}").into());
                }
                found = found.wrapping_add(value & ((1 << DRAWN) - 1));
            }
            shelf = this.value().next.get(mutator);
        }
        if found != sum {
            return Err(format!("the cells add up to {found}, not {sum}").into());
        }
        let mut fold = Fold::new();
        for handle in &handles {
            for field in handle.get(mutator).ok_or("an array is gone")?.fields() {
                fold.add(field.get(mutator).ok_or("a cell is gone")?.value);
            }
        }
        Ok(fold.value())
    }
}

/// The number of a slot among all of a thread.
fn place(array: u64, size: u64, slot: u64) -> u64 {
    array * size + slot
}
