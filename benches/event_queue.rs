//! The event queue under the hold model: one event is removed and another inserted at a later time,
//! with Q events pending throughout.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::Rng;
use wavetank::engine::{EventQueue, SimDuration, SimTime, Streams};

fn hold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event queue, hold model");
    group.throughput(Throughput::Elements(1));
    for pending in [1u64, 1_000, 1_000_000] {
        let mut drawn = Streams::new(1).stream("hold", pending);
        let mut delay = move || SimDuration::from_nanos((drawn.next_u64() >> 34).cast_signed());
        let mut queue = EventQueue::default();
        for event in 0..pending {
            queue.push(SimTime::ZERO + delay(), 0, event);
        }
        group.bench_function(BenchmarkId::from_parameter(pending), |bencher| {
            bencher.iter(|| {
                if let Some((now, event)) = queue.pop() {
                    queue.push(now + delay(), 0, event);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hold);
criterion_main!(benches);
