//! The page, opened and looked at: in a browser if there is one, and as text.
//!
//! Two reports are shown: a sample with all kinds of rows, and the committed one.

#![forbid(unsafe_code)]

#[path = "page/sample.rs"]
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use benches::faceoff::page::page;
use benches::faceoff::report::{Report, Row};

use sample::sample;
use testkit::browser::{Browser, Theme};

const PHONES: [u32; 2] = [360, 390];
/// A phone on its side, and a window beside another one.
const BETWEEN: [u32; 2] = [500, 780];
const DESKTOP: u32 = 1280;
const LEAST_LETTERS: f64 = 14.0;

fn committed() -> Report {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faceoff.json");
    Report::read(file.to_str().expect("a path")).expect("docs/faceoff.json")
}

fn find(name: &str) -> Option<Browser> {
    Browser::find(name, env!("CARGO_TARGET_TMPDIR"))
}

/// What the browser has seen, one `name value` a line.
const LOOK: &str = r#"
    const all = [...page.body.querySelectorAll('*')].filter(e => e.getClientRects().length > 0);
    const wide = view.innerWidth;
    const scrolls = e => e.closest('.scroll') !== null;
    const outside = all.filter(e => !scrolls(e) && e.getBoundingClientRect().right > wide + 0.5);
    const written = all.filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim() !== ''));
    const scale = e => { const m = e.getScreenCTM && e.getScreenCTM(); return m ? Math.min(m.a, m.d) : 1; };
    const sizes = written.filter(e => !['title', 'desc'].includes(e.localName))
        .map(e => parseFloat(view.getComputedStyle(e).fontSize) * scale(e));
    const names = [...page.querySelectorAll('.name text')];
    const boxes = names.map(e => [e.closest('.field'), e.getBoundingClientRect()]);
    const upon = boxes.filter(([f, a], i) => boxes.some(([g, b], j) => i < j && f === g && a.top < b.bottom - 4 && b.top < a.bottom - 4));
    const ticks = [...page.querySelectorAll('.tick, .axis text')].filter(e => e.getClientRects().length > 0).map(e => [e.closest('.card'), e.getBoundingClientRect()]);
    const crowded = ticks.filter(([f, a], i) => ticks.some(([g, b], j) => i < j && f === g && a.left < b.right + 2 && b.left < a.right + 2 && a.top < b.bottom && b.top < a.bottom));
    const bars = [...page.querySelectorAll('.bars .line')].map(e => e.getBoundingClientRect().width);
    const titled = [...page.querySelectorAll('svg')].filter(e => e.closest('[role=img], [aria-hidden=true]'));
    const broken = [...page.querySelectorAll('a')].filter(e => !page.getElementById(e.getAttribute('href').slice(1)));
    return [
        `width ${wide}`,
        `scrolls ${page.documentElement.scrollWidth}`,
        `outside ${outside.length} ${outside.slice(0, 3).map(e => e.outerHTML.slice(0, 99)).join(' / ')}`,
        `letters ${Math.min(...sizes)}`,
        `fields ${page.querySelectorAll('svg.field[role=img] > title').length}`,
        `lines ${page.querySelectorAll('svg.field polyline').length}`,
        `bars ${page.querySelectorAll('.bars > li > svg').length}`,
        `narrowest ${Math.min(...bars)}`,
        `overlapping ${upon.length}`,
        `crowded ${crowded.length}`,
        `unnamed ${page.querySelectorAll('svg').length - titled.length}`,
        `broken ${broken.length}`,
        `paper ${view.getComputedStyle(page.body).backgroundColor}`,
    ].join('\n');
"#;

struct Seen(String);

impl Seen {
    fn text(&self, name: &str) -> &str {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("the browser did not say `{name}`: {}", self.0))
    }

    fn number(&self, name: &str) -> f64 {
        let first = self.text(name).split(' ').next().unwrap_or_default();
        first.parse().unwrap_or_else(|error| panic!("{name}: {error}: {}", self.0))
    }
}

/// How many lines and bars there must be.
fn expected(report: &Report) -> (f64, f64) {
    let bars: usize = report.rows.iter().map(|row| row.figures.len()).sum();
    // A workload with one number of connections does not grow.
    let rows =
        report.rows.iter().filter(|row| row.group == "network" && row.name.contains("CPU per request"));
    let mut growing: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        growing.entry(row.name.rsplit_once(", ").map_or("", |name| name.0)).or_default().push(row);
    }
    growing.retain(|_, rows| rows.len() >= 2);
    let names =
        |rows: &Vec<&Row>| rows.iter().flat_map(|row| row.figures.keys()).collect::<BTreeSet<_>>().len();
    let lines = report.curves.len() + growing.values().map(names).sum::<usize>();
    (lines as f64, bars as f64)
}

