//! A recommendation for the terminal.

use super::evaluate::Headroom;
use super::figures::Figures;
use super::recommendation::{Change, Fewest, Recommendation};
use super::tune::NAMES;
use super::unmet::{Trial, Unmet};
use report::figures::{ABSENT, counted, latency, percent, span};
use report::text::layout::{Align, Paint, Style, Table, paragraph, two_sided};

/// Settings of which those that stay are shown too.
const SETTINGS: usize = 8;

/// The recommendation as text, each line ended; `command` runs the scenario with the settings.
pub fn render(answer: &Recommendation, command: &str, style: Style) -> String {
    let effort = &answer.effort;
    let size = format!(
        "{} of {}, {}, {} simulated",
        counted(effort.settings_run as u64, "setting"),
        effort.settings,
        counted(effort.runs, "run"),
        span(effort.simulated_seconds)
    );
    let mut lines = two_sided(&format!("SIZE  {}", answer.scenario), &size);
    lines[0] = style.paint(Paint::Heading, &lines[0]);
    lines.push(String::new());
    let Some(after) = &answer.after else {
        lines.extend(nothing(answer, style));
        return lines.join("\n") + "\n";
    };
    lines.extend(figures(&answer.before, after));
    lines.push(String::new());
    lines.extend(changes(&answer.changes, style));
    lines.push(String::new());
    for one in &answer.binding {
        let text = format!("{} would miss {} ({})", short(&one.setting), one.misses, one.value);
        lines.extend(paragraph("  limit       ", &text));
    }
    lines.extend(paragraph("  confidence  ", &sure(answer)));
    lines.extend(paragraph("  failures    ", &survives(answer)));
    lines.extend(paragraph("  ideal       ", &left(answer, after)));
    if let Some(factor) = answer.headroom {
        let text = format!("all objectives hold up to {factor:.2} times this traffic");
        lines.extend(paragraph("  headroom    ", &text));
    }
    for one in &answer.fewest {
        lines.extend(paragraph("  fewest      ", &fewest(one)));
    }
    lines.extend(searched(answer).iter().flat_map(|text| paragraph("  searched    ", text)));
    lines.push(String::new());
    if answer.set.is_empty() {
        lines.extend(paragraph(
            "",
            "► keep the current settings: no cheaper ones were found that hold every objective",
        ));
        return lines.join("\n") + "\n";
    }
    lines.push(style.paint(Paint::Good, &format!("► {command}")));
    if !answer.patch.is_empty() {
        lines.push(String::new());
        lines.push(style.paint(
            Paint::Dim,
            "# strategic merge patches (--patch DIR writes them with a kustomization)",
        ));
        lines.extend(answer.patch.lines().map(str::to_owned));
    }
    lines.join("\n") + "\n"
}

fn nothing(answer: &Recommendation, style: Style) -> Vec<String> {
    let mut lines: Vec<String> =
        answer.before.headrooms.iter().map(|room| verdict(room, "now")).collect();
    lines.push(String::new());
    let refuted = match answer.confidence.refuted {
        0 => String::new(),
        count => format!(
            "; {} held them on the seeds of the search, and failed on fresh ones",
            counted(count as u64, "setting")
        ),
    };
    let is_cut = answer.effort.unfinished > 0;
    let text = if is_cut && answer.before.headrooms.iter().all(|room| room.room >= 0.0) {
        "✗ the search was cut short before it found a better setting, and the current one is not confirmed with fresh seeds. Allow \
         more runs (--runs)"
            .to_owned()
    } else {
        let which = if is_cut { "the settings that were tried" } else { "these settings" };
        format!("✗ none of {which} holds every objective{refuted}")
    };
    lines.extend(paragraph("", &text).iter().map(|line| style.paint(Paint::Bad, line)));
    lines.extend(answer.unmet.iter().flat_map(|unmet| causes(unmet, &answer.changes)));
    lines.extend(searched(answer).iter().flat_map(|text| paragraph("  searched    ", text)));
    lines
}

