//! Limits of a gateway per client address, as ingress-nginx sets them: nginx's `limit_req` with `nodelay`
//! (`src/http/modules/ngx_http_limit_req_module.c`, nginx 1.27) and `limit_conn` (`ngx_http_limit_conn_module.c`).
//!
//! `limit_req` is a leaky bucket in whole thousandths of a request and whole milliseconds: each admitted request adds 1,
//! the rate lets it leak, and a request that would exceed the burst is rejected and adds nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::random::index_below;
use engine::{SimTime, Stream};

/// Limits on the requests of each client address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// The object that sets them: all requests under its limits count together.
    pub zone: Arc<str>,
    /// Number of distinct addresses of clients, each with the same share of the requests; those of known users have an
    /// address for each user instead.
    pub clients: u32,
    /// Limits on the rate: each request must pass all of them.
    pub rates: [Option<RateLimit>; 2],
    /// Most requests in progress at once. Absent = no limit.
    pub connections: Option<u32>,
}

/// A limit on the rate of a client's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Admitted requests per second, in thousandths.
    pub milli_per_second: u64,
    /// Number of requests above the rate that are admitted at once.
    pub burst: u32,
}

/// The clients of one zone.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    anonymous: Vec<Client>,
    users: BTreeMap<u32, Client>,
    /// Draws the addresses of requests.
    stream: Stream,
}

/// A client address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// One of the addresses without a user, by number.
    Anonymous(u32),
    /// The address of a user.
    User(u32),
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// By limit on the rate; absent until its first request.
    buckets: [Option<Bucket>; 2],
    /// Requests in progress.
    active: u32,
}

/// State of a leaky bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// Content, in thousandths of a request.
    excess: i64,
    /// Time of the last admitted request, in milliseconds.
    last: i64,
}

impl Bucket {
    /// The bucket with one more request at `now`, in milliseconds; `None` if it overflows.
    fn with_one_more(before: Option<Self>, now: i64, limit: &RateLimit) -> Option<Self> {
        let Some(Self { excess, last }) = before else {
            return Some(Self { excess: 0, last: now });
        };
        let rate = i64::try_from(limit.milli_per_second).unwrap_or(i64::MAX);
        let leaked = rate.saturating_mul(now - last) / 1000;
        let excess = excess.saturating_sub(leaked).saturating_add(1000).max(0);
        (excess <= i64::from(limit.burst) * 1000).then_some(Self { excess, last: now })
    }
}

impl Zone {
    pub const fn new(stream: Stream) -> Self {
        Self { anonymous: Vec::new(), users: BTreeMap::new(), stream }
    }

    /// Admits a request at `now`, or rejects it; `user` is the number of the user who sends it, 0 if unknown. An admitted
    /// request is in progress until [`Self::leave`].
    pub fn admit(&mut self, limits: &ClientLimits, now: SimTime, user: u32) -> Option<Address> {
        let address = if user > 0 {
            Address::User(user)
        } else {
            let count = limits.clients.max(1) as usize;
            let drawn = index_below(&mut self.stream, count);
            Address::Anonymous(u32::try_from(drawn).unwrap_or(u32::MAX))
        };
        let client = self.client(address);
        let now = now.as_nanos() / 1_000_000;
        // All limits must admit a request before it counts for any.
        let mut after = client.buckets;
        for (bucket, limit) in after.iter_mut().zip(&limits.rates) {
            if let Some(limit) = limit {
                *bucket = Some(Bucket::with_one_more(*bucket, now, limit)?);
            }
        }
        client.buckets = after;
        // nginx checks connections last, so that a request which it then rejects has counted for the rates.
        if limits.connections.is_some_and(|most| client.active >= most) {
            return None;
        }
        client.active += 1;
        Some(address)
    }

    /// A request of this client has ended.
    pub fn leave(&mut self, address: Address) {
        let client = self.client(address);
        client.active = client.active.saturating_sub(1);
    }

    fn client(&mut self, address: Address) -> &mut Client {
        match address {
            Address::User(user) => self.users.entry(user).or_default(),
            Address::Anonymous(number) => {
                let position = number as usize;
                if self.anonymous.len() <= position {
                    self.anonymous.resize(position + 1, Client::default());
                }
                &mut self.anonymous[position]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    fn zone() -> Zone {
        Zone::new(Streams::new(1).stream("addresses", 0))
    }

    fn limits(rates: [Option<RateLimit>; 2], connections: Option<u32>) -> ClientLimits {
        ClientLimits { zone: "web".into(), clients: 1, rates, connections }
    }

    const fn at(millis: i64) -> SimTime {
        SimTime::from_nanos(millis * 1_000_000)
    }

    const TWO: RateLimit = RateLimit { milli_per_second: 2_000, burst: 10 };

    /// The first of 20 requests at once finds an empty bucket, 10 more fit into it.
    #[test]
    fn a_burst_of_requests_is_admitted_and_then_the_rate() {
        let (mut zone, limits) = (zone(), limits([Some(TWO), None], None));
        let mut admitted = |millis| zone.admit(&limits, at(millis), 0).is_some();
        assert_eq!((0..20).filter(|_| admitted(0)).count(), 11);
        assert_eq!([499, 500, 501, 1_000].map(&mut admitted), [false, true, false, true]);
        // What leaked meanwhile is admitted at once, at most the burst and one.
        assert_eq!((0..20).filter(|_| admitted(3_000)).count(), 4);
        assert_eq!((0..20).filter(|_| admitted(60_000)).count(), 11);
    }

    #[test]
    fn a_request_counts_for_no_rate_if_one_of_them_rejects_it() {
        let slow = RateLimit { milli_per_second: 10, burst: 0 };
        let (mut zone, both) = (zone(), limits([Some(TWO), Some(slow)], None));
        let mut admitted = |millis| zone.admit(&both, at(millis), 0).is_some();
        assert_eq!((0..20).filter(|_| admitted(0)).count(), 1);
        assert!(!admitted(99_999) && admitted(100_000));
        let bucket = zone.client(Address::Anonymous(0)).buckets[0].expect("a bucket");
        assert_eq!(bucket, Bucket { excess: 0, last: 100_000 });
    }

    #[test]
    fn requests_in_progress_are_limited_after_the_rate() {
        let (mut zone, limits) = (zone(), limits([Some(TWO), None], Some(1)));
        let first = zone.admit(&limits, at(0), 0).expect("the first");
        assert_eq!(zone.admit(&limits, at(0), 0), None);
        zone.leave(first);
        assert_eq!(zone.admit(&limits, at(0), 0), Some(first));
        // All three are in the bucket.
        let bucket = zone.client(first).buckets[0].expect("a bucket");
        assert_eq!(bucket.excess, 2_000);
    }

    #[test]
    fn each_user_and_each_address_has_limits_of_its_own() {
        let one = RateLimit { milli_per_second: 1_000, burst: 0 };
        let (mut zone, limits) =
            (zone(), ClientLimits { clients: 50, ..limits([Some(one), None], None) });
        for user in [7, 9] {
            assert_eq!(zone.admit(&limits, at(0), user), Some(Address::User(user)));
            assert_eq!(zone.admit(&limits, at(0), user), None);
        }
        let admitted = (0..10_000).filter(|_| zone.admit(&limits, at(0), 0).is_some()).count();
        assert_eq!(admitted, 50);
    }
}
