//! `reload_file`: there, and empty, exactly while the configuration files are being read.

use super::settings::Settings;
use crate::plan::process::ReloadMarker;
use std::path::PathBuf;

/// The file is there for as long as this lives.
#[derive(Debug)]
pub struct Marker {
    path: PathBuf,
}

impl Marker {
    /// Makes or empties the file that the configuration in force names. What goes wrong is said; the reload goes on.
    pub fn set(plan: Option<&ReloadMarker>, settings: &Settings) -> Option<Marker> {
        let path = match plan? {
            ReloadMarker::Named(path) => PathBuf::from(path),
            ReloadMarker::Usual => settings.pid_file.with_file_name("keepalived.reload"),
        };
        match std::fs::File::create(&path) {
            Ok(_) => Some(Marker { path }),
            Err(error) => {
                tracing::warn!("reload_file {}: {error}; the reload goes on without it", path.display());
                None
            }
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("reload_file {} cannot be removed: {error}", self.path.display());
        }
    }
}
