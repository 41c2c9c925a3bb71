//! What a case is given: memory, a descriptor registered on it, and a way to say what a write showed as.
//!
//! *Seen* means something else in each mode: an event in `sync`, a signal in `sigbus`, a line of `PAGEMAP_SCAN` in
//! `async`. The methods here translate, so that a case is written once for all modes. In `async` a page counts as armed
//! only if the scan did not report it before the write; a write to a page that was reported all along has not been
//! noticed by anybody.

use std::ops::Range;
use std::os::fd::AsRawFd;

use super::cell::Cell;
use super::errno::Errno;
use super::memory::{Fill, Memory};
use super::scan;
use super::server::Server;
use super::touch::{self, Touch};
use super::uffd::{self, Event, Uffd};

/// Why a case has no observation of its own.
#[derive(Debug)]
pub enum Stop {
    /// Something it needs is not there.
    Unsupported(String),
    /// A step that was only preparation failed; this is then what was observed.
    Failed(String),
}

impl Stop {
    /// A preparation failed. That this machine is short of descriptors says nothing about its kernel.
    pub fn failed(step: &str, error: Errno) -> Stop {
        match error.0 {
            libc::EMFILE | libc::ENFILE => Stop::Unsupported(format!("{step}: {error}, raise the limit on open files")),
            _ => Stop::Failed(format!("{step}: {error}")),
        }
    }

    /// A thread or a process did not start. Of those too a machine may be short.
    pub fn not_started(what: &str, error: Errno) -> Stop {
        match error.0 {
            libc::EAGAIN => Stop::Unsupported(format!("{what}: {error}, raise the limit on processes")),
            _ => Stop::failed(what, error),
        }
    }
}

/// What a case ends with.
pub type Outcome = Result<String, Stop>;

/// How a stage is set up.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Whether pages are written first.
    pub fill: Fill,
    /// `REGISTER_*` bits; 0 for not registered.
    pub register: u64,
    /// Features beyond those of the mode.
    pub features: u64,
    /// Mode bits with which missing and minor faults are resolved.
    pub fill_mode: u64,
    /// Whether a thread reads events and resolves them.
    pub serve: bool,
}

impl Plan {
    /// Written pages, registered for write protection, served, nothing armed.
    pub const USUAL: Plan =
        Plan { fill: Fill::Written, register: uffd::REGISTER_WP, features: 0, fill_mode: 0, serve: true };

    /// Untouched pages, registered for missing faults.
    pub const MISSING: Plan = Plan { fill: Fill::Untouched, register: uffd::REGISTER_MISSING, ..Plan::USUAL };
}

/// Memory with a descriptor on it.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Where we are in the matrix.
    pub cell: &'a Cell<'a>,
    /// The memory.
    pub memory: Memory,
    /// The descriptor.
    pub uffd: Uffd,
    server: Option<Server>,
}

/// Opens a descriptor of the cell's mode with features on top.
pub fn open(cell: &Cell, features: u64) -> Result<Uffd, Stop> {
    let uffd = Uffd::open(cell.mode.is_user_only()).map_err(|e| Stop::failed("userfaultfd", e))?;
    let wanted = cell.mode.features() | features | cell.facts.features & PROTECTION;
    uffd.enable(wanted).map_err(|e| match e.0 {
        libc::EPERM => Stop::Unsupported("a feature wants privilege (EPERM)".into()),
        _ => Stop::failed("UFFDIO_API", e),
    })?;
    Ok(uffd)
}

/// Features that only say that something can be protected. Asking for them changes nothing else.
const PROTECTION: u64 = uffd::FEATURE_WP | uffd::FEATURE_WP_HUGETLBFS_SHMEM;

