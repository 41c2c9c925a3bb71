//! Which allocations are samples: those that contain one of some points, strewn over the bytes that a mutator allocates in one space.
//!
//! The points are a Poisson process: the distance from one to the next is exponential, with a given mean. So an allocation of `s` bytes is a sample with probability
//! `1 − e^(−s/mean)`, whatever was allocated before it, and a program whose pattern has a period meets no period here. Who divides by that probability
//! has an unbiased estimate of how many objects of each size were allocated, and where. Go's heap profiles and those of HotSpot (JEP 331) are
//! made the same way.
//!
//! Nothing of it is in the path of an allocation that finds room. The end of the hole that a mutator allocates in is drawn back to the next
//! point ([`Local`](super::local::Local)), so the allocation that contains the point does not fit, and takes the slow path, where it is counted.

/// The points of one mutator in one space.
#[derive(Debug)]
pub struct Points {
    mean: f64,
    /// The next, as a number of bytes allocated: the byte after so many others.
    next: u64,
    state: u64,
}

impl Points {
    /// Points `mean` bytes apart on average, from `allocated` bytes on. The same `seed` gives the same ones.
    pub fn new(mean: u64, seed: u64, allocated: u64) -> Points {
        let mut points = Points { mean: mean.max(1) as f64, next: 0, state: seed };
        points.draw(allocated);
        points
    }

    /// Bytes that can be allocated, of which `allocated` are, before the next point.
    pub fn room(&self, allocated: u64) -> usize {
        self.next.saturating_sub(allocated) as usize
    }

    /// Whether the allocation that made the bytes allocated this many contains a point. If so the next is behind it.
    pub fn passed(&mut self, allocated: u64) -> bool {
        let passed = allocated > self.next;
        if passed {
            self.draw(allocated);
        }
        passed
    }

    fn draw(&mut self, allocated: u64) {
        // SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // In (0, 1], so that the logarithm is finite.
        let uniform = ((z >> 11) + 1) as f64 / (1u64 << 53) as f64;
        self.next = allocated.saturating_add((-uniform.ln() * self.mean) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_is_a_sample_as_often_as_its_size_says() {
        const MEAN: u64 = 10_000;
        for (size, times) in [(32u64, 4_000_000u64), (1024, 400_000), (10_000, 100_000), (100_000, 20_000)] {
            let mut points = Points::new(MEAN, size, 0);
            let mut allocated = 0;
            let mut samples = 0u64;
            for _ in 0..times {
                let contains = size > points.room(allocated) as u64;
                allocated += size;
                assert_eq!(points.passed(allocated), contains);
                samples += u64::from(contains);
            }
            let expected = times as f64 * (1.0 - (-(size as f64) / MEAN as f64).exp());
            // Five standard deviations of a binomial distribution, at most.
            let deviation = expected.sqrt() * 5.0;
            assert!((samples as f64 - expected).abs() < deviation.max(1.0), "{size}: {samples}, not {expected}");
        }
    }
}
