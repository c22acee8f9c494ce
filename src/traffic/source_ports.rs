//! Source ports that match an old connection: the reason why new connections still hang after the endpoints on a lost
//! node are removed.
//!
//! Connection tracking on a client's node remembers by source port the pod to which a connection went. Connections to a
//! pod that does not answer are never closed properly, so their entries stay (`nf_conntrack_tcp_timeout_syn_sent`, 120
//! s), and a later connection from the same port to the same Service goes to the same pod, whatever the endpoints are
//! by then. Linux uses a client's ports in turn (`__inet_hash_connect`), with random steps.

use std::collections::VecDeque;

use super::backend::BackendId;
use engine::random::index_below;
use engine::{SimDuration, SimTime, Stream};

/// Number of ports for outgoing connections: `net.ipv4.ip_local_port_range`, 32768 to 60999.
const PORTS: u64 = 28_232;
/// Step from a connection's port to the next one's: a uniformly random even number up to this. On the measured client
/// (Linux 6.18, 30 connections/s) all ports were used in 55 to 60 s.
const STEP_MAX: usize = 32;
/// Lifetime of an entry of a connection that was never answered.
const SYN_SENT: SimDuration = SimDuration::from_secs(120);
/// With more clients of one service, each makes so few connections that its old entries have expired when it returns to
/// their ports.
pub const TRACKED_CLIENTS: u32 = 64;

/// The source ports of the clients of one Service, while there are old entries.
#[derive(Clone, Debug)]
pub(super) struct SourcePorts {
    clients: Vec<Client>,
    stream: Stream,
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// Number of ports passed so far.
    passed: u64,
    /// Entries of connections that were never answered, by the number of ports passed before them.
    old: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    passed: u64,
    until: SimTime,
    pod: BackendId,
}

impl SourcePorts {
    /// The ports of this many clients; `None` if there are too many to ever match an entry.
    pub fn new(clients: u32, stream: Stream) -> Option<Self> {
        let count = Some(clients).filter(|count| (1..=TRACKED_CLIENTS).contains(count))?;
        Some(Self { clients: vec![Client::default(); count as usize], stream })
    }

    /// Whether any connection may still match an entry.
    pub(crate) fn has_entries(&self, now: SimTime) -> bool {
        self.clients.iter().any(|client| client.old.back().is_some_and(|last| last.until > now))
    }

    /// A client opens a connection at `now`: returns the pod of a matching old entry, if any. Otherwise calls `choose`,
    /// which also returns whether that pod answers.
    pub fn connect(
        &mut self,
        now: SimTime,
        choose: impl FnOnce() -> Option<(BackendId, bool)>,
    ) -> Option<BackendId> {
        let number = index_below(&mut self.stream, self.clients.len());
        let step = 2 * (1 + index_below(&mut self.stream, STEP_MAX / 2));
        let client = &mut self.clients[number];
        client.passed += step as u64;
        let met = client.meet(now);
        let (pod, answers) = met.map(|pod| (pod, false)).or_else(choose)?;
        if !answers {
            client.old.push_back(Entry { passed: client.passed, until: now + SYN_SENT, pod });
        }
        Some(pod)
    }
}

impl Client {
    /// The pod of the entry at the client's current port.
    fn meet(&mut self, now: SimTime) -> Option<BackendId> {
        while let Some(Entry { passed, until, pod }) = self.old.front().copied() {
            let again = passed + PORTS;
            if again > self.passed {
                break;
            }
            self.old.pop_front();
            if again == self.passed && until > now {
                return Some(pod);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Streams, Table};

    /// The number of `count` connections, one each 33 ms from the second `from` on, that go to a pod that does not
    /// answer; `dead`: the endpoints direct a connection to such a pod.
    fn hanging(
        ports: &mut SourcePorts,
        from: i64,
        count: i64,
        dead: impl Fn(i64) -> bool,
        pods: [BackendId; 2],
    ) -> usize {
        let at = |number| SimTime::from_secs(from) + SimDuration::from_millis(33 * number);
        let connect = |number: i64| {
            let choose = || Some(if dead(number) { (pods[1], false) } else { (pods[0], true) });
            ports.connect(at(number), choose)
        };
        (0..count).map(connect).filter(|pod| *pod == Some(pods[1])).count()
    }

    fn pods() -> [BackendId; 2] {
        let mut table: Table<Option<super::super::backend::Backend>> = Table::default();
        [(); 2].map(|()| BackendId::from_bits(table.insert(None).to_bits()))
    }

    #[test]
    fn some_connections_go_to_lost_pods_after_the_endpoints_are_out_and_none_when_entries_are_gone()
    {
        let mut ports = SourcePorts::new(1, Streams::new(1).stream("ports", 0)).unwrap();
        // A third of the connections of 48 s.
        assert!(hanging(&mut ports, 0, 1500, |number| number % 3 == 0, pods()) >= 500);
        let after = hanging(&mut ports, 50, 2100, |_| false, pods());
        assert!((30..150).contains(&after), "{after} of 2100");
        assert!(ports.has_entries(SimTime::from_secs(120)));
        assert_eq!(hanging(&mut ports, 600, 2100, |_| false, pods()), 0);
        assert!(!ports.has_entries(SimTime::from_secs(600)));
    }

    #[test]
    fn clients_that_are_many_never_meet_their_old_ports() {
        assert!(SourcePorts::new(1000, Streams::new(1).stream("ports", 0)).is_none());
    }
}
