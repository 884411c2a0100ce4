//! Acts that are made of other acts, and wrappers for an act.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use roundel::cancel::with_cleanup;
use roundel::group::{self, Scope};
use roundel::testing::Cut;
use roundel::{task_local, time, yield_now};

use crate::act::{self, Act, any, pause, some};
use crate::meddle;
use crate::panics::contain;
use crate::task;
use crate::waker::Odd;
use crate::world::{Wait, World};

task_local! {
    static MARK: u32;
}

pub(crate) fn act(world: Rc<World>, kind: usize, depth: u32) -> Act {
    match kind {
        27 => Box::pin(gathered(world, depth)),
        28 => Box::pin(joined(world, depth)),
        29 => Box::pin(selected(world, depth)),
        30 => Box::pin(scoped(world, depth)),
        31 => Box::pin(tried(world, depth)),
        32 => Box::pin(one_by_one(world, depth)),
        33 => Box::pin(cleaned_up(world, depth)),
        34 => Box::pin(shielded(world, depth)),
        35 => Box::pin(marked(world, depth)),
        36 => Box::pin(with_token(world, depth)),
        37 => Box::pin(from_aside(world)),
        38 => Box::pin(spawning(world, depth)),
        _ => Box::pin(ticking(world)),
    }
}

/// Wraps an act, or returns it as it is.
pub(crate) fn dress(world: &Rc<World>, act: Act, depth: u32) -> Act {
    let dice = &world.dice;
    match dice.below(16) {
        0 | 1 => Box::pin(Odd::new(act, false)),
        2 | 3 => Box::pin(Odd::new(act, true)),
        4 | 11 => {
            let cut = Cut::at(dice.below(8));
            Box::pin(async move {
                let _ = cut.run(act).await;
            })
        }
        5 | 12 | 13 => {
            let patience = Duration::from_millis(dice.below(30) as u64);
            Box::pin(async move {
                let _ = time::timeout(patience, act).await;
            })
        }
        6 => Box::pin(after(act::burn(), act)),
        7 => Box::pin(kept_aside(world.clone(), act)),
        8 => Box::pin(contained(act)),
        9 => Box::pin(after(pause(world.clone(), depth + 1), act)),
        10 => Box::pin(watched(world.clone(), act)),
        _ => act,
    }
}

async fn after(first: impl Future<Output = ()>, act: Act) {
    first.await;
    act.await;
}

/// Polls an act a few times and puts it aside.
async fn kept_aside(world: Rc<World>, act: Act) {
    let (mut act, mut left) = (Some(act), 1 + world.dice.below(2));
    poll_fn(|cx| {
        let Some(mut future) = act.take() else { return Poll::Ready(()) };
        let over = future.as_mut().poll(cx).is_ready();
        left -= 1;
        if over || (left == 0 && !world.resting.get()) {
            meddle::put_aside(&world, future, over);
            return Poll::Ready(());
        }
        left = left.max(1);
        act = Some(future);
        Poll::Pending
    })
    .await;
}

/// A panic in the act harms nothing else.
async fn contained(mut act: Act) {
    poll_fn(|cx| contain(|| act.as_mut().poll(cx)).unwrap_or(Poll::Ready(()))).await;
}

/// Keeps the task's waker for later.
async fn watched(world: Rc<World>, mut act: Act) {
    poll_fn(|cx| {
        meddle::keep_waker(&world, cx.waker());
        act.as_mut().poll(cx)
    })
    .await;
}

fn few(world: &Rc<World>, depth: u32) -> Vec<Act> {
    (0..1 + world.dice.below(4)).map(|_| any(world, depth)).collect()
}

async fn gathered(world: Rc<World>, depth: u32) {
    let acts = few(&world, depth);
    match world.dice.below(4) {
        0 => drop(group::gather(acts).await),
        1 => group::race(acts).await,
        2 => drop(group::gather_outcomes(acts).await),
        _ => {
            let fails = world.dice.below(3) == 0;
            let acts = acts.into_iter().map(async |act| {
                act.await;
                if fails { Err(()) } else { Ok(()) }
            });
            drop(group::try_gather(acts).await);
        }
    }
}

