//! A long queue, first in, first out, so that everything lives equally long.

use super::{Bench, Failure, Gc, GcCell, Trace};
use crate::fold::Fold;

/// Messages in a request.
const BATCH: u64 = 32;
/// Bytes in a body.
const BODY: usize = 48;

type Link = Option<Gc<Message>>;

#[derive(Trace)]
struct Message {
    next: GcCell<Link>,
    body: Gc<[u8; BODY]>,
    number: u64,
}

finalized!(Message);

#[derive(Trace)]
struct Queue {
    first: GcCell<Link>,
    last: GcCell<Link>,
}

finalized!(Queue);

pub fn run(bench: &mut Bench) -> Result<u64, Failure> {
    super::set_limit(bench)?;
    let (messages, requests) = (bench.parameter("size")?, bench.parameter("requests")?);
    let queue = Gc::new(Queue { first: GcCell::new(None), last: GcCell::new(None) });
    (0..messages).for_each(|number| put(&queue, number));
    bench.start(requests);
    for request in 0..requests {
        let batch = request * BATCH..(request + 1) * BATCH;
        batch.clone().for_each(|number| put(&queue, messages + number));
        for number in batch {
            take(&queue, number)?;
        }
        bench.end_step();
    }
    bench.stop();
    let (mut result, mut expected) = (Fold::default(), requests * BATCH);
    let mut next = queue.first.borrow().clone();
    while let Some(message) = next {
        check(&message, expected)?;
        result.add(message.number);
        result.add(u64::from(message.body[0]));
        result.add(u64::from(message.body[BODY - 1]));
        expected += 1;
        next = message.next.borrow().clone();
    }
    let end = messages + requests * BATCH;
    if expected == end { Ok(result.value()) } else { Err(format!("the queue ends at {expected}, not {end}").into()) }
}

fn put(queue: &Queue, number: u64) {
    let message = Gc::new(Message { next: GcCell::new(None), body: Gc::new([number as u8; BODY]), number });
    let before = queue.last.borrow_mut().replace(message.clone());
    match before {
        Some(before) => *before.next.borrow_mut() = Some(message),
        None => *queue.first.borrow_mut() = Some(message),
    }
}

/// The queue never gets empty.
fn take(queue: &Queue, number: u64) -> Result<(), Failure> {
    let message = queue.first.borrow_mut().take().ok_or("the queue is empty")?;
    check(&message, number)?;
    let next = message.next.borrow_mut().take();
    *queue.first.borrow_mut() = next;
    Ok(())
}

fn check(message: &Message, expected: u64) -> Result<(), Failure> {
    let body = &message.body;
    let ends = [body.first(), body.last()];
    if message.number == expected && ends == [Some(&(expected as u8)); 2] {
        Ok(())
    } else {
        Err(format!("message {expected} is damaged").into())
    }
}
