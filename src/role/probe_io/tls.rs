//! TLS below an SSL_GET. As keepalived: any certificate will do; what is wrong with it is said, and fails nothing, unless
//! `verify` is written.

#[cfg(feature = "openssl")]
use super::old_tls;
use super::overheard::Overheard;
use super::{talk, trust};
use crate::check::probe::{Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::{CheckKind, HttpVersion, Target, TlsCheck, TlsOptions};
use crate::wire::x509;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible,
    PeerMisbehaved, SignatureScheme,
};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

/// A certificate that ends within this time is warned of, unless `expiry_warning` says else.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Servers whose certificates were warned of today; past it some are named twice.
const WARNED: usize = 10_000;

/// What the session is for.
pub(super) struct Session<'a> {
    tls: &'a TlsCheck,
    /// What the request calls the server, if anything but its address.
    host: Option<&'a str>,
    /// `tls_compliant`.
    close_notify: bool,
    /// The server must choose HTTP/2 by ALPN (RFC 7301); without it nothing is offered, as keepalived.
    http2: bool,
}

impl Session<'_> {
    /// For part `part` of a check; `None` where it is asked without TLS.
    pub(super) fn of(kind: &CheckKind, part: usize) -> Option<Session<'_>> {
        match kind {
            CheckKind::Http(check) => {
                let url = check.urls.get(part).or(check.urls.last());
                Some(Session {
                    tls: check.tls.as_ref()?,
                    host: url.and_then(|url| url.host.as_deref()),
                    close_notify: url.is_some_and(|url| url.close_notify),
                    http2: check.version == HttpVersion::V2,
                })
            }
            CheckKind::Grpc(check) => Some(Session {
                tls: check.tls.as_ref()?,
                host: check.host.as_deref(),
                close_notify: false,
                http2: true,
            }),
            _ => None,
        }
    }
}

/// What is offered by ALPN where HTTP/2 is wanted: nothing else, for a server may prefer another of the list.
const ALPN: &[u8] = b"h2";

/// Holds the conversation through TLS.
pub(super) async fn converse(
    session: &Session<'_>,
    target: &Target,
    connection: TcpStream,
    mut probe: Box<dyn Probe>,
    limit: Duration,
) -> Outcome {
    let name = match server_name(session, target) {
        Ok(name) => name,
        Err(why) => return Outcome::NotRun(why),
    };
    let options = session.tls.options.as_deref();
    let verifies = options.is_some_and(|options| options.verify);
    #[cfg(feature = "openssl")]
    let may_fall_back = !verifies && !session.http2;
    #[cfg(feature = "openssl")]
    if may_fall_back && old_tls::is_known(target.endpoint) {
        return match old_tls::Session::begin(target, Some(connection), &name, options, limit).await {
            Ok(old) => by_openssl(old, target, options, probe, limit, session.close_notify).await,
            Err(Outcome::Failure(how)) => broken(&mut *probe, &how),
            Err(outcome) => outcome,
        };
    }
    let connector = match timeout(limit, trust::config(options)).await {
        Ok(Ok(config)) => TlsConnector::from(config),
        Ok(Err(why)) => return Outcome::NotRun(why),
        Err(_) => return Outcome::NotRun("certificates of ours could not be read in time".into()),
    };
    let alpn = if session.http2 { vec![ALPN.to_vec()] } else { Vec::new() };
    let connector = connector.with_alpn(alpn);
    let handshake = connector.connect(name.clone(), Overheard::new(connection)).into_fallible();
    let mut stream = match timeout(limit, handshake).await {
        Err(_) => return Outcome::Failure(format!("no TLS handshake within {}", words(limit))),
        Ok(Err((error, heard))) => {
            let version = heard.old_version();
            let how = handshake_words(&error, version, verifies);
            // Closed on our side as well: a check from one port (bind_port) needs it again.
            drop(heard);
            #[cfg(feature = "openssl")]
            if may_fall_back && may_be_old(&error, version) {
                return match old_tls::Session::begin(target, None, &name, options, limit).await {
                    Ok(old) => by_openssl(old, target, options, probe, limit, session.close_notify).await,
                    Err(Outcome::Failure(second)) => broken(&mut *probe, &format!("{how}; again: {second}")),
                    Err(outcome) => outcome,
                };
            }
            return broken(&mut *probe, &how);
        }
        Ok(Ok(stream)) => stream,
    };
    if session.http2 && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return broken(&mut *probe, "the server does not speak HTTP/2: it chose nothing by ALPN");
    }
    let outcome = talk(&mut stream, &mut *probe, limit).await;
    if session.close_notify {
        // A server that does not take the goodbye has answered all the same.
        let _late = timeout(limit, stream.shutdown()).await;
    }
    with_facts(outcome, &stream, target, options)
}