async fn joined(world: Rc<World>, depth: u32) {
    group::join!(any(&world, depth), any(&world, depth), pause(world.clone(), depth));
}

async fn selected(world: Rc<World>, depth: u32) {
    let on = world.dice.one_in(2);
    group::select! {
        () = any(&world, depth) => {}
        () = any(&world, depth) => {}
        () = pause(world.clone(), depth), if on => {}
    }
}

async fn scoped(world: Rc<World>, depth: u32) {
    group::scope(async |scope: &Scope<'_>| {
        for _ in 0..1 + world.dice.below(3) {
            let child = scope.spawn(some(&world, depth));
            match world.dice.below(4) {
                0 => child.cancel(),
                1 => drop(child.await),
                2 => pause(world.clone(), depth).await,
                _ => {}
            }
        }
        if world.dice.one_in(4) {
            scope.cancel();
        }
    })
    .await;
}

async fn tried(world: Rc<World>, depth: u32) {
    let result = group::try_scope(async |scope| {
        for _ in 0..1 + world.dice.below(3) {
            let (act, fails) = (any(&world, depth), world.dice.one_in(3));
            let child = scope.spawn(async move {
                act.await;
                if fails { Err(()) } else { Ok(()) }
            });
            drop(child);
        }
        pause(world.clone(), depth).await;
        if world.dice.one_in(4) { Err(()) } else { Ok(()) }
    });
    drop(result.await);
}

/// Runs all of them, in the order in which they end or a few at a time.
async fn one_by_one(world: Rc<World>, depth: u32) {
    let acts = few(&world, depth);
    if world.dice.one_in(2) {
        return group::for_each_concurrent(1 + world.dice.below(3), acts, |act| act).await;
    }
    let mut ends = group::as_completed(acts);
    while ends.next().await.is_some() {}
}

async fn cleaned_up(world: Rc<World>, depth: u32) {
    let (body, cleans) = (some(&world, depth), world.clone());
    let cleanup = async move || any(&cleans, depth).await;
    with_cleanup(body, cleanup).grace(Duration::from_millis(100)).await;
}

async fn shielded(world: Rc<World>, depth: u32) {
    group::shield(some(&world, depth)).await;
}

/// Inside, a task-local has the value of its scope, whichever task polls it.
async fn marked(world: Rc<World>, depth: u32) {
    let mark = world.dice.roll() as u32;
    let seen = Rc::new(Cell::new(true));
    let inner = {
        let (world, seen) = (world.clone(), seen.clone());
        async move {
            for _ in 0..2 {
                let in_task = roundel::task::current().is_some();
                seen.set(seen.get() && (!in_task || MARK.get() == Some(mark)));
                pause(world.clone(), depth).await;
                yield_now().await;
            }
        }
    };
    MARK.scope(mark, inner).await;
    if !seen.get() {
        world.fault(format!("a task-local was to be {mark}, and was not"));
    }
}

async fn with_token(world: Rc<World>, depth: u32) {
    let place = world.dice.below(3);
    let token = world.tokens[place].clone();
    if world.dice.one_in(2) {
        let _waits = world.wait(Wait::Token(place));
        token.cancelled().await;
    } else if token.run(some(&world, depth)).await.is_err() && !token.is_cancelled() {
        world.fault("a token has cut something off, and is not cancelled".to_owned());
    }
}

/// Continues a future that another task has begun.
async fn from_aside(world: Rc<World>) {
    if let Some(act) = meddle::take_random(&world, &world.aside) {
        act.await;
    }
}

async fn spawning(world: Rc<World>, depth: u32) {
    for _ in 0..1 + world.dice.below(2) {
        task::spawn_and_keep(&world, depth);
    }
    pause(world, depth).await;
}

async fn ticking(world: Rc<World>) {
    let mut interval = time::interval(Duration::from_millis(1 + world.dice.below(20) as u64));
    let _waits = world.wait(Wait::Sleep);
    for _ in 0..1 + world.dice.below(3) {
        interval.tick().await;
    }
}