impl<'a> Stage<'a> {
    /// Sets up a stage.
    pub fn new(cell: &'a Cell<'a>, plan: Plan) -> Result<Stage<'a>, Stop> {
        Stage::on(cell, plan, Memory::new(cell.backing, plan.fill)?)
    }

    /// Sets up a stage on given memory.
    pub fn on(cell: &'a Cell<'a>, plan: Plan, memory: Memory) -> Result<Stage<'a>, Stop> {
        let uffd = open(cell, plan.features)?;
        if plan.register != 0 {
            let registered = uffd.register(memory.base, memory.len(), plan.register);
            registered.map_err(|e| Stop::failed("UFFDIO_REGISTER", e))?;
        }
        let server = if plan.serve {
            let started = Server::start(uffd.as_raw_fd(), memory.page, plan.fill_mode);
            Some(started.map_err(|e| Stop::not_started("fault thread", e))?)
        } else {
            None
        };
        Ok(Stage { cell, memory, uffd, server })
    }

    /// The usual stage with every page armed.
    pub fn armed(cell: &'a Cell<'a>) -> Result<Stage<'a>, Stop> {
        let stage = Stage::new(cell, Plan::USUAL)?;
        stage.arm(stage.memory.all())?;
        Ok(stage)
    }

    /// Arms pages; failing is the end of the case.
    pub fn arm(&self, pages: Range<usize>) -> Result<(), Stop> {
        self.try_arm(pages).map_err(|e| Stop::failed("UFFDIO_WRITEPROTECT", e))
    }

    /// Arms pages.
    pub fn try_arm(&self, pages: Range<usize>) -> Result<(), Errno> {
        let (start, len) = self.memory.span(&pages);
        self.uffd.write_protect(start, len, uffd::PROTECT)
    }

    /// Makes pages writable again.
    pub fn unarm(&self, pages: Range<usize>) -> Result<(), Errno> {
        let (start, len) = self.memory.span(&pages);
        self.uffd.write_protect(start, len, 0)
    }

    /// Ends the fault thread.
    pub fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }

    /// Events read since this was called last.
    pub fn take_events(&self) -> Vec<Event> {
        self.server.as_ref().map(Server::take).unwrap_or_default()
    }

    /// Stores to a page and says what showed.
    pub fn write(&self, page: usize) -> String {
        self.write_at(self.memory.at(page) + 8)
    }

    /// Stores to an address and says what showed.
    pub fn write_at(&self, address: usize) -> String {
        self.watch(address, || match touch::store(address, 2) {
            Touch::Done(_) => String::new(),
            Touch::Signal(signal) => signal.name().to_owned(),
        })
    }

    /// Loads from a page and says what showed: `unseen` where nothing did.
    pub fn read(&self, page: usize) -> String {
        self.take_events();
        match touch::load(self.memory.at(page) + 8) {
            Touch::Signal(signal) => signal.name().to_owned(),
            Touch::Done(_) => {
                let names = names(&self.take_events());
                if names.is_empty() { "unseen".to_owned() } else { names }
            }
        }
    }

    /// Lets the kernel store to a page and says whether that worked and what showed.
    pub fn kernel_write(&self, page: usize, store: impl FnOnce(usize) -> Result<(), Errno>) -> String {
        let address = self.memory.at(page) + 8;
        touch::resolve_with(self.uffd.as_raw_fd(), self.memory.page);
        touch::take_resolved();
        let mut result = Ok(());
        let shown = self.watch(address, || {
            result = store(address);
            if touch::take_resolved() > 0 { "SIGBUS".to_owned() } else { String::new() }
        });
        touch::resolve_with(-1, self.memory.page);
        match result {
            Ok(()) => format!("works, {shown}"),
            Err(e) if shown == "unseen" || shown == "unreported" || shown == "was reported before" => e.to_string(),
            Err(e) => format!("{e}, {shown}"),
        }
    }

    /// Does something that may write to the page at `address`, and says what showed: what `act` answers, if anything,
    /// else events, else the scan.
    pub fn watch(&self, address: usize, act: impl FnOnce() -> String) -> String {
        self.take_events();
        let before = self.is_reported(address);
        let answer = act();
        if !answer.is_empty() {
            return answer;
        }
        let events = names(&self.take_events());
        if !self.cell.mode.is_async() {
            return if events.is_empty() { "unseen".to_owned() } else { events };
        }
        let scanned = match (before, self.is_reported(address)) {
            (Ok(true), _) => "was reported before",
            (Ok(false), Ok(true)) => "reported",
            (Ok(false), Ok(false)) => "unreported",
            (Err(e), _) | (_, Err(e)) => return format!("PAGEMAP_SCAN: {e}"),
        };
        if events.is_empty() { scanned.to_owned() } else { format!("{events}, {scanned}") }
    }

    /// Whether `PAGEMAP_SCAN` reports the page of an address as written; not asked outside `async`.
    pub fn is_reported(&self, address: usize) -> Result<bool, Errno> {
        if !self.cell.mode.is_async() {
            return Ok(false);
        }
        scan::is_written(address & !(self.memory.page - 1), self.memory.page)
    }
}

impl Drop for Stage<'_> {
    /// The thread must not read from a number that another file gets next.
    fn drop(&mut self) {
        self.stop_server();
    }
}

/// The names of events, each once, in the order of first appearance.
pub fn names(events: &[Event]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for event in events {
        if !names.contains(&event.name()) {
            names.push(event.name());
        }
    }
    names.join(", ")
}