/// Holds the conversation through a session of OpenSSL.
#[cfg(feature = "openssl")]
async fn by_openssl(
    mut session: old_tls::Session,
    target: &Target,
    options: Option<&TlsOptions>,
    mut probe: Box<dyn Probe>,
    limit: Duration,
    says_goodbye: bool,
) -> Outcome {
    let outcome = session.talk(&mut *probe, limit).await;
    if says_goodbye {
        session.close(limit).await;
    }
    let Outcome::Success(words) = outcome else { return outcome };
    let (version, certificate) = session.facts();
    let remark = remark(certificate.as_deref(), target, options);
    Outcome::Success(format!("{words}{version}{remark}"))
}

fn broken(probe: &mut dyn Probe, how: &str) -> Outcome {
    match probe.step(ProbeInput::Broken(how)) {
        ProbeStep::Done(outcome) => outcome,
        ProbeStep::Send(_) | ProbeStep::Wait => Outcome::Failure(how.into()),
    }
}

/// The name sent as SNI, which is also the one that a verified certificate must bear; the address, which is never sent,
/// without one.
fn server_name(session: &Session<'_>, target: &Target) -> Result<ServerName<'static>, String> {
    let address = || Ok(ServerName::IpAddress(target.endpoint.ip().into()));
    let tls = session.tls;
    let options = tls.options.as_deref();
    let verifies = options.is_some_and(|options| options.verify);
    let written = options.and_then(|options| options.server_name.as_deref());
    let usual =
        tls.sni_name.as_deref().or(session.host.map(without_port)).filter(|_| tls.enable_sni || verifies);
    let Some(name) = written.or(usual) else { return address() };
    ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} cannot be sent as a server name (SNI)"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.contains(':') => name,
        _ => host,
    }
}

/// One configuration for all checks; rustls remembers sessions in it, but a check that resumes one tests less.
pub fn config() -> Option<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    let make = || {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(AnyCertificate(provider.clone()));
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Some(Arc::new(config))
    };
    CONFIG.get_or_init(make).clone()
}

/// As keepalived, which verifies nothing.
#[derive(Debug)]
pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a server does that only speaks what rustls has given up; `version` is the one that it chose.
fn old_words(error: &io::Error, version: Option<&str>) -> Option<String> {
    if let Some(version) = version {
        return Some(format!("the server only speaks {version}"));
    }
    Some(match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())? {
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the server speaks no TLS 1.2 or 1.3".into()
        }
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the server only speaks TLS older than 1.2".into()
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            "the server refuses every cipher of rustls: it may want static RSA, DHE or TLS older than 1.2"
                .into()
        }
        _ => return None,
    })
}

/// May OpenSSL reach it? Servers of that age also hang up on what they do not know, or get it wrong.
#[cfg(feature = "openssl")]
fn may_be_old(error: &io::Error, version: Option<&str>) -> bool {
    let hung_up = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&error.kind());
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let odd = matches!(inner, Some(Error::PeerIncompatible(_) | Error::PeerMisbehaved(_)));
    hung_up || odd || old_words(error, version).is_some()
}

/// Why there is no TLS session.
fn handshake_words(error: &io::Error, version: Option<&str>, verifies: bool) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(what) = old_words(error, version) {
        return match (cfg!(feature = "openssl"), verifies) {
            (false, _) => {
                format!("{what}; holdfast was built without the feature openssl (keepalived may reach it)")
            }
            (true, true) => format!("{what}; `verify` wants TLS 1.2 or 1.3 and a cipher of theirs"),
            (true, false) => what,
        };
    }
    match inner {
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "the server does not know the name that was sent (enable_sni, sni_name)".into()
        }
        Some(
            Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
        ) => "the server does not speak HTTP/2: of what ALPN offers it knows nothing".into(),
        Some(Error::InvalidCertificate(what)) => certificate_words(what),
        Some(Error::InvalidMessage(_)) => "what the server says is no TLS".into(),
        Some(other) => format!("TLS: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "closed during the TLS handshake".into(),
        None => format!("{} during the TLS handshake", super::how_it_broke(error)),
    }
}

