//! Timers: ours beside the others, in one process.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion makes the functions")]

use std::time::Duration;

use benches::contenders::{monoio_epoll as monoio, roundel, smol, tokio, tokio_local};
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, program: impl Fn(u64) -> Duration) {
    group.bench_function(name, |bencher| bencher.iter_custom(&program));
}

macro_rules! row {
    ($group:expr, |$n:ident, $contender:ident| $program:expr) => {
        row!($group, $n, $contender, $program, roundel, tokio, tokio_local, smol, monoio);
    };
    ($group:expr, $n:ident, $contender:ident, $program:expr, $($name:ident),*) => {
        $(bench(&mut $group, stringify!($name), |$n| { use $name as $contender; $program });)*
    };
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sleep_churn");
    row!(group, |n, contender| contender::sleep_churn(n));
    group.finish();
    let mut group = criterion.benchmark_group("timeout_yield");
    row!(group, |n, contender| contender::timeout_yield(n));
    group.finish();
}

fn million(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("million_sleepers");
    // One run for each measurement: with more, this row alone would take ten minutes.
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_millis(1)).throughput(Throughput::Elements(1_000_000));
    row!(group, |n, contender| (0..n).map(|_| contender::many_sleepers(1_000_000)).sum());
    group.finish();
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Lateness and wakes are latencies: one measurement is the median of 200.
fn latencies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sleep_1ms_late");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_millis(1));
    row!(group, |n, contender| median(contender::lateness(200)).mul_f64(n as f64));
    group.finish();
    let mut group = criterion.benchmark_group("wake_from_thread");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_millis(1));
    row!(group, |n, contender| median(contender::remote_wake(200)).mul_f64(n as f64));
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! { name = time; config = config(); targets = timers, million, latencies }
criterion_main!(time);
