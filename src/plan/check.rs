//! One health check: what to ask, when, and what counts as an answer.

use super::scripts::{CommandPlan, Unrunnable};
use super::search::SearchPlan;
use super::track::{TrackerKey, TrackerKind};
use super::{brief, exact, is_default};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// One checker of one real server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckerPlan {
    /// What is asked, of whom and when; shared with those who ask it and those who keep the answer.
    pub question: Arc<Question>,
    /// `alpha`: down until the first success; without it the server counts as up until a check fails.
    #[serde(default, skip_serializing_if = "is_default")]
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
    /// A datagram is not refused, or answered as wanted.
    Udp(UdpCheck),
    /// A question to a name server is answered without error.
    Dns(DnsCheck),
    /// A mail server greets and takes HELO and QUIT.
    Smtp(SmtpCheck),
    /// A program ends with status 0.
    Misc(MiscCheck),
    /// The number in a tracked file.
    File(FileCheck),
    /// A BFD session is up; its name.
    Bfd(String),
    /// `TCP_CHECK` with `send` or `expect`.
    Talk(TalkCheck),
    /// `TCP_CHECK` with `grpc_health`.
    Grpc(Box<GrpcCheck>),
}

/// `HTTP_GET`, `SSL_GET`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpCheck {
    /// Protocol version of the request.
    pub version: HttpVersion,
    /// The URLs, at least one.
    #[serde(deserialize_with = "exact")]
    pub urls: Vec<HttpUrl>,
    /// `SSL_GET`.
    pub tls: Option<TlsCheck>,
    /// `fast_recovery`: urls follow each other without delay while a server recovers.
    pub fast_recovery: bool,
}

/// The TLS part of `SSL_GET`, and of `grpc_health`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsCheck {
    /// Send a server name: this one, else the url's host.
    pub enable_sni: bool,
    /// `sni_name`.
    pub sni_name: Option<String>,
    /// Whom it trusts, and who it is; keepalived's ways when `None`.
    pub options: Option<Box<TlsOptions>>,
}

/// What goes beyond "any certificate will do": keywords of holdfast, and the `SSL` block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsOptions {
    /// `verify`: a certificate that is expired, of another name or of an unknown issuer is a failure.
    pub verify: bool,
    /// `ca_file`, else `ca` of the `SSL` block: who is trusted; the system's list when `None`.
    pub ca_file: Option<String>,
    /// `server_name`: the name that is sent and that the certificate must bear.
    pub server_name: Option<String>,
    /// `expiry_warning`: a certificate that ends within so many days is warned of.
    pub expiry_warning_days: Option<u16>,
    /// `certificate` of the `SSL` block: shown to servers that ask for one.
    pub certificate: Option<String>,
    /// `key` of the `SSL` block; in the certificate's file when `None`.
    pub key: Option<String>,
    /// `password` of the `SSL` block: opens the key.
    pub password: Option<Password>,
}

/// What nobody is to read in a log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// `TCP_CHECK` with `send` or `expect`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TalkCheck {
    /// Said once the connection stands; nothing when empty.
    pub send: Vec<u8>,
    /// What must be among what the server says; nothing when empty.
    pub expect: Vec<u8>,
}

/// `TCP_CHECK` with `grpc_health`: the service says of itself that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GrpcCheck {
    /// Whose health is asked for; the server as a whole when empty.
    pub service: String,
    /// `virtualhost`: what the request calls the server; address and port when `None`.
    pub host: Option<String>,
    /// `tls`, and what belongs to it.
    pub tls: Option<TlsCheck>,
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
    /// HTTP/2 (RFC 9113): agreed upon by ALPN over TLS, taken for granted without.
    V2,
}

/// One `url` block.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpUrl {
    /// Request target.
    pub path: String,
    /// Value of the Host header; address and port when `None`.
    pub host: Option<String>,
    /// Accepted status codes.
    #[serde(deserialize_with = "exact")]
    pub status: Vec<RangeInclusive<u16>>,
    /// MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// What is searched for in the body.
    pub search: Option<SearchPlan>,
    /// `tls_compliant`: say goodbye (close_notify) before the connection is closed.
    pub close_notify: bool,
    /// Another request than keepalived's.
    pub request: Option<Box<HttpRequest>>,
}

/// What keywords of holdfast say of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `method`, a token.
    pub method: String,
    /// `header`: names and values, in order; none of those that are written anyway but `User-Agent`.
    pub headers: Vec<(String, String)>,
    /// `request_body`; none is announced when empty.
    pub body: Vec<u8>,
}

