//! The phases of a cycle, by name: where `zeal=phase:NAME` stops the mutators.

/// A phase of a concurrent cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Every mutator has handed over its roots and blocks.
    Handshake,
    /// Pages that hold objects are armed.
    Arm,
    /// Everything reachable from those roots is marked.
    Mark,
    /// A round is over.
    Round,
    /// The pause has ended; nothing is swept yet.
    Pause,
    /// Everything is swept.
    Sweep,
}

impl Phase {
    /// Every phase, in the order of a cycle.
    pub const ALL: [Phase; 6] = [Phase::Handshake, Phase::Arm, Phase::Mark, Phase::Round, Phase::Pause, Phase::Sweep];

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Handshake => "handshake",
            Phase::Arm => "arm",
            Phase::Mark => "mark",
            Phase::Round => "round",
            Phase::Pause => "pause",
            Phase::Sweep => "sweep",
        }
    }
}
