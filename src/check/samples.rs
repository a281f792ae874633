//! Questions for the tests of this folder: delay_loop 6, retry 2, delay_before_retry 3, warmup 10.

use crate::plan::check::{CheckKind, HttpCheck, HttpUrl, HttpVersion, Question, Schedule, Target};
use std::net::SocketAddr;
use std::time::Duration;

/// A TCP check of 192.0.2.1:80.
pub fn tcp() -> Question {
    tcp_of("192.0.2.1:80")
}

/// A TCP check.
pub fn tcp_of(endpoint: &str) -> Question {
    Question {
        kind: CheckKind::Tcp,
        target: Target {
            endpoint: endpoint.parse::<SocketAddr>().expect("test endpoints parse"),
            bind_address: None,
            bind_port: 0,
            fwmark: 0,
        },
        schedule: Schedule {
            delay_loop: Duration::from_secs(6),
            connect_timeout: Duration::from_secs(5),
            retry: 2,
            delay_before_retry: Duration::from_secs(3),
            warmup: Duration::from_secs(10),
        },
    }
}

/// A web check with that many urls.
pub fn http(urls: usize) -> Question {
    let url = |n| HttpUrl { path: format!("/{n}"), host: None, status: vec![200..=299], digest: None };
    let check = HttpCheck { version: HttpVersion::V1_0, urls: (0..urls).map(url).collect() };
    Question { kind: CheckKind::Http(check), ..tcp() }
}
