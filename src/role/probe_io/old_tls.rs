//! Servers that rustls cannot talk to, by the system's OpenSSL (feature `openssl`): TLS older than 1.2, a key exchange without
//! (EC)DHE or with DHE alone, old ciphers. Any certificate will do, as for keepalived: `verify` never comes here.

use super::{cannot_connect, how_it_broke, is_our_own, open_stream, talk, trust};
use crate::check::probe::{Outcome, Probe, words};
use crate::plan::check::{Target, TlsOptions};
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVerifyMode};
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// How long a server counts as one of these, before rustls tries it again: OpenSSL reaches it in any case.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Servers remembered; past it all are forgotten, which costs each one a second connection.
const MOST: usize = 10_000;

/// Every cipher that the library has, whatever the system's policy says: it is the server's to choose.
const CIPHERS: &str = "ALL:COMPLEMENTOFDEFAULT:!aNULL:!eNULL:@SECLEVEL=0";

/// SSL_OP_LEGACY_SERVER_CONNECT: servers without RFC 5746, which the crate has no name for.
const LEGACY_SERVER_CONNECT: SslOptions = SslOptions::from_bits_retain(1 << 2);

static KNOWN: Mutex<Option<HashMap<SocketAddr, Instant>>> = Mutex::new(None);

/// Was it reached by OpenSSL only, of late?
pub(super) fn is_known(endpoint: SocketAddr) -> bool {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    known.get(&endpoint).is_some_and(|since| since.elapsed() < REMEMBERED)
}

fn remember(endpoint: SocketAddr) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if known.len() >= MOST {
        known.clear();
    }
    known.insert(endpoint, Instant::now());
}

fn forget(endpoint: SocketAddr) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().remove(&endpoint);
}

/// What a conversation is held with.
pub(super) struct Session {
    stream: SslStream<TcpStream>,
}

impl Session {
    /// The handshake, over a connection of its own where `connection` is none.
    pub(super) async fn begin(
        target: &Target,
        connection: Option<TcpStream>,
        name: &ServerName<'_>,
        options: Option<&TlsOptions>,
        limit: Duration,
    ) -> Result<Session, Outcome> {
        let fresh = connection.is_none();
        let connection = match connection {
            Some(connection) => connection,
            None => connect(target, limit).await?,
        };
        let ssl = match timeout(limit, session(name, options)).await {
            Ok(made) => made.map_err(Outcome::NotRun)?,
            Err(_) => return Err(Outcome::NotRun("certificates of ours could not be read in time".into())),
        };
        let stream = SslStream::new(ssl, connection);
        let mut stream = stream.map_err(|error| Outcome::NotRun(format!("OpenSSL: {error}")))?;
        let failure = match timeout(limit, Pin::new(&mut stream).connect()).await {
            Ok(Ok(())) => {
                if fresh {
                    remember(target.endpoint);
                }
                return Ok(Session { stream });
            }
            Err(_) => format!("no TLS handshake within {}", words(limit)),
            Ok(Err(error)) => handshake_words(&error),
        };
        if !fresh {
            // Perhaps it has learnt something new.
            forget(target.endpoint);
        }
        Err(Outcome::Failure(failure))
    }

    pub(super) async fn talk(&mut self, probe: &mut dyn Probe, limit: Duration) -> Outcome {
        talk(&mut self.stream, probe, limit).await
    }

    /// close_notify; a server that does not take it has answered all the same.
    pub(super) async fn close(&mut self, limit: Duration) {
        let _late = timeout(limit, self.stream.shutdown()).await;
    }

    /// What it is like, and the server's certificate.
    pub(super) fn facts(&self) -> (String, Option<Vec<u8>>) {
        let ssl = self.stream.ssl();
        let version = match ssl.version_str() {
            "SSLv3" => "SSL 3.0",
            "TLSv1" => "TLS 1.0",
            "TLSv1.1" => "TLS 1.1",
            "TLSv1.2" => "TLS 1.2",
            "TLSv1.3" => "TLS 1.3",
            other => other,
        };
        let cipher = ssl.current_cipher().map_or("no cipher", |cipher| cipher.name());
        let certificate = ssl.peer_certificate().and_then(|certificate| certificate.to_der().ok());
        (format!(", {version} with {cipher} (by OpenSSL)"), certificate)
    }
}

async fn connect(target: &Target, limit: Duration) -> Result<TcpStream, Outcome> {
    let socket = open_stream(target).map_err(Outcome::NotRun)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    match timeout(limit, socket.connect(target.endpoint)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) if is_our_own(&error) => Err(Outcome::NotRun(cannot_connect(target, &error))),
        Ok(Err(error)) => Err(Outcome::Failure(format!("{} the second time", how_it_broke(&error)))),
        Err(_) => Err(Outcome::Failure(format!("no second connection within {}", words(limit)))),
    }
}

async fn session(name: &ServerName<'_>, options: Option<&TlsOptions>) -> Result<Ssl, String> {
    let options = options.cloned().unwrap_or_default();
    // Reads the library's settings and our certificate, which may lie on a disk that hangs.
    let made = tokio::task::spawn_blocking(move || context(&options)).await;
    let context = made.map_err(|error| format!("certificates cannot be read: {error}"))??;
    let no_session = |error: openssl::error::ErrorStack| format!("OpenSSL: {error}");
    let mut ssl = Ssl::new(&context).map_err(no_session)?;
    if let ServerName::DnsName(name) = name {
        ssl.set_hostname(name.as_ref()).map_err(no_session)?;
    }
    Ok(ssl)
}

/// What a connection to any old server begins with, without name or certificate of ours.
pub fn any_server() -> Result<Ssl, String> {
    let context = context(&TlsOptions::default())?;
    Ssl::new(&context).map_err(|error| format!("OpenSSL: {error}"))
}

fn context(options: &TlsOptions) -> Result<SslContext, String> {
    let no_context = |error: openssl::error::ErrorStack| format!("OpenSSL: {error}");
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(no_context)?;
    builder.set_min_proto_version(None).map_err(no_context)?;
    builder.set_cipher_list(CIPHERS).map_err(no_context)?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_options(LEGACY_SERVER_CONNECT | SslOptions::IGNORE_UNEXPECTED_EOF);
    if let Some(path) = &options.certificate {
        // Read by us: the library would ask whoever sits at the terminal for a password.
        let key = trust::private_key(options)?;
        let shown = builder.set_certificate_chain_file(path).and_then(|()| {
            builder.set_private_key(&*PKey::private_key_from_der(key.secret_der())?)?;
            builder.check_private_key()
        });
        shown.map_err(|error| format!("certificate {path} of the SSL block cannot be used: {error}"))?;
    }
    Ok(builder.build())
}

/// The library's reason, or what became of the connection.
fn handshake_words(error: &openssl::ssl::Error) -> String {
    let reason = error.ssl_error().and_then(|stack| stack.errors().first()).and_then(|first| first.reason());
    match (reason, error.io_error()) {
        (Some(reason), _) => format!("{reason} (OpenSSL)"),
        (None, Some(error)) => format!("{} during the TLS handshake", how_it_broke(error)),
        (None, None) => "closed during the TLS handshake".into(),
    }
}