/// Why nothing holds, and what would help.
fn causes(unmet: &Unmet, changes: &[Change]) -> Vec<String> {
    let missed = |one: &Headroom| format!("{} ({})", one.limit, one.value);
    let named = |set: &[String]| {
        let differs = |(setting, change): &(&String, &Change)| {
            **setting != format!("{}={}", change.path, change.from)
        };
        let differing: Vec<String> =
            set.iter().zip(changes).filter(differs).map(|(setting, _)| short(setting)).collect();
        match &differing[..] {
            [] => "the current settings".to_owned(),
            settings => settings.join(", "),
        }
    };
    let mut lines = vec![String::new()];
    let mut line =
        |label: &str, text: &str| lines.extend(paragraph(&format!("  {label:<12}"), text));
    for one in &unmet.limits {
        let best = match &one.set[..] {
            [] => format!("{} with each", one.best.value),
            set => format!("{} at best, with {}", one.best.value, named(set)),
        };
        line("unreached", &format!("none holds {}: {best}", one.best.limit));
    }
    if unmet.limits.is_empty() {
        line("unreached", "each limit is held by a setting that misses another");
    }
    let nearest = &unmet.nearest;
    let (set, cost) = (named(&nearest.set), nearest.cost_per_month_usd);
    line("nearest", &format!("{set}: ${cost:.2} a month; with seed {} it misses", nearest.seed));
    for one in &nearest.misses {
        let because = match &*one.because {
            "" => "the run names no reason",
            because => because,
        };
        line("", &format!("{}: {because}", missed(one)));
    }
    line(
        "load",
        &match &unmet.little_traffic.misses {
            None => "with a tenth of the traffic the nearest holds everything: it lacks capacity"
                .to_owned(),
            Some(one) => format!(
                "with a tenth of the traffic the nearest still misses {}: capacity alone does not mend it",
                missed(one)
            ),
        },
    );
    match unmet.undisturbed.as_ref().map(|trial| &trial.misses) {
        Some(None) => line("events", "without timeline and faults the nearest holds everything"),
        Some(Some(one)) => {
            line(
                "events",
                &format!("without timeline and faults the nearest misses {}", missed(one)),
            );
        }
        None => {}
    }
    for one in &unmet.remedies {
        line("would help", &remedy(one));
    }
    if unmet.remedies.is_empty() {
        let tried = unmet.tried.join(", ");
        line(
            "would help",
            &match &*tried {
                "" => {
                    "no further setting can be tuned by name, and none is at the end of its values"
                        .to_owned()
                }
                tried => format!("nothing else that was tried on the nearest: {tried}"),
            },
        );
    }
    lines
}

fn remedy(trial: &Trial) -> String {
    let set = trial.set.iter().map(|one| short(one)).collect::<Vec<_>>().join(", ");
    let name = if NAMES.iter().any(|(name, _)| *name == trial.change) {
        format!("--tune {}", trial.change)
    } else {
        "values beyond those tried".to_owned()
    };
    match &trial.misses {
        None => format!("{name}: {set} holds everything with this seed"),
        Some(one) => format!("{name}: {set} misses less, {} ({})", one.limit, one.value),
    }
}

fn verdict(room: &Headroom, when: &str) -> String {
    let outcome = if room.room < 0.0 { "missed" } else { "met" };
    format!("  {when}  {}: {} ({outcome})", room.limit, room.value)
}

