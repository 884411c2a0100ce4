//! Hello: the smallest program of each contender, its size and its dependencies.
//!
//! Facts. The first thing that a newcomer sees of a runtime is how long cargo takes. A crate in the workspace is built
//! with the features of all its users there.
//!
//! What follows. Each hello is a package of its own below `target/faceoff`, outside of the workspace, with the features
//! that its crate's documentation recommends to beginners and with our versions. It spawns a task that sleeps for a
//! millisecond and prints. It is built from nothing, with the workspace's optimisation, and stripped; and it is run.
//!
//! A second job, `hello, only the loop`, is the same program with the fewest features that still run it. A contender whose
//! hello has no feature to spare is built as in the first.
//!
//! Contract. Cargo uses the network only for what it does not have already.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::faceoff::counting::process::{cargo, root};
use crate::faceoff::job::{Job, Miss};
use crate::faceoff::place::locked_version;
use crate::faceoff::plan::Plan;
use crate::faceoff::report::Unit;
use crate::faceoff::tables::OURS;

/// Names, and what Cargo is told beside the version.
type Crates = &'static [(&'static str, &'static str)];

/// A contender, its crates, and its program.
#[derive(Clone, Copy)]
struct Hello {
    name: &'static str,
    crates: Crates,
    /// The same with the fewest features.
    least: Crates,
    main: &'static str,
}

/// What its README and its tutorial tell beginners to write.
const TOKIO: Crates = &[("tokio", "features = [\"full\"]")];
const LEAST_OF_TOKIO: Crates = &[("tokio", "features = [\"rt\", \"time\"]")];
// These have no feature to spare.
const SMOL: Crates = &[("async-executor", ""), ("async-io", "")];
const COMPIO: Crates = &[("compio", "features = [\"time\"]")];

const HELLOS: [Hello; 7] = [
    Hello {
        name: "roundel",
        crates: &[("roundel", "")],
        least: &[("roundel", "default-features = false")],
        main: "roundel::run(async { roundel::spawn(hello(roundel::time::sleep)).await.unwrap() })",
    },
    Hello {
        name: "tokio",
        crates: TOKIO,
        least: LEAST_OF_TOKIO,
        main: "tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
        .block_on(async { tokio::spawn(hello(tokio::time::sleep)).await.unwrap() })",
    },
    Hello {
        name: "tokio_local",
        crates: TOKIO,
        least: LEAST_OF_TOKIO,
        main: "tokio::runtime::Builder::new_current_thread().enable_time().build_local(Default::default()).unwrap()
        .block_on(async { tokio::task::spawn_local(hello(tokio::time::sleep)).await.unwrap() })",
    },
    Hello {
        name: "smol",
        crates: SMOL,
        least: SMOL,
        main: "let executor = async_executor::LocalExecutor::new();
    async_io::block_on(executor.run(executor.spawn(hello(async_io::Timer::after))));",
    },
    Hello {
        name: "monoio",
        crates: &[("monoio", "")],
        least: &[("monoio", "default-features = false, features = [\"legacy\"]")],
        main: "monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer().build().unwrap()
        .block_on(async { monoio::spawn(hello(monoio::time::sleep)).await })",
    },
    Hello {
        name: "monoio_uring",
        crates: &[("monoio", "")],
        least: &[("monoio", "default-features = false, features = [\"iouring\"]")],
        main: "monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build().unwrap()
        .block_on(async { monoio::spawn(hello(monoio::time::sleep)).await })",
    },
    Hello {
        name: "compio",
        crates: COMPIO,
        least: COMPIO,
        main: "compio::runtime::Runtime::new().unwrap()
        .block_on(async { compio::runtime::spawn(hello(compio::time::sleep)).await.unwrap() })",
    },
];

pub fn jobs(plan: &Plan, group: &'static str) -> [Job; 2] {
    [job(plan, group, "hello", |hello| hello), job(plan, group, "hello, only the loop", only_the_loop)]
}

fn only_the_loop(hello: Hello) -> Hello {
    Hello { crates: hello.least, ..hello }
}

fn job(plan: &Plan, group: &'static str, title: &'static str, which: fn(Hello) -> Hello) -> Job {
    let rows = vec![
        (format!("{title}: the program, stripped"), Unit::Bytes),
        (format!("{title}: crates that are built for it"), Unit::Count),
        (format!("{title}: to build it all from nothing"), Unit::Seconds),
    ];
    let run = Box::new(move |who: &'static str| {
        let hello = HELLOS.iter().find(|hello| hello.name == who).expect("everyone says hello");
        measure(&which(*hello)).map_err(|error| Miss::Wrong(format!("{title}: {error}")))
    });
    let names = HELLOS.iter().map(|hello| hello.name).filter(|name| !plan.alone || *name == OURS).collect();
    let guess = Duration::from_secs(15);
    Job { guess, run, ..Job::new(group, rows, names) }
}

