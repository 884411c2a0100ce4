//! What the module headers promise about the sources, and what can be checked without understanding them.
//!
//! A rule that is not checked is only a wish. Each rule here was broken once on purpose, to see its test fail.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use docs::{Source, root, sources};

/// The layers of `runtime/src`, from the ground up. A file may use what is in lower layers, and in its own
/// where that layer says so. The first five are `runtime/src/core`, so nothing there can name what is outside.
const LAYERS: &[(&str, &[&str], Siblings)] = &[
    (
        "leaves",
        &["id", "clock", "random", "panics", "probe"],
        Siblings::Some(&[("probe", "id"), ("probe", "panics")]),
    ),
    (
        "what wakes, and what is woken",
        &["slots", "timers", "alarm", "inbox", "reactor"],
        Siblings::Some(&[
            ("reactor", "alarm"),
            ("reactor", "inbox"), // for the trait `Bell` only, which mio's waker implements
        ]),
    ),
    (
        "tasks",
        &["cell", "extras", "executor"],
        Siblings::Some(&[("executor", "cell"), ("executor", "extras")]),
    ),
    ("here", &["context", "waker"], Siblings::Some(&[("waker", "context")])),
    (
        "loop",
        &["pace", "event_loop", "shutdown"],
        Siblings::Some(&[("event_loop", "pace"), ("shutdown", "event_loop")]),
    ),
    (
        "tools",
        &["moment", "pool", "own_pool", "share", "waiter", "waits"],
        Siblings::Some(&[("own_pool", "pool")]),
    ),
    (
        "handles",
        &[
            "error", "judge", "join", "task", "local", "source", "time", "reply", "remote", "bound",
            "blocking",
        ],
        Siblings::All,
    ),
    ("line", &["waiting"], Siblings::None),
    (
        "vocabulary",
        &[
            "sync", "channel", "group", "cancel", "retry", "testing", "signal", "process", "workers",
            "record", "inspect",
        ],
        Siblings::All,
    ),
    (
        "runtime",
        &["warnings", "debug", "spans", "deadlock", "own_sinks", "runtime", "builder"],
        Siblings::All,
    ),
];

#[derive(Clone, Copy)]
enum Siblings {
    None,
    All,
    Some(&'static [(&'static str, &'static str)]),
}

/// What a file must not even mention outside its comments, because its header says that it does not know it.
const ABSENCES: &[(&str, &[&str])] = &[
    ("id", &["crate::"]),
    ("slots", &["Waker", "Future", "mio", "Instant", "Duration", "std::thread", "RefCell"]),
    ("timers", &["mio", "TaskId", "Instant", "Executor", "std::thread"]),
    ("reactor", &["TaskId", "Timers", "Executor", "Instant"]),
    ("inbox", &["mio", "Future", "Waker", "RefCell", "Rc<"]),
    ("pool", &["mio", "Future", "TaskId", "Executor", "JoinError", "Inbox", "Rc<"]),
    ("cell", &["TaskId", "Waker", "mio"]),
    ("executor", &["mio", "Instant", "Duration", "Clock", "RawWaker", "crate::waker"]),
    ("source", &["TcpStream", "UdpSocket", "TaskId"]),
    ("waker", &["Executor", "mio", "Box"]),
];

/// Lines of code: comments and blank lines are not counted, because there should be more of them where the code is hard.
const MOST_LINES_OF_CORE: usize = 3_000;
const LONGEST_FUNCTION: usize = 40;
/// A test is a script, which is read from top to bottom.
const LONGEST_TEST: usize = 70;
const LONGEST_FILE: usize = 500;

fn runtime() -> Vec<Source> {
    let mut files = sources("runtime/src", &[".rs"]);
    files.retain(|file| !file.path.contains("/tests/"));
    files
}

fn all_rust() -> Vec<Source> {
    ["runtime", "net", "examples", "benches", "docs"]
        .iter()
        .flat_map(|folder| sources(folder, &[".rs"]))
        .collect()
}

/// The part of the crate that a file belongs to: `sync` for `runtime/src/sync/mutex.rs`.
fn part(file: &Source) -> &str {
    let below = file.path.strip_prefix("runtime/src/").unwrap_or(&file.path);
    let below = below.strip_prefix("core/").unwrap_or(below);
    below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules, _)| modules.contains(&module))
}

