//! Keys of `auth_hmac` that are kept in files: read once, by the process that reads the configuration.

use keepalived_compat::config::setting::{Setting, Value};
use keepalived_compat::{Code, Config, Diagnostic};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// More octets than any key has in any form: 64 as hexadecimal digits, the word `hex:` and white space around.
const LONGEST: u64 = 1024;

/// Puts what the files hold in the place of `file:PATH`. Of the diagnostics none shows a key.
pub(super) fn read(config: &mut Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let blocks = config.instances.iter_mut().flat_map(|instance| &mut instance.settings.others);
    for key in blocks.filter(|s| s.keyword == "auth_hmac").flat_map(|s| &mut s.block) {
        if key.keyword == "key" {
            found.extend(read_key(key));
        }
    }
    found
}

fn read_key(key: &mut Setting) -> Option<Diagnostic> {
    let span = key.span;
    let Value::Words(words) = &mut key.value else { return None };
    let [_, value] = words.as_mut_slice() else { return None };
    let path = value.strip_prefix("file:")?.to_owned();
    match read_file(&path) {
        Ok((text, mode)) => {
            *value = text;
            (mode & 0o077 != 0).then(|| {
                let title = format!("the key file {path} can be read by others than its owner");
                let now = "whoever reads it can sign advertisements";
                Diagnostic::new(Code::Adjusted, span, title, now).instead(format!("chmod 600 {path}"))
            })
        }
        Err(error) => {
            let title = format!("the key file {path} cannot be read: {error}");
            Some(Diagnostic::new(Code::BadValue, span, title, "the key is left out"))
        }
    }
}

/// The key as it could stand in the configuration, and the file's mode. Not every octet is a letter: as hexadecimal
/// digits they all are.
fn read_file(path: &str) -> std::io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    let mut octets = Vec::new();
    file.take(LONGEST).read_to_end(&mut octets)?;
    let octets = octets.trim_ascii();
    let text = match octets.strip_prefix(b"hex:") {
        Some(_) => String::from_utf8_lossy(octets).into_owned(),
        None => octets.iter().fold("hex:".to_owned(), |text, octet| text + &format!("{octet:02x}")),
    };
    Ok((text, mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_holds_text_or_hexadecimal_digits() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        for (held, read) in [("hex:00ff\n", "hex:00ff"), ("a\u{7f}b\n", "hex:617f62")] {
            std::fs::write(&path, held).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("mode set");
            let (text, mode) = read_file(&path.to_string_lossy()).expect("readable");
            assert_eq!((text.as_str(), mode & 0o777), (read, 0o640));
        }
        assert!(read_file("/no/such/file").is_err());
    }
}
