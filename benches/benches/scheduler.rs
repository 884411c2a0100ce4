//! Spawning, waking, yielding: ours beside the others, in one process.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion makes the functions")]

use std::time::Duration;

use benches::contenders::{monoio_epoll as monoio, roundel, smol, tokio, tokio_local};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// One row: the same program for each contender.
macro_rules! row {
    ($criterion:expr, $name:literal, $elements:expr, |$n:ident, $contender:ident| $program:expr) => {{
        let mut group = $criterion.benchmark_group($name);
        group.throughput(Throughput::Elements($elements));
        row!(group, $n, $contender, $program, roundel, tokio, tokio_local, smol, monoio);
        group.finish();
    }};
    ($group:ident, $n:ident, $contender:ident, $program:expr, $($name:ident),*) => {
        $(bench(&mut $group, stringify!($name), |$n| { use $name as $contender; $program });)*
    };
}

fn bench(group: &mut Group<'_>, name: &str, program: impl Fn(u64) -> Duration) {
    group.bench_function(name, |bencher| bencher.iter_custom(&program));
}

fn spawning(criterion: &mut Criterion) {
    row!(criterion, "spawn_one_await", 1, |n, contender| contender::spawn_one(n));
    row!(criterion, "spawn_1000", 1_000, |n, contender| contender::spawn_many(1_000, n));
    row!(criterion, "spawn_200000", 200_000, |n, contender| contender::spawn_many(200_000, n));
}

fn yielding(criterion: &mut Criterion) {
    row!(criterion, "self_wake_200x1000", 200_000, |n, contender| {
        (0..n).map(|_| contender::self_wake(200, 1_000)).sum()
    });
    row!(criterion, "lone_yield_now", 1, |n, contender| contender::lone_yield(n));
    row!(criterion, "ping_pong_hop", 1, |n, contender| contender::ping_pong(n));
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! { name = scheduler; config = config(); targets = spawning, yielding }
criterion_main!(scheduler);