fn figures(before: &Figures, after: &Figures) -> Vec<String> {
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Left]);
    let row = |name: &str, before: String, after: String, note: String| {
        [format!("  {name}"), before, after, note]
    };
    table.row(row("", "now".into(), "recommended".into(), String::new()));
    let (was, is) = (before.cost_per_month_usd, after.cost_per_month_usd);
    let change =
        if was > 0.0 { format!("{:+.1} %", (is - was) / was * 100.0) } else { String::new() };
    table.row(row("cost a month", format!("${was:.2}"), format!("${is:.2}"), change));
    let p99 = |one: &Figures| one.p99_ms.map_or_else(|| ABSENT.to_owned(), latency);
    table.row(row("p99, worst service", p99(before), p99(after), String::new()));
    let available = |one: &Figures| one.availability.map_or_else(|| ABSENT.to_owned(), percent);
    table.row(row(
        "availability, worst service",
        available(before),
        available(after),
        String::new(),
    ));
    let mut lines = table.lines();
    let mut limits = Table::new(&[Align::Left, Align::Left, Align::Left]);
    for room in &after.headrooms {
        let was = before.headrooms.iter().find(|one| one.limit == room.limit);
        let was = was.map_or_else(|| ABSENT.to_owned(), |one| one.value.clone());
        let is = format!("→  {}", room.value);
        limits.row([format!("      {was}"), is, format!("room {:.0} %", room.room * 100.0)]);
    }
    // A limit is often too long to stand beside its values.
    for (room, line) in after.headrooms.iter().zip(limits.lines()) {
        lines.extend(paragraph("    ", &room.limit));
        lines.push(line);
    }
    lines.extend(paragraph("    ", &seeds(before, after)));
    lines
}

/// What the figures of both sides are, so that they can be compared.
fn seeds(before: &Figures, after: &Figures) -> String {
    let of = |runs: usize| counted(runs as u64, "seed");
    let runs = if before.runs == after.runs {
        of(after.runs)
    } else {
        format!("{} now, {} as recommended", of(before.runs), of(after.runs))
    };
    format!(
        "the cost is the mean and all else the worst of {runs}; room is the distance to the limit, as a share of the \
         limit, or, of a percentage, of what it leaves to 100 %"
    )
}

/// The tuned settings, by object: each with its value now and the recommended one. Of many only those that change.
fn changes(changes: &[Change], style: Style) -> Vec<String> {
    let is_long = changes.len() > SETTINGS;
    let is_shown = |change: &&Change| !is_long || change.from != change.to;
    let shown: Vec<&Change> = changes.iter().filter(is_shown).collect();
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Right]);
    for change in &shown {
        let arrow = if change.from == change.to { "" } else { "→" };
        let to = if change.from == change.to { String::new() } else { change.to.clone() };
        let (_, field) = object_and_field(&change.path);
        table.row([format!("    {field}"), change.from.clone(), arrow.to_owned(), to]);
    }
    let mut lines = Vec::new();
    let mut last = "";
    for (line, change) in table.lines().into_iter().zip(&shown) {
        let (object, _) = object_and_field(&change.path);
        if object != last {
            lines.extend(paragraph("    ", object));
            last = object;
        }
        let paint = if change.from == change.to { Paint::Dim } else { Paint::Plain };
        lines.push(style.paint(paint, &line));
    }
    let same = changes.len() - shown.len();
    if same > 0 {
        let text = format!("    {} unchanged", counted(same as u64, "setting"));
        lines.push(style.paint(Paint::Dim, &text));
    }
    lines
}

/// The path of a setting, split into the object that has it and the field: `HorizontalPodAutoscaler/shop/web` and `minReplicas`.
fn object_and_field(path: &str) -> (&str, &str) {
    match path.strip_prefix("manifests.") {
        Some(path) => path.split_once(".spec.").unwrap_or((path, "")),
        None => path.split_once('.').unwrap_or(("", path)),
    }
}

/// A setting in a sentence: `HorizontalPodAutoscaler/shop/web minReplicas=2`, which fits a line where the path does not.
fn short(setting: &str) -> String {
    let (object, field) = object_and_field(setting);
    match field {
        _ if !setting.starts_with("manifests.") => setting.to_owned(),
        "" => object.to_owned(),
        field => format!("{object} {field}"),
    }
}

