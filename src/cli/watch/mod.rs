//! `wavetank watch`: an interactive run of a scenario in the terminal.
//!
//! `session` holds the state and handles keys, `screen` draws it; neither depends on the terminal
//! or the clock. This module is the loop that connects them to the terminal.

#![expect(
    clippy::disallowed_methods,
    reason = "how fast a picture follows is a matter of wall time"
)]

mod screen;
mod session;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::exit::{Exit, Failure};
use super::scenario_arguments::{Settings, load};
use engine::parse_duration;
use engine::{SimDuration, SimTime};
use session::{Command, Pace, Session};
use sim::{Blueprint, Simulation};

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// The part of a frame available for simulating.
const WORK: Duration = Duration::from_millis(60);

/// Options of `wavetank watch`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    #[command(flatten)]
    settings: Settings,

    /// Simulated seconds per second
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    speed: u32,

    /// Start paused at this time of the run, such as 5m [default: at its start, running]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    at: Option<SimDuration>,
}

/// Runs the scenario in the terminal until the user quits.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let resolved = load(&arguments.scenario, &arguments.settings)?;
    let blueprint = Blueprint::new(&resolved).map_err(Failure::Problems)?;
    let seed = arguments.settings.first_seed(&resolved);
    let world = blueprint.world(seed).map_err(Failure::Problems)?;
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        return Err(Failure::Input(format!(
            "watch needs a terminal and a keyboard; without them, `wavetank events {0}` lists the events, and \
             `wavetank get pods {0} --at 10m` the pods at a time",
            arguments.scenario
        )));
    }
    let end = SimTime::ZERO + resolved.scenario().duration;
    let mut session = Session::new(Simulation::new(world), resolved.scenario().name.clone(), end);
    session.set_speed(arguments.speed);
    if let Some(at) = arguments.at {
        session.begin_at(SimTime::ZERO + at);
    }
    // The terminal is restored however the loop ends.
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, &mut session);
    ratatui::try_restore()?;
    ended?;
    write!(out, "{}", session.interventions_as_timeline())?;
    Ok(Exit::Fine)
}

fn watch(terminal: &mut DefaultTerminal, session: &mut Session) -> io::Result<()> {
    let mut last = Instant::now();
    loop {
        let now = Instant::now();
        advance(session, now - last);
        last = now;
        terminal.draw(|frame| screen::draw(frame, session))?;
        let wait = FRAME.saturating_sub(now.elapsed());
        if event::poll(wait)? {
            // Handle all pending keys before the next frame.
            while event::poll(Duration::ZERO)? {
                if let Event::Key(key) = event::read()?
                    && let Some(command) = command_of(key)
                    && !session.execute(command)
                {
                    return Ok(());
                }
            }
        }
    }
}

/// Advances simulated time at the requested speed, or as far as the time for simulating allows.
fn advance(session: &mut Session, passed: Duration) {
    let Pace::Running = session.pace() else { return };
    let target = session.target(SimDuration::from_secs_f64(passed.as_secs_f64()));
    let begun = Instant::now();
    while session.step_towards(target) {
        if begun.elapsed() > WORK {
            return session.fall_behind();
        }
    }
}

fn command_of(key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Command::Quit);
    }
    Some(match key.code {
        KeyCode::Char('q') => Command::Quit,
        KeyCode::Esc => Command::Back,
        KeyCode::Char('y') => Command::Confirm,
        KeyCode::Char(' ' | 'p') => Command::Pause,
        KeyCode::Char('s') => Command::Step,
        KeyCode::Char('+' | '=' | 'f') => Command::Faster,
        KeyCode::Char('-') => Command::Slower,
        KeyCode::Tab | KeyCode::BackTab => Command::OtherPanel,
        KeyCode::Down | KeyCode::Char('j') => Command::Next,
        KeyCode::Up | KeyCode::Char('k') => Command::Previous,
        KeyCode::Char('x') => Command::Kill,
        KeyCode::Char('d') => Command::Drain,
        KeyCode::Char('u') => Command::Uncordon,
        KeyCode::Char('>' | 'a') => Command::ScaleUp,
        KeyCode::Char('<' | 'z') => Command::ScaleDown,
        KeyCode::Char('?' | 'h') => Command::Help,
        _ => return None,
    })
}
