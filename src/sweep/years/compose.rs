//! Draws years of incidents, and sums up what these did.

use engine::random::index_below;
use engine::{SimDuration, Streams};

use super::course::Probe;
use super::effects::{clients, wrong};
use super::failures::named;
use super::incident::Failures;
use super::{
    FailureReport, FullYears, ServiceYears, Settings, YearlyCost, Years, interval, spread,
};
use report::Report;

/// Seconds of a month of 730 hours, as the report has it.
const MONTH_SECONDS: f64 = 730.0 * 3_600.0;

/// Effects of the incidents of one year: failed requests and seconds down of each service, and the change of the bill.
struct Year {
    services: Vec<(f64, f64)>,
    usd: f64,
}

/// Effects of each kind of incident, mean over the composed years.
struct Drawn {
    /// Incidents in a year.
    per_year: Vec<f64>,
    /// By kind and service: requests that failed and seconds down in a year.
    effects: Vec<Vec<(f64, f64)>>,
}

/// The probes of each kind of incident, and what the composed years drew of them.
struct Kinds<'a> {
    probes: &'a [Vec<Probe>],
    drawn: Drawn,
}

/// Composes years, and compares them with straight ones.
pub(super) fn composed(
    base: &Report,
    failures: Failures<'_>,
    probes: &[Vec<Probe>],
    settings: Settings,
    straight: &[Report],
) -> Years {
    let counted = (base.run.duration_ms - base.run.warm_up_ms) as f64 / 1e3;
    let runs_per_year = settings.year.as_secs_f64() / counted.max(f64::MIN_POSITIVE);
    let services = clients(base);
    let (composed, drawn) = draw(failures, probes, settings, services.len());
    let kinds = Kinds { probes, drawn };
    let services = services.into_iter().enumerate().map(|(position, service)| {
        let (failed, down) = wrong(service);
        let ended = (failed + service.answered as f64) * runs_per_year;
        let share = |failed: f64| failed / ended.max(1.0);
        let of_year = |year: &Year| {
            let (more_failed, more_down) = year.services[position];
            let failed = (failed * runs_per_year + more_failed).max(0.0);
            (1.0 - share(failed), (down * runs_per_year + more_down).max(0.0) / 60.0)
        };
        let straight = (!straight.is_empty()).then(|| of_straight(straight, &service.service));
        let failed_error = kinds.error(|probe| probe.effects.services[position].0);
        let down_error = kinds.error(|probe| probe.effects.services[position].1);
        ServiceYears {
            service: service.service.clone(),
            availability_by_requests: spread(composed.iter().map(|year| of_year(year).0))
                .widened(share(failed_error)),
            down_minutes: spread(composed.iter().map(|year| of_year(year).1))
                .widened(down_error / 60.0),
            failed_without_failures: failed / (failed + service.answered as f64).max(1.0),
            failed_per_year_without_failures: failed * runs_per_year,
            down_minutes_without_failures: down * runs_per_year / 60.0,
            failures: kinds.told(failures, position),
            straight,
        }
    });
    let services: Vec<ServiceYears> = services.collect();
    let of_month = |report: &Report| {
        report.cost.month_usd.as_usd() * settings.year.as_secs_f64() / MONTH_SECONDS
    };
    let usd_per_year = of_month(base);
    let bills = composed.iter().map(|year| usd_per_year + year.usd);
    Years {
        format_version: "1.3",
        scenario: base.run.scenario.clone(),
        years: settings.years,
        probes: settings.probes,
        usd_per_year,
        cost: YearlyCost {
            usd: spread(bills).widened(kinds.error(|probe| probe.effects.usd)),
            straight: (!straight.is_empty()).then(|| spread(straight.iter().map(of_month))),
        },
        days: settings.year.as_secs_f64() / 86_400.0,
        starts_cold: base.run.warm_up_ms == 0,
        services,
    }
}

