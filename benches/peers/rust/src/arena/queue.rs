//! A long queue, first in, first out, so that everything lives equally long.

use gc_arena::barrier::unlock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable, lock::Lock};

use super::{Bench, Failure};
use crate::fold::Fold;

/// Messages in a request.
const BATCH: u64 = 32;
/// Bytes in a body.
const BODY: usize = 48;

type Link<'gc> = Lock<Option<Gc<'gc, Message<'gc>>>>;

#[derive(Collect)]
#[collect(no_drop)]
struct Message<'gc> {
    next: Link<'gc>,
    body: Gc<'gc, [u8; BODY]>,
    number: u64,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Queue<'gc> {
    first: Link<'gc>,
    last: Link<'gc>,
}

type Root<'gc> = Gc<'gc, Queue<'gc>>;

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    let (messages, requests) = (bench.parameter("size")?, bench.parameter("requests")?);
    let mut arena =
        Arena::<Rootable![Root<'_>]>::new(|mc| Gc::new(mc, Queue { first: Lock::new(None), last: Lock::new(None) }));
    super::set_limit(bench, arena.metrics())?;
    for number in 0..messages {
        arena.mutate(|mc, queue| put(mc, *queue, number));
        arena.collect_debt();
    }
    bench.start(requests);
    for request in 0..requests {
        let mut batch = request * BATCH..(request + 1) * BATCH;
        arena.mutate(|mc, queue| {
            batch.clone().for_each(|number| put(mc, *queue, messages + number));
            batch.try_for_each(|number| take(mc, *queue, number))
        })?;
        arena.collect_debt();
        bench.end_step();
    }
    bench.stop();
    arena.mutate(|_, queue| {
        let (mut result, mut expected) = (Fold::default(), requests * BATCH);
        let mut next = queue.first.get();
        while let Some(message) = next {
            check(message, expected)?;
            result.add(message.number);
            result.add(u64::from(message.body[0]));
            result.add(u64::from(message.body[BODY - 1]));
            expected += 1;
            next = message.next.get();
        }
        let end = messages + requests * BATCH;
        if expected == end {
            Ok(result.value())
        } else {
            Err(format!("the queue ends at {expected}, not {end}").into())
        }
    })
}

fn put<'gc>(mc: &Mutation<'gc>, queue: Root<'gc>, number: u64) {
    let body = Gc::new(mc, [number as u8; BODY]);
    let message = Gc::new(mc, Message { next: Lock::new(None), body, number });
    let writable = Gc::write(mc, queue);
    match queue.last.get() {
        Some(last) => unlock!(Gc::write(mc, last), Message, next).set(Some(message)),
        None => unlock!(writable, Queue, first).set(Some(message)),
    }
    unlock!(writable, Queue, last).set(Some(message));
}

/// The queue never gets empty.
fn take<'gc>(mc: &Mutation<'gc>, queue: Root<'gc>, number: u64) -> Result<(), Failure> {
    let message = queue.first.get().ok_or("the queue is empty")?;
    check(message, number)?;
    unlock!(Gc::write(mc, queue), Queue, first).set(message.next.get());
    Ok(())
}

fn check(message: Gc<'_, Message<'_>>, expected: u64) -> Result<(), Failure> {
    let body = message.body;
    let ends = [body.first(), body.last()];
    if message.number == expected && ends == [Some(&(expected as u8)); 2] {
        Ok(())
    } else {
        Err(format!("message {expected} is damaged").into())
    }
}