fn sure(answer: &Recommendation) -> String {
    let sure = &answer.confidence;
    let fresh = match &sure.confirmed_with[..] {
        [] => return "not confirmed on fresh seeds (--confirm)".to_owned(),
        [one] => format!("seed {one}"),
        [first, .., last] => format!("seeds {first} to {last}"),
    };
    let refuted = match sure.refuted {
        0 => String::new(),
        1 => "; a cheaper setting failed on them".to_owned(),
        count => format!("; {count} cheaper settings failed on them"),
    };
    format!(
        "chosen on {}; on {} ({fresh}) every objective held too, so with 95 % confidence at least {:.1} % of \
         further runs do{refuted}",
        counted(u64::from(sure.chosen_with), "seed"),
        if let [_] = sure.confirmed_with[..] {
            "a fresh one".to_owned()
        } else {
            format!("{} fresh ones", sure.confirmed_with.len())
        },
        f64::from(sure.holds_per_mille) / 10.0
    )
}

fn survives(answer: &Recommendation) -> String {
    match &answer.confidence.survives[..] {
        [] => "none was tried; --survive node,rollout asks for settings that also hold without the busiest node of a pool, and \
               during a rollout"
            .to_owned(),
        names => format!("every objective also holds {}", names.join(", and ")),
    }
}

fn fewest(one: &Fewest) -> String {
    let (object, field) = object_and_field(&one.path);
    let all_else = format!(
        "{object} {field}: {} will do on the seeds of the search, all else as recommended",
        one.value
    );
    match &one.below {
        Some(below) => {
            let fewer = below.setting.rsplit('=').next().unwrap_or_default();
            format!("{all_else}; {fewer} would miss {} ({})", below.misses, below.value)
        }
        None => format!("{all_else}; fewer were not tried"),
    }
}

/// The part of the space that was not searched, if any.
fn searched(answer: &Recommendation) -> Option<String> {
    let effort = &answer.effort;
    let local = (!effort.untried.is_empty()).then(|| {
        format!(
            "{} of {} settings were left as they are: one more of each helped less than of the others; name fewer \
             settings (--tune) to try them all",
            effort.untried.len(),
            answer.changes.len()
        )
    });
    let cut = (effort.unfinished > 0).then(|| {
        format!(
            "{} cut short after {}, so cheaper settings may exist (--runs allows more)",
            counted(effort.unfinished as u64, "descent"),
            counted(effort.runs, "run")
        )
    });
    let both: Vec<String> = local.into_iter().chain(cut).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

fn left(answer: &Recommendation, after: &Figures) -> String {
    let Some(least) = answer.perfect_autoscaler_usd else {
        return "the cost of a perfect autoscaler is unknown: that needs a single pool of nodes with a price".to_owned();
    };
    let cost = after.cost_per_month_usd;
    let share = if cost > 0.0 { (cost - least) / cost * 100.0 } else { 0.0 };
    // Rounded up, as it is the most.
    let share = libm::ceil(share * 10.0 - 1e-9).max(0.0) / 10.0;
    format!(
        "a perfect autoscaler that knows the future would pay at least ${least:.2} a month with these nodes, so no \
         autoscaler can save more than another {share} %"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_settings_those_that_change_are_shown() {
        let setting = |number: usize| Change {
            path: format!("manifests.Deployment/shop/web-{number}.spec.replicas"),
            from: "1".to_owned(),
            to: if number == 3 { "2" } else { "1" }.to_owned(),
        };
        let lines = |count: usize| {
            let all: Vec<Change> = (0..count).map(setting).collect();
            changes(&all, Style { color: false })
        };
        assert_eq!(lines(SETTINGS).len(), 2 * SETTINGS);
        let many = lines(SETTINGS + 1);
        assert_eq!(many.len(), 3, "{many:?}");
        assert!(many[0].contains("web-3") && many[2].contains("8 settings unchanged"), "{many:?}");
    }
}