impl HttpUrl {
    /// A url that has its path only.
    pub fn new(path: &str) -> HttpUrl {
        HttpUrl {
            path: path.into(),
            host: None,
            status: vec![200..=299],
            digest: None,
            search: None,
            close_notify: false,
            request: None,
        }
    }
}

/// `UDP_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UdpCheck {
    /// What is sent; octets of no meaning when `None`.
    pub payload: Option<Vec<u8>>,
    /// Must there be an answer? Then how it begins: each octet with the bits that count.
    pub reply: Option<Vec<(u8, u8)>>,
    /// Lengths of a good answer, looked at only where it is known how it begins.
    pub reply_length: RangeInclusive<u16>,
}

/// `DNS_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DnsCheck {
    /// Number of the record type.
    pub record_type: u16,
    /// The name asked for; the root when empty.
    pub name: String,
}

/// `SMTP_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SmtpCheck {
    /// Name sent in HELO.
    pub helo: String,
}

/// `MISC_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MiscCheck {
    /// What is run.
    pub command: Box<CommandPlan>,
    /// A run that takes longer is ended and has failed.
    pub timeout: Duration,
    /// `misc_dynamic`: the exit status sets the weight.
    pub dynamic: bool,
    /// What it means that the program cannot be run.
    pub unrunnable: Unrunnable,
}

/// `FILE_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileCheck {
    /// The `track_file`.
    pub file: String,
    /// The number in the file times this is added to the server's weight; with 0 any number but 0 is a failure.
    pub weight: i32,
}

/// What an answer says of the weight of those who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WeightChange {
    /// It is to be this: counted as a difference to the configured one, so that several such answers add up.
    To(u32),
    /// It is to differ by this.
    By(i64),
}

/// Where a check goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Address and port (the port is unused by ping).
    pub endpoint: SocketAddr,
    /// In a box: hardly ever there.
    #[serde(default, skip_serializing_if = "is_default")]
    source: Option<Box<Source>>,
}

/// Where a check comes from: wherever the kernel likes by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Local address, any when `None` (`bindto`).
    pub bind_address: Option<IpAddr>,
    /// Local port, any when 0 (`bind_port`).
    pub bind_port: u16,
    /// Packet mark, none when 0.
    pub fwmark: u32,
    /// Leave through this interface (`bind_if`).
    pub bind_interface: Option<Box<str>>,
}

static ANY: Source = Source { bind_address: None, bind_port: 0, fwmark: 0, bind_interface: None };

impl Target {
    /// From wherever the kernel likes.
    pub fn new(endpoint: SocketAddr) -> Target {
        Target { endpoint, source: None }
    }

    /// The same, from there.
    pub fn coming_from(self, source: Source) -> Target {
        Target { source: (source != ANY).then(|| Box::new(source)), ..self }
    }

    /// Where from.
    pub fn source(&self) -> &Source {
        self.source.as_deref().unwrap_or(&ANY)
    }
}

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// Time between checks.
    #[serde(with = "brief")]
    pub delay_loop: Duration,
    /// Limit on the connect and on each read or write step.
    #[serde(with = "brief")]
    pub connect_timeout: Duration,
    /// Failures tolerated after the first one, before the server counts as down.
    pub retry: u32,
    /// Time between those.
    #[serde(with = "brief")]
    pub delay_before_retry: Duration,
    /// The first check runs after 1 s plus a random part of this.
    #[serde(with = "brief")]
    pub warmup: Duration,
    /// `log_all_failures`: a line for each failure, not only where the state changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log_failures: bool,
    /// `rise`: successes in a row before a server that is down counts as up; at least 1.
    pub rise: u32,
    /// `fall`: failures in a row before a server counts as down, from the first check on. 0: as keepalived, one before the
    /// first verdict, then one more than `retry`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fall: u32,
}

impl Schedule {
    /// Each `delay_loop`, from the start on; a failure is tolerated for a second, a step may take five.
    pub fn every(delay_loop: Duration) -> Schedule {
        Schedule {
            delay_loop,
            connect_timeout: Duration::from_secs(5),
            retry: 1,
            delay_before_retry: Duration::from_secs(1),
            warmup: Duration::ZERO,
            log_failures: false,
            rise: 1,
            fall: 0,
        }
    }
}

