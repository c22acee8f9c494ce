//! Frames and key presses of a watched run.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::session::{Command, Pace, Panel, Session};
use super::{command_of, screen};
use engine::{SimDuration, SimTime};
use manifest::Source;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use scenario::resolved::ScenarioFiles;
use scenario::{ResolvedScenario, ScenarioText};
use sim::{Blueprint, Simulation};

const SCENARIO: &str = "
apiVersion: wavetank/v1
kind: Scenario
name: shop
duration: 20m
manifests: [web.yaml]
cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 2}]}
workloads: [{workload: Deployment/web, app: {warmUp: 2s}, requests: {cpuTime: {distribution: exponential, mean: 5ms}}}]
traffic: [{service: web, load: {pattern: constant, rps: 20}}]
";

const MANIFESTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: 'app:v1', resources: {requests: {cpu: 100m}}}]}
";

fn session() -> Session {
    Session::new(simulation(SCENARIO), "shop".to_owned(), SimTime::from_secs(1_200))
}

fn simulation(scenario: &str) -> Simulation {
    let source = Source::new("scenario.yaml", scenario);
    let text = ScenarioText::parse(&source, &[]).expect("a scenario");
    let manifests = vec![Source::new("web.yaml", MANIFESTS)];
    let files = ScenarioFiles { manifests, ..ScenarioFiles::default() };
    let resolved = ResolvedScenario { text, files: Arc::new(files), manifest_settings: Vec::new() };
    let blueprint = Blueprint::new(&resolved).expect("a scenario without mistakes");
    Simulation::new(blueprint.world(1).expect("a world"))
}

/// Presses the key of a disruptive command and confirms it.
fn break_by(session: &mut Session, command: Command) {
    assert!(session.execute(command));
    assert!(session.notice().contains("? y to confirm"), "{}", session.notice());
    assert!(session.execute(Command::Confirm));
}

fn run_to(session: &mut Session, seconds: i64) {
    while session.step_towards(SimTime::from_secs(seconds)) {}
}

fn picture(session: &Session, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| screen::draw(frame, session)).expect("it draws");
    let buffer = terminal.backend().buffer().clone();
    let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_picture_shows_desired_and_observed_pods_on_nodes_and_events() {
    let mut session = session();
    run_to(&mut session, 60);
    let picture = picture(&session, 110, 30);
    for part in [
        "shop  00:01:00 of 00:20:00  x30  running",
        "Deployment/default/web",
        "███",
        "pool-1",
        "Ready",
        "ScalingReplicaSet",
    ] {
        assert!(picture.contains(part), "{part:?} is missing in\n{picture}");
    }
    let signs =
        picture.lines().filter(|line| line.contains("pool-")).map(|line| line.matches('#').count());
    assert_eq!(signs.sum::<usize>(), 3, "{picture}");
}

#[test]
fn a_table_that_does_not_fit_says_how_many_rows_it_shows() {
    let area = |height| ratatui::layout::Rect::new(0, 0, 80, height);
    assert_eq!(screen::title("nodes", 5, area(8)), " nodes ");
    assert_eq!(screen::title("nodes", 5, area(7)), " nodes; 4 of 5 shown ");
}

#[test]
fn a_killed_node_is_seen_first_by_the_person_and_then_by_the_control_plane() {
    let mut session = session();
    run_to(&mut session, 60);
    break_by(&mut session, Command::Kill);
    let at_once = picture(&session, 110, 30);
    assert!(at_once.contains("Ready (machine down)"), "{at_once}");
    assert!(at_once.contains("{\"at\":\"1m1ms\",\"killNode\":\"pool-1\"}"), "{at_once}");
    let state = |session: &Session| {
        let picture = picture(session, 110, 30);
        let mut rows = picture.lines().filter_map(|line| line.strip_prefix("│pool-1 "));
        rows.next().and_then(|row| row.split_whitespace().next()).unwrap_or_default().to_owned()
    };
    run_to(&mut session, 120);
    assert_eq!(state(&session), "NotReady");
    assert!(session.execute(Command::Kill), "which brings it back");
    run_to(&mut session, 180);
    assert_eq!(state(&session), "Ready");
    let timeline = session.interventions_as_timeline();
    assert_eq!(
        timeline,
        "# your actions; added to the scenario, with --seed 1, they reproduce this run:\ntimeline:\n  - \
         {\"at\":\"1m1ms\",\"killNode\":\"pool-1\"}\n  - {\"at\":\"2m1ms\",\"recoverNode\":\"pool-1\"}\n"
    );
}

#[test]
fn a_workload_is_scaled_and_loses_a_pod_at_a_keypress() {
    let mut session = session();
    run_to(&mut session, 60);
    session.execute(Command::ScaleUp);
    assert!(session.notice().contains("select a workload"), "{}", session.notice());
    session.execute(Command::OtherPanel);
    assert_eq!(session.panel(), Panel::Workloads);
    session.execute(Command::ScaleUp);
    run_to(&mut session, 90);
    let ready = |session: &Session| session.simulation().recorder().workloads[0].ready.value();
    assert_eq!(ready(&session), 4);
    break_by(&mut session, Command::Kill);
    assert_eq!(ready(&session), 3);
    run_to(&mut session, 120);
    assert_eq!(ready(&session), 4);
}

