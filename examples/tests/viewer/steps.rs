//! Steps in both directions, causes, and the state after each event.

use testkit::browser::Theme;

use crate::{DESK, TRACES, trace, visit};

/// The page says the same about an event, whichever way one came to it.
const BOTH_WAYS: &str = r"
    const seen = [];
    const look = () => [loop.current(), sentence(), page.getElementById('parts').textContent, loop.state(loop.current())];
    loop.go(0);
    const last = Math.min(loop.events - 1, 60);
    for (let event = 0; event <= last; event++) {
        same(loop.current(), event, 'a step forward');
        same(sentence(), plain(loop.sentence(event)), 'the sentence');
        seen.push(look());
        if (event < last) key('ArrowRight');
    }
    for (let event = last; event >= 0; event--) {
        same(look(), seen[event], 'the way back');
        key('ArrowLeft');
    }
    same(loop.current(), 0, 'the first event has none before it');
";

#[test]
fn the_way_back_shows_what_the_way_forward_showed() {
    for name in ["lock", "starve"] {
        visit(&format!("both_ways_{name}"), trace(name), "", DESK, Theme::Light, BOTH_WAYS);
    }
}

/// The rule of the queue, applied to the state that the page shows, gives the task that was polled.
const RULE: &str = r"
    let polls = 0;
    for (let event = 1; event < loop.events; event++) {
        const { kind, a } = loop.event(event);
        const before = loop.state(event - 1);
        if (kind === 'poll') {
            const turn = before.outside_is_next ? before.tasks : before.outside;
            const lane = before.outside.length === 0 ? before.tasks : before.tasks.length === 0 ? before.outside : turn;
            same(lane[0], a, 'the task that is polled');
            polls += 1;
        }
        if (kind === 'fired') same(before.timers[0].timer, a, 'the timer that fires');
        const all = [...before.tasks, ...before.outside];
        same(new Set(all).size, all.length, 'a task is queued at most once');
    }
    check(polls > 5, 'there are polls');
    same(loop.state(loop.events - 1), loop.state(loop.events - 1), 'a state does not depend on what was asked before');
";

#[test]
fn the_state_before_each_poll_says_which_task_is_next() {
    for (name, trace) in TRACES {
        visit(&format!("rule_{name}"), trace, "", DESK, Theme::Light, RULE);
    }
}

/// From the last poll of `eggs` back to the event with which everything began.
const BACK: &str = r"
    let event = loop.events - 1;
    while (!(loop.event(event).kind === 'poll' && loop.sentence(event).includes('`eggs` (#2.1) is polled because timer 3 fired'))) event -= 1;
    loop.go(event);
    const kinds = [];
    for (let count = 0; loop.cause(loop.current()) >= 0 && count < 20; count++) {
        const cause = loop.cause(loop.current());
        check(cause < loop.current(), 'a cause is before its effect');
        key('c');
        same(loop.current(), cause, 'the cause');
        kinds.push(loop.event(cause).kind);
    }
    same(kinds, ['wake', 'fired', 'set', 'poll', 'spawn', 'poll', 'spawn'], 'the chain of causes');
    key('c');
    same(loop.current(), 0, 'the first event has no cause');
    for (let count = 0; count < 20; count++) key('b');
    same(loop.current(), event, 'returned to where the chain began');
";

#[test]
fn the_causes_of_a_poll_lead_back_to_the_beginning() {
    visit("causes", trace("hello"), "", DESK, Theme::Light, BACK);
}

/// What the page says of `main`, which waits for `coffee`: until `coffee` is over, then until `main` is polled, and then.
const WAITED: &str = r"
    const waits = (event) => { loop.go(event); return page.getElementById('parts').textContent; };
    const find = (kind, a, from) => { let event = from; while (loop.event(event).kind !== kind || loop.event(event).a !== a) event += 1; return event; };
    const over = find('done', 1, 0);
    const polled = find('waited', 0, over);
    check(waits(over - 1).includes('main waits for coffee'), 'it waits');
    check(!waits(over - 1).includes('is over'), 'coffee is not over');
    const after = waits(polled - 2);
    check(after.includes('main queued has waited for coffee is over'), `it has waited: ${after}`);
    check(!waits(polled).includes('waited for coffee'), 'it was polled');
";

#[test]
fn a_task_that_was_woken_is_not_said_to_wait() {
    visit("waited", trace("hello"), "", DESK, Theme::Light, WAITED);
}

const UNITS: &str = r"
    const of = (kind) => [...Array(loop.events).keys()].filter((event) => loop.event(event).kind === kind);
    for (const [forward, back, kind] of [['p', 'P', 'poll'], ['t', 'T', 'turn']]) {
        loop.go(0);
        for (const event of of(kind)) { key(forward); same(loop.current(), event, `the next ${kind}`); }
        for (const event of of(kind).reverse().slice(1)) { key(back); same(loop.current(), event, `the ${kind} before`); }
    }
    key('End'); same(loop.current(), loop.events - 1, 'the end');
    key('Home'); same(loop.current(), 0, 'the beginning');
    press('[data-do=event]'); same(loop.current(), 1, 'the button');
    press('[data-do=eventBack]'); same(loop.current(), 0, 'the button back');
    press('#around li:nth-child(4) a'); same(loop.current(), 3, 'a link to an event');
    const slider = page.getElementById('slider');
    slider.value = '9'; slider.dispatchEvent(new view.Event('input', { bubbles: true }));
    same(loop.current(), 9, 'the slider');
";

#[test]
fn steps_are_events_polls_and_turns() {
    visit("units", trace("lock"), "", DESK, Theme::Light, UNITS);
}