fn check(browser: &Browser, report: &Report, width: u32) {
    let seen = Seen(browser.ask(&page(report), width, Theme::Light, LOOK));
    let about = format!("at a width of {width}:\n{}", seen.0);
    assert_eq!(seen.number("width"), f64::from(width), "{about}");
    assert!(seen.number("scrolls") <= f64::from(width), "the page scrolls sideways {about}");
    assert_eq!(seen.number("outside"), 0.0, "something lies outside of the window {about}");
    assert!(seen.number("letters") >= LEAST_LETTERS, "letters are too small {about}");
    assert_eq!((seen.number("lines"), seen.number("bars")), expected(report), "{about}");
    assert!(seen.number("narrowest") >= 60.0, "a bar has no room {about}");
    assert_eq!(seen.number("overlapping"), 0.0, "names of lines lie upon each other {about}");
    assert_eq!(seen.number("crowded"), 0.0, "numbers of an axis lie upon each other {about}");
    assert_eq!(seen.number("unnamed"), 0.0, "a drawing has neither a name nor is it hidden {about}");
    assert_eq!(seen.number("broken"), 0.0, "a link leads nowhere {about}");
}

#[test]
fn it_fits_a_phone_and_a_desk() {
    let Some(browser) = find("it_fits_a_phone_and_a_desk") else { return };
    for report in [sample(), committed()] {
        PHONES.into_iter().chain(BETWEEN).chain([DESKTOP]).for_each(|width| check(&browser, &report, width));
    }
}

#[test]
fn every_row_and_everyone_is_seen() {
    let Some(browser) = find("every_row_and_everyone_is_seen") else { return };
    for report in [sample(), committed()] {
        let text = browser.ask(&page(&report), PHONES[1], Theme::Light, "return page.body.innerText;");
        let shown =
            |name: &str| text.contains(&name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        for row in &report.rows {
            assert!(shown(&row.name), "the row {} is not on the page", row.name);
            row.figures.iter().for_each(|(who, figure)| {
                assert!(
                    shown(who) && shown(&row.unit.shown(figure.median)),
                    "{who} in {}: {figure:?}",
                    row.name
                );
            });
        }
        let rest = report.notes.iter().chain(&report.errors).chain([&report.command, &report.date]);
        rest.for_each(|line| assert!(shown(line), "`{line}` is not on the page"));
        report.versions.values().for_each(|version| assert!(shown(version), "{version} is not on the page"));
    }
}

/// The sum of red, green and blue in `rgb(1, 2, 3)`.
fn brightness(colour: &str) -> u32 {
    let numbers = colour.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
    numbers.map(|number| number.parse::<u32>().unwrap_or_else(|error| panic!("{colour}: {error}"))).sum()
}

#[test]
fn it_is_light_by_day_and_dark_by_night() {
    let Some(browser) = find("it_is_light_by_day_and_dark_by_night") else { return };
    let page = page(&sample());
    let paper = |theme| brightness(Seen(browser.ask(&page, PHONES[1], theme, LOOK)).text("paper"));
    let (light, dark) = (paper(Theme::Light), paper(Theme::Dark));
    assert!(light > 700 && dark < 100, "light: {light}, dark: {dark}, of 765");
    let pictures = [Theme::Light, Theme::Dark].map(|theme| browser.picture(&page, (PHONES[1], 2400), theme));
    for picture in &pictures {
        assert_eq!(size(picture), (PHONES[1], 2400));
        // A picture of one colour has a few kilobytes.
        assert!(picture.len() > 60_000, "a picture of {} bytes shows nothing", picture.len());
    }
    assert!(pictures[0] != pictures[1], "by night it looks as by day");
}

/// Width and height of a PNG, which are at its beginning.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n", "that is no PNG");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

#[test]
fn nothing_is_asked_for_from_anywhere() {
    for report in [sample(), committed()] {
        let text = page(&report);
        for asks in
            ["http:", "https:", "//", "src=", "@import", "url(", "<script", "<link", "<iframe", "<img"]
        {
            let at = text.find(asks).map(|at| text[at..].chars().take(60).collect::<String>());
            assert!(at.is_none(), "the page asks for something: {at:?}");
        }
    }
}

#[test]
fn the_page_works_without_sight() {
    let text = page(&sample());
    let must = [
        "<html lang=\"en\">",
        "name=\"viewport\"",
        "scope=\"col\"",
        "scope=\"row\"",
        "<main>",
        "<nav aria-label",
        "<h1>",
    ];
    must.iter().for_each(|part| assert!(text.contains(part), "{part} is missing"));
    for (open, close) in [
        ("<svg", "</svg>"),
        ("<section", "</section>"),
        ("<table", "</table>"),
        ("<li", "</li>"),
        ("<figure", "</figure>"),
    ] {
        let begun =
            text.matches(open).count() - if open == "<li" { text.matches("<line").count() } else { 0 };
        assert_eq!(begun, text.matches(close).count(), "{open}");
    }
    let mut names: Vec<&str> =
        text.split(" id=\"").skip(1).filter_map(|after| after.split('"').next()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "two parts have the same name");
}
