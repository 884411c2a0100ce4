//! The looks: on a phone and on a desk, by day and by night.

use examples::see::page::page;
use testkit::browser::Theme;

use crate::{DESK, PHONE, browser, trace, visit};

/// Nothing is cut off or too small, and everything has a name.
const FITS: &str = r"
    loop.go(Math.floor(loop.events / 2));
    for (const width of [360, 390, 500, 780, 1200, 1600]) {
        view.frameElement.width = width;
        view.dispatchEvent(new view.Event('resize'));
        const all = [...page.body.querySelectorAll('*')].filter((each) => each.getClientRects().length > 0);
        const scrolls = (each) => each.closest('.scroll, .listing ol, .more, .unseen, .skip') !== null;
        const wide = view.innerWidth;
        same(wide, width, 'the width');
        check(page.documentElement.scrollWidth <= wide, `the page scrolls sideways: ${page.documentElement.scrollWidth}`);
        for (const each of all) {
            const { right, left } = each.getBoundingClientRect();
            check(scrolls(each) || (right <= wide + 0.5 && left >= -0.5), `outside of the window: ${each.outerHTML.slice(0, 90)}`);
            const isWritten = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
            const size = parseFloat(view.getComputedStyle(each).fontSize);
            check(!isWritten || size >= 13.99, `letters of ${size} pixels: ${each.outerHTML.slice(0, 90)}`);
        }
        for (const each of page.querySelectorAll('button, select, input, canvas:not([aria-hidden])')) {
            const name = each.getAttribute('aria-label') ?? each.labels?.[0]?.textContent ?? each.textContent;
            check(name.trim() !== '', `without a name: ${each.outerHTML.slice(0, 90)}`);
        }
        const buttons = [...page.querySelectorAll('.steps button')].map((each) => each.getBoundingClientRect());
        check(buttons.every(({ top, bottom }) => top >= 0 && bottom <= view.innerHeight), 'the buttons are in sight');
        check(buttons.every(({ height }) => height >= 32), 'the buttons are large enough for a finger');
        same(page.querySelectorAll('[aria-live=polite]').length, 1, 'one live region says the sentence');
        same(page.querySelectorAll('#steps [aria-current=step]').length, loop.state(loop.current()).step === 0 ? 0 : 1, 'the current step');
    }
";

#[test]
fn it_fits_a_phone_and_a_desk() {
    // Those that fill the most parts of the page.
    for name in ["deadlock", "starve", "pipeline"] {
        visit(&format!("fits_{name}"), trace(name), "", PHONE, Theme::Light, FITS);
    }
}

const PAPER: &str = r"
    const paper = () => view.getComputedStyle(page.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0);
    const isDark = view.matchMedia('(prefers-color-scheme: dark)').matches;
    check(isDark ? paper() < 100 : paper() > 700, `the system's theme: ${paper()}`);
    key('d');
    check(isDark ? paper() > 700 : paper() < 100, `the other theme: ${paper()}`);
    press('#theme');
    check(isDark ? paper() < 100 : paper() > 700, `back again: ${paper()}`);
";

#[test]
fn it_follows_the_system_and_the_button() {
    visit("light", trace("hello"), "", PHONE, Theme::Light, PAPER);
    visit("dark", trace("hello"), "", DESK, Theme::Dark, PAPER);
}

#[test]
fn its_pictures_show_something() {
    let Some((_turn, browser)) = browser("pictures") else { return };
    let page = page(trace("lock"));
    for width in [PHONE, DESK] {
        let [light, dark] =
            [Theme::Light, Theme::Dark].map(|theme| browser.picture(&page, (width, 900), theme));
        // A picture of one colour has a few kilobytes.
        assert!(light.len() > 20_000 && dark.len() > 20_000, "{} and {} bytes", light.len(), dark.len());
        assert!(light != dark, "by night it looks as by day");
    }
}

/// A step must take less than 50 ms. Machines for tests are busy, so the fastest step of each kind counts. A small trace
/// stands for a large one, because the work of a step does not grow with the trace.
const FAST: &str = r"
    for (const name of ['ArrowRight', 'ArrowLeft', 'p', 'P']) {
        const times = [];
        loop.go(Math.floor(loop.events / 2));
        for (let count = 0; count < 15; count++) {
            const begin = view.performance.now();
            key(name);
            times.push(view.performance.now() - begin);
        }
        check(Math.min(...times) < 50, `a step by ${name} takes ${Math.min(...times)} ms`);
    }
";

#[test]
fn a_step_is_fast() {
    visit("fast", trace("starve"), "", DESK, Theme::Light, FAST);
}
