//! Opening: at an event, by keyboard alone, with a broken trace; and what the page finds worth a look.

use examples::see::page::page;
use testkit::browser::Theme;

use crate::{DESK, PHONE, TRACES, browser, trace, visit};

const AT: &str = r"
    same(loop.current(), 25, 'it opens at the event in its address');
    same(sentence(), plain(loop.sentence(25)), 'the sentence');
    view.location.hash = '#event=12';
    view.dispatchEvent(new view.HashChangeEvent('hashchange'));
    same(loop.current(), 12, 'a new address');
    view.location.hash = '#event=999999';
    view.dispatchEvent(new view.HashChangeEvent('hashchange'));
    same(loop.current(), loop.events - 1, 'an event after the last one');
    const note = page.getElementById('note');
    check(!note.hidden && note.textContent.includes(`no event 999,999. This trace has ${loop.events} events`), 'the page says so');
    key('ArrowLeft');
    check(note.hidden, 'it says so only there');
";

const BEYOND: &str = r"
    const note = page.getElementById('note');
    same(loop.current(), loop.events - 1, 'it opens at the last event');
    check(!note.hidden && note.textContent.includes(`no event ${loop.events}. This trace has`), 'and says why');
    view.location.hash = `#event=${loop.events - 1}`;
    view.dispatchEvent(new view.HashChangeEvent('hashchange'));
    key('ArrowLeft');
    view.location.hash = `#event=${loop.events - 1}`;
    view.dispatchEvent(new view.HashChangeEvent('hashchange'));
    check(note.hidden, 'the last event is one that it has');
";

#[test]
fn a_link_opens_the_page_at_its_event() {
    visit("at_phone", trace("hello"), "#event=25", PHONE, Theme::Dark, AT);
    visit("at_desk", trace("hello"), "#event=25", DESK, Theme::Light, AT);
    visit("at_beyond", trace("hello"), "#event=52", PHONE, Theme::Light, BEYOND);
}

/// Each command has a key, and each key is in the help.
const KEYS: &str = r"
    const help = page.getElementById('help');
    key('?');
    check(help.open, 'the help opens');
    const told = help.textContent;
    for (const name of ['→', '←', 'p', 'P', 't', 'T', 'Home', 'End', 'c', 'b', 'Space', 'g', '+', '-', '0', 'h', 'l', 'o', '/', 'd', '?']) {
        check([...help.querySelectorAll('kbd')].some((each) => each.textContent === name), `the help names ${name}`);
    }
    key('ArrowRight');
    same(loop.current(), 0, 'nothing moves while the help is open');
    key('?');
    check(!help.open && told.length > 300, 'the help closes');
    for (const button of page.querySelectorAll('.controls [data-do], .zoom [data-do]')) {
        check(button.getAttribute('aria-keyshortcuts'), `${button.dataset.do} has a key`);
        check(button.localName === 'button' && button.tabIndex === 0, `${button.dataset.do} can be reached`);
        check((button.getAttribute('aria-label') ?? button.textContent).trim() !== '', `${button.dataset.do} has a name`);
    }
    page.activeElement.blur();
    key(' '); same(page.getElementById('play').getAttribute('aria-pressed'), 'true', 'play');
    key(' '); same(page.getElementById('play').getAttribute('aria-pressed'), 'false', 'pause');
    key('o'); same(page.getElementById('scale').value, 'time', 'the scale');
    key('o'); same(page.getElementById('scale').value, 'order', 'the scale');
    for (const name of ['+', '+', 'h', 'l', '-', '0']) key(name);
    const before = loop.current();
    key('/');
    same(page.activeElement.id, 'filter', 'find');
    key('p');
    same(loop.current(), before, 'letters that are typed are no commands');
    const filter = page.getElementById('filter');
    filter.value = 'egg'; filter.dispatchEvent(new view.Event('input', { bubbles: true }));
    check(page.getElementById('lanes-canvas').getAttribute('aria-label').includes('1 task '), 'one task is found');
    key('Escape');
    check(page.getElementById('lanes-canvas').getAttribute('aria-label').includes('4 tasks '), 'all tasks are shown again');
    page.querySelector('#table summary').click();
    page.getElementById('table').open = true;
    page.getElementById('table').dispatchEvent(new view.Event('toggle'));
    same(page.querySelectorAll('#table tbody tr').length, 4, 'the table has a row for each task');
";

#[test]
fn everything_can_be_done_by_keyboard() {
    visit("keys", trace("hello"), "", DESK, Theme::Light, KEYS);
}

#[test]
fn a_trace_that_cannot_be_shown_says_why() {
    let Some((_turn, browser)) = browser("broken") else { return };
    let newer = trace("hello").replacen("\"version\":2", "\"version\":3", 1);
    for (text, says) in [(newer.as_str(), "has version 3"), ("{", "cannot be shown"), ("", "cannot be shown")]
    {
        let ask = "return page.getElementById('sentence').textContent;";
        let (answer, console) = browser.visit(&page(text), "", PHONE, Theme::Light, ask);
        assert!(answer.contains(says), "{answer}");
        assert_eq!(console, "");
    }
}

#[test]
fn what_is_worth_a_look_is_found() {
    let Some((_turn, browser)) = browser("found") else { return };
    let found = |name: &str| {
        let ask = "view.roundel.diagnose(); return page.getElementById('diagnosis').innerText;";
        browser.visit(&page(trace(name)), "", DESK, Theme::Light, ask).0
    };
    let deadlock = found("deadlock");
    let circle = "audit (#2.1) waits for transfer (#1.1), which waits for audit (#2.1)";
    assert!(deadlock.contains(circle), "{deadlock}");
    let starve = found("starve");
    for says in
        ["woke itself 60 times", "hog (#6.1) ran for 4.0 ms", "late (#1.2) was never polled", "panicked"]
    {
        assert!(starve.contains(says), "{says}: {starve}");
    }
    assert!(!found("hello").contains("Deadlocks"), "there is none in `hello`");
}

#[test]
fn nothing_is_asked_for_from_anywhere() {
    for (_, trace) in TRACES {
        let text = page(trace);
        for asks in
            ["http:", "https:", "src=", "@import", "url(", "fetch(", "<iframe", "<img", "XMLHttpRequest"]
        {
            let at = text.find(asks).map(|at| text[at..].chars().take(60).collect::<String>());
            assert!(at.is_none(), "the page asks for something: {at:?}");
        }
    }
}

#[test]
fn a_trace_cannot_end_its_script() {
    let text = page("{\"program\": \"</script><b>\"}");
    assert!(!text.contains("</script><b>") && text.contains("\\u003c/script>\\u003cb>"));
}
