//! A directory for the length of a comparison.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// It goes away with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new() -> std::io::Result<Scratch> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pagemark-compare-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left who could do better.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
