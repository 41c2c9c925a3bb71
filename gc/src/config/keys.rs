//! The table of keys: everything the text form knows.

use super::sizes::{size_or_auto, size_or_auto_text, whole};
use super::{Config, Disarm, Log, Sticky, Verify, Zeal};
use crate::barrier::Mechanism;
use crate::memory::Backing;

/// One row of [`KEYS`]: a key of the text form.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// What may follow the `=`.
    pub allowed: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Whether the key may stand alone, meaning `true`.
    pub bare: bool,
    /// Sets the value, or returns `None` if that text is not a value at all. Ranges are checked by `validate`.
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
    /// The value as text that `set` accepts.
    pub(super) show: fn(&Config) -> String,
}

/// Every key of the text form, in the order in which it is printed.
pub static KEYS: [Key; 18] = [
    Key {
        name: "mechanism",
        allowed: "auto|async|sync|sigbus|mprotect|cards|stop|none",
        doc: "how writes are seen while marking; none: the heap is not collected, as the baseline of measurements",
        bare: false,
        set: |c, v| Mechanism::ALL.iter().find(|m| m.name() == v).map(|m| c.mechanism = *m),
        show: |c| c.mechanism.name().to_string(),
    },
    Key {
        name: "backing",
        allowed: "anon|shmem",
        doc: "the memory the heap is made of; shmem has a second mapping that is never armed",
        bare: false,
        set: |c, v| Backing::ALL.iter().find(|b| b.name() == v).map(|b| c.backing = *b),
        show: |c| c.backing.name().to_string(),
    },
    Key {
        name: "limit",
        allowed: "auto|SIZE (4M to 4T)",
        doc: "the hard limit of the heap; auto asks the control group and the machine",
        bare: false,
        set: |c, v| size_or_auto(v).map(|limit| c.limit = limit),
        show: |c| size_or_auto_text(c.limit),
    },
    Key {
        name: "heap",
        allowed: "auto|SIZE (at most the limit)",
        doc: "the size up to which the heap may grow before a cycle ends; auto is 32M, or the limit where that is less",
        bare: false,
        set: |c, v| size_or_auto(v).map(|heap| c.heap = heap),
        show: |c| size_or_auto_text(c.heap),
    },
    Key {
        name: "growth",
        allowed: "FACTOR (at least 1.1)",
        doc: "the next cycle should end before the heap reaches the live bytes times this, or `heap` if that is more",
        bare: false,
        set: |c, v| v.parse().ok().map(|growth| c.growth = growth),
        show: |c| format!("{:?}", c.growth),
    },
    Key {
        name: "markers",
        allowed: "N (1 to 64)",
        doc: "threads that mark; by default half the processors this process may use",
        bare: false,
        set: |c, v| whole(v).and_then(|n| usize::try_from(n).ok()).map(|n| c.markers = n),
        show: |c| c.markers.to_string(),
    },
    Key {
        name: "assists",
        allowed: "N (0 to 64)",
        doc: "threads that mark too while as many mutators wait for a cycle, or all are stopped for a whole one; by default the other processors",
        bare: false,
        set: |c, v| whole(v).and_then(|n| usize::try_from(n).ok()).map(|n| c.assists = n),
        show: |c| c.assists.to_string(),
    },
    Key {
        name: "rounds",
        allowed: "N (0 to 100)",
        doc: "rescans of written pages before mutators are stopped, at most",
        bare: false,
        set: |c, v| whole(v).and_then(|n| u32::try_from(n).ok()).map(|n| c.rounds = n),
        show: |c| c.rounds.to_string(),
    },
    Key {
        name: "sticky",
        allowed: "auto|off|always",
        doc: "cycles that keep the marks of the one before, and mark only what is new: as long as that pays, never, or whenever possible",
        bare: false,
        set: |c, v| Sticky::ALL.iter().find(|s| s.name() == v).map(|s| c.sticky = *s),
        show: |c| c.sticky.name().to_string(),
    },
    Key {
        name: "disarm",
        allowed: "auto|off|always",
        doc: "between cycles pages are not armed: as long as that pays (never with sticky=always), never, or always",
        bare: false,
        set: |c, v| Disarm::ALL.iter().find(|d| d.name() == v).map(|d| c.disarm = *d),
        show: |c| c.disarm.name().to_string(),
    },
    Key {
        name: "log",
        allowed: "off|gc",
        doc: "what is printed on stderr: nothing, or a line a cycle",
        bare: false,
        set: |c, v| Log::ALL.iter().find(|l| l.name() == v).map(|l| c.log = *l),
        show: |c| c.log.name().to_string(),
    },
    Key {
        name: "summary",
        allowed: "true|false, or `summary` alone",
        doc: "the embedder prints one line of JSON, the summary, when the program ends",
        bare: true,
        set: |c, v| v.parse().ok().map(|summary| c.summary = summary),
        show: |c| c.summary.to_string(),
    },
    Key {
        name: "trace",
        allowed: "off|FILE (no comma or control character, no space at either end; %p stands for the process id)",
        doc: "write a timeline of cycles and of what they do to each mutator, as Chrome and Perfetto show it",
        bare: false,
        set: |c, v| {
            c.trace = (v != "off").then(|| v.to_string());
            Some(())
        },
        show: |c| c.trace.clone().unwrap_or_else(|| "off".to_string()),
    },
    Key {
        name: "verify",
        allowed: "off|mark|heap|all",
        doc: "mark: trace again in every pause and name what the cycle missed; heap: check the heap's structures before and after each cycle",
        bare: false,
        set: |c, v| Verify::ALL.iter().find(|x| x.name() == v).map(|x| c.verify = *x),
        show: |c| c.verify.name().to_string(),
    },
    Key {
        name: "zeal",
        allowed: "off|alloc:N|safepoint:N|phase:NAME (N at least 1; NAME handshake, arm, mark, round, pause or sweep)",
        doc: "request a cycle at every Nth refill of a mutator's hole (at most 64 KB) or large object, or at every Nth safepoint, or all the time, with the mutators stopped after the phase",
        bare: false,
        set: |c, v| Zeal::parse(v).map(|zeal| c.zeal = zeal),
        show: |c| c.zeal.to_string(),
    },
    Key {
        name: "oracle",
        allowed: "true|false, or `oracle` alone",
        doc: "beside a page mechanism keep cards, which the embedder's store function marks, and name each card on a page that was not reported as written",
        bare: true,
        set: |c, v| v.parse().ok().map(|oracle| c.oracle = oracle),
        show: |c| c.oracle.to_string(),
    },
    Key {
        name: "poison",
        allowed: "true|false, or `poison` alone",
        doc: "fill swept memory, and check that it is unchanged when it is used again",
        bare: true,
        set: |c, v| v.parse().ok().map(|poison| c.poison = poison),
        show: |c| c.poison.to_string(),
    },
    Key {
        name: "name",
        allowed: "TEXT (1 to 64 bytes; no comma, square bracket or control character, no space at either end)",
        doc: "what the heap is called in log lines and summaries",
        bare: false,
        set: |c, v| {
            c.name = v.to_string();
            Some(())
        },
        show: |c| c.name.clone(),
    },
];
