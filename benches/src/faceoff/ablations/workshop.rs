//! Where the copies are made and built: one workspace with all of them.
//!
//! Facts. Building a runtime, its sockets and a program takes some seconds; ten of them, most of a minute. Cargo does
//! not build a file again that has not been written since.
//!
//! What follows. There is one workspace, so that what all copies depend on is built once, and a file is written only if
//! it changes. The packages have names of their own; the crates in them keep theirs. The versions are those of our lock
//! file. All copies, the untouched one too, are built with our profile.
//!
//! ```text
//!   target/faceoff/ablations/   Cargo.toml  Cargo.lock
//!      untouched/               runtime/  net/  program/
//!      arc-waker/               runtime/  net/  program/     … one folder for each ablation
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use crate::faceoff::ablations::list::ABLATIONS;
use crate::faceoff::ablations::patch::{self, Texts};

/// The copy in which nothing is changed.
pub const UNTOUCHED: &str = "untouched";

/// The root of our workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is one below the root").to_owned()
}

/// Whether the sources are there: a program can be moved away from them.
pub fn has_sources() -> bool {
    root().join("Cargo.toml").exists()
}

fn workshop() -> PathBuf {
    root().join("target/faceoff/ablations")
}

/// The program of a copy.
pub fn program(name: &str) -> PathBuf {
    workshop().join("target/release").join(name)
}

/// Copies, patches and builds all.
///
/// # Errors
///
/// If a file cannot be read or written, if a patch does not apply, or if Cargo fails.
pub fn build() -> Result<(), String> {
    let sources = sources()?;
    let names: Vec<&str> = [UNTOUCHED].into_iter().chain(ABLATIONS.iter().map(|it| it.name)).collect();
    names.iter().try_for_each(|name| copy(name, sources.clone()))?;
    write("Cargo.toml", workspace(&names)?)?;
    write("Cargo.lock", read(&root().join("Cargo.lock"))?)?;
    // Everything that is needed was fetched when this program was built. If not, Cargo may use the network.
    let built = cargo(&["--offline"]);
    let built = built.or_else(|why| if why.contains("offline") { cargo(&[]) } else { Err(why) });
    built.map_err(|why| format!("cannot build the copies in {}: {why}", workshop().display()))
}

/// The error is Cargo's message.
fn cargo(words: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--bins", "--quiet", "--target-dir"]).arg(workshop().join("target"));
    let output = command.args(words).current_dir(workshop()).output();
    let output = output.map_err(|error| format!("cannot run {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Our own workspace with other members, and without the lines about the product's packages.
fn workspace(names: &[&str]) -> Result<String, String> {
    let ours = read(&root().join("Cargo.toml"))?;
    let members: String = names
        .iter()
        .map(|name| format!("\"{name}/runtime\", \"{name}/net\", \"{name}/program\", "))
        .collect();
    let left_out = |line: &&str| line.starts_with("default-members") || line.starts_with("roundel");
    let lines = ours.lines().filter(|line| !left_out(line));
    let lines = lines.map(|line| match line.starts_with("members = ") {
        true => format!("members = [{members}]\n"),
        false => format!("{line}\n"),
    });
    Ok(lines.collect())
}

/// The product's sources, which each copy begins with.
///
/// # Errors
///
/// If a file cannot be read.
pub fn sources() -> Result<Texts, String> {
    let mut texts = Texts::new();
    for folder in ["runtime", "net"] {
        for file in files(&root().join(folder)).map_err(|error| format!("cannot list {folder}/: {error}"))? {
            let path = file.strip_prefix(root()).unwrap_or(&file).to_string_lossy().into_owned();
            // A copy has no tests, so it does not need the package that they share.
            if !path.starts_with("runtime/testkit/") {
                texts.insert(path, read(&file)?);
            }
        }
    }
    Ok(texts)
}

/// Applies the patch of this ablation.
///
/// # Errors
///
/// If the patch cannot be read, or does not apply.
pub fn ablate(name: &str, texts: &mut Texts) -> Result<(), String> {
    let file = format!("benches/ablations/{name}.patch");
    let changes = patch::parse(&read(&root().join(&file))?);
    changes.and_then(|changes| patch::apply(&changes, texts)).map_err(|why| format!("{file}: {why}"))
}

fn copy(name: &str, mut texts: Texts) -> Result<(), String> {
    if name != UNTOUCHED {
        ablate(name, &mut texts)?;
    }
    for (path, text) in texts {
        let manifest = path.strip_suffix("/Cargo.toml").map(|folder| renamed(&text, name, folder));
        write(&format!("{name}/{path}"), manifest.unwrap_or(text))?;
    }
    write(&format!("{name}/program/Cargo.toml"), manifest(name))
}

/// Another name for the package; the crate keeps its own. A copy has no tests, so it needs none of their dependencies.
fn renamed(manifest: &str, name: &str, folder: &str) -> String {
    let library = if folder == "net" { "roundel_net" } else { "roundel" };
    let product = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    let lines = product.lines().map(|line| match line {
        "name = \"roundel\"" => format!("name = \"roundel-{name}\"\n"),
        "name = \"roundel-net\"" => format!("name = \"roundel-net-{name}\"\n"),
        line if line.starts_with("roundel = ") => on_runtime(name),
        line => format!("{line}\n"),
    });
    format!("{}\n[lints]\nworkspace = true\n\n[lib]\nname = \"{library}\"\n", lines.collect::<String>())
}

fn on_runtime(name: &str) -> String {
    format!("roundel = {{ package = \"roundel-{name}\", path = \"../runtime\" }}\n")
}

/// The program is the same file for all copies.
fn manifest(name: &str) -> String {
    let runtime = on_runtime(name);
    format!(
        "\
[package]
name = \"{name}\"
edition.workspace = true

[dependencies]
{runtime}roundel-net = {{ package = \"roundel-net-{name}\", path = \"../net\" }}

[[bin]]
name = \"{name}\"
path = \"../../../../../benches/src/bin/ablated.rs\"
"
    )
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_text = path
                .extension()
                .is_some_and(|ending| ["rs", "toml", "md"].iter().any(|known| ending == *known));
            match path.is_dir() {
                true => folders.push(path),
                false if is_text => files.push(path),
                false => {}
            }
        }
    }
    Ok(files)
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Writes a file of the workshop, if its text has changed.
fn write(file: &str, text: String) -> Result<(), String> {
    let file = workshop().join(file);
    if fs::read_to_string(&file).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let folder = file.parent().expect("a file is in a folder");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&file, text));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))
}
