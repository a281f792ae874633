//! Keys of `auth_hmac` that are kept in files: read once, by the process that reads the configuration.

use keepalived_compat::config::setting::{Setting, Value};
use keepalived_compat::config::vrrp::HmacSecret;
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

fn read_key(setting: &mut Setting) -> Option<Diagnostic> {
    let span = setting.span;
    let Value::HmacKey(key) = &mut setting.value else { return None };
    let HmacSecret::File(path) = &key.secret else { return None };
    let path = path.clone();
    match read_file(&path) {
        Ok((secret, mode)) => {
            key.secret = HmacSecret::Octets(secret);
            (mode & 0o077 != 0).then(|| {
                let title = format!("the key file {path} can be read by others than its owner");
                let now = "whoever reads it can sign advertisements";
                Diagnostic::new(Code::Adjusted, span, title, now).instead(format!("chmod 600 {path}"))
            })
        }
        Err(why) => {
            let title = format!("the key file {path} {why}");
            let now = "the key neither signs nor checks; an instance that signs with it stays in FAULT";
            Some(Diagnostic::new(Code::BadValue, span, title, now))
        }
    }
}

/// The key, and the file's mode. An error is the rest of a sentence that begins with the file's name.
fn read_file(path: &str) -> Result<(Vec<u8>, u32), String> {
    let read = || -> std::io::Result<(Vec<u8>, u32)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut octets = Vec::new();
        file.take(LONGEST).read_to_end(&mut octets)?;
        Ok((octets, mode))
    };
    let (octets, mode) = read().map_err(|error| format!("cannot be read: {error}"))?;
    Ok((HmacSecret::of_file(&octets)?, mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_comes_from_its_file_with_the_files_mode() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        std::fs::write(&path, "hex:".to_owned() + &"0f".repeat(32) + "\n").expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("mode set");
        let (secret, mode) = read_file(&path.to_string_lossy()).expect("readable");
        assert_eq!((secret, mode & 0o777), (vec![15; 32], 0o640));
        std::fs::write(&path, "short\n").expect("written");
        assert!(read_file(&path.to_string_lossy()).is_err_and(|why| why.contains("5 octets")));
        assert!(read_file("/no/such/file").is_err_and(|why| why.starts_with("cannot be read")));
    }
}
