//! Scripts that a configuration names: are they there, and does it say that they must be safe?

use keepalived_compat::{Code, Config, Diagnostic};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Directories searched for a bare name, as in the daemon's own environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One diagnostic per program that cannot be run, and one if any could be without script security.
pub(super) fn diagnose(config: &Config) -> Vec<Diagnostic> {
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    let mut unsafe_use = None;
    for program in &config.scripts.programs {
        let first = !known.contains_key(program.value.as_str());
        let found = *known.entry(&program.value).or_insert_with(|| is_program(&program.value));
        if found {
            unsafe_use = unsafe_use.or(Some(program.span));
        } else if first {
            let title = format!("the program {} does not exist or is not executable", program.value);
            diagnostics.push(
                Diagnostic::new(
                    Code::ScriptMissing,
                    program.span,
                    title,
                    "keepalived would leave the script out",
                )
                .instead("its full path, and chmod a+x"),
            );
        }
    }
    if let (Some(span), false) = (unsafe_use, config.global.script_security) {
        let title = "scripts are named without `enable_script_security`";
        let now = "keepalived would run them as root, whoever may change them";
        let diagnostic = Diagnostic::new(Code::ScriptSecurity, span, title, now);
        diagnostics.push(diagnostic.instead("enable_script_security in global_defs"));
    }
    diagnostics
}

fn is_program(name: &str) -> bool {
    let executable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return executable(Path::new(name));
    }
    PATH.split(':').any(|directory| executable(&PathBuf::from(directory).join(name)))
}
