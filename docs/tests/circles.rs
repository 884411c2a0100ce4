//! No module needs itself, not even through others: each file can be read with only the files below it in mind.
//!
//! Facts. A module needs another one if its code names it: `crate::a::b`, `super::b`, or `b::` for a child. Comments
//! and unit tests may name anything. So may macros, with `$crate::`, because their paths are those of the crate that
//! calls them.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use docs::{Source, sources};

/// Each module with the modules that its code names.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The macros of the crates.
const MACROS: &[&str] = &["task_local", "join", "select"];

/// `net/src/io/reader.rs` is the module `io::reader`; the root is `lib`.
fn name(file: &Source, folder: &str) -> String {
    let below = file.path.strip_prefix(folder).unwrap_or(&file.path).trim_start_matches('/');
    below.trim_end_matches(".rs").replace('/', "::")
}

fn graph(folder: &str) -> Graph {
    let files = sources(folder, &[".rs"]);
    let modules: BTreeSet<String> = files.iter().map(|file| name(file, folder)).collect();
    let needs = |file: &Source| {
        let here = name(file, folder);
        let paths = file.code().flat_map(|(_, line)| paths(line));
        paths.filter_map(|path| resolve(&path, &here, &modules)).filter(|there| *there != here).collect()
    };
    files.iter().map(|file| (name(file, folder), needs(file))).collect()
}

/// The paths that a line names, with a list in braces taken apart: `super::{a, b::C}` is `super::a` and `super::b::C`.
fn paths(line: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_path) {
        let length = rest[start..].find(|c| !is_path(c)).unwrap_or(rest.len() - start);
        let (path, after) = rest[start..].split_at(length);
        let of_a_macro = rest[..start].ends_with('$');
        let list = after.strip_prefix('{').filter(|_| path.ends_with("::"));
        let list = list.map_or("", |list| list.split('}').next().unwrap_or_default());
        if !of_a_macro {
            found.extend(list.split(',').map(|item| format!("{path}{}", item.trim())));
        }
        rest = after;
    }
    found.retain(|path| path.contains("::"));
    found
}

/// The module that a path leads to. If the path names something else, an item of the root for example, this is the
/// module that has the item.
fn resolve(path: &str, here: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut at: Vec<&str> = here.split("::").filter(|part| *part != "lib").collect();
    let is_child = || modules.contains(&[&at[..], &parts[..1]].concat().join("::"));
    match parts[0] {
        "crate" => at.clear(),
        "super" => drop(at.pop()),
        _ if is_child() => parts.insert(0, "self"),
        _ => return None,
    }
    at.extend(&parts[1..]);
    while !at.is_empty() && !modules.contains(&at.join("::")) {
        at.pop();
    }
    // A macro that is exported is an item of the root, wherever it stands: `use crate::task_local`.
    let is_macro = path.starts_with("crate::") && MACROS.contains(&&path[7..]);
    let found = if at.is_empty() { "lib".to_owned() } else { at.join("::") };
    Some(found).filter(|_| !is_macro)
}

/// The shortest way from a module back to itself, if there is one.
fn way_back(graph: &Graph, start: &String) -> Option<String> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in &graph[*way.last()?] {
            let longer = [&way[..], &[next]].concat();
            if next == start {
                return Some(longer.into_iter().cloned().collect::<Vec<_>>().join(" → "));
            }
            if seen.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// Fails on a circle, and if fewer modules or arrows are found than there must be.
fn no_module_needs_itself(folder: &str, modules: usize, arrows: usize) {
    let graph = graph(folder);
    for (module, needs) in &graph {
        println!("{module} → {}", needs.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    assert!(graph.len() > modules, "only {} modules: does this test still find them?", graph.len());
    let needs: usize = graph.values().map(BTreeSet::len).sum();
    assert!(needs > arrows, "only {needs} arrows: does this test still find them?");
    let found: Vec<String> = graph.keys().filter_map(|module| way_back(&graph, module)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_module_of_the_runtime_needs_itself() {
    no_module_needs_itself("runtime/src", 70, 250);
}

#[test]
fn no_module_of_net_needs_itself() {
    no_module_needs_itself("net/src", 20, 40);
}

#[test]
fn no_module_of_benches_needs_itself() {
    no_module_needs_itself("benches/src", 40, 100);
}

#[test]
fn no_module_of_the_labs_needs_itself() {
    no_module_needs_itself("examples/labs/src", 25, 60);
}

#[test]
fn paths_are_found_as_they_are_written() {
    let modules = ["lib", "a", "a::b", "a::c"].map(String::from).into();
    let table = [
        ("use crate::a::b::Item;", "a", Some("a::b")),
        ("use super::{Item, c::Other};", "a::b", Some("a")),
        ("use super::{c::Other};", "a::b", Some("a::c")),
        ("pub use b::Item;", "a", Some("a::b")),
        ("use crate::{Item};", "a::b", Some("lib")),
        ("crate::a::c::call(x)", "a::b", Some("a::c")),
        ("use std::b::Item;", "a", None),
        ("$crate::a::c::call(x)", "a::b", None),
    ];
    for (line, here, there) in table {
        let found = paths(line).iter().find_map(|path| resolve(path, here, &modules));
        assert_eq!(found.as_deref(), there, "{line} in {here}");
    }
}
