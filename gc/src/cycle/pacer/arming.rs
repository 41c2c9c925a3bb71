//! Whether pages stay armed from one cycle to the next.
//!
//! Marking needs every page armed; between two cycles nobody has to know what is written, except that a sticky cycle begins with just that. So after a
//! cycle pages can be left as they are, or disarmed:
//!
//! * *left armed*, each page that is written until the next cycle costs a fault, and is armed again then;
//! * *disarmed*, each page costs the disarming and the arming, written or not. Both are done for whole ranges at once, by the collector's thread.
//!
//! A fault costs a writer as much as disarming and arming seven pages (`async` on a virtual machine: 0.93 µs to 0.13; `pagemark barriers`), and with a mechanism
//! that resolves faults in user mode, as thirty to several hundred. Programs are of two kinds: those that leave what is old alone write to few of the
//! armed pages before the next cycle, and those that do not, to nearly all. The line is drawn at a quarter. For the second kind sticky cycles are of little
//! use: what they would have to trace again lies everywhere.
//!
//! Of pages that were disarmed nothing is learnt. So after some cycles they are left armed again, to see: after four, then eight, then sixteen, for as long as
//! the answer is the same.

use crate::config::{Disarm, Sticky};
use crate::telemetry::Watched;

/// For so many cycles pages are disarmed, at first and at most, before another look.
const SHORTEST: u32 = 4;
const LONGEST: u32 = 16;
/// Fewer pages than these say nothing.
const TELLING: u64 = 64;

/// What it remembers.
pub struct Arming {
    disarm: Disarm,
    /// Cycles after which pages are still to be disarmed, and how many it will be the next time.
    left: u32,
    next: u32,
}

impl Arming {
    /// No cycle yet: the first leaves pages armed. Sticky cycles whenever possible need them armed, unless somebody insists.
    pub fn new(sticky: Sticky, disarm: Disarm) -> Arming {
        let disarm = if sticky == Sticky::Always && disarm == Disarm::Auto { Disarm::Off } else { disarm };
        Arming { disarm, left: 0, next: SHORTEST }
    }

    /// Whether pages stay armed after a cycle that found `watched` when it began.
    pub fn stays(&mut self, watched: Option<Watched>) -> bool {
        if self.disarm != Disarm::Auto {
            return self.disarm == Disarm::Off;
        }
        if let Some(Watched { armed, written }) = watched
            && armed >= TELLING
        {
            if written >= armed / 4 {
                self.left = self.next;
                self.next = (self.next * 2).min(LONGEST);
            } else {
                self.next = SHORTEST;
            }
        }
        let stays = self.left == 0;
        self.left = self.left.saturating_sub(1);
        stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Option<Watched> = Some(Watched { armed: 1000, written: 250 });
    const FEW: Option<Watched> = Some(Watched { armed: 1000, written: 249 });

    /// How many cycles in a row pages are disarmed after, if the next look finds `watched`.
    fn disarmed(arming: &mut Arming, watched: Option<Watched>) -> u32 {
        let mut count = 0;
        let mut found = watched;
        while !arming.stays(found) {
            count += 1;
            found = None;
        }
        count
    }

    #[test]
    fn pages_that_are_written_are_disarmed_for_longer_each_time() {
        let mut arming = Arming::new(Sticky::Auto, Disarm::Auto);
        assert!(arming.stays(None), "the first cycle");
        for expected in [4, 8, 16, 16] {
            assert_eq!(disarmed(&mut arming, MANY), expected);
        }
        assert_eq!(disarmed(&mut arming, FEW), 0);
        assert_eq!(disarmed(&mut arming, MANY), 4);
    }

    #[test]
    fn a_handful_of_pages_says_nothing() {
        let mut arming = Arming::new(Sticky::Auto, Disarm::Auto);
        assert!(arming.stays(Some(Watched { armed: 63, written: 63 })));
    }

    #[test]
    fn who_decides_beforehand_is_obeyed() {
        assert!(Arming::new(Sticky::Always, Disarm::Auto).stays(MANY));
        assert!(Arming::new(Sticky::Auto, Disarm::Off).stays(MANY));
        assert!(!Arming::new(Sticky::Always, Disarm::Always).stays(FEW));
    }
}
