//! The rows about waiting beside work: an echo, and a sleep, beside hot tasks.
//!
//! Facts. A hot task burns 20 µs, wakes itself, and so on; with sixteen of them, a turn of all takes 320 µs. A loop
//! that looks at the system only when it has nothing else to do never answers beside a hot task. Neither does a loop
//! that puts a task which has woken itself in front of all others, as monoio does.
//!
//! What follows. Rows are named `echo 64 B beside H hot tasks: MEASURE` and `a sleep of 1 ms beside H hot tasks, late
//! by: MEASURE`; H is `0`, `1`, `4`, `16`, and MEASURE `p50` or `p99`. A server with hot tasks burns its core, so it
//! lives for one run. A contender that was once silent beside hot tasks is not asked again, so that the wait for it is
//! spent only once.
//!
//! What it does not know: sleeps without hot tasks; they are among the timers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::client::{Client, Pace, Words};
use crate::contenders::{compio, guests, monoio_epoll, monoio_uring, roundel, smol, tokio, tokio_local};
use crate::faceoff::job::{Job, Miss};
use crate::faceoff::pins::Pinned;
use crate::faceoff::plan::Plan;
use crate::faceoff::report::{FLOOR, Unit};
use crate::faceoff::servers::present;
use crate::server::Server;

const GROUP: &str = "fairness";
const HOT: [usize; 4] = [0, 1, 4, 16];
/// How long the turn of one hot task takes.
const BURN: Duration = Duration::from_micros(20);

/// The contenders that were silent.
type Silent = Rc<RefCell<BTreeSet<&'static str>>>;
type Latencies = Result<Vec<Duration>, Miss>;

/// How much a run does.
#[derive(Clone, Copy, Debug)]
struct Amount {
    echoes: u64,
    sleeps: u64,
    patience: Duration,
    rounds: usize,
}

impl Amount {
    fn of(plan: &Plan) -> Amount {
        match plan.quick {
            true => Amount { echoes: 100, sleeps: 20, patience: Duration::from_millis(500), rounds: 3 },
            false => Amount { echoes: 500, sleeps: 60, patience: Duration::from_secs(3), rounds: 11 },
        }
    }
}

pub fn fairness(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    let able = |name: &&str| *name != FLOOR && !guests::NAMES.contains(name);
    let names: Vec<&'static str> = present().names.iter().copied().filter(able).collect();
    left_out.push(format!("{GROUP}: {FLOOR} and the guests from Python have no hot tasks"));
    let amount = Amount::of(plan);
    let hot = HOT.into_iter().filter(|hot| !plan.quick || *hot != 1);
    let echoes = Silent::default();
    let mut jobs: Vec<Job> = hot.clone().map(|hot| echo(amount, hot, &names, &echoes)).collect();
    let sleeps = Silent::default();
    jobs.extend(hot.filter(|hot| *hot > 0).map(|hot| sleep(amount, hot, &names, &sleeps)));
    jobs
}

fn echo(amount: Amount, hot: usize, names: &[&'static str], silent: &Silent) -> Job {
    let turn = BURN * (hot as u32 + 2);
    let guess = Duration::from_millis(20) + turn * amount.echoes as u32;
    job(format!("echo 64 B beside {}", tasks(hot)), amount, guess, names, silent, move |who| {
        let server = Server::start(who, "echo", hot)?;
        let _pinned = Pinned::beside(server.pid());
        let mut client = Client::connect(server.address(), 1, Words::echo(64), amount.patience)?;
        let outcome = client.run(amount.echoes, Pace::InFlight(1))?;
        let at = |share| outcome.latencies.value_at_quantile(share) as f64;
        Ok([at(0.5), at(0.99)])
    })
}

fn sleep(amount: Amount, hot: usize, names: &[&'static str], silent: &Silent) -> Job {
    let turn = BURN * hot as u32 + Duration::from_millis(1);
    let name = format!("a sleep of 1 ms beside {}, late by", tasks(hot));
    job(name, amount, turn * amount.sleeps as u32, names, silent, move |who| {
        let mut late = lateness(who, hot, amount)?;
        late.sort();
        let at = |share: f64| late[(share * (late.len() - 1) as f64) as usize].as_nanos() as f64;
        Ok([at(0.5), at(0.99)])
    })
}

fn tasks(hot: usize) -> String {
    format!("{hot} hot task{}", if hot == 1 { "" } else { "s" })
}

/// p50 and p99, for every contender that has not been silent.
fn job(
    name: String,
    amount: Amount,
    guess: Duration,
    names: &[&'static str],
    silent: &Silent,
    mut run: impl FnMut(&'static str) -> Result<[f64; 2], Miss> + 'static,
) -> Job {
    let silent = Rc::clone(silent);
    let run = move |who| {
        if silent.borrow().contains(who) {
            return Err(Miss::Absent("silent beside fewer hot tasks; not asked again".into()));
        }
        let result = run(who);
        if let Err(Miss::Absent(_)) = result {
            silent.borrow_mut().insert(who);
        }
        result.map(Vec::from)
    };
    let rows = ["p50", "p99"].map(|share| (format!("{name}: {share}"), Unit::Nanoseconds)).to_vec();
    Job { rounds: amount.rounds, guess, run: Box::new(run), ..Job::new(GROUP, rows, names.to_vec()) }
}

/// How late sleeps end with this contender.
fn lateness(who: &str, hot: usize, Amount { sleeps, patience, .. }: Amount) -> Latencies {
    let late = match who {
        "roundel" => roundel::lateness_beside(hot, sleeps, patience),
        "tokio" => tokio::lateness_beside(hot, sleeps, patience),
        "tokio_local" => tokio_local::lateness_beside(hot, sleeps, patience),
        "smol" => smol::lateness_beside(hot, sleeps, patience),
        "monoio" => monoio_epoll::lateness_beside(hot, sleeps, patience),
        "monoio_uring" => monoio_uring::lateness_beside(hot, sleeps, patience),
        "compio" => compio::lateness_beside(hot, sleeps, patience),
        other => return Err(Miss::Absent(format!("{other} has no hot tasks"))),
    };
    late.ok_or_else(|| Miss::Absent(format!("a sleep of 1 ms does not end within {patience:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contender_that_looks_at_the_clock_beside_hot_tasks_is_measured() {
        let amount = Amount { echoes: 0, sleeps: 3, patience: Duration::from_secs(100), rounds: 1 };
        for who in ["roundel", "tokio", "tokio_local", "smol", "compio"] {
            assert_eq!(lateness(who, 2, amount).map(|late| late.len()), Ok(3), "{who}");
        }
    }

    #[test]
    fn one_that_does_not_is_absent_and_does_not_hang() {
        let amount = Amount { echoes: 0, sleeps: 2, patience: Duration::from_millis(50), rounds: 1 };
        assert!(matches!(lateness("monoio", 1, amount), Err(Miss::Absent(_))));
    }

    #[test]
    fn a_silent_contender_is_not_asked_again() {
        let (asked, silent) = (Rc::new(RefCell::new(0)), Silent::default());
        for _ in 0..2 {
            let asked = Rc::clone(&asked);
            let never = move |_: &'static str| {
                *asked.borrow_mut() += 1;
                Err(Miss::Absent("no answer".into()))
            };
            let amount = Amount { echoes: 0, sleeps: 0, patience: Duration::ZERO, rounds: 1 };
            let mut job = job("job".into(), amount, Duration::ZERO, &["a"], &silent, never);
            assert!(matches!((job.run)("a"), Err(Miss::Absent(_))));
        }
        assert_eq!(*asked.borrow(), 1);
    }
}