fn measure(hello: &Hello) -> io::Result<Vec<f64>> {
    let package = write(hello, &root())?;
    // This uses the network, if it must; the build does not.
    let tree = run_cargo(&package, &["tree", "-e", "normal,build", "--prefix", "none"])?;
    let crates = crates_of(&String::from_utf8_lossy(&tree.stdout)).len();
    let start = Instant::now();
    run_cargo(&package, &["build", "--quiet", "--release", "--target-dir", "target"])?;
    let took = start.elapsed();
    let program = package.join("target/release/hello");
    let said = Command::new(&program).output()?;
    if said.stdout != b"hello\n" {
        return Err(io::Error::other(format!("it said {:?}", String::from_utf8_lossy(&said.stdout))));
    }
    let size = fs::metadata(&program)?.len();
    fs::remove_dir_all(package.join("target"))?;
    Ok(vec![size as f64, crates as f64, took.as_secs_f64()])
}

/// Writes the package, with nothing built in it.
fn write(hello: &Hello, root: &Path) -> io::Result<PathBuf> {
    let package = root.join("target/faceoff").join(format!("hello-{}", hello.name));
    if package.exists() {
        fs::remove_dir_all(&package)?;
    }
    fs::create_dir_all(package.join("src"))?;
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock"))?;
    fs::write(package.join("Cargo.toml"), manifest(hello, root))?;
    fs::write(package.join("src/main.rs"), source(hello))?;
    Ok(package)
}

fn manifest(hello: &Hello, root: &Path) -> String {
    let line = |(name, options): &(&str, &str)| {
        let from = match *name {
            "roundel" => format!("path = {:?}", root.join("runtime")),
            name => format!("version = \"={}\"", locked_version(name).expect("its version is locked")),
        };
        let comma = if options.is_empty() { "" } else { ", " };
        format!("{name} = {{ {from}{comma}{options} }}\n")
    };
    let crates: String = hello.crates.iter().map(line).collect();
    format!(
        "[workspace]\n\n[package]\nname = \"hello\"\nedition = \"2024\"\n\n[dependencies]\n{crates}\n\
         [profile.release]\nlto = \"thin\"\ncodegen-units = 1\nstrip = true\n"
    )
}

fn source(hello: &Hello) -> String {
    format!(
        "use std::future::Future;
use std::time::Duration;

async fn hello<F: Future>(sleep: impl FnOnce(Duration) -> F) {{
    sleep(Duration::from_millis(1)).await;
    println!(\"hello\");
}}

fn main() {{
    {};
}}
",
        hello.main.trim_end_matches(';')
    )
}

/// Runs cargo without the network, or else with it.
fn run_cargo(package: &Path, words: &[&str]) -> io::Result<Output> {
    let once = |more: Option<&OsStr>| {
        let mut command = Command::new(cargo());
        command.args(words).args(more).current_dir(package).stdin(Stdio::null()).output()
    };
    let offline = once(Some(OsStr::new("--offline")))?;
    if offline.status.success() {
        return Ok(offline);
    }
    let online = once(None)?;
    match online.status.success() {
        true => Ok(online),
        false => Err(io::Error::other(String::from_utf8_lossy(&online.stderr).trim().replace('\n', " "))),
    }
}

/// The crates in what `cargo tree` prints, without the program itself, which comes first.
fn crates_of(tree: &str) -> BTreeSet<&str> {
    let lines = tree.lines().skip(1).map(|line| line.trim_end_matches(" (*)"));
    lines.filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_counted_once_and_hello_is_none() {
        let tree =
            "hello v0.0.0 (/here)\nmio v1.2.0\nlibc v0.2.1\nslab v0.4.12\nlibc v0.2.1\nmio v1.2.0 (*)\n";
        assert_eq!(crates_of(tree), BTreeSet::from(["libc v0.2.1", "mio v1.2.0", "slab v0.4.12"]));
    }

    #[test]
    fn a_hello_has_the_versions_of_the_lock_file() {
        for hello in HELLOS.into_iter().flat_map(|hello| [hello, only_the_loop(hello)]) {
            let manifest: toml::Table = manifest(&hello, Path::new("/there")).parse().unwrap();
            let crates = manifest["dependencies"].as_table().unwrap();
            assert_eq!(crates.len(), hello.crates.len());
            let pinned =
                |of: &toml::Value| of.get("version").is_none_or(|v| v.as_str().unwrap().starts_with('='));
            assert!(crates.values().all(pinned), "{manifest:?}");
        }
    }
}
