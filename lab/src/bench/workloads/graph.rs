//! `graph`: one random graph, mutated by all threads at once.
//!
//! Vertices with four edges each, to random vertices, and a label. A mutation turns one edge of a random vertex to another random vertex, whoever
//! else may be doing the same, and gives a vertex of the thread's own a new label. Marking goes through the graph in no order that memory has, so
//! it is bound by cache misses, and writes are spread over all of it; unlike in `scatter` objects are small, so that a page has many.
//! It is the only workload in which threads share what they write.
//!
//! *Lives*: `size` vertices of 64 bytes, their labels, and a table through which they all stay reachable. *A step*: 32 mutations. *Checked*: every edge leads to a
//! vertex of the table, and every label is the last one its thread gave. *Check*: for each vertex, by number: its number, its label's vertex, its label's
//! turn (0 at first, one more with each new label), and the numbers of the four vertices that its edges lead to, in order. A thread takes its own vertices; with several
//! threads the edges depend on who was first, and so does the check.

use pagemark::Trace;
use pagemark::typed::{Array, Field, Global};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const VERTICES: Parameter = Parameter::new("size", "Vertices", 2_000_000, 250_000, (64, 1 << 31));
const MUTATIONS: Parameter =
    Parameter::new("mutations", "Mutations, all threads together", 5_000_000, 1_000_000, (1, 1 << 40));
const GARBAGE: Parameter =
    Parameter::new("garbage", "Bytes allocated and dropped for each mutation", 64, 64, (0, 8000));

/// Mutations in a step.
const STEP: u64 = 32;

#[derive(Trace)]
struct Vertex {
    edges: [Field<Vertex>; 4],
    label: Field<Label>,
    number: u64,
}

#[derive(Trace)]
struct Label {
    vertex: u64,
    turn: u64,
}

/// The workload.
pub struct Graph;

impl Workload for Graph {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "graph",
            about: "One random graph, mutated by all threads at once",
            parameters: &[VERTICES, MUTATIONS, GARBAGE],
            threaded: true,
            multiplier: Some(2.0),
            requests: false,
        }
    }

    fn live(&self, values: &Values, _threads: u64) -> Live {
        let vertices = values.get(&VERTICES);
        Live::always(vertices * (sizes::of::<Vertex>() + sizes::of::<Label>()) + sizes::array(vertices))
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (vertices, mutations) = (worker.value(&VERTICES), worker.share(worker.value(&MUTATIONS)));
        let garbage = worker.value(&GARBAGE) as usize;
        let stores = worker.stores();
        let mut random = worker.random();
        let table: &Global<Array<Vertex>> = worker.common(|worker| {
            let table = worker.mutator.global::<Array<Vertex>>(None);
            worker.attempt(sizes::array(vertices), |mutator| {
                table.set(Some(mutator.alloc_array(vertices as usize)?));
                Ok(())
            })?;
            Ok(table)
        })?;
        // Each thread makes the vertices that are its own: every n-th.
        let (threads, index) = (worker.threads() as u64, worker.index as u64);
        let own = super::share(vertices, threads, index);
        for mine in 0..own {
            let number = mine * threads + index;
            worker.step(sizes::of::<Vertex>(), |mutator| {
                let edges = [const { Field::null() }; 4];
                let vertex = mutator.alloc(Vertex { edges, label: Field::null(), number })?;
                vertex.label.set(Some(mutator.alloc(Label { vertex: number, turn: 0 })?));
                stores.set(&table.get(mutator).expect("it is held")[number as usize], Some(vertex));
                Ok(())
            })?;
        }
        worker.meet()?;
        for mine in 0..own {
            let mutator = &worker.mutator;
            let table = table.get(mutator).ok_or("the table is gone")?;
            let vertex = table[(mine * threads + index) as usize].get(mutator).ok_or("a vertex is gone")?;
            for edge in &vertex.value().edges {
                stores.set(edge, table[random.below(vertices) as usize].get(mutator));
            }
            worker.safepoint();
        }
        let mut turns = vec![0u64; own as usize];

        worker.begin(mutations.div_ceil(STEP))?;
        let mut left = mutations;
        while left > 0 {
            let mut todo = STEP.min(left);
            left -= todo;
            worker.step(sizes::bytes(garbage as u64), |mutator| {
                let table = table.get(mutator).expect("it is held");
                let any = |number: u64| table.value()[number as usize].get(mutator).expect("the table is full");
                while todo > 0 {
                    if garbage > 0 {
                        mutator.alloc_bytes(garbage)?;
                    }
                    if own > 0 {
                        let mut next = random.clone();
                        let mine = next.below(own);
                        let number = mine * threads + index;
                        let turn = turns[mine as usize] + 1;
                        let label = mutator.alloc(Label { vertex: number, turn })?;
                        stores.set(&any(number).value().label, Some(label));
                        turns[mine as usize] = turn;
                        random = next;
                    }
                    let (from, to) = (any(random.below(vertices)), any(random.below(vertices)));
                    stores.set(&from.value().edges[random.below(4) as usize], Some(to));
                    todo -= 1;
                }
                Ok(())
            })?;
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let table = table.get(mutator).ok_or("the table is gone")?;
        let mut fold = Fold::new();
        for (mine, turn) in turns.iter().enumerate() {
            let number = mine as u64 * threads + index;
            let vertex = table[number as usize].get(mutator).ok_or("a vertex is gone")?;
            let label = vertex.label.get(mutator).ok_or("a label is gone")?;
            if vertex.number != number || label.vertex != number || label.turn != *turn {
                return Err(format!("vertex {number} is damaged").into());
            }
            [vertex.number, label.vertex, label.turn].into_iter().for_each(|word| fold.add(word));
            for edge in &vertex.value().edges {
                let to = edge.get(mutator).ok_or("an edge is gone")?;
                if table.get(to.number as usize).and_then(|field| field.get(mutator)) != Some(to) {
                    return Err(format!("an edge of vertex {number} leads nowhere").into());
                }
                fold.add(to.number);
            }
        }
        Ok(fold.value())
    }
}
