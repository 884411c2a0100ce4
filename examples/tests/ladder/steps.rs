//! The steps between the rungs are small, and no rung leaves a behaviour out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of code that a rung changes.
const STEP: usize = 60;
/// The most lines of code of a rung, and of the last one.
const LENGTH: usize = 350;
const LAST_LENGTH: usize = 700;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The rungs in their order: the name, such as `1_busy`, and the lines of code. Comments and blank lines are left out.
fn rungs() -> Vec<(String, Vec<String>)> {
    let files = fs::read_dir(folder("from_scratch")).expect("the ladder");
    let mut rungs: Vec<(String, Vec<String>)> = files
        .map(|file| {
            let path = file.expect("a rung").path();
            let text = fs::read_to_string(&path).expect("a text");
            let code = text.lines().filter(|line| !line.is_empty() && !line.trim_start().starts_with("//"));
            (path.file_stem().expect("a name").display().to_string(), code.map(str::to_owned).collect())
        })
        .collect();
    rungs.sort_by_key(|(name, _)| number(name));
    rungs
}

fn number(name: &str) -> usize {
    name.split('_')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a rung's name begins with its number")
}

/// For each place in `old` and `new`, how many lines the rests from there on have in common, in order.
fn common(old: &[String], new: &[String]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

/// How many lines were added or replaced, and how many were removed without a replacement.
fn changed(old: &[String], new: &[String]) -> usize {
    let common = common(old, new);
    let (mut i, mut j, mut total, mut removed, mut added) = (0, 0, 0, 0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            total += usize::max(removed, added);
            (i, j, removed, added) = (i + 1, j + 1, 0, 0);
        } else if j < new.len() && (i == old.len() || common[i][j + 1] >= common[i + 1][j]) {
            (j, added) = (j + 1, added + 1);
        } else {
            (i, removed) = (i + 1, removed + 1);
        }
    }
    total + usize::max(removed, added)
}

#[test]
fn a_replaced_line_counts_once() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(changed(&lines("a b c d"), &lines("a x c d")), 1);
    assert_eq!(changed(&lines("a b c d"), &lines("a c d e f")), 3);
}

#[test]
fn there_are_twelve_rungs_and_each_step_is_small() {
    let rungs = rungs();
    let numbers: Vec<_> = rungs.iter().map(|(name, _)| number(name)).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    let mut former: &[String] = &[];
    for (name, code) in &rungs {
        let (step, most) = (changed(former, code), if *name == "12_echo" { LAST_LENGTH } else { LENGTH });
        println!("{name}: {} lines of code, {step} changed", code.len());
        assert!(step <= STEP, "{name} changes {step} lines");
        assert!(code.len() <= most || number(name) > 9, "{name} has {} lines of code", code.len());
        assert!(code.len() <= LAST_LENGTH, "{name} has {} lines of code", code.len());
        former = code;
    }
}

/// The rung's file mounts its own program, and all the behaviours up to its own.
#[test]
fn the_list_of_behaviours_only_grows() {
    let behaviours: BTreeSet<usize> = fs::read_dir(folder("tests/ladder/behaviours"))
        .expect("the behaviours")
        .map(|file| file.expect("a file").path().file_stem().expect("a name").display().to_string())
        .map(|name| name.trim_start_matches("from_").parse().expect("a number"))
        .collect();
    for (name, _) in rungs() {
        let (number, word) = name.split_once('_').expect("a number and a word");
        let mounts =
            fs::read_to_string(folder("tests/ladder/rungs").join(format!("{word}.rs"))).expect("its file");
        assert!(mounts.contains(&format!("from_scratch/{name}.rs\"]\nmod rung;")), "{name}: {mounts}");
        let number: usize = number.parse().expect("a number");
        for from in behaviours.range(..=number) {
            let mount = format!("#[path = \"../behaviours/from_{from}.rs\"]\nmod from_{from};");
            assert!(mounts.contains(&mount), "{name} leaves out what holds from rung {from} on");
        }
    }
}
