//! Questions for the tests of this folder: delay_loop 6, retry 2, delay_before_retry 3, warmup 10.

use super::Event;
use crate::plan::check::{CheckKind, HttpCheck, HttpUrl, HttpVersion, Question, Schedule, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A plan that asks these.
pub fn plan(questions: &[Question]) -> Event {
    Event::Plan { questions: questions.iter().cloned().map(Arc::new).collect(), random: 7 }
}

/// A TCP check of 192.0.2.1:80.
pub fn tcp() -> Question {
    tcp_of("192.0.2.1:80")
}

/// A TCP check.
pub fn tcp_of(endpoint: &str) -> Question {
    let schedule = Schedule {
        retry: 2,
        delay_before_retry: Duration::from_secs(3),
        warmup: Duration::from_secs(10),
        ..Schedule::every(Duration::from_secs(6))
    };
    let endpoint = endpoint.parse::<SocketAddr>().expect("test endpoints parse");
    Question::new(CheckKind::Tcp, Target::new(endpoint), schedule)
}

/// The TCP check's target and times with another question.
pub fn of_kind(kind: CheckKind) -> Question {
    let tcp = tcp();
    Question::new(kind, tcp.target.clone(), tcp.schedule)
}

/// A web check with that many urls.
pub fn http(urls: usize) -> Question {
    let urls = (0..urls).map(|n| HttpUrl::new(&format!("/{n}"))).collect();
    let check = HttpCheck { version: HttpVersion::V1_0, urls, tls: None, fast_recovery: false };
    of_kind(CheckKind::Http(check))
}
