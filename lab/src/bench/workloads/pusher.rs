//! `pusher`: a window of buffers, the newest pushing out the oldest, and the slowest push.
//!
//! The shape is the message-window test with which Pusher chose a language for its message bus (Fisher 2016), which Scherer and then Sewell collected for a dozen languages: a map from
//! message number to a buffer of 1,024 bytes, filled with the low byte of the number, in which only the last 200,000 stay. Checked against that collection: its map is an array used in a ring in Go and Java,
//! and so it is here; the window fills while it is measured, here too. It pushes 1,000,000 messages in most languages and 2,000,000 in one; here it is the latter, so that nine windows pass.
//! The buffers hold no references and live in blocks that are never armed, while the array is one large object written at ever new places.
//!
//! *Lives*: `window` buffers and the array, once they have been pushed; per thread its share. *A step*: one push, so that the worst push is the
//! worst step. A push is less than a microsecond here, of which reading the clock is a part worth knowing. *Checked*: the buffers of the window are the last ones pushed.
//! *Check*: for each buffer of the window, from the oldest push to the newest: its first eight bytes as a number, the lowest byte first, then its last byte.

use std::sync::atomic::Ordering;

use pagemark::typed::{Array, Bytes, Mutator, Ref};

use super::{Live, Spec, Workload};
use crate::bench::fold::Fold;
use crate::bench::parameter::{Parameter, Values};
use crate::bench::sizes;
use crate::bench::worker::{Failure, Worker};

const WINDOW: Parameter = Parameter::new("window", "Buffers that live", 200_000, 50_000, (64, 1 << 26));
const PUSHES: Parameter = Parameter::new("pushes", "Pushes, all threads together", 2_000_000, 400_000, (1, 1 << 36));
const BYTES: Parameter = Parameter::new("bytes", "Bytes in a buffer", 1024, 1024, (8, 1 << 20));

/// The workload.
pub struct Pusher;

impl Workload for Pusher {
    fn spec(&self) -> &'static Spec {
        &Spec {
            name: "pusher",
            about: "A window of buffers of 1 KB, the newest pushing out the oldest: the worst push",
            parameters: &[WINDOW, PUSHES, BYTES],
            threaded: true,
            multiplier: Some(2.0),
            requests: true,
        }
    }

    fn live(&self, values: &Values, threads: u64) -> Live {
        let buffer = sizes::bytes(values.get(&BYTES));
        let shares = || {
            let pushes = super::shares(values.get(&PUSHES), threads);
            super::shares(values.get(&WINDOW), threads).zip(pushes)
        };
        Live {
            peak: shares().map(|(window, _)| window * buffer + sizes::array(window)).sum(),
            rest: shares().map(|(window, pushes)| window.min(pushes) * buffer + sizes::array(window)).sum(),
        }
    }

    fn thread(&self, worker: &mut Worker<'_>) -> Result<u64, Failure> {
        let (window, pushes) = (worker.share(worker.value(&WINDOW)), worker.share(worker.value(&PUSHES)));
        let bytes = worker.value(&BYTES) as usize;
        let ring = worker.mutator.root::<Array<Bytes>>(None);
        worker.step(sizes::array(window), |mutator| {
            ring.set(Some(mutator.alloc_array(window as usize)?));
            Ok(())
        })?;
        let stores = worker.stores();

        worker.begin(pushes)?;
        for number in 0..pushes {
            worker.step(sizes::bytes(bytes as u64), |mutator| {
                let buffer = mutator.alloc_bytes(bytes)?;
                fill(buffer, number);
                stores.set(&ring.get(mutator).expect("it is rooted")[(number % window) as usize], Some(buffer));
                Ok(())
            })?;
        }
        worker.end()?;

        let mutator = &worker.mutator;
        let ring = ring.get(mutator).ok_or("the ring is gone")?;
        let mut fold = Fold::new();
        for number in pushes.saturating_sub(window)..pushes {
            if !holds(mutator, ring, (number % window) as usize, number, bytes) {
                return Err(format!("the buffer of push {number} is damaged").into());
            }
            let buffer = ring[(number % window) as usize].get(mutator).ok_or("a buffer is gone")?;
            let byte = |index: usize| buffer.bytes()[index].load(Ordering::Relaxed);
            fold.add(u64::from_le_bytes(std::array::from_fn(byte)));
            fold.add(u64::from(byte(bytes - 1)));
        }
        Ok(fold.value())
    }
}

/// Every byte gets the low byte of the number, the first eight the number.
fn fill(buffer: Ref<'_, Bytes>, number: u64) {
    let bytes = buffer.value().bytes();
    bytes.iter().for_each(|byte| byte.store(number as u8, Ordering::Relaxed));
    bytes.iter().zip(number.to_le_bytes()).for_each(|(byte, value)| byte.store(value, Ordering::Relaxed));
}

fn holds(mutator: &Mutator, ring: Ref<'_, Array<Bytes>>, index: usize, number: u64, length: usize) -> bool {
    let Some(buffer) = ring.value()[index].get(mutator) else { return false };
    let bytes = buffer.bytes();
    let value = |index: usize| bytes[index].load(Ordering::Relaxed);
    bytes.len() == length
        && (0..8).all(|index| value(index) == number.to_le_bytes()[index])
        && (8..length).all(|index| value(index) == number as u8)
}
