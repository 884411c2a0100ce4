//! Predictions: questions, right and wrong answers, and what is hidden until then.

use testkit::browser::Theme;

use crate::{DESK, trace, visit};

/// Answers every question of the trace: the even ones right, the odd ones wrong.
const ANSWERS: &str = r"
    const form = page.getElementById('question');
    loop.go(0);
    check(form.hidden, 'no question is asked of a reader that does not predict');
    key('g');
    check(!form.hidden, 'the form is shown');
    let asked = 0, right = 0;
    for (let count = 0; count < 400 && loop.current() < loop.events - 1; count++) {
        const answers = [...form.querySelectorAll('.answer')];
        if (answers.length === 0) { key('ArrowRight'); continue; }
        const here = loop.current();
        key('ArrowRight');
        same(loop.current(), here, 'an open question holds the page');
        const truth = loop.event(here + 1);
        const before = loop.state(here);
        const isPoll = form.querySelector('.prompt').textContent.startsWith('Which task is polled');
        const index = isPoll ? answers.findIndex((each) => each.textContent.slice(2) === nameOf(truth.a)) : 0;
        const given = isPoll && asked % 2 === 0 ? index : isPoll ? (index + 1) % answers.length : 0;
        key(String(given + 1));
        asked += 1;
        const verdict = form.querySelector('.verdict').textContent;
        const isRight = form.querySelector('.verdict').classList.contains('right');
        if (isRight) right += 1;
        if (isPoll) same(isRight, given === index, 'the verdict');
        check(verdict.length > 30, `an answer is explained: ${verdict}`);
        if (isPoll) check(verdict.includes('lane'), `a poll is explained by the queue: ${verdict}`);
        same(loop.score(), { right, asked }, 'the score');
        key('ArrowRight');
        same(loop.current(), here + 1, 'after the answer it goes on');
    }
    check(asked > 10, `there were questions: ${asked}`);
    check(right > 2 && right < asked, `some answers were right: ${right} of ${asked}`);
    key('g');
    check(form.hidden, 'the form is gone');
    function nameOf(task) {
        const json = JSON.parse(page.getElementById('trace').textContent);
        return json.tasks[task].name ?? `task #${json.tasks[task].id}`;
    }
";

#[test]
fn every_answer_is_judged_by_what_happened_next() {
    visit("predict_hello", trace("hello"), "", DESK, Theme::Light, ANSWERS);
    visit("predict_lock", trace("lock"), "", DESK, Theme::Dark, ANSWERS);
}

const HIDDEN: &str = r"
    loop.go(0);
    key('g');
    key('p');
    const lines = [...page.querySelectorAll('#around li')];
    check(lines.every((line) => line.value <= loop.current()), 'no later event is listed');
    check(!page.getElementById('parts').textContent.includes('next'), 'the next task is not marked');
    key('g');
    check([...page.querySelectorAll('#around li')].some((line) => line.value > loop.current()), 'it is listed again');
";

#[test]
fn a_question_does_not_show_its_answer() {
    visit("hidden", trace("hello"), "", DESK, Theme::Light, HIDDEN);
}

const WAITERS: &str = r"
    key('g');
    const form = page.getElementById('question');
    let found = 0;
    for (let count = 0; count < 600 && loop.current() < loop.events - 1; count++) {
        const prompt = form.querySelector('.prompt')?.textContent ?? '';
        if (prompt.includes('mutex')) found += 1;
        if (form.querySelector('.answer')) key('1');
        key('ArrowRight');
    }
    check(found > 1, `the page asks which waiter gets the lock: ${found}`);
";

#[test]
fn it_asks_which_waiter_gets_the_lock() {
    visit("waiters", trace("lock"), "", DESK, Theme::Light, WAITERS);
}
