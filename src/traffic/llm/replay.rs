//! Replays a given list of requests on given servers, with individual results: used for fits and for
//! comparisons with measurements. A simulation does the same through `path.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::LlmEngine;
use super::model::LlmModel;
use super::sequence::{Departure, Request};
use crate::recording::{Client, NO_ATTEMPT};
use engine::random::index_below;
use engine::{SimDuration, SimTime, Stream};

/// A request to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// Arrival time.
    pub at: SimTime,
    /// Prompt tokens.
    pub prompt: u32,
    /// Output tokens.
    pub output: u32,
    /// Requests of one session share a prefix; 0 for none.
    pub session: u32,
}

/// Latencies of an answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayAnswer {
    /// Time from the request to the first token.
    pub first_token: SimDuration,
    /// Time from the request to the last token.
    pub end_to_end: SimDuration,
}

/// Selection of a server for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayRouting {
    /// A uniformly random server for each request.
    Random,
    /// The one of two servers with fewer requests.
    LeastRequest,
    /// Keep-alive connections, reused in the order in which they were opened; each new one goes to a
    /// uniformly random server. A connection idle for the given time is closed.
    Connections {
        /// Maximum idle time, 5 s in httpx.
        idle: SimDuration,
    },
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    server: usize,
    /// The request that it carries, or the time since which it has been idle.
    state: Result<usize, SimTime>,
}

/// Replays `requests`, in order of time, on `servers` initially idle servers. One result per request;
/// `None` for one that exceeds a server's capacity.
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
            let Departure::CompletedRequest(answered) = left else { return };
            let index = answered.client.service as usize;
            let at = requests[index].at;
            answers[index] = Some(ReplayAnswer {
                first_token: answered.first_token - at,
                end_to_end: answered.finished - at,
            });
        });
    }
}

/// Marks connections as idle once answered, and closes those idle for too long.
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
