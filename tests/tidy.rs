//! The house rules that a compiler does not check: who may import whom, what pure code may name, where
//! unsafe code may stand, how large a file may grow.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in layer order: a later group may import an earlier one, never the reverse; modules of one group
/// do not import each other.
const LAYERS: &[&[&str]] = &[
    &["net", "time"],
    &["wire"],
    &["plan"],
    &["bfd", "check", "config", "lvs", "track", "vrrp"],
    &["report"],
    &["link"],
    &["notify"],
    &["sys"],
    &["netlink"],
    &["role"],
    &["cli"],
    &["ctl", "supervisor"],
];

/// Modules without I/O, clock or randomness.
const PURE: &[&str] = &[
    "time.rs", "net.rs", "wire", "plan", "config", "vrrp", "check", "lvs", "bfd", "track", "report", "link",
    "notify",
];

/// What pure modules never name.
const IMPURE: &[&str] = &[
    "tokio",
    "nix::",
    "libc::",
    "rand::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::env",
];

/// The only callers of `config`, beside the module itself.
const CONFIG_USERS: &[&str] = &[
    "src/role/compile.rs",
    "src/role/compile/names.rs",
    "src/role/compile/effective.rs",
    "src/ctl/check.rs",
    "src/ctl/diff.rs",
];

/// Files that may ask for the wall clock, and what for. It jumps when somebody sets it: no deadline may depend on it.
const WALL_CLOCK: &[(&str, &str)] = &[
    ("src/ctl/traffic.rs", "`--until`, which outlives processes and the machine"),
    ("src/role/checker/traffic.rs", "ends and ramps of overrides, likewise"),
    ("src/role/compile/files.rs", "the seed of `random_seed`"),
    ("src/role/logging.rs", "the time of a log line"),
    ("src/role/probe_io/tls.rs", "the validity of certificates"),
    ("src/role/scripts/notify/mod.rs", "the date of a mail"),
    ("src/role/vrrp/driver.rs", "the time window of auth_hmac"),
    ("src/supervisor/dump.rs", "the times in keepalived's data files"),
    ("src/supervisor/status.rs", "the times of day in the status"),
    ("src/sys/clock.rs", "the function for those above"),
];

