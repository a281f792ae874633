//! PURE core of notifications: which scripts run with which arguments, which lines a FIFO gets, which mail leaves, and in
//! which order.
//!
//! [`Notifier`] decides what one piece of news means, [`runs::Runs`] when a script may start, [`mail::Outbox`] when a mail
//! is tried, [`smtp::Conversation`] what is said to the mail server. The driver is `role/scripts/notify.rs`.

mod decide;
pub mod lines;
pub mod mail;
pub mod runs;
pub mod smtp;
mod words;

pub use decide::{Notifier, Told};
pub use words::Subject;
