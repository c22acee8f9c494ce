//! Text that is mangled or made to exhaust memory neither panics nor hangs.

use std::fmt::Write as _;

use crate::shop::{MANIFESTS, SCENARIO};

use super::refused;

#[test]
fn an_alias_bomb_of_ten_megabytes_is_refused_soon() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in "abcdefghijkl".chars().zip("bcdefghijklm".chars()) {
        let aliases = vec![format!("*{one}"); 10].join(", ");
        let _ = writeln!(bomb, "{next}: &{next} [{aliases}]");
    }
    let line = format!("# {}\n", "x".repeat(98));
    bomb.push_str(&line.repeat(10 * 1024 * 1024 / line.len()));
    refused(SCENARIO, &bomb, &["aliases expand to more than 16 MiB"]);
    refused(&bomb, MANIFESTS, &["aliases expand to more than 16 MiB"]);
}

/// Lines are left out, doubled, cut, and their indentation changed, one at a time.
fn mutations(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, instead: &[&str]| {
        let mut all = lines.clone();
        all.splice(at..=at, instead.iter().copied());
        all.join("\n") + "\n"
    };
    let mut mutated = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || line.trim().starts_with('#') {
            continue;
        }
        mutated.push(with(at, &[]));
        mutated.push(with(at, &[line, line]));
        mutated.push(with(at, &[line.split_once(':').map_or("", |(key, _)| key)]));
        mutated.push(with(at, &[&format!(" {line}")]));
        mutated.push(with(at, &[&line.replace(|one: char| one.is_ascii_digit(), "-1")]));
    }
    mutated
}

/// A scenario of the repository with one text changed, held in memory: starting the program for each
/// would take minutes. The run is cut short; what comes up in it comes up in its first minutes.
mod in_memory {
    use std::sync::Arc;

    use wavetank::manifest::{Diagnostics, Source};
    use wavetank::scenario::ScenarioText;
    use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};

    pub fn run(scenario: &str, manifests: &str) -> Result<(), Diagnostics> {
        let settings: Vec<_> = ["duration=45s", "warmUp=5s", "timeline=[]"]
            .iter()
            .map(|setting| setting.parse().expect("well-formed"))
            .collect();
        let text = ScenarioText::parse(&Source::new("scenario.yaml", scenario), &settings)?;
        let manifests = vec![Source::new("manifests.yaml", manifests)];
        let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
        let resolved = ResolvedScenario { text, files, manifest_settings: Vec::new() };
        wavetank::sweep::run(&resolved, 1, |_| {}).map(drop)
    }
}

#[test]
fn no_line_of_the_ai_agent_that_is_left_out_doubled_or_mangled_makes_it_panic() {
    let scenario = include_str!("../../../scenarios/ai-agent/scenario.yaml")
        .replace("{trace: data/chat.csv.gz}", "{pattern: constant, rps: 3}");
    let manifests = include_str!("../../../scenarios/ai-agent/manifests/ai-agent.yaml");
    in_memory::run(&scenario, manifests).expect("unchanged it runs");
    let mut refused = 0;
    for mutated in mutations(&scenario) {
        refused += usize::from(in_memory::run(&mutated, manifests).is_err());
    }
    for mutated in mutations(manifests) {
        refused += usize::from(in_memory::run(&scenario, &mutated).is_err());
    }
    assert!(refused > 100, "only {refused} were refused: the mutations do nothing");
}
