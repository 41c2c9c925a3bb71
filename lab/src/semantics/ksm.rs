//! Kernel samepage merging, switched on for as long as a case needs it.
//!
//! It is a setting of the whole machine. [`Settings`] is what it was before; dropping it puts everything back. The tool's
//! own process holds it, not a case, which may be killed.

use std::fs;
use std::time::{Duration, Instant};

use super::errno::Errno;
use super::memory::Memory;
use super::scan;
use super::stage::Stop;

const FOLDER: &str = "/sys/kernel/mm/ksm";
const CHANGED: [&str; 3] = ["sleep_millisecs", "pages_to_scan", "run"];

/// How KSM was set.
#[derive(Debug)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Reads the settings.
    pub fn save() -> Settings {
        let read = |name| fs::read_to_string(format!("{FOLDER}/{name}")).ok().map(|value| (name, value));
        Settings(CHANGED.into_iter().filter_map(read).collect())
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (name, value) in &self.0 {
            if fs::read_to_string(format!("{FOLDER}/{name}")).is_ok_and(|now| now != *value) {
                // Whoever could change it can change it back.
                let _ = fs::write(format!("{FOLDER}/{name}"), value);
            }
        }
    }
}

/// Has the pages of an arena merged, which all have the same content.
pub fn merge(memory: &Memory) -> Result<(), Stop> {
    let advised = memory.advise(memory.all(), libc::MADV_MERGEABLE);
    advised.map_err(|e| Stop::Unsupported(format!("no KSM ({e})")))?;
    for (name, value) in CHANGED.into_iter().zip(["0", "10000", "1"]) {
        let set = fs::write(format!("{FOLDER}/{name}"), value).map_err(Errno::from_io);
        set.map_err(|e| Stop::Unsupported(format!("KSM cannot be switched on ({e})")))?;
    }
    let until = Instant::now() + Duration::from_secs(20);
    while !is_merged(memory)? {
        if Instant::now() > until {
            return Err(Stop::Unsupported("KSM merged nothing".into()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Whether all pages are the same page now.
fn is_merged(memory: &Memory) -> Result<bool, Stop> {
    let frame = |page| {
        let entry = scan::entry(memory.at(page)).map_err(|e| Stop::failed("pagemap", e))?;
        // Without privilege the frame's number reads as 0, and KSM cannot be switched on either.
        Ok(entry & ((1 << 55) - 1))
    };
    let first = frame(0)?;
    for page in memory.all() {
        if first == 0 || frame(page)? != first {
            return Ok(false);
        }
    }
    Ok(true)
}
