//! Writing files so that nobody ever finds half of one.

use std::path::Path;

/// Writes each file of `files`, name and text, into `directory`. None takes its place before all are written.
///
/// # Errors
///
/// Names the file that could not be written. What was there before is there still, unless moving failed half-way.
pub fn write(directory: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let beside = |name: &str| directory.join(format!(".{name}.{}", std::process::id()));
    let written = files.iter().try_for_each(|(name, text)| {
        let path = beside(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    });
    let moved = written.and_then(|()| {
        files.iter().try_for_each(|(name, _)| {
            let path = directory.join(name);
            std::fs::rename(beside(name), &path).map_err(|error| format!("{}: {error}", path.display()))
        })
    });
    if moved.is_err() {
        for (name, _) in files {
            // Whatever of it is there; the error that is returned says what happened.
            let _ = std::fs::remove_file(beside(name));
        }
    }
    moved
}
