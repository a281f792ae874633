//! Files for the parser: globs, and regular files that are not executable, as keepalived demands.

use keepalived_compat::{MAX_FILE, Reader};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names that one pattern may stand for before it is called a mistake.
const MAX_NAMES: usize = 100_000;

/// Reads the real file system.
pub(super) struct Files;

impl Reader for Files {
    fn resolve(&mut self, pattern: &str, from: Option<&str>) -> Result<Vec<String>, String> {
        let base = from.and_then(|f| Path::new(f).parent()).filter(|p| !p.as_os_str().is_empty());
        let path = base.map_or_else(|| PathBuf::from(pattern), |base| base.join(pattern));
        expand(&path)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        read(Path::new(name)).map_err(|e| e.to_string())?
    }

    fn exists(&mut self, name: &str) -> bool {
        // A dangling link is there, and reading it says what is wrong.
        Path::new(name).symlink_metadata().is_ok()
    }

    fn identity(&mut self, name: &str) -> String {
        let path = Path::new(name).canonicalize().unwrap_or_else(|_| PathBuf::from(name));
        path.to_string_lossy().into_owned()
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn seed(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_secs() ^ u64::from(now.subsec_nanos()) << 32
    }
}

fn read(path: &Path) -> std::io::Result<Result<Vec<u8>, String>> {
    // Non-blocking: opening a FIFO must not wait for a writer.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Err("it is not a regular file".to_owned()));
    }
    if meta.permissions().mode() & 0o111 != 0 {
        return Ok(Err("it is executable, and keepalived refuses such a file (chmod a-x)".to_owned()));
    }
    if meta.len() > MAX_FILE as u64 {
        return Ok(Err(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize + 1); // below MAX_FILE
    let limit = MAX_FILE as u64 + 1;
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

/// The files that a glob stands for, sorted; a name without wildcards stands for itself, existing or not.
fn expand(path: &Path) -> Result<Vec<String>, String> {
    let mut found = vec![PathBuf::new()];
    let mut wild = false;
    for part in path.components() {
        let part = part.as_os_str().to_string_lossy();
        if !part.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|f| f.push(part.as_ref()));
            if wild {
                found.retain(|f| f.exists());
            }
            continue;
        }
        wild = true;
        let mut next = Vec::new();
        for directory in &found {
            next.extend(matches(directory, &part));
            if next.len() > MAX_NAMES {
                return Err(format!("it stands for more than {MAX_NAMES} names"));
            }
        }
        found = next;
    }
    Ok(found.into_iter().map(|f| f.to_string_lossy().into_owned()).collect())
}

fn matches(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(here) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| (pattern.starts_with('.') || !name.starts_with('.')) && fits(pattern, name))
        .collect();
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}

/// Does `name` fit `pattern` of `*`, `?`, `[...]`? One pass with one place to go back to: no explosion.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = name.get(n).copied() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => class(&pattern, p, letter),
            Some(c) => (*c == letter).then_some(p + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => {
                p = next;
                n += 1;
            }
            (None, Some((at, tried))) => {
                star = Some((at, tried + 1));
                p = at + 1;
                n = tried + 1;
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

/// Where the pattern goes on after `[...]` at `at`, if `c` is in it. An unclosed bracket is a plain character.
fn class(pattern: &[char], at: usize, c: char) -> Option<usize> {
    let body = pattern.get(at + 1..)?;
    let (negated, body, offset) = match body.first() {
        Some('!' | '^') => (true, body.get(1..)?, 2),
        _ => (false, body, 1),
    };
    // A `]` in first place stands for itself.
    let Some(end) = body.iter().skip(1).position(|b| *b == ']').map(|i| i + 1) else {
        return (c == '[').then_some(at + 1);
    };
    let members = body.get(..end)?;
    let mut inside = false;
    let mut i = 0;
    while let Some(low) = members.get(i) {
        match (members.get(i + 1), members.get(i + 2)) {
            (Some('-'), Some(high)) => {
                inside |= (*low..=*high).contains(&c);
                i += 3;
            }
            _ => {
                inside |= *low == c;
                i += 1;
            }
        }
    }
    (inside != negated).then_some(at + offset + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_as_in_a_shell() {
        for (pattern, name, want) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.config", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn only_regular_files_that_are_not_executable_are_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("b.conf");
        std::fs::write(&path, "x").expect("written");
        std::fs::write(directory.path().join("a.conf"), "y").expect("written");
        let name = |n: &str| directory.path().join(n).to_string_lossy().into_owned();
        assert_eq!(Files.resolve(&name("*.conf"), None), Ok(vec![name("a.conf"), name("b.conf")]));
        assert_eq!(Files.resolve("b.*", Some(&name("a.conf"))), Ok(vec![name("b.conf")]));
        assert_eq!(Files.read(&name("b.conf")), Ok(b"x".to_vec()));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode set");
        assert!(Files.read(&name("b.conf")).is_err_and(|e| e.contains("executable")));
        assert!(Files.read(&name("")).is_err());
    }

    /// What is said about a file when it is the whole configuration.
    fn said(path: &Path) -> Vec<(keepalived_compat::Code, String)> {
        let options = keepalived_compat::Options { config_id: "lb1", vrrp: true, checker: true };
        let parsed = keepalived_compat::parse(&mut Files, &path.to_string_lossy(), options);
        parsed.diagnostics.into_iter().map(|d| (d.code, d.title)).collect()
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        use keepalived_compat::Code;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        let huge = File::create(path("huge")).expect("created");
        huge.set_len(1 << 30).expect("a gigabyte of nothing, which takes no room");
        std::fs::write(path("nul"), vec![0; 1 << 20]).expect("written");
        std::fs::write(path("long"), vec![b'x'; 1 << 20]).expect("written");
        std::fs::write(path("binary"), (0..=255).collect::<Vec<u8>>().repeat(64)).expect("written");
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRUSR).expect("made");
        std::os::unix::fs::symlink("nowhere", path("dangling")).expect("made");
        for (name, code, words) in [
            ("", Code::MainFile, "it is not a regular file"),
            ("huge", Code::MainFile, "larger than 256 MiB"),
            ("nul", Code::Line, "1048576 bytes, NUL bytes among them"),
            ("long", Code::Line, "1048576 bytes, more than 1023"),
            ("binary", Code::Line, "NUL"),
            ("fifo", Code::MainFile, "it is not a regular file"),
            ("dangling", Code::MainFile, "No such file"),
            ("missing", Code::MainFile, "No such file"),
        ] {
            let said = said(&path(name));
            let found = said.iter().any(|(c, title)| *c == code && title.contains(words));
            assert!(found, "{name}: {:?}", said.iter().take(3).collect::<Vec<_>>());
        }
        assert!(said(Path::new("/dev/zero")).iter().all(|(_, title)| title.contains("not a regular file")));
    }

    #[test]
    fn includes_are_found_from_the_directory_of_their_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(path("one/two")).expect("made");
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("written");
        write("main", "include one/{a,b}.conf\nincludea one/two/*.conf\n");
        write("one/a.conf", "include two/c.conf\n$A=1\n");
        write("one/b.conf", "include ../last\n");
        write("one/two/c.conf", "include ../../last\n");
        write("last", "global_defs {\nrouter_id ${_PWD}\n}\n");
        assert_eq!(said(&path("main")), []);
        write("last", "include main\n");
        let circle = said(&path("main"));
        assert!(circle.iter().all(|(_, title)| title.contains("includes itself") && title.contains(" -> ")));
        assert!(!circle.is_empty());
    }
}
