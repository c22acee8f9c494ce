//! What a search may decide: knobs with a few levels each, from the leanest to the most generous.

/// One knob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knob {
    /// How many levels it has, at least one. Those of a ladder go from the leanest to the most generous.
    pub levels: usize,
    /// Relation of the levels to each other and to the cost.
    pub kind: KnobKind,
}

/// Relation of a knob's levels to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnobKind {
    /// Fewer cost less, such as nodes.
    Priced,
    /// More or less of something that has no price of its own, such as replicas on nodes that are paid for.
    Free,
    /// One of several that no order holds together, such as the type of a node.
    Choice,
}

/// A level for each knob.
pub type Point = Vec<usize>;

/// All points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// The knobs.
    pub knobs: Vec<Knob>,
}

impl Space {
    /// How many points there are.
    pub fn size(&self) -> u64 {
        self.knobs.iter().fold(1, |size: u64, knob| size.saturating_mul(knob.levels as u64))
    }

    /// The most generous level of all knobs, and of choices the one that `point` has.
    pub(crate) fn most_generous(&self, point: &[usize]) -> Point {
        let top = |(knob, level): (&Knob, &usize)| match knob.kind {
            KnobKind::Choice => *level,
            KnobKind::Priced | KnobKind::Free => knob.levels - 1,
        };
        self.knobs.iter().zip(point).map(top).collect()
    }

    /// Combinations of the choices, with all other levels as `point` has them: those with the lowest floors, in the order
    /// of these, at most `most`. Only the lowest are kept after each knob. As long as floors are finite they are sums over the
    /// choices, so that this loses none of the lowest; one that is infinite, for want of CPU in a part, may be lost.
    pub fn choices(
        &self,
        point: &[usize],
        most: usize,
        floor: &dyn Fn(&Point) -> f64,
    ) -> Vec<Point> {
        let mut all = vec![point.to_vec()];
        for (position, knob) in self.knobs.iter().enumerate() {
            if knob.kind == KnobKind::Choice {
                let with = |one: &Point| {
                    let levels = 0..knob.levels;
                    levels.map(|level| at(one, position, level)).collect::<Vec<_>>()
                };
                all = all.iter().flat_map(with).collect();
                all.sort_by(|one, other| floor(one).total_cmp(&floor(other)));
                all.truncate(most);
            }
        }
        all
    }
}

/// The point with another level of one knob.
pub fn at(point: &[usize], knob: usize, level: usize) -> Point {
    let mut point = point.to_vec();
    point[knob] = level;
    point
}
