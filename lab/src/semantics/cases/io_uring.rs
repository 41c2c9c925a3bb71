//! io_uring: input that another thread of the kernel stores, into memory looked up now or pinned long ago.

use crate::semantics::case::{Case, Need};
use crate::semantics::cell::{Cell, Mode};
use crate::semantics::errno::Errno;
use crate::semantics::ring::{READ, READ_FIXED, Ring};
use crate::semantics::stage::{Plan, Stage, Stop};
use crate::semantics::touch::{self, Touch};

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const NEEDS: &[Need] = &[Need::Protection, Need::Since(5, 6, "IORING_OP_READ")];

/// The group.
pub const CASES: &[Case] = &[
    Case {
        name: "io-uring-read",
        about: "Read a file into an armed page with IORING_OP_READ.",
        needs: NEEDS,
        run: |cell| {
            let ring = Ring::new()?;
            let file = sevens()?;
            let stage = Stage::armed(cell)?;
            let shown = stage.kernel_write(1, |address| ring.read(READ, file.as_raw_fd(), address, 8));
            Ok(with_content(&stage, shown))
        },
        expected: |cell| match cell.mode {
            Mode::SyncUser | Mode::Sigbus => "EFAULT; content: kept".into(),
            _ => format!("works, {}; content: stored", cell.mode.seen()),
        },
        means: |observed| {
            if observed.starts_with("EFAULT") {
                "The request fails, as for a bad pointer: in this mode the embedder must not hand armed memory to the kernel."
            } else {
                "The kernel's store is seen like any other."
            }
        },
        ..Case::USUAL
    },
    Case {
        name: "io-uring-fixed",
        about: "Pin a buffer with IORING_REGISTER_BUFFERS, arm it, read a file into it with IORING_OP_READ_FIXED.",
        needs: NEEDS,
        run: |cell| {
            let ring = Ring::new()?;
            let file = sevens()?;
            let stage = Stage::new(cell, Plan::USUAL)?;
            pin(&ring, &stage)?;
            stage.arm(stage.memory.all())?;
            let shown = stage.kernel_write(1, |address| ring.read(READ_FIXED, file.as_raw_fd(), address, 8));
            Ok(with_content(&stage, shown))
        },
        expected: |cell| format!("works, {}; content: stored", silent(cell)),
        means: pinned_means,
        ..Case::USUAL
    },
    Case {
        name: "io-uring-fixed-armed",
        about: "Arm, pin an armed buffer with IORING_REGISTER_BUFFERS, arm again, read a file into it.",
        needs: NEEDS,
        run: |cell| {
            let ring = Ring::new()?;
            let file = sevens()?;
            let stage = Stage::armed(cell)?;
            let pinned = stage.kernel_write(1, |address| ring.pin(address & !4095, stage.memory.page));
            if pinned.starts_with("ENOMEM") {
                return Err(limit());
            }
            if !pinned.starts_with("works") {
                return Ok(format!("pinning: {pinned}"));
            }
            stage.arm(stage.memory.all())?;
            let shown = stage.kernel_write(1, |address| ring.read(READ_FIXED, file.as_raw_fd(), address, 8));
            Ok(with_content(&stage, format!("pinning: {pinned}; {shown}")))
        },
        expected: |cell| match cell.mode {
            Mode::SyncUser | Mode::Sigbus => "pinning: EFAULT".into(),
            _ => format!("pinning: works, {}; works, {}; content: stored", cell.mode.seen(), silent(cell)),
        },
        means: pinned_means,
        ..Case::USUAL
    },
];

fn silent(cell: &Cell) -> &'static str {
    if cell.mode.is_async() { "unreported" } else { "unseen" }
}

fn pinned_means(observed: &str) -> &'static str {
    if observed.ends_with("unseen; content: stored") || observed.ends_with("unreported; content: stored") {
        "What is pinned is stored to without a look at the page table: no mechanism sees it. Never register heap memory as a fixed buffer, nor hand it to RDMA, VFIO or the like."
    } else if observed.ends_with("EFAULT") {
        "Armed memory cannot be pinned in this mode."
    } else {
        "Pinning is seen as a write."
    }
}

fn pin(ring: &Ring, stage: &Stage) -> Result<(), Stop> {
    ring.pin(stage.memory.at(1), stage.memory.page).map_err(|e| match e {
        Errno(libc::ENOMEM) => limit(),
        Errno(libc::EOPNOTSUPP) => Stop::Unsupported("pinning of file memory is refused".into()),
        e => Stop::failed("IORING_REGISTER_BUFFERS", e),
    })
}

fn limit() -> Stop {
    Stop::Unsupported("the limit on locked memory is too low to pin a page".into())
}

fn with_content(stage: &Stage, shown: String) -> String {
    let content = match touch::load(stage.memory.at(1) + 8) {
        Touch::Done(7) => "stored",
        Touch::Done(_) => "kept",
        Touch::Signal(signal) => signal.name(),
    };
    format!("{shown}; content: {content}")
}

/// A file of sevens, in memory.
fn sevens() -> Result<OwnedFd, Stop> {
    // SAFETY: the name is a C string, the descriptor is ours, and the buffer is as long as said.
    unsafe {
        let fd = Errno::check(libc::memfd_create(c"pagemark-source".as_ptr(), libc::MFD_CLOEXEC) as i64);
        let file = OwnedFd::from_raw_fd(fd.map_err(|e| Stop::failed("memfd_create", e))? as i32);
        libc::pwrite(file.as_raw_fd(), [7u8; 64].as_ptr().cast(), 64, 0);
        Ok(file)
    }
}
