//! A given list of requests through given servers, each request and each answer by itself: what fits and
//! comparisons with measurements are made of. A simulation does the same through `path.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::LlmEngine;
use super::model::LlmModel;
use super::sequence::{Left, Request};
use crate::recording::{Client, NO_ATTEMPT};
use engine::random::index_below;
use engine::{SimDuration, SimTime, Stream};

/// A request to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// When it comes.
    pub at: SimTime,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens of the answer.
    pub output: u32,
    /// Requests of one session begin alike; 0 for none.
    pub session: u32,
}

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayAnswer {
    /// From the request to the first token.
    pub first_token: SimDuration,
    /// From the request to the last token.
    pub end_to_end: SimDuration,
}

/// Rule by which a client finds a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayRouting {
    /// Any server with equal chance for each request.
    Random,
    /// The server with the fewer requests of two.
    LeastRequest,
    /// Connections are kept and used again, the one opened first before others; each new one goes to
    /// any server with equal chance. One that is idle for the span given is closed.
    Connections {
        /// The longest idle time, 5 s in httpx.
        idle: SimDuration,
    },
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    server: usize,
    /// The request that it carries, or when it became idle.
    state: Result<usize, SimTime>,
}

/// Replays `requests`, in order of time, through `servers` servers that are idle at first. One answer a
/// request; none for one that is longer than a server can hold.
pub fn replay(
    model: &Arc<LlmModel>,
    servers: usize,
    requests: &[ReplayRequest],
    routing: ReplayRouting,
    stream: &mut Stream,
) -> Vec<Option<ReplayAnswer>> {
    let servers = servers.max(1);
    let mut engines = vec![LlmEngine::new(Arc::clone(model), SimTime::ZERO); servers];
    let mut answers = vec![None; requests.len()];
    let mut connections: VecDeque<Connection> = VecDeque::new();
    for (index, request) in requests.iter().enumerate() {
        advance(&mut engines, request.at, requests, &mut answers);
        if !model.holds(request.prompt, request.output) {
            continue;
        }
        let mut any = || index_below(stream, servers);
        let server = match routing {
            ReplayRouting::Random => any(),
            ReplayRouting::LeastRequest => {
                let (one, other) = (any(), any());
                let load = |server: usize| engines[server].running() + engines[server].waiting();
                if load(other) < load(one) { other } else { one }
            }
            ReplayRouting::Connections { idle } => {
                settle(&mut connections, &answers, requests, request.at, idle);
                let idle = connections.iter_mut().find(|connection| connection.state.is_err());
                if let Some(connection) = idle {
                    connection.state = Ok(index);
                    connection.server
                } else {
                    let server = any();
                    connections.push_back(Connection { server, state: Ok(index) });
                    server
                }
            }
        };
        let client = Client {
            service: u32::try_from(index).unwrap_or(u32::MAX),
            attempt: NO_ATTEMPT,
            arrived: request.at,
        };
        let (prompt, output) = (request.prompt.max(1), request.output.max(1));
        let session = request.session;
        let request_in = Request { session, ..Request::new(client, prompt, output) };
        engines[server].admit(request.at, request_in);
    }
    advance(&mut engines, SimTime::MAX, requests, &mut answers);
    answers
}

fn advance(
    engines: &mut [LlmEngine],
    now: SimTime,
    requests: &[ReplayRequest],
    answers: &mut [Option<ReplayAnswer>],
) {
    for engine in engines {
        engine.advance(now, &mut |left| {
            let Left::Answered(answered) = left else { return };
            let index = answered.client.service as usize;
            let at = requests[index].at;
            answers[index] = Some(ReplayAnswer {
                first_token: answered.first_token - at,
                end_to_end: answered.finished - at,
            });
        });
    }
}

/// Marks connections whose answer came as idle, and closes those idle for too long.
fn settle(
    connections: &mut VecDeque<Connection>,
    answers: &[Option<ReplayAnswer>],
    requests: &[ReplayRequest],
    now: SimTime,
    idle: SimDuration,
) {
    connections.retain_mut(|connection| {
        if let Ok(index) = connection.state
            && let Some(answer) = answers[index]
        {
            connection.state = Err(requests[index].at + answer.end_to_end);
        }
        connection.state.is_ok() || connection.state.is_err_and(|since| now - since <= idle)
    });
}
