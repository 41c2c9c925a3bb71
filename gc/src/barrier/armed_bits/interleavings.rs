//! The argument of this module and of [`batches`](super::super::batches), in every interleaving. The kernel's side of a page, whether
//! it is writable, is a flag under a lock, as it is under the page table's.

use std::convert::Infallible;
use std::sync::Arc;

use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::super::batches::Batches;
use super::*;
use crate::primitive::{Mutex, explore};

const BASE: usize = 1 << 20;
const PAGES: usize = 2;

struct Memory {
    bits: ArmedBits,
    batches: Batches,
    writable: [Mutex<bool>; PAGES],
    /// A word on each page.
    words: [AtomicUsize; PAGES],
    /// What the collector read when the page was last reported.
    read: Mutex<[usize; PAGES]>,
}

fn page(index: usize) -> PageRange {
    BASE + index * PAGE..BASE + (index + 1) * PAGE
}

impl Memory {
    fn written() -> Arc<Memory> {
        Arc::new(Memory {
            bits: ArmedBits::new(&[BASE..BASE + PAGES * PAGE], &Kernel::real()).unwrap(),
            batches: Batches::default(),
            writable: [(); PAGES].map(|()| Mutex::new(true)),
            words: [(); PAGES].map(|()| AtomicUsize::new(0)),
            read: Mutex::default(),
        })
    }

    fn armed() -> Arc<Memory> {
        let memory = Memory::written();
        memory.take_and_arm();
        memory
    }

    fn protect(&self, run: PageRange) {
        for at in run.step_by(PAGE) {
            *self.writable[(at - BASE) / PAGE].lock() = false;
        }
    }

    fn unprotect(&self, index: usize) {
        *self.writable[index].lock() = true;
    }

    /// As `sigbus` and `sync` do it; the collector reads what is reported.
    fn take_and_arm(&self) {
        let report = |run: PageRange| {
            self.protect(run.clone());
            for index in run.step_by(PAGE).map(|at| (at - BASE) / PAGE) {
                self.read.lock()[index] = self.words[index].load(Ordering::Acquire);
            }
            Ok::<(), Infallible>(())
        };
        let Ok(()) = self.bits.arm_written(BASE..BASE + PAGES * PAGE, report);
    }

    /// A fault on the page.
    fn resolve(&self, index: usize) {
        self.unprotect(index);
        self.bits.clear(&page(index));
    }

    /// A store instruction, once: it happens only where the page is writable.
    fn try_store(&self, index: usize, value: usize) -> bool {
        let writable = self.writable[index].lock();
        if *writable {
            self.words[index].store(value, Ordering::Release);
        }
        *writable
    }

    /// A store instruction with a handler behind it.
    fn store(&self, index: usize, value: usize) {
        while !self.try_store(index, value) {
            self.resolve(index);
        }
    }

    fn assert_no_page_is_armed_and_writable(&self) {
        for index in 0..PAGES {
            let writable = *self.writable[index].lock();
            assert!(!(writable && self.bits.is_armed(page(index).start)), "page {index} is armed and writable");
        }
    }

    fn assert_every_write_was_read(&self) {
        let read = self.read.lock();
        for (index, word) in self.words.iter().enumerate() {
            assert_eq!(read[index], word.load(Ordering::Relaxed), "a write to page {index} was not reported");
        }
    }
}

#[test]
fn no_page_ends_up_armed_and_writable() {
    explore(3, || {
        let memory = Memory::armed();
        memory.store(0, 1);
        let [first, second] = [(); 2].map(|()| memory.clone());
        let threads = [thread::spawn(move || first.resolve(0)), thread::spawn(move || second.resolve(0))];
        memory.take_and_arm();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        memory.assert_no_page_is_armed_and_writable();
    });
}

#[test]
fn every_write_is_part_of_a_report() {
    explore(3, || {
        let memory = Memory::armed();
        let [first, second] = [(); 2].map(|()| memory.clone());
        let threads = [
            thread::spawn(move || {
                first.store(0, 1);
                first.store(1, 1);
            }),
            thread::spawn(move || second.store(0, 2)),
        ];
        memory.take_and_arm();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // The pause.
        memory.take_and_arm();
        memory.assert_every_write_was_read();
        memory.assert_no_page_is_armed_and_writable();
    });
}

/// The fault thread resolves a fault of a system call, which the pause does not wait for; a mutator profits from it and stops.
fn last_report_beside_a_fault_thread(settle: bool) {
    explore(3, move || {
        let memory = Memory::armed();
        let [fault, mutator] = [(); 2].map(|()| memory.clone());
        let fault = thread::spawn(move || fault.batches.during(|| fault.resolve(0)));
        let mutator = thread::spawn(move || mutator.try_store(0, 1));
        mutator.join().unwrap();
        if settle {
            memory.batches.settle();
        }
        memory.take_and_arm();
        memory.assert_every_write_was_read();
        fault.join().unwrap();
        memory.assert_no_page_is_armed_and_writable();
    });
}

#[test]
fn the_report_after_settling_misses_no_write() {
    last_report_beside_a_fault_thread(true);
}

#[test]
#[should_panic = "a write to page 0 was not reported"]
fn without_settling_a_write_can_be_missed() {
    last_report_beside_a_fault_thread(false);
}

#[test]
#[should_panic = "page 0 is armed and writable"]
fn a_resolver_that_clears_before_it_unprotects_is_found_out() {
    explore(3, || {
        let memory = Memory::armed();
        let faulting = memory.clone();
        let thread = thread::spawn(move || {
            faulting.bits.clear(&page(0));
            faulting.unprotect(0);
        });
        memory.take_and_arm();
        thread.join().unwrap();
        memory.assert_no_page_is_armed_and_writable();
    });
}

#[test]
#[should_panic = "page 0 is armed and writable"]
fn a_collector_that_protects_before_it_sets_the_bit_is_found_out() {
    explore(3, || {
        let memory = Memory::written();
        let faulting = memory.clone();
        let thread = thread::spawn(move || faulting.store(0, 1));
        memory.protect(page(0));
        let Ok(()) = memory.bits.arm_written(page(0), |_| Ok::<(), Infallible>(()));
        thread.join().unwrap();
        memory.assert_no_page_is_armed_and_writable();
    });
}
