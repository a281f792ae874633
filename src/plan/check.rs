//! One health check: what to ask, when, and what counts as an answer.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// One checker of one real server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckerPlan {
    /// What is asked.
    pub kind: CheckKind,
    /// Where to and where from.
    pub target: Target,
    /// When.
    pub schedule: Schedule,
    /// `alpha`: down until the first success; without it the server counts as up until a check fails.
    pub alpha: bool,
}

/// The question.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckKind {
    /// ICMP or ICMPv6 echo.
    Ping,
    /// A TCP connection completes.
    Tcp,
    /// Each URL in turn answers as wanted.
    Http(HttpCheck),
}

/// `HTTP_GET`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpCheck {
    /// Protocol version of the request.
    pub version: HttpVersion,
    /// The URLs, at least one.
    pub urls: Vec<HttpUrl>,
}

/// Request form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// `HTTP/1.0`.
    V1_0,
    /// `HTTP/1.0` with `Connection: close`.
    V1_0Close,
    /// `HTTP/1.1` with `Connection: close`.
    V1_1,
}

/// One `url` block.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpUrl {
    /// Request target.
    pub path: String,
    /// Value of the Host header; address and port when `None`.
    pub host: Option<String>,
    /// Accepted status codes.
    pub status: Vec<RangeInclusive<u16>>,
    /// MD5 of the body.
    pub digest: Option<[u8; 16]>,
}

/// Where a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Address and port (the port is unused by ping).
    pub endpoint: SocketAddr,
    /// Local address, any when `None` (`bindto`).
    pub bind_address: Option<IpAddr>,
    /// Local port, any when 0 (`bind_port`).
    pub bind_port: u16,
    /// Packet mark, none when 0.
    pub fwmark: u32,
}

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// Time between checks.
    pub delay_loop: Duration,
    /// Limit on the connect and on each read or write step.
    pub connect_timeout: Duration,
    /// Failures tolerated after the first one, before the server counts as down.
    pub retry: u32,
    /// Time between those.
    pub delay_before_retry: Duration,
    /// The first check runs after 1 s plus a random part of this.
    pub warmup: Duration,
}

/// What a checker asks, of whom and when. Checkers with equal questions share one machine and one verdict; a
/// question that survives a reload keeps its verdict (keepalived moves states to equal checkers).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub kind: CheckKind,
    /// Where to and where from.
    pub target: Target,
    /// When.
    pub schedule: Schedule,
}

impl CheckerPlan {
    /// The question without what is made of the answer (`alpha`).
    pub fn question(&self) -> Question {
        Question { kind: self.kind.clone(), target: self.target, schedule: self.schedule }
    }
}

impl CheckKind {
    /// keepalived's keyword.
    pub const fn keyword(&self) -> &'static str {
        match self {
            CheckKind::Ping => "PING_CHECK",
            CheckKind::Tcp => "TCP_CHECK",
            CheckKind::Http(_) => "HTTP_GET",
        }
    }

    /// Conversations that make one round: the urls of a web check, 1 otherwise.
    pub fn parts(&self) -> usize {
        match self {
            CheckKind::Ping | CheckKind::Tcp => 1,
            CheckKind::Http(check) => check.urls.len().max(1),
        }
    }
}

impl std::fmt::Display for Question {
    /// As log lines name it: `TCP_CHECK of 192.0.2.1:80`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            CheckKind::Ping => write!(f, "PING_CHECK of {}", self.target.endpoint.ip()),
            kind => write!(f, "{} of {}", kind.keyword(), self.target.endpoint),
        }
    }
}