/// How something is asked: what, and when. One configuration has few of them, and a hundred thousand questions: those
/// that are equal are held once, see [`super::manners`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Manner {
    /// What is asked.
    pub kind: CheckKind,
    /// When.
    pub schedule: Schedule,
}

/// What a checker asks, of whom and when. Checkers with equal questions share one machine and one verdict; a
/// question that survives a reload keeps its verdict (keepalived moves states to equal checkers). It reads as its manner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    /// Where to and where from.
    pub target: Target,
    pub(super) manner: Arc<Manner>,
}

impl Question {
    /// Asks `target` this.
    pub fn new(kind: CheckKind, target: Target, schedule: Schedule) -> Question {
        Question { target, manner: Arc::new(Manner { kind, schedule }) }
    }

    /// Its manner, to change it: from then on it has one of its own.
    pub fn manner_mut(&mut self) -> &mut Manner {
        Arc::make_mut(&mut self.manner)
    }
}

impl std::ops::Deref for Question {
    type Target = Manner;

    fn deref(&self) -> &Manner {
        &self.manner
    }
}

impl CheckerPlan {
    /// A checker that asks this.
    pub fn new(kind: CheckKind, target: Target, schedule: Schedule, alpha: bool) -> CheckerPlan {
        CheckerPlan { question: Arc::new(Question::new(kind, target, schedule)), alpha }
    }

    /// The question without what is made of the answer (`alpha`).
    pub fn question(&self) -> &Arc<Question> {
        &self.question
    }
}

/// It reads as its question.
impl std::ops::Deref for CheckerPlan {
    type Target = Question;

    fn deref(&self) -> &Question {
        &self.question
    }
}

/// A change is one of this plan alone.
impl std::ops::DerefMut for CheckerPlan {
    fn deref_mut(&mut self) -> &mut Question {
        Arc::make_mut(&mut self.question)
    }
}

impl CheckKind {
    /// keepalived's keyword.
    pub const fn keyword(&self) -> &'static str {
        match self {
            CheckKind::Ping => "PING_CHECK",
            CheckKind::Tcp | CheckKind::Talk(_) | CheckKind::Grpc(_) => "TCP_CHECK",
            CheckKind::Http(HttpCheck { tls: None, .. }) => "HTTP_GET",
            CheckKind::Http(_) => "SSL_GET",
            CheckKind::Udp(_) => "UDP_CHECK",
            CheckKind::Dns(_) => "DNS_CHECK",
            CheckKind::Smtp(_) => "SMTP_CHECK",
            CheckKind::Misc(_) => "MISC_CHECK",
            CheckKind::File(_) => "FILE_CHECK",
            CheckKind::Bfd(_) => "BFD_CHECK",
        }
    }

    /// Conversations that make one round: the urls of a web check, 1 otherwise.
    pub fn parts(&self) -> usize {
        match self {
            CheckKind::Http(check) => check.urls.len().max(1),
            _ => 1,
        }
    }

    /// What is listened to instead of asking, if that is how the check works.
    pub fn tracker(&self) -> Option<TrackerKey> {
        match self {
            CheckKind::File(check) => Some(TrackerKey { kind: TrackerKind::File, name: check.file.clone() }),
            CheckKind::Bfd(name) => Some(TrackerKey { kind: TrackerKind::Bfd, name: name.clone() }),
            _ => None,
        }
    }
}

impl std::fmt::Display for Question {
    /// As log lines name it: `TCP_CHECK of 192.0.2.1:80`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ip = self.target.endpoint.ip();
        match &self.kind {
            CheckKind::Ping => write!(f, "PING_CHECK of {ip}"),
            CheckKind::Misc(check) => match check.command.words.first() {
                Some(program) => write!(f, "MISC_CHECK {program} of {}", self.target.endpoint),
                None => write!(f, "MISC_CHECK of {}", self.target.endpoint),
            },
            CheckKind::File(check) => write!(f, "FILE_CHECK of {}", check.file),
            CheckKind::Bfd(name) => write!(f, "BFD_CHECK of {name}"),
            // One server may have several.
            CheckKind::Grpc(check) => {
                let space = if check.service.is_empty() { "" } else { " " };
                write!(f, "TCP_CHECK grpc_health{space}{} of {}", check.service, self.target.endpoint)
            }
            kind => write!(f, "{} of {}", kind.keyword(), self.target.endpoint),
        }
    }
}
