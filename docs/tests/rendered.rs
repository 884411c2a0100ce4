//! The book as mdBook makes it: it builds without a warning, its links lead somewhere, and no page is too wide.
//!
//! All of it is checked on the HTML, because that is what a reader in a browser gets.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use docs::links::{plain, repository};
use docs::root;

/// Pages with the longest lines, the widest tables and the largest pictures.
const PAGES: [&str; 6] = [
    "index.html",
    "chapters/05-one-bytes-journey.html",
    "chapters/16-measuring-honestly.html",
    "chapters/19-phrasebook.html",
    "glossary.html",
    "results.html",
];
/// The widths of a small phone and of a laptop's window.
const WIDTHS: [u32; 2] = [360, 1200];
/// The kinds of files that belong to a book.
const SHIPPED: [&str; 11] =
    ["html", "css", "js", "json", "svg", "png", "woff2", "woff", "ttf", "txt", "nojekyll"];

/// A book that was built.
struct Book {
    folder: PathBuf,
    said: String,
}

/// The book that all tests look at. `None` if mdBook is not installed.
static BOOK: LazyLock<Option<Book>> = LazyLock::new(Book::build);

/// The book. `None` is said aloud.
fn book() -> Option<&'static Book> {
    if BOOK.is_none() {
        skipped("mdbook is missing; the book is checked, but not rendered");
    }
    BOOK.as_ref()
}

/// Where the book and what looks at it may be.
fn workshop() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Book {
    fn build() -> Option<Self> {
        if !runs("mdbook") {
            return None;
        }
        let folder = workshop().join("book");
        let mut mdbook = Command::new("mdbook");
        let made = mdbook.args(["build", "-d"]).arg(&folder).arg(root().join("docs")).output();
        let made = made.expect("mdbook runs");
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{said}");
        Some(Self { folder, said })
    }

    /// The paths of all files below the folder.
    fn files(&self) -> BTreeSet<String> {
        let (mut found, mut folders) = (BTreeSet::new(), vec![self.folder.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of the book") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(&self.folder).expect("a path below the folder");
                    found.insert(below.to_string_lossy().into_owned());
                }
            }
        }
        found
    }

    /// All pages: path and text. (The page for what is not found has links from the root of a server.)
    fn pages(&self) -> BTreeMap<String, String> {
        let files = self.files().into_iter().filter(|file| file.ends_with(".html") && file != "404.html");
        files
            .map(|file| (file.clone(), fs::read_to_string(self.folder.join(file)).expect("a page")))
            .collect()
    }
}

fn runs(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Not through the test's own output, because the harness hides that if the test passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &'a str) -> impl Iterator<Item = &'a str> {
    let begin = format!(" {attribute}=\"");
    let starts: Vec<usize> = page.match_indices(&begin).map(|(at, _)| at + begin.len()).collect();
    starts.into_iter().filter_map(|at| page[at..].split('"').next())
}

/// Why a link of a page leads nowhere. `None` if it leads somewhere, or away from this project.
fn broken(
    pages: &BTreeMap<String, String>,
    files: &BTreeSet<String>,
    from: &str,
    link: &str,
) -> Option<String> {
    let stub = format!("{}/blob/main/", repository());
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    if let Some(source) = path.strip_prefix(&stub) {
        return (!root().join(source).exists()).then(|| format!("{from}: the repository has no {source}"));
    }
    if path.contains(':') {
        return None;
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = if path.is_empty() { from.to_owned() } else { plain(&format!("{folder}/{path}")) };
    if !files.contains(&target) {
        return Some(format!("{from}: nothing is at `{link}`"));
    }
    let is_known = |page: &String| values(page, "id").any(|id| id == anchor);
    let known = anchor.is_empty() || pages.get(&target).is_none_or(is_known);
    (!known).then(|| format!("{from}: nothing has the name of `{link}`"))
}

#[test]
fn the_book_builds_without_a_warning_and_every_link_leads_somewhere() {
    let Some(book) = book() else { return };
    assert!(!book.said.contains("WARN") && !book.said.contains("ERROR"), "{}", book.said);
    let (pages, files) = (book.pages(), book.files());
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (from, page) in &pages {
        for link in values(page, "href").chain(values(page, "src")) {
            seen += 1;
            wrong.extend(broken(&pages, &files, from, link));
        }
    }
    assert!(seen > 1000, "only {seen} links: does this test still find them?");
    assert!(wrong.is_empty(), "{} dead links:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn only_pages_and_pictures_are_shipped_and_nothing_is_to_be_run() {
    let Some(book) = book() else { return };
    for file in book.files() {
        let ending = file.rsplit(['.', '/']).next().unwrap_or_default();
        assert!(SHIPPED.contains(&ending), "{file} does not belong to the book");
    }
    let pages = book.pages();
    assert!(pages["index.html"].contains("<h1 id=\"preface\">"), "the first page is the preface");
    for (path, page) in pages {
        assert!(!page.contains("class=\"playground\""), "{path} has code with a button that cannot run it");
    }
}

/// A page that opens others in frames of all widths, and says which of them are wider than their frame.
///
/// Listings and tables scroll by themselves, so what counts is the page and its text.
fn measuring() -> String {
    let frames: Vec<String> = WIDTHS
        .iter()
        .flat_map(|width| {
            PAGES
                .map(|page| format!("<iframe width=\"{width}\" height=\"700\" src=\"book/{page}\"></iframe>"))
        })
        .collect();
    let script = "onload = () => { const said = [...document.querySelectorAll('iframe')].map(frame => {
        const page = frame.contentDocument;
        const parts = [page.documentElement, page.querySelector('#mdbook-content'), page.querySelector('main')];
        const wide = parts.filter(part => !part || part.scrollWidth > part.clientWidth);
        const widths = parts.map(part => part ? part.scrollWidth + '/' + part.clientWidth : 'missing');
        return (wide.length ? 'WIDE ' : 'FITS ') + frame.width + ' ' + frame.getAttribute('src') + ' ' + widths;
    }); document.getElementById('said').textContent = said.join('\\n'); }";
    format!("<!doctype html><pre id=\"said\"></pre>{}<script>{script}</script>", frames.concat())
}

/// Opens a page in a browser, and returns its text after its scripts have run.
fn looked_at(page: &Path) -> Option<String> {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| runs(name))?;
    let flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"];
    let quiet = ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"];
    let profile = format!("--user-data-dir={}", page.with_file_name("profile").display());
    let mut command = Command::new("timeout");
    command.args(["300", browser]).args(flags).args(quiet).args([&profile, "--allow-file-access-from-files"]);
    let output = command.arg("--dump-dom").arg(format!("file://{}", page.display())).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn no_page_is_wider_than_a_phone_or_a_window() {
    let Some(book) = book() else { return };
    let page = workshop().join("measured.html");
    assert!(book.folder.ends_with("book"), "the frames name the folder");
    fs::write(&page, measuring()).expect("a page can be written");
    let Some(text) = looked_at(&page) else {
        return skipped("there is no chromium to measure the book with");
    };
    let said =
        text.split("id=\"said\">").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap_or_default();
    assert_eq!(said.lines().count(), PAGES.len() * WIDTHS.len(), "each page was measured: {text}");
    assert!(said.lines().all(|line| line.starts_with("FITS ")), "{said}");
}
