//! Files that are no configuration, given to the real programs: each a clear error, at once and in little memory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DAEMON: &str = env!("CARGO_BIN_EXE_holdfast");
const TOOL: &str = env!("CARGO_BIN_EXE_holdfastctl");
/// The account of nobody.
const NOBODY: u32 = 65_534;
/// Address space that a program may use, in KiB: a file that is read into memory twice is beyond it.
const MEMORY: &str = "600000";

/// Runs `program` with little memory.
fn bounded(program: &str, words: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {MEMORY}; exec \"$@\"")).arg("sh").arg(program).args(words);
    command.output().expect("sh runs")
}

/// What both programs say about a file; each must refuse it.
fn refused(file: &Path) -> String {
    let file = file.to_str().expect("a name in ASCII");
    let test = bounded(DAEMON, &["-t", "-f", file]);
    assert_eq!(test.status.code(), Some(4), "{file}: {test:?}");
    let check = bounded(TOOL, &["check", file]);
    assert_eq!(check.status.code(), Some(2), "{file}: {check:?}");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("HF00") && said.contains(file), "{file}: {said}");
    said
}

/// A directory that everybody may enter.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
    folder
}

#[test]
fn what_is_no_regular_file_is_named() {
    let folder = folder();
    assert!(refused(folder.path()).contains("regular file"));
    for device in ["/dev/zero", "/dev/null", "/dev/random"] {
        assert!(refused(Path::new(device)).contains("regular file"), "{device}");
    }
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    assert!(refused(&pipe).contains("regular file"), "opening it waits for nobody");
    assert!(refused(&folder.path().join("absent")).contains("No such file"));
    let executable = folder.path().join("executable.conf");
    fs::write(&executable, "global_defs {\n}\n").expect("a file");
    fs::set_permissions(&executable, Permissions::from_mode(0o755)).expect("it is ours");
    assert!(refused(&executable).contains("chmod a-x"));
}

#[test]
fn a_file_of_a_gigabyte_is_not_read() {
    let folder = folder();
    let huge = folder.path().join("huge.conf");
    let file = File::create(&huge).expect("a file");
    file.set_len(1 << 30).expect("a file with a hole");
    assert!(refused(&huge).contains("larger than 256 MiB"));
}

/// Run as nobody by root, whom no permission stops.
#[test]
fn a_file_without_permission_is_named() {
    let folder = folder();
    let secret = folder.path().join("secret.conf");
    fs::write(&secret, "global_defs {\n}\n").expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).expect("it is ours");
    if File::open(&secret).is_err() {
        assert!(refused(&secret).contains("Permission denied"));
        return;
    }
    // nobody may not reach the directory that the program was built in. Another process copies: a file that this one has
    // open for writing is so for a moment in every process that other tests start, and cannot be run.
    let copy = |program: &str| -> PathBuf {
        let to = folder.path().join(Path::new(program).file_name().expect("a program"));
        let copied = Command::new("cp").arg(program).arg(&to).status().expect("cp is there");
        assert!(copied.success(), "cp {program}: {copied}");
        to
    };
    for (program, words, status) in [(TOOL, &["check"][..], 2), (DAEMON, &["-t", "-f"][..], 4)] {
        let output = Command::new(copy(program)).args(words).arg(&secret).uid(NOBODY).gid(NOBODY).output();
        let output = output.expect("the copy runs");
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains("Permission denied") && said.contains("secret.conf"), "{said}");
    }
}

#[test]
fn rubbish_of_any_kind_is_survived_and_said_in_few_lines() {
    let folder = folder();
    let good = "vrrp_instance A {\ninterface lo0\n";
    let kinds: [(&str, Vec<u8>, &str); 5] = [
        ("nul.conf", vec![0; 1 << 20], "NUL"),
        ("long.conf", [good.as_bytes(), &vec![b'x'; 1 << 20]].concat(), "1023"),
        ("words.conf", b"a\n".repeat(200_000), "unknown keyword"),
        ("open.conf", b"{\n".repeat(200_000), "without a keyword"),
        ("close.conf", b"}\n".repeat(200_000), "without its"),
    ];
    for (name, text, about) in kinds {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a file");
        let file = file.to_str().expect("a name in ASCII");
        let output = bounded(TOOL, &["check", file, "--format", "short"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        assert!(said.contains(about), "{name}: {said}");
        // `short` is for programs, which take more than a person.
        assert!(said.lines().count() <= 2_010, "{name}: {} lines", said.lines().count());
        let test = bounded(DAEMON, &["-t", "-f", file]);
        assert_eq!(test.status.code(), Some(5), "{name}: {test:?}");
    }
}