/// The names that a line of code uses of a crate: `crate::a` and `crate::{a, b}`.
fn used(root: &str, line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in line.split(root).skip(1) {
        let list = after.strip_prefix('{').map_or(after, |list| list.split('}').next().unwrap_or_default());
        let parts: Vec<&str> = if after.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for part in parts {
            names.push(part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

#[test]
fn arrows_point_down() {
    let mut wrong = Vec::new();
    for file in runtime() {
        if ["lib", "core"].contains(&file.module()) {
            continue;
        }
        let here =
            layer(part(&file)).unwrap_or_else(|| panic!("{} is in no layer: add it to LAYERS", file.path));
        for (number, line) in file.code() {
            for module in used("crate::", &line.replace("crate::core::", "crate::")) {
                let Some(there) = layer(&module) else { continue };
                let allowed = match (there.cmp(&here), LAYERS[here].2) {
                    (std::cmp::Ordering::Less, _) | (std::cmp::Ordering::Equal, Siblings::All) => true,
                    (std::cmp::Ordering::Equal, Siblings::Some(pairs)) => {
                        pairs.contains(&(part(&file), &module))
                    }
                    _ => false,
                };
                if !allowed && module != part(&file) {
                    wrong.push(format!("{}:{number} uses {module}, which is not below it", file.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `net` may use of `roundel`: only what every user can use.
const SEAM: &[&str] = &["source", "spawn", "task", "time", "cancel", "blocking", "JoinHandle", "JoinError"];

#[test]
fn net_uses_the_seam_and_nothing_else() {
    let mut wrong = Vec::new();
    for file in sources("net/src", &[".rs"]) {
        for (number, line) in file.code() {
            let names = used("roundel::", line);
            for name in names.iter().filter(|name| !SEAM.contains(&name.as_str())) {
                wrong.push(format!("{}:{number} uses roundel::{name}, which is not the seam", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_said_to_be_absent_is_absent() {
    let files = runtime();
    let mut wrong = Vec::new();
    for (module, words) in ABSENCES {
        let of_part: Vec<_> = files.iter().filter(|file| part(file) == *module).collect();
        assert!(!of_part.is_empty(), "ABSENCES names {module}, which is no part of the crate");
        wrong.extend(of_part.into_iter().flat_map(|file| mentions(file, words)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The lines of a file that mention one of these words.
fn mentions(file: &Source, words: &[&str]) -> Vec<String> {
    // The parts under `#[cfg(test)]` may use anything.
    let end = line_of(file, "pub(crate) mod oracle");
    let lines = file.code().take_while(|(number, _)| *number < end);
    let word = |line: &str| words.iter().find(|word| line.contains(**word)).copied();
    let found = lines.filter_map(|(number, line)| Some((number, word(line)?, line)));
    found.map(|(number, word, line)| format!("{}:{number} mentions {word}: {line}", file.path)).collect()
}

fn line_of(file: &Source, text: &str) -> usize {
    file.text.lines().position(|line| line.contains(text)).map_or(usize::MAX, |index| index + 1)
}

#[test]
fn the_time_is_asked_for_in_one_file() {
    let asks = |file: &Source| file.code().any(|(_, line)| line.contains("Instant::now"));
    let files: Vec<String> = runtime().into_iter().filter(asks).map(|file| file.path).collect();
    assert_eq!(files, ["runtime/src/core/clock.rs"]);
}

#[test]
fn there_are_two_thread_locals_and_one_unsafe() {
    let mut unsafes = Vec::new();
    for file in all_rust() {
        let words =
            |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        let lines = file.code().filter(|(_, line)| words(line) && !line.contains('"'));
        unsafes.extend(lines.map(|(number, _)| format!("{}:{number}", file.path)));
    }
    assert!(unsafes.len() == 1 && unsafes[0].starts_with("runtime/src/core/waker.rs:"), "{unsafes:?}");
    let mut locals = Vec::new();
    for file in runtime() {
        let end = line_of(&file, "#[cfg(test)]\npub(crate) mod oracle")
            .min(line_of(&file, "pub(crate) mod oracle"));
        let lines = file.code().filter(|(number, line)| line.contains("thread_local!") && *number < end);
        locals.extend(lines.map(|_| file.path.clone()));
    }
    locals.sort();
    assert_eq!(
        locals,
        ["runtime/src/bound.rs", "runtime/src/core/context.rs"],
        "one in the core, one outside"
    );
}

#[test]
fn every_crate_refuses_unsafe() {
    for file in all_rust() {
        let is_root = file.path.ends_with("src/lib.rs")
            || file.path.contains("/tests/") && file.path.matches('/').count() == 2
            || file.path.starts_with("examples/") && file.text.contains("\nfn main(")
            || file.path.contains("/bin/")
            || file.path.contains("/benches/benches/");
        let refuses =
            file.text.contains("#![forbid(unsafe_code)]") || file.text.contains("#![deny(unsafe_code)]");
        assert!(!is_root || refuses, "{} does not refuse unsafe code", file.path);
    }
}

#[test]
fn every_file_opens_with_its_reasons() {
    for file in all_rust() {
        let first =
            file.text.lines().find(|line| !line.starts_with("#!") && !line.is_empty()).unwrap_or_default();
        assert!(first.starts_with("//! "), "{} has no header", file.path);
    }
    for file in runtime().iter().filter(|file| file.path != "runtime/src/lib.rs") {
        let header: String = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let says = ["Facts", "facts", "Contract", "──►"].iter().any(|word| header.contains(word));
        assert!(says, "{}: a header says the facts, or the contract", file.path);
    }
}

/// `core/alarm.rs` for `runtime/src/core/alarm.rs`.
fn below_src(file: &Source) -> &str {
    file.path.split_once("src/").map_or("", |(_, below)| below)
}

#[test]
fn no_file_is_an_orphan() {
    let files: Vec<Source> = runtime().into_iter().chain(sources("net/src", &[".rs"])).collect();
    for file in files.iter().filter(|file| !file.path.ends_with("src/lib.rs")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let parent =
            if folder.ends_with("src") { format!("{folder}/lib.rs") } else { format!("{folder}.rs") };
        let parent = files.iter().find(|file| file.path == parent).map_or("", |file| &file.text);
        let mounted = parent.lines().any(|line| {
            line.trim_start_matches("pub ").trim_start_matches("pub(crate) ")
                == format!("mod {};", file.module())
        });
        // An attribute may put it in another file's place.
        let stands_in =
            files.iter().any(|other| other.text.contains(&format!("path = \"{}\"", below_src(file))));
        assert!(mounted || stands_in, "{} is not part of the crate", file.path);
    }
}

/// The functions of a file with the number of lines each has, found by indentation, which rustfmt guarantees.
fn functions(file: &Source) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_function =
            line.trim_start().split(' ').take(5).any(|word| word == "fn") && !line.trim_end().ends_with(';');
        if !is_function || line.trim_start().starts_with("//") {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| **line == end).map_or(1, |length| length + 1);
        found.push((start + 1, length));
    }
    found
}

#[test]
fn functions_and_files_are_short() {
    let mut counted = 0;
    for file in all_rust() {
        let is_test = file.path.contains("/tests/") || file.path.contains("/testkit/");
        let longest = if is_test { LONGEST_TEST } else { LONGEST_FUNCTION };
        for (line, length) in functions(&file) {
            counted += 1;
            assert!(length <= longest, "{}:{line}: a function of {length} lines", file.path);
        }
        let lines = file.text.lines().count();
        // Tables of tests may be long. Files that are read from top to bottom may not. A rung of the ladder is read as what
        // it changes in the one before, and `examples/tests/ladder/steps.rs` holds its length.
        let is_short = is_test || file.path.starts_with("examples/from_scratch/") || lines <= LONGEST_FILE;
        assert!(is_short, "{} has {lines} lines", file.path);
    }
    assert!(counted > 300, "only {counted} functions: does this test still find them?");
}

#[test]
fn the_core_can_be_read_in_an_afternoon() {
    let core = runtime().into_iter().filter(|file| file.path.starts_with("runtime/src/core"));
    let lines: usize = core.map(|file| lines_of_code(&file)).sum();
    assert!(lines <= MOST_LINES_OF_CORE, "the core has {lines} lines of code");
}

fn lines_of_code(file: &Source) -> usize {
    let lines = file.text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn turn_fits_one_screen() {
    let event_loop = sources("runtime/src/core", &["event_loop.rs"]).remove(0);
    let at = line_of(&event_loop, "fn turn(");
    let length = functions(&event_loop).into_iter().find(|(line, _)| *line == at).map(|(_, length)| length);
    assert!(length.is_some_and(|length| length <= 24), "turn has {length:?} lines");
}

/// The bodies of the functions of this name in a file below `runtime/src`.
fn bodies(path: &str, name: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let mut found = sources(&format!("runtime/src/{folder}"), &[file]);
    found.retain(|source| source.path == format!("runtime/src/{path}"));
    let source = found.pop().unwrap_or_else(|| panic!("docs/design.md names {path}, which is no file"));
    let lines: Vec<&str> = source.text.lines().collect();
    let is_named = |line: &str| ["(", "<"].iter().any(|end| line.contains(&format!("fn {name}{end}")));
    let functions = functions(&source).into_iter().filter(|(line, _)| is_named(lines[line - 1]));
    functions.map(|(line, length)| lines[line..line - 1 + length].join("\n")).collect()
}

#[test]
fn each_step_of_the_walks_calls_the_next_and_none_goes_up() {
    let design = std::fs::read_to_string(root().join("docs/design.md")).expect("docs/design.md");
    let section = design.split("\n## Two walks\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let mut steps_seen = 0;
    for line in section.expect("two walks").lines().filter(|line| line.contains(" → ")) {
        let steps: Vec<(&str, &str)> =
            line.split('`').skip(1).step_by(2).filter_map(|step| step.split_once(".rs:")).collect();
        for pair in steps.windows(2) {
            let [(path, name), (next_path, next)] = [pair[0], pair[1]];
            let calls = |body: &String| ["(", "::<"].iter().any(|by| body.contains(&format!("{next}{by}")));
            let found = bodies(&format!("{path}.rs"), name).iter().any(calls);
            assert!(found, "{path}.rs: `{name}` does not call `{next}`");
            let height =
                |path: &str| layer(path.trim_start_matches("core/").split('/').next().unwrap_or(path));
            assert!(height(path) >= height(next_path), "{line}: from {path} up to {next_path}");
            steps_seen += 1;
        }
        let (path, name) = steps[steps.len() - 1];
        assert!(!bodies(&format!("{path}.rs"), name).is_empty(), "{path}.rs has no function `{name}`");
    }
    assert!(steps_seen > 30, "only {steps_seen} steps: does this test still find them?");
}

/// Whether a line has an absolute path to a folder of a user. In the middle of a path, these are folders of this project.
fn has_path_of_a_machine(line: &str) -> bool {
    let folders = ["/work/", "/root/", "/home/"].into_iter();
    let mut places = folders.flat_map(|folder| line.match_indices(folder));
    places.any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '.'))
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut texts = sources(".", &[".md", ".toml", ".rs", ".yml"]);
    texts.retain(|text| !text.path.starts_with("target") && text.module() != "tidy");
    assert!(texts.len() > 30, "{} files in {}", texts.len(), root().display());
    for text in texts {
        for (index, line) in text.text.lines().enumerate() {
            assert!(
                !has_path_of_a_machine(line),
                "{}:{}: a path of one machine: {line}",
                text.path,
                index + 1
            );
        }
    }
}

/// The modules of `benches`, as their paths: `faceoff::groups::timed`.
fn modules_of_benches() -> BTreeMap<String, Source> {
    let mut files = sources("benches/src", &[".rs"]);
    files.retain(|file| !file.path.contains("/bin/") && file.module() != "lib" && file.module() != "tests");
    let path = |file: &Source| {
        let below = file.path.trim_start_matches("benches/src/").trim_end_matches(".rs");
        below.replace('/', "::")
    };
    files.into_iter().map(|file| (path(&file), file)).collect()
}

#[test]
fn no_two_files_of_benches_share_a_name() {
    let mut names = BTreeMap::new();
    for (path, file) in modules_of_benches() {
        let other = names.insert(file.module().to_owned(), path.clone());
        assert!(other.is_none(), "two files have the same name: {path} and {other:?}");
    }
}

/// Public enums that need not grow. There are two directions. A receiver has missed values, or has received the last
/// one. A macro matches the other two.
const COMPLETE: &[&str] = &["BroadcastError", "Direction", "Either", "MaybeDone"];

#[test]
fn public_enums_may_grow() {
    for file in runtime().into_iter().chain(sources("net/src", &[".rs"])) {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) =
                line.strip_prefix("pub enum ").and_then(|rest| rest.split([' ', '<', ':']).next())
            else {
                continue;
            };
            let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
            let may_grow = attributes.into_iter().any(|line| *line == "#[non_exhaustive]");
            let known = may_grow || COMPLETE.contains(&name);
            assert!(known, "{}:{}: {name} is not #[non_exhaustive]", file.path, at + 1);
        }
    }
}

#[test]
fn dependencies_have_a_reason_each() {
    let design = std::fs::read_to_string(root().join("docs/design.md")).expect("docs/design.md");
    for package in ["runtime", "net"] {
        let path = root().join(package).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).expect("a manifest");
        let product = manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next());
        let lines = product.expect("dependencies").lines().filter(|line| line.contains(" = "));
        for name in lines.filter_map(|line| line.split(['.', ' ']).next()).filter(|name| *name != "roundel") {
            assert!(design.contains(&format!("| `{name}` |")), "docs/design.md gives no reason for `{name}`");
        }
    }
}
