//! Where names stand beside their points.
//!
//! Greedy, the most crowded point first: each name takes the first of some places around its point, from near to far, where it covers no name, no point and
//! no edge; if there is none, the one where it covers least.

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect(pub i32, pub i32, pub i32, pub i32);

impl Rect {
    /// The area that both cover.
    pub fn shared(&self, other: &Rect) -> i32 {
        let width = self.2.min(other.2) - self.0.max(other.0);
        let height = self.3.min(other.3) - self.1.max(other.1);
        width.max(0) * height.max(0)
    }

    fn area(&self) -> i32 {
        (self.2 - self.0) * (self.3 - self.1)
    }
}

/// Places for names of those widths at those points, inside `within`, away from `obstacles`. Each is where the name's rectangle is.
pub fn place(names: &[((i32, i32), i32)], height: i32, within: Rect, obstacles: &[Rect]) -> Vec<Rect> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    let crowd = |index: usize| {
        let (x, y) = names[index].0;
        names.iter().filter(|((a, b), _)| (a - x).abs() < 90 && (b - y).abs() < 40).count()
    };
    order.sort_by_key(|index| std::cmp::Reverse(crowd(*index)));
    let mut placed: Vec<Option<Rect>> = vec![None; names.len()];
    for index in order {
        let (point, width) = names[index];
        let cost = |rect: &Rect| {
            let others = placed.iter().flatten().chain(obstacles).map(|other| rect.shared(other)).sum::<i32>();
            others + rect.area() - rect.shared(&within)
        };
        let mut best: Option<(i32, Rect)> = None;
        for rect in around(point, width, height) {
            let cost = cost(&rect);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, rect));
            }
            if cost == 0 {
                break;
            }
        }
        placed[index] = best.map(|(_, rect)| rect);
    }
    placed.into_iter().flatten().collect()
}

/// Places around a point, the best first.
fn around((x, y): (i32, i32), width: i32, height: i32) -> Vec<Rect> {
    let half = height / 2;
    let mut places = Vec::new();
    let mut add = |left: i32, middle: i32| places.push(Rect(left, middle - half, left + width, middle + half));
    for far in 0..12 {
        let gap = 9 + 7 * far;
        for rise in [0, -1, 1, -2, 2, -3, 3].map(|k| k * (half + 2)) {
            if rise.abs() <= gap {
                add(x + gap, y + rise);
                add(x - gap - width, y + rise);
            }
        }
        for shift in [0, -width / 3, width / 3] {
            add(x - width / 2 + shift, y - gap - half / 2);
            add(x - width / 2 + shift, y + gap + half / 2);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_points_in_a_heap_have_names_that_do_not_touch() {
        let names: Vec<_> = (0..20).map(|k| ((300 + k % 5 * 12, 200 + k / 5 * 9), 60 + k % 3 * 20)).collect();
        let within = Rect(0, 0, 760, 420);
        let placed = place(&names, 15, within, &[]);
        assert_eq!(placed.len(), names.len());
        for (index, rect) in placed.iter().enumerate() {
            assert_eq!(rect.shared(&within), rect.area(), "{rect:?} is outside");
            for other in &placed[index + 1..] {
                assert_eq!(rect.shared(other), 0, "{rect:?} covers {other:?}");
            }
        }
    }
}
