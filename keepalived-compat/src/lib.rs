//! The keepalived.conf language: source text to typed configuration, with diagnostics.
//!
//! The crate knows nothing of holdfast and opens no file itself: the caller hands it a reader.
#![forbid(unsafe_code)]
