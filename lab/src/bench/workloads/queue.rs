//! `queue`: first in, first out, with everything living equally long.
//!
//! A linked queue of messages, each with a body of 48 bytes. A request puts 32 messages in at one end and takes 32 out at the other, so every
//! object lives exactly as long as the queue is. That is the opposite of "most objects die young", and a list is what parallel marking can do least
//! with. The write that links a message in goes to the newest object, whose page is not armed; only the queue's own two fields are old.
//!
//! *Lives*: `size` messages; per thread its share. *A step*: a request of 32 in and 32 out. *Checked*: each message that is taken is the next, and so
//! are those that are left, each with its own body. *Check*: for each message in the queue, from the first to the last: its number, then the first and the last byte of its body.

use std::sync::atomic::Ordering;

use pagemark::typed::{Bytes, Field, Mutator, Ref};
use pagemark::{Exhausted, Trace};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Stores, Worker};

const MESSAGES: Parameter = Parameter::new("size", "Messages in the queue", 1_000_000, 200_000, (64, 1 << 28));
const REQUESTS: Parameter = Parameter::new("requests", "Requests, all threads together", 200_000, 30_000, (1, 1 << 40));

/// Messages in a request.
const BATCH: u64 = 32;
/// Bytes in a body.
const BODY: usize = 48;

#[derive(Trace)]
struct Queue {
    first: Field<Message>,
    last: Field<Message>,
}

#[derive(Trace)]
struct Message {
    next: Field<Message>,
    body: Field<Bytes>,
    number: u64,
}

/// The workload.
pub struct Fifo;

impl Workload for Fifo {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "queue",
            about: "A long queue, first in, first out: everything lives equally long",
            parameters: &[MESSAGES, REQUESTS],
            threaded: true,
            multiplier: Some(2.0),
            requests: true,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let queue = sizes::of::<Queue>() * threads;
        Live::always(values.get(&MESSAGES) * (sizes::of::<Message>() + sizes::bytes(BODY as u64)) + queue)
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (messages, requests) = (worker.share(worker.value(&MESSAGES)), worker.share(worker.value(&REQUESTS)));
        let queue = worker.mutator.alloc_or_collect(|| Queue { first: Field::null(), last: Field::null() })?;
        let stores = worker.stores();
        let mut next_in = 0;
        while next_in < messages {
            let count = BATCH.min(messages - next_in);
            worker.step(sizes::bytes(BODY as u64), |mutator| {
                put(mutator, queue.get(mutator).expect("it is rooted"), stores, next_in, count)
            })?;
            next_in += count;
        }

        worker.begin(requests)?;
        for request in 0..requests {
            let taken = worker.step(sizes::bytes(BODY as u64), |mutator| {
                let queue = queue.get(mutator).expect("it is rooted");
                put(mutator, queue, stores, next_in, BATCH)?;
                Ok(take(mutator, queue, stores, request * BATCH))
            })?;
            if !taken {
                return Err(format!("request {request} was not served the messages that were next").into());
            }
            next_in += BATCH;
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let mut message = queue.get(mutator).ok_or("the queue is gone")?.value().first.get(mutator);
        let mut expected = requests * BATCH;
        let mut fold = Fold::new();
        while let Some(this) = message {
            if !is_message(mutator, this, expected) {
                return Err(format!("message {expected} is damaged").into());
            }
            fold.add(this.number);
            ends(mutator, this).into_iter().for_each(|byte| fold.add(byte));
            expected += 1;
            message = this.value().next.get(mutator);
        }
        if expected == next_in {
            Ok(fold.value())
        } else {
            Err(format!("the queue ends at {expected}, not {next_in}").into())
        }
    }
}

/// Puts messages in, numbered from `number`. Either all or none: they are linked in when all are there.
fn put(mutator: &Mutator, queue: Ref<'_, Queue>, stores: Stores, number: u64, count: u64) -> Result<(), Exhausted> {
    let make = |number: u64| {
        let message = mutator.alloc(Message { next: Field::null(), body: Field::null(), number })?;
        let body = mutator.alloc_bytes(BODY)?;
        body.bytes().iter().for_each(|byte| byte.store(number as u8, Ordering::Relaxed));
        message.body.set(Some(body));
        Ok(message)
    };
    let first = make(number)?;
    let mut last = first;
    for number in number + 1..number + count {
        let message = make(number)?;
        stores.set(&last.value().next, Some(message));
        last = message;
    }
    match queue.value().last.get(mutator) {
        Some(before) => stores.set(&before.value().next, Some(first)),
        None => stores.set(&queue.value().first, Some(first)),
    }
    stores.set(&queue.value().last, Some(last));
    Ok(())
}

/// Takes a batch out; whether these were the messages from `number` on. The queue never gets empty.
fn take(mutator: &Mutator, queue: Ref<'_, Queue>, stores: Stores, number: u64) -> bool {
    let mut right = true;
    for number in number..number + BATCH {
        let Some(message) = queue.value().first.get(mutator) else { return false };
        right &= is_message(mutator, message, number);
        stores.set(&queue.value().first, message.value().next.get(mutator));
    }
    right
}

/// The first and the last byte of a message's body.
fn ends(mutator: &Mutator, message: Ref<'_, Message>) -> [u64; 2] {
    message.value().body.get(mutator).map_or([0; 2], |body| {
        [0, BODY - 1].map(|index| u64::from(body.value().bytes()[index].load(Ordering::Relaxed)))
    })
}

fn is_message(mutator: &Mutator, message: Ref<'_, Message>, number: u64) -> bool {
    let Some(body) = message.body.get(mutator) else { return false };
    let bytes = body.bytes();
    message.number == number
        && bytes.len() == BODY
        && bytes[0].load(Ordering::Relaxed) == number as u8
        && bytes[BODY - 1].load(Ordering::Relaxed) == number as u8
}
