//! Channels, locks and groups: ours beside tokio's, in one process.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion makes the functions")]

use std::time::Duration;

use benches::contenders::{roundel, tokio};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// One row: the same program for both.
macro_rules! row {
    ($criterion:expr, $name:literal, $elements:expr, |$n:ident, $contender:ident| $program:expr) => {{
        let mut group = $criterion.benchmark_group($name);
        group.throughput(Throughput::Elements($elements));
        bench(&mut group, "roundel", |$n| {
            use roundel as $contender;
            $program
        });
        bench(&mut group, "tokio", |$n| {
            use tokio as $contender;
            $program
        });
        group.finish();
    }};
}

fn bench(group: &mut Group<'_>, name: &str, program: impl Fn(u64) -> Duration) {
    group.bench_function(name, |bencher| bencher.iter_custom(&program));
}

fn channels(criterion: &mut Criterion) {
    row!(criterion, "oneshot_round_trip", 1, |n, contender| contender::oneshot_round_trip(n));
    row!(criterion, "bounded_1_message", 1, |n, contender| contender::bounded_messages(1, n));
    row!(criterion, "bounded_100_message", 1, |n, contender| contender::bounded_messages(100, n));
    row!(criterion, "unbounded_message", 1, |n, contender| contender::unbounded_messages(n));
    row!(criterion, "five_producers", 5, |n, contender| contender::five_producers(n));
    row!(criterion, "broadcast_to_10", 10, |n, contender| contender::broadcast_to_10(n));
    row!(criterion, "watch_by_10", 10, |n, contender| contender::watch_by_10(n));
    row!(criterion, "request_reply_1000", 1_000, |n, contender| {
        (0..n).map(|_| contender::request_reply(1_000)).sum()
    });
}

fn locks(criterion: &mut Criterion) {
    row!(criterion, "mutex_uncontended", 1, |n, contender| contender::mutex_uncontended(n));
    row!(criterion, "mutex_of_100", 100, |n, contender| contender::mutex_of_100(n));
    row!(criterion, "semaphore_uncontended", 1, |n, contender| contender::semaphore_uncontended(n));
    row!(criterion, "semaphore_of_100", 100, |n, contender| contender::semaphore_of_100(n));
    row!(criterion, "notify_10", 10, |n, contender| contender::notify(10, n));
    row!(criterion, "notify_100", 100, |n, contender| contender::notify(100, n));
    row!(criterion, "notify_500", 500, |n, contender| contender::notify(500, n));
}

fn groups(criterion: &mut Criterion) {
    row!(criterion, "gather_1000", 1_000, |n, contender| contender::gather_1000(n));
    row!(criterion, "scope_1000", 1_000, |n, contender| contender::scope_1000(n));
    row!(criterion, "unblock_round_trip", 1, |n, contender| contender::unblock_round_trip(n));
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! { name = vocabulary; config = config(); targets = channels, locks, groups }
criterion_main!(vocabulary);