/// Draws the years, and adds up what each kind of incident did in them.
fn draw(
    failures: Failures<'_>,
    probes: &[Vec<Probe>],
    settings: Settings,
    services: usize,
) -> (Vec<Year>, Drawn) {
    let mut counts = vec![0_u64; failures.kinds()];
    let mut sums = vec![vec![(0.0, 0.0); services]; failures.kinds()];
    let years = (0..u64::from(settings.years)).map(|number| {
        let mut stream = Streams::new(settings.seed).stream("composed years", number);
        let mut year = Year { services: vec![(0.0, 0.0); services], usd: 0.0 };
        let mut at = SimDuration::ZERO;
        while !failures.processes.is_empty() {
            at += failures.rest(&mut stream);
            if at >= settings.year {
                break;
            }
            let incident = failures.incident(&mut stream);
            at += incident.span;
            let kind = failures.kind(&incident);
            counts[kind] += 1;
            let Some(probes) = probes.get(kind).filter(|probes| !probes.is_empty()) else {
                continue;
            };
            let effects = &probes[index_below(&mut stream, probes.len())].effects;
            let of_kind = year.services.iter_mut().zip(&mut sums[kind]).zip(&effects.services);
            for ((of_year, of_kind), (failed, down)) in of_kind {
                *of_year = (of_year.0 + failed, of_year.1 + down);
                *of_kind = (of_kind.0 + failed, of_kind.1 + down);
            }
            year.usd += effects.usd;
        }
        year
    });
    let years: Vec<Year> = years.collect();
    let count = f64::from(settings.years.max(1));
    let per_year = counts.iter().map(|incidents| *incidents as f64 / count).collect();
    for (failed, down) in sums.iter_mut().flatten() {
        (*failed, *down) = (*failed / count, *down / count);
    }
    (years, Drawn { per_year, effects: sums })
}

impl Kinds<'_> {
    /// Half of the 95 % interval that is due to the few incidents simulated of each kind: their means are estimates,
    /// however many years are composed of them.
    fn error(&self, of: impl Fn(&Probe) -> f64) -> f64 {
        let squares = self.probes.iter().zip(&self.drawn.per_year).map(|(probes, per_year)| {
            let values: Vec<f64> = probes.iter().map(&of).collect();
            let half = interval(&values).map_or(0.0, |[low, high]| (high - low) / 2.0);
            per_year * half * per_year * half
        });
        libm::sqrt(squares.sum())
    }

    /// Effects of the kinds of failure on a service, ordered by the requests that would succeed without them, most first.
    fn told(&self, failures: Failures<'_>, service: usize) -> Vec<FailureReport> {
        let processes = failures.processes.iter();
        let named = processes.map(|process| (named(&process.fault), process.source.clone()));
        let meeting = ("failures that meet".to_owned(), "those above together".to_owned());
        let mut told: Vec<FailureReport> = named
            .chain([meeting])
            .enumerate()
            .map(|(kind, (failure, source))| {
                let per_year = self.drawn.per_year[kind];
                let (failed, down) = self.drawn.effects[kind][service];
                let (failed_avoided, down_avoided) = self.avoided(kind, service);
                let probes = &self.probes[kind];
                let usd: f64 = probes.iter().map(|probe| probe.effects.usd).sum();
                FailureReport {
                    failure,
                    per_year,
                    source,
                    down_minutes_each: down / 60.0 / per_year,
                    failed_each: failed / per_year,
                    down_minutes_per_year: down / 60.0,
                    failed_per_year: failed,
                    failed_per_year_avoided: failed_avoided,
                    down_minutes_per_year_avoided: down_avoided / 60.0,
                    usd_each: usd / probes.len().max(1) as f64,
                }
            })
            .filter(|failure| failure.per_year > 0.0)
            .collect();
        told.sort_by(|one, other| {
            other.failed_per_year_avoided.total_cmp(&one.failed_per_year_avoided)
        });
        told
    }

    /// Requests that fail and seconds down because of an incident of a kind, in the mean.
    fn mean(&self, kind: usize, service: usize) -> (f64, f64) {
        let probes = &self.probes[kind];
        let sum = probes.iter().fold((0.0, 0.0), |sum, probe| {
            let (failed, down) = probe.effects.services[service];
            (sum.0 + failed, sum.1 + down)
        });
        let count = probes.len().max(1) as f64;
        (sum.0 / count, sum.1 / count)
    }

    /// Failed requests and seconds down that a year would not have without a kind of failure: its effect by itself, and
    /// its additional effect when it meets others. Nothing for the failures that meet, which nobody can remove as such.
    fn avoided(&self, kind: usize, service: usize) -> (f64, f64) {
        let Some((meeting, single)) = self.probes.split_last() else { return (0.0, 0.0) };
        if kind >= single.len() {
            return (0.0, 0.0);
        }
        let mut sum = self.drawn.effects[kind][service];
        let each = self.drawn.per_year[single.len()] / meeting.len().max(1) as f64;
        for probe in meeting.iter().filter(|probe| probe.processes.contains(&kind)) {
            let (mut failed, mut down) = probe.effects.services[service];
            for other in probe.processes.iter().filter(|other| **other != kind) {
                let (less_failed, less_down) = self.mean(*other, service);
                (failed, down) = (failed - less_failed, down - less_down);
            }
            sum = (sum.0 + failed * each, sum.1 + down * each);
        }
        sum
    }
}

