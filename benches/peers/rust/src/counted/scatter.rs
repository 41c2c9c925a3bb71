//! One write to a random old object of one page at a time.

use super::{Bench, Failure, Gc, GcCell, Trace};
use crate::fold::Fold;

/// Writes in a step.
const STEP: u64 = 64;

#[derive(Trace)]
struct Value {
    value: u64,
}

finalized!(Value);

#[derive(Trace)]
struct Page {
    cell: GcCell<Gc<Value>>,
    words: [u64; 510],
}

finalized!(Page);

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    super::set_limit(bench)?;
    let (pages, writes) = (bench.parameter("size")?, bench.parameter("writes")?);
    let garbage = bench.parameter("garbage")?;
    let page = |index| Gc::new(Page { cell: GcCell::new(Gc::new(Value { value: index })), words: [index; 510] });
    let table: Gc<Vec<Gc<Page>>> = Gc::new((0..pages).map(page).collect());
    let mut sum: u64 = (0..pages).sum();
    let mut random = bench.random();
    bench.start(writes.div_ceil(STEP));
    let mut left = writes;
    while left > 0 {
        let todo = STEP.min(left);
        for _ in 0..todo {
            super::garbage(garbage);
            let value = random.below(1 << 32);
            let new = Gc::new(Value { value });
            let page = &table[random.below(pages) as usize];
            let old = std::mem::replace(&mut *page.cell.borrow_mut(), new);
            sum = sum.wrapping_add(value).wrapping_sub(old.value);
        }
        left -= todo;
        bench.end_step();
    }
    bench.stop();
    let (mut result, mut found) = (Fold::default(), 0u64);
    for (index, page) in table.iter().enumerate() {
        if page.words.iter().any(|word| *word != index as u64) {
            return Err(format!("page {index} is damaged").into());
        }
        let value = page.cell.borrow().value;
        found = found.wrapping_add(value);
        result.add(page.words[0]);
        result.add(value);
    }
    if found == sum { Ok(result.value()) } else { Err(format!("the cells add up to {found}, not {sum}").into()) }
}
