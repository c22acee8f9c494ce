//! `wavetank explain call FROM TO`: whether NetworkPolicies allow a connection, and which rule or policy decides.

use std::io::Write;

use serde_json::json;

use super::exit::{Exit, Failure};
use super::explain::{FORMAT_VERSION, write_history};
use cluster::{Kind, ObjectReference};
use engine::SimTime;
use sim::{CallEnd, Simulation, World};

/// The accepted forms of the ends of a call.
const ENDS: &str =
    "write KIND/NAMESPACE/NAME of a pod, a workload or a Service, an IP address, or `clients`";

/// Parses one end of a call, with an optional port.
pub fn end_of(text: &str) -> Result<(CallEnd, Option<u16>), Failure> {
    let wrong = |problem: &str| Failure::Input(format!("{text:?} {problem}; {ENDS}"));
    if ["clients", "outside"].contains(&text) {
        return Ok((CallEnd::Clients, None));
    }
    if let Ok(address) = text.parse() {
        return Ok((CallEnd::Address(address), None));
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => match port.parse::<u16>() {
            Ok(port) if port > 0 => (name, Some(port)),
            _ => return Err(wrong("names no port")),
        },
        None => (text, None),
    };
    if let Ok(address) = name.parse() {
        return Ok((CallEnd::Address(address), port));
    }
    let object: ObjectReference = name.parse().map_err(|_| wrong("cannot be an end of a call"))?;
    let is_end = object.kind == Kind::Pod
        || object.kind == Kind::Service
        || object.kind.can(cluster::Verbs::RUN_PODS);
    if is_end {
        Ok((CallEnd::Object(object), port))
    } else {
        Err(wrong("cannot make or receive calls"))
    }
}

/// Runs the simulation up to the time and writes the verdict of the policies on the call.
pub fn run(
    world: World,
    (from, to): (&str, &str),
    at: SimTime,
    as_json: bool,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (from, _) = end_of(from)?;
    let (to, port) = end_of(to)?;
    let mut simulation = Simulation::new(world);
    simulation.run_until(at);
    let explanation = simulation.explain_call(&from, &to, port).map_err(Failure::Input)?;
    let answer = as_json.then(|| {
        let mut answer = explanation.to_json();
        answer["format_version"] = json!(FORMAT_VERSION);
        answer["at_seconds"] = json!(at.floor_to_second().as_secs_f64());
        answer
    });
    write_history(at, answer.as_ref(), &explanation, out)
}
