//! One round of one subject: every operation once, each on the state that the one before left.
//!
//! ```text
//! all writable, all written ─ arm ─► all armed ─ scan-clean ─► all armed
//!     ─ write 0.1 % ─ scan-0.1% ─► all armed ─ write 1 % ─ scan-1% ─► all armed
//!     ─ write 10 % (first-write) ─ scan-10% ─► all armed
//!     ─ make all writable, write all ─ scan-100% ─► all armed ─► all writable
//! ```
//!
//! The round checks itself: what a scan finds must be what was written. A page or two more is the kernel's business, one less would be a lost write.

use super::clock::Time;
use super::crew::{Crew, Pages};
use super::subject::{Failure, Subject};

/// What is measured, in the order of the figures of a round.
pub const WHAT: [&str; 7] = ["first-write", "arm", "scan-clean", "scan-0.1%", "scan-1%", "scan-10%", "scan-100%"];

/// For a page, in the order of [`WHAT`].
pub type Figures = [Time; WHAT.len()];

/// One in so many pages is written for `first-write`.
pub const FIRST_WRITE: usize = 10;

/// A scan that finds nothing may last less than asking for processor time does; so many are timed at once.
const CLEAN_SCANS: usize = 16;

/// Measures each operation once.
pub fn measure(subject: &dyn Subject, pages: &Pages, crew: &Crew) -> Result<Figures, Failure> {
    let all = 0..pages.len();
    let scan = |written: usize| -> Result<Time, Failure> {
        let (time, found) = crew.beside(pages, || subject.scan());
        check(found?, written, pages.len())?;
        Ok(time.by(pages.len()))
    };
    let write_and_scan = |part: usize| -> Result<(Time, Time), Failure> {
        let count = (pages.len() / part).max(crew.size());
        let write = crew.write(pages, 0..count, subject.helps());
        Ok((write, scan(count)?))
    };
    let write_all = || -> Result<(), Failure> {
        subject.disarm()?;
        crew.write(pages, all.clone(), false);
        Ok(())
    };

    write_all()?;
    let (arm, armed) = crew.beside(pages, || subject.arm());
    check(armed?, pages.len(), pages.len())?;

    let (clean, found) = crew.beside(pages, || (0..CLEAN_SCANS).try_fold(0, |sum, _| Ok(sum + subject.scan()?)));
    let found: Result<usize, Failure> = found;
    check(found?, 0, pages.len())?;

    let (_, thousandth) = write_and_scan(1000)?;
    let (_, hundredth) = write_and_scan(100)?;
    let (first_write, tenth) = write_and_scan(FIRST_WRITE)?;

    write_all()?;
    let whole = scan(pages.len())?;
    subject.disarm()?;

    let (arm, clean) = (arm.by(pages.len()), clean.by(CLEAN_SCANS * pages.len()));
    Ok([first_write, arm, clean, thousandth, hundredth, tenth, whole])
}

/// Pages that a scan may find though nobody wrote to them: those that the kernel moved or swapped meanwhile.
fn check(found: usize, written: usize, pages: usize) -> Result<(), Failure> {
    let allowed = written..=written + pages / 100;
    if allowed.contains(&found) {
        return Ok(());
    }
    Err(format!("{written} pages were written, and {found} were found").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_less_than_written_is_a_failure_and_a_few_more_are_not() {
        assert!(check(100, 100, 1000).is_ok() && check(103, 100, 1000).is_ok());
        let error = check(99, 100, 1000).unwrap_err().to_string();
        assert_eq!(error, "100 pages were written, and 99 were found");
        assert!(check(1000, 0, 1000).is_err());
    }
}
