//! One random graph, whose edges are turned and whose labels are renewed.

use super::{Bench, Failure, Gc, GcCell, Trace};
use crate::fold::Fold;

/// Mutations in a step.
const STEP: u64 = 32;

#[derive(Trace)]
struct Label {
    vertex: u64,
    turn: u64,
}

finalized!(Label);

#[derive(Trace)]
struct Vertex {
    edges: GcCell<[Option<Gc<Vertex>>; 4]>,
    label: GcCell<Gc<Label>>,
    number: u64,
}

finalized!(Vertex);

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    super::set_limit(bench)?;
    let (size, mutations) = (bench.parameter("size")?, bench.parameter("mutations")?);
    let garbage = bench.parameter("garbage")?;
    let mut random = bench.random();
    let vertex = |number| {
        let label = GcCell::new(Gc::new(Label { vertex: number, turn: 0 }));
        Gc::new(Vertex { edges: GcCell::new([const { None }; 4]), label, number })
    };
    let table: Gc<Vec<Gc<Vertex>>> = Gc::new((0..size).map(vertex).collect());
    for vertex in table.iter() {
        for edge in 0..4 {
            vertex.edges.borrow_mut()[edge] = Some(table[random.below(size) as usize].clone());
        }
    }
    let mut turns = vec![0u64; size as usize];
    bench.start(mutations.div_ceil(STEP));
    let mut left = mutations;
    while left > 0 {
        let todo = STEP.min(left);
        for _ in 0..todo {
            super::garbage(garbage);
            let number = random.below(size);
            turns[number as usize] += 1;
            let label = Gc::new(Label { vertex: number, turn: turns[number as usize] });
            let old = std::mem::replace(&mut *table[number as usize].label.borrow_mut(), label);
            drop(old);
            let from = &table[random.below(size) as usize];
            let to = table[random.below(size) as usize].clone();
            let old = from.edges.borrow_mut()[random.below(4) as usize].replace(to);
            drop(old);
        }
        left -= todo;
        bench.end_step();
    }
    bench.stop();
    let mut result = Fold::default();
    for ((number, vertex), turn) in (0..).zip(table.iter()).zip(turns) {
        let label = vertex.label.borrow();
        if vertex.number != number || label.vertex != number || label.turn != turn {
            return Err(format!("vertex {number} is damaged").into());
        }
        [number, label.vertex, label.turn].into_iter().for_each(|word| result.add(word));
        for edge in vertex.edges.borrow().iter() {
            let to = edge.as_ref().ok_or("an edge is gone")?;
            if !table.get(to.number as usize).is_some_and(|vertex| Gc::ptr_eq(vertex, to)) {
                return Err(format!("an edge of vertex {number} leads nowhere").into());
            }
            result.add(to.number);
        }
    }
    Ok(result.value())
}
