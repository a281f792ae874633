//! One example for every code, with what is said about it, and files as generators write them, about which no lint
//! says anything.

use holdfast::plan::Generation;
use holdfast::role::compile::{CompileRequest, Examined, Machine, examine};
use keepalived_compat::Code;
use keepalived_compat::diagnostics::page;
use keepalived_compat::lint::Facts;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A machine on which eth0 and its kin have 192.0.2.0/24 and 2001:db8::/64, and anybody may change `env`.
struct Sketch;

impl Facts for Sketch {
    fn networks(&self, interface: &str) -> Option<Vec<(IpAddr, u8)>> {
        let known = interface != "gone0";
        known.then(|| vec![([192, 0, 2, 250].into(), 24), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfa].into(), 64)])
    }
}

impl Machine for Sketch {
    fn writable(&self, program: &str) -> Option<String> {
        (program == "/usr/bin/env").then(|| "everybody may write to /usr/bin".to_owned())
    }
}

fn examined(file: &Path) -> Examined {
    let request = CompileRequest {
        file: file.to_owned(),
        config_id: Some("lb1".to_owned()),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: |name| name != "gone0",
        address_exists: |address| address.to_string() != "192.0.2.99",
    };
    examine(&request, &Sketch)
}

fn configs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name)
}

fn example(code: Code) -> PathBuf {
    configs("codes").join(format!("{code}.conf"))
}

/// The main example of a code and those named `HF0013-some-words.conf`.
fn examples(code: Code) -> Vec<PathBuf> {
    let files = std::fs::read_dir(configs("codes")).expect("the directory is there");
    let paths = files.filter_map(Result::ok).map(|f| f.path());
    let of_code = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{code}-")) && name.ends_with(".conf")
    };
    let mut more: Vec<PathBuf> = paths.filter(of_code).collect();
    more.sort();
    std::iter::once(example(code)).chain(more).collect()
}

/// All that is said about an example, names of files without their directory.
fn said(example: &Path) -> String {
    let examined = examined(example);
    let directory = configs("codes/").to_string_lossy().into_owned();
    let rendered = examined.diagnostics.iter().map(|d| d.render(&examined.sources) + "\n");
    rendered.collect::<Vec<_>>().join("\n").replace(&directory, "")
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Compares a text with the file that keeps it, or writes the file.
fn kept(file: &Path, text: &str) {
    if updating() {
        std::fs::write(file, text).expect("the directory is there");
    }
    let want = std::fs::read_to_string(file).unwrap_or_default();
    assert!(want == text, "{}: run with UPDATE=1 and look at the difference:\n{text}", file.display());
}

#[test]
fn every_code_has_an_example_that_looks_as_kept() {
    for code in Code::ALL.iter().copied() {
        assert!(example(code).exists(), "{code} has no example in tests/configs/codes/{code}.conf");
        for example in examples(code) {
            let found = examined(&example).diagnostics;
            assert!(found.iter().any(|d| d.code == code), "{code} does not come: {found:?}");
            kept(&example.with_extension("expected"), &said(&example));
        }
    }
}

#[test]
fn no_example_is_left_over() {
    let files = std::fs::read_dir(configs("codes")).expect("the directory is there");
    for name in files.filter_map(Result::ok).map(|f| f.file_name().to_string_lossy().into_owned()) {
        let code = name.split(['.', '-']).next().unwrap_or_default();
        assert!(Code::ALL.iter().any(|c| c.to_string() == code), "{name} belongs to no code");
    }
}

#[test]
fn diagnostics_page_is_up_to_date() {
    let shown = |code: Code| {
        let text = std::fs::read_to_string(example(code)).ok()?;
        // A line that nobody reads to its end is not worth printing.
        (text.lines().all(|line| line.len() < 200)).then(|| (text, said(&example(code))))
    };
    kept(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics.md"), &page(shown));
}

/// Is it advice of this tool alone?
fn is_lint(code: Code) -> bool {
    code as u16 >= 100
}

#[test]
fn lints_say_nothing_about_what_generators_write() {
    let files = std::fs::read_dir(configs("generators")).expect("the directory is there");
    let files: Vec<PathBuf> = files.filter_map(Result::ok).map(|f| f.path()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let examined = examined(&file);
        let known = |code| {
            // What the file is meant to show must be read at all.
            !matches!(
                code,
                Code::UnknownKeyword | Code::Brace | Code::MainFile | Code::MissingWord | Code::Quote
            )
        };
        for diagnostic in &examined.diagnostics {
            let text = diagnostic.render(&examined.sources);
            assert!(!is_lint(diagnostic.code) && known(diagnostic.code), "{}:\n{text}", file.display());
        }
    }
}

#[test]
fn lints_say_nothing_about_public_files_that_generators_wrote() {
    let Some(shared) = std::env::var_os("HOLDFAST_SHARED") else {
        assert!(is_lint(Code::AddressOutside) && !is_lint(Code::MissingInterface));
        return;
    };
    let files = ["040", "042", "043", "044", "045", "046", "047", "048", "049"];
    for name in files {
        let examined = examined(&Path::new(&shared).join("corpus").join(format!("{name}.conf")));
        // The networks of the sketch are not theirs.
        let lint = |c: Code| is_lint(c) && c != Code::AddressOutside;
        let found: Vec<_> = examined.diagnostics.iter().filter(|d| lint(d.code)).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}
