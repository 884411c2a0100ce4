//! The timeline: in which row something is drawn, where the bar of the loop ends, and how the window follows.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use examples::see::json::json;
use roundel::deadlock::Deadlock;
use roundel::record::Recorder;
use roundel::sync::Mutex;
use roundel::{JoinHandle, Runtime, spawn_named, yield_now};
use testkit::browser::Theme;

use crate::{DESK, PHONE, trace, visit};

/// Takes one lock, is interrupted, and takes the other.
async fn needs_both(one: Rc<Mutex<()>>, other: Rc<Mutex<()>>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

/// The trace of a loop that runs twice. In the first run, two tasks wait for each other until one of them is cancelled.
fn two_runs() -> String {
    let recorder = Recorder::in_memory();
    let victim: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let theirs = Rc::clone(&victim);
    let give_up = move |_: &Deadlock| theirs.take().iter().for_each(JoinHandle::cancel);
    let builder = Runtime::builder().on_deadlock(give_up).record(recorder.clone());
    let runtime = builder.build().unwrap();
    // So the first event does not come at the moment from which the times are counted.
    std::thread::sleep(Duration::from_millis(20));
    runtime.block_on(async {
        let [a, b] = [(); 2].map(|()| Rc::new(Mutex::new(())));
        let ann = spawn_named("ann", needs_both(Rc::clone(&a), Rc::clone(&b)));
        victim.replace(Some(spawn_named("bob", needs_both(b, a))));
        ann.await.unwrap();
    });
    runtime.block_on(yield_now());
    drop(runtime);
    json(&recorder.trace().unwrap())
}

/// Scripts for that trace may use this.
const OF: &str =
    "const of = (kind) => [...Array(loop.events).keys()].filter((event) => loop.event(event).kind === kind);";

/// The causes of wakes are drawn where they happened.
const ROWS: &str = r"
    const outside = of('done').filter((event) => loop.event(event - 1).kind !== 'polled');
    check(outside.length > 0, 'a task ends outside of a poll');
    for (const event of of('done')) same(loop.doer(event), loop.event(event).a, 'the end of a task is in its own row');
    for (const event of of('cancel')) same(loop.doer(event), -1, 'the program of the loop has cancelled it');
    for (const event of of('polled')) same(loop.doer(event), loop.event(event).a, 'a poll is in the row of its task');
";

/// The bar ends with the last event of a run, and the shutdown is no part of it.
const RUNS: &str = r"
    const { runs, xs } = loop.timeline();
    same(runs.length, 2, 'two runs');
    for (const [begin, end] of runs) {
        same(loop.event(begin).kind, 'turn', 'a run begins with a turn');
        check([end - 1, end].some((event) => loop.event(event).kind === 'done'), 'it ends when its future does');
        check(loop.state(end).step === 0, 'what follows is in no turn');
    }
    const ruler = page.getElementById('ruler');
    const ratio = view.devicePixelRatio;
    const line = ruler.getContext('2d').getImageData(0, Math.round(40 * ratio), ruler.width, 1).data;
    const isDrawn = (event) => line[Math.round((xs[event] + 3) * ratio) * 4 + 3] > 0;
    check(isDrawn(runs[1][0]), 'there is a bar in the run');
    check(!isDrawn(loop.events - 2), 'there is none in the shutdown');
";

/// The trace is not as long as the time since the runtime was built.
const DURATIONS: &str = r"
    loop.diagnose();
    const [, said] = /^Of ([\d.]+ \S+),/.exec(page.getElementById('summary').textContent);
    const facts = page.getElementById('facts').textContent.split(' · ');
    check(facts.includes(said), `${said} is in ${facts}`);
    const [cancel] = of('cancel');
    const found = page.getElementById('diagnosis').textContent;
    check(found.includes(`bob (#2.1) was cancelled at event ${cancel}`), found);
";

#[test]
fn what_happens_is_drawn_where_it_happens() {
    let trace = two_runs();
    visit("rows", &trace, "", DESK, Theme::Light, &format!("{OF}{ROWS}"));
    visit("runs", &trace, "", DESK, Theme::Dark, &format!("{OF}{RUNS}"));
    visit("durations", &trace, "", PHONE, Theme::Light, &format!("{OF}{DURATIONS}"));
}

const FOLLOWS: &str = r"
    const window = () => loop.timeline().window;
    const whole = window();
    for (let event = 0; event < loop.events; event++) { loop.go(event); same(window(), whole, 'all is shown, so nothing moves'); }
    loop.go(Math.floor(loop.events / 2));
    for (const name of ['+', '+', '+']) key(name);
    let moved = 0;
    for (const name of ['ArrowRight', 'ArrowLeft']) {
        for (let count = 0; count < loop.events; count++) {
            const before = window();
            key(name);
            const [from, to] = window();
            check(loop.current() >= from && loop.current() < to, 'the event is in the window');
            check(from >= 0 && to <= whole[1] + 1e-6, `the window is in the trace: ${to}`);
            check(Math.abs(from - before[0]) <= 1.001, `it goes along by steps: from ${before[0]} to ${from}`);
            if (from !== before[0]) moved += 1;
        }
    }
    check(moved > 100, `it moves: ${moved}`);
    loop.go(loop.events - 1);
    check(window()[1] > loop.events, 'after a jump to the end, the end is in it');
";

#[test]
fn the_window_follows_without_jumps_and_stays_in_the_trace() {
    visit("follows", trace("lock"), "", DESK, Theme::Light, FOLLOWS);
}

#[test]
fn names_are_whole_on_a_phone() {
    let whole =
        "same(loop.timeline().names, ['main #0.1', 'coffee #1.1', 'eggs #2.1', 'toast #3.1'], 'the names');
        check(loop.timeline().labels < 360 * 0.4, 'they leave room for what happens');";
    visit("names", trace("hello"), "", PHONE, Theme::Light, whole);
    // If they are longer than that, they still differ.
    let long = trace("lock").replace("\"teller ", "\"a teller with a long name, number ");
    let differ = "const { names } = loop.timeline();
        check(names[1].startsWith('a teller') && names[1].endsWith('1'), names[1]);
        same(new Set(names).size, 5, 'different names');";
    visit("long_names", &long, "", PHONE, Theme::Light, differ);
}

/// What is said of a lane is true of each task that is put into it.
const LANES: &str = r"
    const [tasks, outside] = [...page.querySelectorAll('.lane h4')].map((each) => each.textContent);
    check(tasks.includes('in step 1, or outside of a turn'), tasks);
    check(outside.includes('in steps 3 to 5'), outside);
    check(page.getElementById('parts').textContent.includes('takes one from each, alternately'), 'how it takes from them');
    let count = 0;
    for (let event = 1; event < loop.events; event++) {
        const { kind, a } = loop.event(event);
        if (kind !== 'spawn' && kind !== 'wake') continue;
        const state = loop.state(event);
        same((state.step >= 3 ? state.outside : state.tasks).at(-1), a, 'the last one of its lane');
        count += 1;
    }
    check(count > 10, 'tasks are queued');
";

#[test]
fn the_lanes_say_what_enters_them() {
    visit("lanes", trace("starve"), "", DESK, Theme::Light, LANES);
}
