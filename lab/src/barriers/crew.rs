//! The threads that write, as mutators do.
//!
//! They do one of two things when told. *Write*: each writes one word in each of its pages; all begin at the same time, and each notes what it
//! took. *Keep company*: they read their pages over and over while the thread that asked arms or scans, because a program does not stand still
//! while a collector arms: changing a page table that other processors use costs interrupts on those. As many do that as there are other
//! processors; one more would only take turns with the thread that is measured. In between they sleep.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::clock::{self, Time};

/// Addresses of the pages of a mapping, in the order in which they are written.
pub type Pages = Arc<[usize]>;

/// Threads that write. They end with it.
pub struct Crew {
    posts: Vec<Sender<Job>>,
    results: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
}

enum Job {
    Write(Pages, Range<usize>, Arc<Start>),
    KeepCompany(Pages, Arc<Company>),
}

/// What a thread has done.
struct Done {
    /// The writes.
    time: Time,
    /// The whole job.
    cpu: u64,
}

impl Crew {
    /// Starts `size` threads.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(size: usize) -> std::io::Result<Crew> {
        let (report, results) = channel();
        let mut crew = Crew { posts: Vec::new(), results, threads: Vec::new() };
        for index in 0..size {
            let (post, jobs) = channel();
            let report = report.clone();
            crew.posts.push(post);
            let life = move || live(index, size, &jobs, &report);
            crew.threads.push(std::thread::Builder::new().name("writer".into()).spawn(life)?);
        }
        Ok(crew)
    }

    /// How many they are.
    pub fn size(&self) -> usize {
        self.posts.len()
    }

    /// Writes to the pages with these indices, and says what a page took. Where another thread of the process resolves faults, `helped`, that one's
    /// processor time is in it.
    pub fn write(&self, pages: &Pages, which: Range<usize>, helped: bool) -> Time {
        let start = Arc::new(Start { arrived: AtomicUsize::new(0), expected: self.size() });
        let count = which.len();
        let before = (clock::process_cpu(), clock::thread_cpu());
        self.post(self.size(), || Job::Write(pages.clone(), which.clone(), start.clone()));
        let done = self.collect(self.size());
        let after = (clock::process_cpu(), clock::thread_cpu());
        let mut time = done.iter().fold(Time::default(), |sum, done| sum.and(done.time));
        if helped {
            let known = done.iter().map(|done| done.cpu).sum::<u64>() + (after.1 - before.1);
            time.cpu += (after.0 - before.0).saturating_sub(known) as f64;
        }
        time.by(count)
    }

    /// Does `work` while they run, as many of them as there are other processors, and says what it took.
    pub fn beside<T>(&self, pages: &Pages, work: impl FnOnce() -> T) -> (Time, T) {
        let others = std::thread::available_parallelism().map_or(1, NonZero::get) - 1;
        let size = self.size().min(others);
        let company = Arc::new(Company { present: AtomicUsize::new(0), over: AtomicBool::new(false) });
        self.post(size, || Job::KeepCompany(pages.clone(), company.clone()));
        while company.present.load(Ordering::Relaxed) < size {
            std::thread::yield_now();
        }
        let measured = Time::of(work);
        company.over.store(true, Ordering::Relaxed);
        self.collect(size);
        measured
    }

    fn post(&self, size: usize, job: impl Fn() -> Job) {
        for post in &self.posts[..size] {
            post.send(job()).expect("a writer lives as long as its crew");
        }
    }

    fn collect(&self, size: usize) -> Vec<Done> {
        (0..size).map(|_| self.results.recv().expect("a writer does not panic")).collect()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.posts.clear();
        for thread in self.threads.drain(..) {
            // One that panicked has said so; its crew has nothing to add.
            let _ = thread.join();
        }
    }
}

/// Where threads wait for each other awake, since waking takes longer than some of what is measured.
struct Start {
    arrived: AtomicUsize,
    expected: usize,
}

impl Start {
    fn meet(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        while self.arrived.load(Ordering::Relaxed) < self.expected {
            // There may be fewer processors than threads.
            std::thread::yield_now();
        }
    }
}

/// A time in which threads run and do nothing.
struct Company {
    present: AtomicUsize,
    over: AtomicBool,
}

fn live(index: usize, size: usize, jobs: &Receiver<Job>, report: &Sender<Done>) {
    while let Ok(job) = jobs.recv() {
        let begin = clock::thread_cpu();
        let time = match job {
            Job::Write(pages, which, start) => {
                start.meet();
                let mine = pages[which].iter().skip(index).step_by(size);
                Time::of(|| mine.for_each(|&page| write(page))).0
            }
            Job::KeepCompany(pages, company) => {
                company.present.fetch_add(1, Ordering::Relaxed);
                let mut mine = pages.iter().skip(index).step_by(size).cycle();
                while let Some(&page) = mine.next()
                    && !company.over.load(Ordering::Relaxed)
                {
                    read(page);
                }
                Time::default()
            }
        };
        if report.send(Done { time, cpu: clock::thread_cpu() - begin }).is_err() {
            return;
        }
    }
}

fn write(page: usize) {
    // SAFETY: whoever gave the pages keeps them mapped until the crew has answered, and nothing else lives in them; a fault is resolved by
    // the mechanism that is measured. Threads never share a page.
    unsafe { (page as *mut u64).write_volatile(1) };
}

fn read(page: usize) {
    // SAFETY: as above; while threads read, nobody writes.
    unsafe { (page as *const u64).read_volatile() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_they_write_each_page_they_were_given_and_no_other() {
        const WORDS: usize = 100;
        let memory: Box<[u64]> = vec![0; WORDS].into();
        // The crew writes through addresses; the box is not used by name until it is done.
        let base = Box::into_raw(memory).cast::<u64>();
        let pages: Pages = (0..WORDS).map(|index| base as usize + index * size_of::<u64>()).collect();
        let crew = Crew::new(3).expect("threads");
        crew.write(&pages, 10..77, false);
        let (_, value) = crew.beside(&pages, || 42);
        assert_eq!(value, 42);
        drop(crew);
        // SAFETY: it came from `into_raw`, with this length, and the threads that used it have ended.
        let memory = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(base, WORDS)) };
        for (index, word) in memory.iter().enumerate() {
            assert_eq!(*word, u64::from((10..77).contains(&index)), "{index}");
        }
    }
}
