//! The objectives that the sides of a comparison missed.

use serde::Serialize;

use super::measure::{Measurement, Missed};

/// An objective that a side missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedObjective {
    /// Such as `service shop/web`.
    pub subject: String,
    /// Such as `latency p95`.
    pub figure: String,
    /// The limit in words.
    pub limit: String,
    /// How the first side missed it; absent if it met it with all seeds, or has no such objective.
    pub baseline: Option<MissedBy>,
    /// How the second side did, likewise.
    pub candidate: Option<MissedBy>,
    /// Whether the first side has the objective, with this limit.
    pub is_in_baseline: bool,
    /// Whether the second side has it.
    pub is_in_candidate: bool,
}

/// How a side missed an objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissedBy {
    /// The seeds with which it did.
    pub seeds: Vec<u64>,
    /// Why, as the first of these runs tells.
    pub because: String,
}

/// The objectives that either side missed, those of the second first.
pub(super) fn objectives(
    baseline: &Measurement,
    candidate: &Measurement,
) -> Vec<ComparedObjective> {
    let same = |one: &Missed, other: &Missed| {
        (&one.subject, &one.figure, &one.limit) == (&other.subject, &other.figure, &other.limit)
    };
    let of = |side: &Measurement, objective: &Missed| {
        let missed = side.missed.iter().find(|one| same(one, objective))?;
        Some(MissedBy { seeds: missed.seeds.clone(), because: missed.because.clone() })
    };
    // Files before 1.4 do not list the objectives: they count as having those that they do not contradict.
    let has = |side: &Measurement, objective: &Missed| {
        let of_figure = |subject: &str, figure: &str| {
            subject == objective.subject && (figure == objective.figure || figure.is_empty())
        };
        match &side.objectives[..] {
            [] => {
                let mut others = side.missed.iter().filter(|one| !same(one, objective));
                !others.any(|one| of_figure(&one.subject, &one.figure))
            }
            stated => stated.iter().any(|one| {
                (&one.subject, &one.figure, &one.limit)
                    == (&objective.subject, &objective.figure, &objective.limit)
            }),
        }
    };
    let both = baseline.missed.iter();
    let both = both.filter(|one| !candidate.missed.iter().any(|other| same(one, other)));
    let missed = candidate.missed.iter().chain(both);
    // Files of older versions do not tell which objective it was.
    let missed = missed.filter(|one| !one.figure.is_empty());
    missed
        .map(|one| ComparedObjective {
            subject: one.subject.clone(),
            figure: one.figure.clone(),
            limit: one.limit.clone(),
            baseline: of(baseline, one),
            candidate: of(candidate, one),
            is_in_baseline: has(baseline, one),
            is_in_candidate: has(candidate, one),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::compare::Comparison;
    use super::super::compare::tests::measurement;
    use super::super::figures::Better;
    use super::super::gate::Filter;
    use super::super::measure::Stated;
    use super::*;

    #[test]
    fn an_objective_is_newly_missed_if_both_sides_have_it_and_the_first_never_missed_it() {
        let missed = |limit: &str, seeds: &[u64]| Missed {
            subject: "service shop/web".into(),
            figure: "latency p95".into(),
            limit: limit.into(),
            seeds: seeds.to_vec(),
            because: String::new(),
        };
        let stated = |limit: &str| Stated {
            subject: "service shop/web".into(),
            figure: "latency p95".into(),
            limit: limit.into(),
        };
        let side = |limits: &[&str], missed: &[Missed]| Measurement {
            objectives: limits.iter().map(|limit| stated(limit)).collect(),
            missed: missed.to_vec(),
            ..measurement(&[Some(1.0), Some(2.0)], Better::Lower)
        };
        let newly = |one: &Measurement, other: &Measurement| {
            Comparison::new(one, other, 0.0, &Filter::default()).newly_missed().count()
        };
        let late = side(&["<= 300 ms"], &[missed("<= 300 ms", &[1, 2])]);
        assert_eq!(newly(&side(&["<= 300 ms"], &[]), &late), 1);
        let late_once = side(&["<= 300 ms"], &[missed("<= 300 ms", &[2])]);
        assert_eq!(newly(&side(&["<= 300 ms"], &[]), &late_once), 0, "not with every seed");
        assert_eq!(newly(&late_once, &late), 0);
        let looser = side(&["<= 400 ms"], &[]);
        assert_eq!(newly(&looser, &late), 0, "the limit is new");
        // Files of older versions.
        assert_eq!(newly(&side(&[], &[]), &late), 1);
        assert_eq!(newly(&side(&[], &[missed("<= 400 ms", &[1])]), &late), 0);
        let unnamed = Missed { figure: String::new(), ..missed("", &[]) };
        assert_eq!(newly(&side(&[], &[unnamed]), &late), 0);
    }
}
