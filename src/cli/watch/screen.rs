//! Draws a watched run: desired and observed replicas, nodes with their pods, events.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState};

use super::session::{Pace, Panel, Session};
use cluster::node::{ConditionStatus, Node};
use cluster::pod::{Pod, PodPhase};
use cluster::printed_status::printed_status;
use record::{LogLine, WorkloadTrack};

/// Smallest terminal with a useful display, in columns and rows.
const SMALLEST: (u16, u16) = (60, 16);
/// Maximum number of rows in the table of nodes.
const NODE_ROWS: usize = 200;

/// Help texts of the keys.
const HELP: [&str; 13] = [
    "space  pause, continue     s  step to the next event",
    "+ -    faster, slower      q  quit",
    "Tab    workloads or nodes  up, down, k, j  select",
    "",
    "On a node:      x  stop its machine, or bring it back",
    "                d  drain    u  uncordon",
    "On a workload:  x  delete one of its pods without grace",
    "                a  add a replica       z  remove one",
    "",
    "Pods:  # ready   + runs, not ready   . starts   - ends",
    "       ! crashed or failed   = has ended",
    "Destructive actions ask for confirmation. Esc closes this help.",
    "Your actions are printed at the end, as a timeline for the scenario.",
];

/// Draws one frame.
pub fn draw(frame: &mut Frame<'_>, session: &Session) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("watch needs {} columns and {} rows", SMALLEST.0, SMALLEST.1);
        return frame.render_widget(Paragraph::new(text), area);
    }
    let workloads = session.simulation().recorder().workloads.len();
    let rows = u16::try_from(workloads).unwrap_or(u16::MAX).saturating_add(3);
    let [head, upper, middle, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows.min(area.height / 3)),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(session), head);
    draw_workloads(frame, session, upper);
    draw_nodes(frame, session, middle);
    draw_events(frame, session, events);
    frame.render_widget(footer(session), foot);
    if session.shows_help() {
        draw_help(frame, area);
    }
}

fn header(session: &Session) -> Paragraph<'_> {
    let (now, end) = (session.simulation().now(), session.end());
    let (state, color) = match session.pace() {
        Pace::Running if session.is_behind() => ("running at full speed", Color::Yellow),
        Pace::Running => ("running", Color::Green),
        Pace::Paused => ("paused", Color::Yellow),
        Pace::Over => ("the run is over", Color::Cyan),
    };
    Paragraph::new(Line::from(vec![
        Span::styled(session.name(), Modifier::BOLD),
        Span::raw(format!("  {now} of {end}  x{}  ", session.speed())),
        Span::styled(state, Style::new().fg(color)),
    ]))
}

fn footer(session: &Session) -> Paragraph<'_> {
    if session.notice().is_empty() {
        let keys = "space pause  s step  +/- speed  Tab/arrows select  x kill  d drain  a/z scale  ? help  q quit";
        Paragraph::new(keys).style(Modifier::DIM)
    } else {
        Paragraph::new(session.notice()).style(Color::Cyan)
    }
}

fn panel(title: &str, is_active: bool) -> Block<'_> {
    let style = if is_active { Style::new().fg(Color::Cyan) } else { Style::new() };
    Block::bordered().title(title).border_style(style)
}

/// The title of a table of `rows` rows; where the panel is too low for all of them, with the number that it shows.
pub(super) fn title(text: &str, rows: usize, area: Rect) -> String {
    // The two lines of the border and the header.
    let room = usize::from(area.height.saturating_sub(3));
    if rows <= room { format!(" {text} ") } else { format!(" {text}; {room} of {rows} shown ") }
}

fn state(session: &Session, panel: Panel) -> TableState {
    let row = (session.panel() == panel).then(|| session.selected(panel));
    TableState::new().with_selected(row)
}

fn draw_workloads(frame: &mut Frame<'_>, session: &Session, area: Rect) {
    let tracks = &session.simulation().recorder().workloads;
    let rows = tracks.iter().map(|track| {
        let (desired, ready) = (track.desired.value(), track.ready.value());
        let color = match ready {
            ready if ready >= desired => Color::Green,
            0 => Color::Red,
            _ => Color::Yellow,
        };
        Row::new([
            Line::raw(track.workload.to_string()),
            Line::raw(desired.to_string()).right_aligned(),
            Line::styled(ready.to_string(), color).right_aligned(),
            Line::raw(track.pending.value().to_string()).right_aligned(),
            Line::raw(track.restarts.to_string()).right_aligned(),
            Line::raw(bar(track)),
        ])
    });
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    let titles = ["workload", "desired", "  ready", "pending", "restarts", "ready of desired"];
    let title = title("desired and observed", tracks.len(), area);
    let table = Table::new(rows, widths)
        .header(Row::new(titles).style(Modifier::DIM))
        .row_highlight_style(Modifier::REVERSED)
        .block(panel(&title, session.panel() == Panel::Workloads));
    frame.render_stateful_widget(table, area, &mut state(session, Panel::Workloads));
}