/// Why a certificate is not trusted (`verify`).
fn certificate_words(error: &CertificateError) -> String {
    use CertificateError::*;
    match error {
        Expired | ExpiredContext { .. } => "certificate expired".into(),
        NotValidYet | NotValidYetContext { .. } => "certificate is not valid yet".into(),
        NotValidForName => "certificate is of another name".into(),
        NotValidForNameContext { expected, presented } => {
            let names = presented.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("certificate is not of {}, it is of {names}", expected.to_str())
        }
        UnknownIssuer => "certificate is signed by nobody that is trusted (ca_file)".into(),
        Revoked => "certificate is revoked".into(),
        // The library has this one in an error of its own.
        Other(inner) if format!("{inner:?}").contains("CaUsedAsEndEntity") => {
            "certificate is that of a CA (CA:TRUE, as `openssl req -x509` makes them), not of a server".into()
        }
        other => format!("certificate is not trusted: {other}"),
    }
}

/// Adds to a success what the session was like: its version, and the end of the certificate where that is near.
fn with_facts<S>(
    outcome: Outcome,
    stream: &TlsStream<S>,
    target: &Target,
    options: Option<&TlsOptions>,
) -> Outcome {
    let Outcome::Success(words) = outcome else { return outcome };
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => ", TLS 1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => ", TLS 1.3",
        _ => "",
    };
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let remark = remark(certificate.map(AsRef::as_ref), target, options);
    Outcome::Success(format!("{words}{version}{remark}"))
}

/// The end of a certificate, where it is near; the log has it as well.
fn remark(certificate: Option<&[u8]>, target: &Target, options: Option<&TlsOptions>) -> String {
    let end = certificate.and_then(x509::not_after);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = options.and_then(|options| options.expiry_warning_days);
    let soon = days.map_or(SOON, |days| Duration::from_secs(u64::from(days) * 86_400));
    let remark = end.map(|end| expiry(end, now, soon)).unwrap_or_default();
    if !remark.is_empty() {
        warn_once_a_day(target.endpoint, &remark, now);
    }
    remark
}

/// One line of the log for each server and day.
fn warn_once_a_day(endpoint: SocketAddr, remark: &str, now: Duration) {
    static DAYS: Mutex<BTreeMap<SocketAddr, u64>> = Mutex::new(BTreeMap::new());
    let today = now.as_secs() / 86_400;
    let mut days = DAYS.lock().unwrap_or_else(PoisonError::into_inner);
    if days.len() >= WARNED {
        days.clear();
    }
    if days.insert(endpoint, today) != Some(today) {
        warn!("{endpoint}{remark}");
    }
}

/// `end` and `now` since 1970; what is left is said when it is less than `soon`.
fn expiry(end: Duration, now: Duration, soon: Duration) -> String {
    let days = |time: Duration| match time.as_secs() / 86_400 {
        0 => format!("{} h", time.as_secs() / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    match (now.checked_sub(end), end.checked_sub(now)) {
        (Some(since), _) => format!(", CERTIFICATE EXPIRED {} ago", days(since)),
        (None, Some(left)) if left < soon => format!(", certificate expires in {}", days(left)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_mentioned() {
        let day = |n: u64| Duration::from_secs(n * 86_400);
        assert_eq!(expiry(day(100), day(10), SOON), "");
        assert_eq!(expiry(day(30), day(10), SOON), ", certificate expires in 20 days");
        assert_eq!(
            expiry(day(10) + Duration::from_secs(7200), day(10), SOON),
            ", certificate expires in 2 h"
        );
        assert_eq!(expiry(day(9), day(10), SOON), ", CERTIFICATE EXPIRED 1 day ago");
        assert_eq!(expiry(day(100), day(10), day(91)), ", certificate expires in 90 days");
        assert_eq!(expiry(day(30), day(10), Duration::ZERO), "", "expiry_warning 0");
    }

    #[test]
    fn a_port_is_no_part_of_a_name() {
        let names = ["a.example:8443", "a.example", "::1", "a:b"].map(without_port);
        assert_eq!(names, ["a.example", "a.example", "::1", "a:b"]);
    }
}
