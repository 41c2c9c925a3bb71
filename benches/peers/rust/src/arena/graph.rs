//! One random graph, whose edges are turned and whose labels are renewed.

use gc_arena::barrier::{field, unlock};
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable, lock::Lock};

use super::{Bench, Failure};
use crate::fold::Fold;

/// Mutations in a step.
const STEP: u64 = 32;

#[derive(Collect)]
#[collect(require_static)]
struct Label {
    vertex: u64,
    turn: u64,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Vertex<'gc> {
    edges: [Lock<Option<Gc<'gc, Vertex<'gc>>>>; 4],
    label: Lock<Gc<'gc, Label>>,
    number: u64,
}

type Table<'gc> = Gc<'gc, Vec<Gc<'gc, Vertex<'gc>>>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    let (size, mutations) = (bench.parameter("size")?, bench.parameter("mutations")?);
    let garbage = bench.parameter("garbage")?;
    let mut random = bench.random();
    let mut arena = Arena::<Rootable![Table<'_>]>::new(|mc| {
        let table: Table<'_> = Gc::new(mc, (0..size).map(|number| vertex(mc, number)).collect());
        for vertex in table.iter() {
            for edge in 0..4 {
                turn(mc, *vertex, edge, table[random.below(size) as usize]);
            }
        }
        table
    });
    super::set_limit(bench, arena.metrics())?;
    let mut turns = vec![0u64; size as usize];
    bench.start(mutations.div_ceil(STEP));
    let mut left = mutations;
    while left > 0 {
        let todo = STEP.min(left);
        arena.mutate(|mc, table| {
            for _ in 0..todo {
                super::garbage(mc, garbage);
                let number = random.below(size);
                turns[number as usize] += 1;
                let label = Gc::new(mc, Label { vertex: number, turn: turns[number as usize] });
                unlock!(Gc::write(mc, table[number as usize]), Vertex, label).set(label);
                let from = table[random.below(size) as usize];
                let to = table[random.below(size) as usize];
                turn(mc, from, random.below(4) as usize, to);
            }
        });
        arena.collect_debt();
        left -= todo;
        bench.end_step();
    }
    bench.stop();
    arena.mutate(|_, table| {
        let mut result = Fold::default();
        for ((number, vertex), turn) in (0..).zip(table.iter()).zip(turns) {
            let label = vertex.label.get();
            if vertex.number != number || label.vertex != number || label.turn != turn {
                return Err(format!("vertex {number} is damaged").into());
            }
            [number, label.vertex, label.turn].into_iter().for_each(|word| result.add(word));
            for edge in &vertex.edges {
                let to = edge.get().ok_or("an edge is gone")?;
                if !table.get(to.number as usize).is_some_and(|vertex| Gc::ptr_eq(*vertex, to)) {
                    return Err(format!("an edge of vertex {number} leads nowhere").into());
                }
                result.add(to.number);
            }
        }
        Ok(result.value())
    })
}

fn vertex<'gc>(mc: &Mutation<'gc>, number: u64) -> Gc<'gc, Vertex<'gc>> {
    let label = Lock::new(Gc::new(mc, Label { vertex: number, turn: 0 }));
    Gc::new(mc, Vertex { edges: [(); 4].map(|()| Lock::new(None)), label, number })
}

fn turn<'gc>(mc: &Mutation<'gc>, from: Gc<'gc, Vertex<'gc>>, edge: usize, to: Gc<'gc, Vertex<'gc>>) {
    field!(Gc::write(mc, from), Vertex, edges)[edge].unlock().set(Some(to));
}
