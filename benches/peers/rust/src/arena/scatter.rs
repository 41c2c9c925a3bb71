//! One write to a random old object of one page at a time.

use gc_arena::barrier::unlock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable, lock::Lock};

use super::{Bench, Failure};
use crate::fold::Fold;

/// Writes in a step.
const STEP: u64 = 64;

#[derive(Collect)]
#[collect(require_static)]
struct Value {
    value: u64,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Page<'gc> {
    cell: Lock<Gc<'gc, Value>>,
    words: [u64; 510],
}

type Table<'gc> = Gc<'gc, Vec<Gc<'gc, Page<'gc>>>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    let (pages, writes) = (bench.parameter("size")?, bench.parameter("writes")?);
    let garbage = bench.parameter("garbage")?;
    let mut arena = Arena::<Rootable![Table<'_>]>::new(|mc| Gc::new(mc, (0..pages).map(|i| page(mc, i)).collect()));
    super::set_limit(bench, arena.metrics())?;
    let mut sum: u64 = (0..pages).sum();
    let mut random = bench.random();
    bench.start(writes.div_ceil(STEP));
    let mut left = writes;
    while left > 0 {
        let todo = STEP.min(left);
        arena.mutate(|mc, table| {
            for _ in 0..todo {
                super::garbage(mc, garbage);
                let value = random.below(1 << 32);
                let new = Gc::new(mc, Value { value });
                let page = table[random.below(pages) as usize];
                let old = unlock!(Gc::write(mc, page), Page, cell).replace(new);
                sum = sum.wrapping_add(value).wrapping_sub(old.value);
            }
        });
        arena.collect_debt();
        left -= todo;
        bench.end_step();
    }
    bench.stop();
    arena.mutate(|_, table| {
        let (mut result, mut found) = (Fold::default(), 0u64);
        for (index, page) in table.iter().enumerate() {
            if page.words.iter().any(|word| *word != index as u64) {
                return Err(format!("page {index} is damaged").into());
            }
            let value = page.cell.get().value;
            found = found.wrapping_add(value);
            result.add(page.words[0]);
            result.add(value);
        }
        if found == sum { Ok(result.value()) } else { Err(format!("the cells add up to {found}, not {sum}").into()) }
    })
}

fn page<'gc>(mc: &Mutation<'gc>, index: u64) -> Gc<'gc, Page<'gc>> {
    let cell = Lock::new(Gc::new(mc, Value { value: index }));
    Gc::new(mc, Page { cell, words: [index; 510] })
}