fn of_straight(reports: &[Report], name: &str) -> FullYears {
    let services = || {
        let of = reports.iter().flat_map(|report| &report.services);
        of.filter(|service| service.service == name)
    };
    FullYears {
        years: u32::try_from(reports.len()).unwrap_or(u32::MAX),
        availability_by_requests: spread(services().filter_map(|one| one.availability_by_requests)),
        down_minutes: spread(services().map(|one| wrong(one).1 / 60.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Spread;
    use super::super::effects::Effects;
    use super::super::failures::tests::process;
    use super::*;

    const YEAR: SimDuration = SimDuration::from_secs(365 * 86_400);

    fn probe(kind: usize, processes: &[usize], failed: f64, down: f64) -> Probe {
        let effects = Effects { services: vec![(failed, down)], usd: failed };
        Probe { kind, processes: processes.to_vec(), effects }
    }

    #[test]
    fn a_year_has_as_many_failures_as_a_poisson_process_brings() {
        let processes = [process(3.0, 0), process(0.5, 0)];
        let failures = Failures { processes: &processes, year: YEAR };
        let probes = [vec![probe(0, &[0], 10.0, 60.0)], vec![probe(1, &[1], 100.0, 0.0)], vec![]];
        let settings = Settings { years: 4_000, probes: 1, seed: 7, straight: 0, year: YEAR };
        let (years, drawn) = draw(failures, &probes, settings, 1);
        let Drawn { per_year, effects } = drawn;
        assert!((per_year[0] - 3.0).abs() < 0.1 && (per_year[1] - 0.5).abs() < 0.05);
        let mean = |of: fn(&Year) -> f64| years.iter().map(of).sum::<f64>() / 4_000.0;
        // 3 x 10 + 0.5 x 100 = 80; 3 minutes down, with a variance of 3 minutes squared.
        assert!((mean(|year| year.services[0].0) - 80.0).abs() < 4.0);
        assert!((mean(|year| year.services[0].1) / 60.0 - 3.0).abs() < 0.1);
        let squares = mean(|year| year.services[0].1 * year.services[0].1 / 3_600.0);
        assert!((squares - 9.0 - 3.0).abs() < 0.6, "{squares}");
        assert!((mean(|year| year.usd) - 80.0).abs() < 4.0);
        // The kinds add up to the years.
        let by_kind: f64 = effects.iter().map(|services| services[0].0).sum();
        assert!((by_kind - mean(|year| year.services[0].0)).abs() < 1e-9, "{by_kind}");
        assert!((effects[1][0].0 - 100.0 * per_year[1]).abs() < 1e-9);
    }

    #[test]
    fn few_simulated_incidents_widen_the_interval() {
        // Two a year, each seen three times: 1, 2 and 3, that is 2 +- 4.303 / sqrt(3).
        let probes = [[1.0, 2.0, 3.0].map(|failed| probe(0, &[0], failed, 0.0)).to_vec()];
        let drawn = Drawn { per_year: vec![2.0], effects: vec![vec![(4.0, 0.0)]] };
        let kinds = Kinds { probes: &probes, drawn };
        let half = kinds.error(|probe| probe.effects.usd);
        assert!((half - 2.0 * 4.302_65 / libm::sqrt(3.0)).abs() < 1e-4, "{half}");
        let wide = Spread { mean: 5.0, interval: [2.0, 8.0], ..Spread::default() }.widened(4.0);
        assert!((wide.interval[0] - 0.0).abs() < 1e-9 && (wide.interval[1] - 10.0).abs() < 1e-9);
    }

    #[test]
    fn without_a_kind_of_failure_those_that_meet_do_less() {
        // By itself the first kind costs 10 requests, the second 2; together 50, of which 48 are due to the first.
        let probes = [
            vec![probe(0, &[0], 10.0, 0.0)],
            vec![probe(1, &[1], 2.0, 0.0)],
            vec![probe(2, &[1, 0], 50.0, 60.0)],
        ];
        let drawn = Drawn {
            per_year: vec![4.0, 3.0, 0.5],
            effects: vec![vec![(40.0, 0.0)], vec![(6.0, 0.0)], vec![(25.0, 30.0)]],
        };
        let kinds = Kinds { probes: &probes, drawn };
        assert_eq!(kinds.avoided(0, 0), (4.0 * 10.0 + 0.5 * 48.0, 30.0));
        assert_eq!(kinds.avoided(1, 0), (3.0 * 2.0 + 0.5 * 40.0, 30.0));
        assert_eq!(kinds.avoided(2, 0), (0.0, 0.0));
    }
}