/// No file holds more than a head can.
const MAX_LINES: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `under`, as (path relative to the root, text).
fn rust_files(under: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.map(|e| e.expect("a readable folder").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a readable source file");
                found.push((relative(&path), text));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file below {under}: the check would be empty");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

/// A line without its comment. Good enough for checks that look for paths and keywords.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|group| group.contains(&module))
}

/// The top-level module a file belongs to: `src/vrrp/router.rs` and `src/vrrp.rs` to `vrrp`.
fn module_of(file: &str) -> Option<&str> {
    let rest = file.strip_prefix("src/")?;
    let module = rest.split('/').next()?;
    Some(module.strip_suffix(".rs").unwrap_or(module)).filter(|m| !matches!(*m, "lib" | "bin"))
}

/// Modules that a line of code names through `crate::`.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn imports_point_to_earlier_layers_only() {
    let mut faults = Vec::new();
    for (file, text) in rust_files("src") {
        let Some(module) = module_of(&file) else { continue };
        let own =
            layer(module).unwrap_or_else(|| panic!("{file}: module {module} has no layer in tests/tidy.rs"));
        for (number, line) in text.lines().enumerate() {
            for import in imports(code(line)).filter(|i| *i != module) {
                let allowed = layer(import).is_none_or(|theirs| theirs < own)
                    && (import != "config" || CONFIG_USERS.contains(&file.as_str()));
                if !allowed {
                    faults.push(format!("{file}:{}: {module} imports {import}", number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let mut faults = Vec::new();
    for (file, text) in rust_files("src") {
        let first = file.strip_prefix("src/").and_then(|f| f.split('/').next()).unwrap_or("");
        if !PURE.contains(&first) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for word in IMPURE.iter().filter(|word| code(line).contains(**word)) {
                faults.push(format!("{file}:{}: names {word}", number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_stands_in_sys_only() {
    let mut faults = Vec::new();
    for (file, text) in rust_files("src") {
        if file.starts_with("src/sys/") || file == "src/lib.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if code(line).split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "unsafe") {
                faults.push(format!("{file}:{}: unsafe", number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let compat = fs::read_to_string(root().join("keepalived-compat/src/lib.rs")).expect("the crate root");
    assert!(compat.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn deadlines_know_no_wall_clock() {
    let asks = |line: &str| {
        ["SystemTime::now", "CLOCK_REALTIME", "= unix_nanoseconds()"].iter().any(|w| code(line).contains(w))
    };
    let faults: Vec<String> = rust_files("src")
        .into_iter()
        .filter(|(file, text)| {
            text.lines().any(asks) && !WALL_CLOCK.iter().any(|(allowed, _)| allowed == file)
        })
        .map(|(file, _)| {
            format!("{file}: asks for the wall clock, which jumps; if it may, say why in WALL_CLOCK")
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_too_large() {
    let faults: Vec<String> = ["src", "keepalived-compat/src", "tests"]
        .into_iter()
        .flat_map(rust_files)
        .filter(|(_, text)| text.lines().count() > MAX_LINES)
        .map(|(file, text)| format!("{file}: {} lines, at most {MAX_LINES}", text.lines().count()))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A citation: `//= RFC9568 6.4.2 M-55` in Rust, `#= ...` in scenarios and scripts.
fn citations(line: &str) -> impl Iterator<Item = &str> {
    let line = line.trim_start();
    let cites = line.strip_prefix("//=").or_else(|| line.strip_prefix("#=")).unwrap_or("");
    cites.split([' ', ',', ';']).filter(|word| {
        word.strip_prefix("M-").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Every text file below `under`.
fn texts(under: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a readable folder").map(|e| e.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((relative(&path), text));
            }
        }
    }
    found
}

/// Requirements cited in code and in tests. A module of tests inside a source file is a test.
fn cited() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut code, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for (_, text) in rust_files("src") {
        let (kept, proved) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
        code.extend(kept.lines().flat_map(citations).map(str::to_owned));
        tests.extend(proved.lines().flat_map(citations).map(str::to_owned));
    }
    for (file, text) in texts("tests").into_iter().chain(texts("netns-scripts")) {
        if file != "tests/tidy.rs" {
            tests.extend(text.lines().flat_map(citations).map(str::to_owned));
        }
    }
    (code, tests)
}

/// `tests/requirements.tsv` lists every requirement with its standing. Each that is kept is cited where it is kept and
/// where that is proven; each MUST and SHOULD that is not kept says why; nothing unknown is cited.
#[test]
fn every_requirement_is_cited_in_code_and_in_a_test() {
    let list = fs::read_to_string(root().join("tests/requirements.tsv")).expect("the list of requirements");
    let (code, tests) = cited();
    let mut known = BTreeSet::new();
    let mut faults = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, _, level, standing, _, reason @ ..] = columns.as_slice() else {
            faults.push(format!("a line without its columns: {line}"));
            continue;
        };
        if !known.insert((*id).to_owned()) {
            faults.push(format!("{id} stands there twice"));
        }
        match *standing {
            "kept" => {
                let places = [(&code, "below src"), (&tests, "in a test")];
                let lacking = places.into_iter().filter(|(cited, _)| !cited.contains(*id));
                faults.extend(lacking.map(|(_, place)| format!("{id} is cited nowhere {place}")));
            }
            "deviates" | "kernel" | "operator" if reason.iter().any(|r| !r.is_empty()) => {}
            other => {
                faults.push(format!("{id}: standing `{other}` without a reason, or not allowed for {level}"))
            }
        }
    }
    let unknown = code.union(&tests).filter(|id| !known.contains(*id));
    faults.extend(unknown.map(|id| format!("{id} is cited but not in tests/requirements.tsv")));
    assert!(known.len() >= 118, "only {} requirements are listed", known.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What netns-scripts/chaos inflicts, what it promises and what the documentation names are the same faults.
#[test]
fn every_fault_of_chaos_is_promised_and_documented() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let script = read("netns-scripts/chaos.d/faults");
    let list = script.split_once("CHAOS_FAULTS=(").and_then(|(_, rest)| rest.split_once(')'));
    let (list, _) = list.expect("the list of faults, in brackets");
    let inflicted: BTreeSet<String> =
        list.split_whitespace().filter_map(|entry| Some(entry.split_once(':')?.0.to_owned())).collect();

    let promises = read("netns-scripts/chaos.d/promises.tsv");
    let lines = promises.lines().filter(|line| !line.starts_with('#')).skip(1);
    let promised: BTreeSet<String> =
        lines.filter_map(|line| Some(line.split_once('\t')?.0.to_owned())).collect();

    // `chaos: NAME, NAME` ends a row; `back:NAME` and `backup:NAME` stand for all of them.
    let rows = read("docs/failure-modes.md");
    let cells = rows.lines().filter_map(|row| Some(row.strip_suffix(" |")?.split_once("chaos: ")?.1));
    let documented: BTreeSet<String> =
        cells.flat_map(|names| names.split(", ")).map(|name| name.replace("NAME", "*")).collect();

    let single = |name: &&String| !name.contains(':');
    assert!(inflicted.len() > 30, "only {} faults: the check would be empty", inflicted.len());
    assert_eq!(inflicted, promised.iter().filter(single).cloned().collect(), "inflicted, promised");
    assert_eq!(inflicted, documented.iter().filter(single).cloned().collect(), "inflicted, documented");
    let unknown: Vec<_> = documented
        .iter()
        .filter(|name| !promised.contains(*name) && !promised.contains(name.trim_start_matches("back:")))
        .collect();
    assert!(unknown.is_empty(), "documented, but promised nowhere: {unknown:?}");
}