#[test]
fn time_stands_still_while_paused_and_a_step_goes_to_the_next_event() {
    let mut session = session();
    run_to(&mut session, 60);
    session.execute(Command::Pause);
    assert_eq!(session.pace(), Pace::Paused);
    let logged = session.simulation().recorder().log.len();
    session.execute(Command::Step);
    assert_eq!(session.simulation().now(), SimTime::from_secs(120), "nothing is told for a minute");
    assert_eq!(session.simulation().recorder().log.len(), logged);
    break_by(&mut session, Command::Kill);
    session.execute(Command::Step);
    assert!(session.simulation().recorder().log.len() > logged);
    assert_eq!(session.pace(), Pace::Paused);
}

#[test]
fn speed_is_simulated_seconds_per_second_up_to_the_end_of_the_run() {
    let mut session = session();
    session.set_speed(60);
    assert_eq!(session.target(SimDuration::from_secs(2)), SimTime::from_secs(120));
    session.execute(Command::Faster);
    assert_eq!(session.target(SimDuration::from_secs(1)), SimTime::from_secs(240));
    let end = session.target(SimDuration::from_secs(1_000));
    assert_eq!(end, session.end());
    run_to(&mut session, 1_200);
    assert_eq!(session.pace(), Pace::Over);
    assert!(picture(&session, 110, 30).contains("the run is over"));
}

#[test]
fn whatever_the_size_of_the_terminal_a_picture_is_drawn() {
    let mut session = session();
    run_to(&mut session, 30);
    session.execute(Command::Help);
    for (width, height) in [(1, 1), (59, 40), (60, 16), (80, 24), (300, 100)] {
        let picture = picture(&session, width, height);
        assert_eq!(picture.lines().count(), usize::from(height));
    }
    assert!(picture(&session, 40, 10).contains("watch needs 60 columns"));
    assert!(picture(&session, 100, 40).contains("delete one of its pods"));
}

#[test]
fn every_key_of_the_help_means_something() {
    let press = |code| command_of(KeyEvent::new(code, KeyModifiers::NONE));
    for key in [' ', 's', '+', '-', 'q', 'x', 'y', 'j', 'k', 'd', 'u', 'a', 'z', '?'] {
        assert!(press(KeyCode::Char(key)).is_some(), "{key:?}");
    }
    assert_eq!(press(KeyCode::Tab), Some(Command::OtherPanel));
    assert_eq!(press(KeyCode::Char('v')), None);
    assert_eq!(press(KeyCode::Char('k')), Some(Command::Previous), "as in vi and less");
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(command_of(interrupt), Some(Command::Quit));
}

#[test]
fn escape_closes_the_help_or_gives_up_a_question_before_it_ends_the_program() {
    let mut session = session();
    run_to(&mut session, 60);
    session.execute(Command::Help);
    assert!(session.execute(Command::Back));
    assert!(!session.shows_help());
    session.execute(Command::Kill);
    assert!(session.execute(Command::Back));
    session.execute(Command::Confirm);
    assert_eq!(session.interventions_as_timeline(), "", "what was given up is not done");
    assert!(!session.execute(Command::Back));
}

#[test]
fn what_breaks_something_is_done_after_a_yes_and_after_nothing_else() {
    let mut session = session();
    run_to(&mut session, 60);
    for breaks in [Command::Kill, Command::Drain] {
        session.execute(breaks);
        session.execute(Command::Pause);
        session.execute(Command::Confirm);
        assert_eq!(session.interventions_as_timeline(), "");
    }
    break_by(&mut session, Command::Drain);
    assert!(session.interventions_as_timeline().contains("drain"));
}

#[test]
fn what_a_session_prints_gives_the_same_run_as_a_scenario() {
    let mut session = session();
    run_to(&mut session, 60);
    session.execute(Command::OtherPanel);
    for _ in 0..2 {
        break_by(&mut session, Command::Kill);
    }
    for at in [61, 200] {
        run_to(&mut session, at);
        session.execute(Command::ScaleUp);
    }
    // As with a key press by a user: some events of this instant have been processed, others have
    // not.
    while session.simulation().now() < SimTime::from_secs(430) {
        session.step_towards(SimTime::from_secs(430));
    }
    session.execute(Command::OtherPanel);
    break_by(&mut session, Command::Kill);
    break_by(&mut session, Command::Drain);
    session.execute(Command::Uncordon);
    run_to(&mut session, 1_200);
    let timeline = session.interventions_as_timeline();
    assert_eq!(timeline.lines().count(), 2 + 7, "{timeline}");
    let mut again = simulation(&format!("{SCENARIO}{timeline}"));
    again.run_until(SimTime::from_secs(1_200));
    assert_eq!(again.digest(), session.digest(), "{timeline}");
    let mut without = simulation(SCENARIO);
    without.run_until(SimTime::from_secs(1_200));
    assert_ne!(without.digest(), session.digest());
}