/// A block for each ready pod and a dot for each missing one.
fn bar(track: &WorkloadTrack) -> String {
    let length = |count: i64| usize::try_from(count).unwrap_or(0).min(100);
    let ready = length(track.ready.value());
    let missing = length(track.desired.value()).saturating_sub(ready);
    format!("{}{}", "█".repeat(ready), "·".repeat(missing))
}

fn draw_nodes(frame: &mut Frame<'_>, session: &Session, area: Rect) {
    let view = session.simulation().view();
    let nodes = session.nodes();
    let number = nodes.len();
    let rows = nodes.into_iter().take(NODE_ROWS).filter_map(|(id, name)| {
        let node = view.nodes().get(id)?;
        let mut pods: Vec<&Pod> = view.pods_on(id).map(|(_, pod)| pod).collect();
        pods.sort_by_key(|pod| pod.sequence);
        let signs = pods.iter().map(|pod| {
            let (sign, color) =
                sign_of(pod, &printed_status(pod, &view.template_of(pod).spec).status);
            Span::styled(sign, color)
        });
        let (status, color) = node_state(node, session.simulation().node_works(id));
        Some(Row::new([
            Line::raw(name.to_string()),
            Line::styled(status, color),
            Line::raw(pods.len().to_string()).right_aligned(),
            signs.collect::<Line<'_>>(),
        ]))
    });
    let waiting = view.store().pods().values().filter(|pod| pod.node.is_none());
    let waiting = waiting.filter(|pod| !pod.phase.is_terminal()).count();
    let text = match waiting {
        0 => "nodes and their pods".to_owned(),
        waiting => format!("nodes and their pods; {waiting} pods wait for a node"),
    };
    let title = title(&text, number, area);
    let widths = [
        Constraint::Length(20),
        Constraint::Length(22),
        Constraint::Length(4),
        Constraint::Fill(1),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["node", "state", "pods", ""]).style(Modifier::DIM))
        .row_highlight_style(Modifier::REVERSED)
        .block(panel(&title, session.panel() == Panel::Nodes));
    frame.render_stateful_widget(table, area, &mut state(session, Panel::Nodes));
}

/// The control plane's view of a node, and any failure that it has not noticed yet.
fn node_state(node: &Node, works: bool) -> (String, Color) {
    let (ready, color) = match node.ready.status {
        ConditionStatus::True => ("Ready", Color::Green),
        ConditionStatus::False | ConditionStatus::Unknown => ("NotReady", Color::Red),
    };
    let cordoned = if node.unschedulable { ", cordoned" } else { "" };
    match (node.ready.status, works) {
        (ConditionStatus::True, false) => {
            (format!("{ready}{cordoned} (machine down)"), Color::Yellow)
        }
        _ => (format!("{ready}{cordoned}"), color),
    }
}

/// The character for a pod. `status` is the STATUS column of kubectl.
fn sign_of(pod: &Pod, status: &str) -> (&'static str, Color) {
    let is_in_trouble =
        status.contains("Err") || status.contains("BackOff") || status == "OOMKilled";
    match pod.phase {
        _ if pod.is_terminating() => ("-", Color::DarkGray),
        PodPhase::Failed => ("!", Color::Red),
        PodPhase::Succeeded => ("=", Color::DarkGray),
        _ if is_in_trouble => ("!", Color::Red),
        _ if pod.is_ready() => ("#", Color::Green),
        PodPhase::Running => ("+", Color::Yellow),
        _ => (".", Color::Blue),
    }
}

fn draw_events(frame: &mut Frame<'_>, session: &Session, area: Rect) {
    let rows = usize::from(area.height.saturating_sub(2));
    let log = &session.simulation().recorder().log;
    let first = log.len().saturating_sub(rows);
    let lines = log[first..].iter().map(event_line);
    let block = panel(" events ", false);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

fn event_line(line: &LogLine) -> Line<'_> {
    let color = if line.is_warning { Color::Yellow } else { Color::Reset };
    Line::from(vec![
        Span::styled(format!("{}  ", line.at), Modifier::DIM),
        Span::styled(format!("{} {} {}  ", line.kind, line.object.name, line.reason), color),
        Span::raw(line.message.as_str()),
    ])
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let [height, width] = [HELP.len() + 2, 70].map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    let [middle] = Layout::vertical([Constraint::Length(height)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let [middle] = Layout::horizontal([Constraint::Length(width)])
        .flex(ratatui::layout::Flex::Center)
        .areas(middle);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(*line)).collect();
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), middle);
}
