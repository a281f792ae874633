//! Whom a TLS check trusts, and which certificate of ours it shows: files of the configuration, read when they are needed
//! and again every minute, so that a certificate that was renewed is taken without a reload.

use super::tls::{self, AnyCertificate};
use crate::plan::check::TlsOptions;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::SecretDocument;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what was read counts.
const FRESH: Duration = Duration::from_secs(60);

/// The largest file: the list of a whole system has a quarter of a megabyte.
const MOST: u64 = 4 << 20;

/// Configurations kept; a node has one or two, and any more are read anew.
const KEPT: usize = 64;

/// Where systems keep the list of those that everybody trusts.
const SYSTEM_LISTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

type Loaded = Result<Arc<ClientConfig>, String>;

/// The configuration for `options`, or why there is none, in words.
pub(super) async fn config(options: Option<&TlsOptions>) -> Loaded {
    static READ: Mutex<Option<HashMap<TlsOptions, (Instant, Loaded)>>> = Mutex::new(None);
    let Some(options) = options else { return tls::config().ok_or_else(|| "no TLS in this build".into()) };
    // What is not read from files makes no difference here.
    let key = TlsOptions { server_name: None, expiry_warning_days: None, ..options.clone() };
    let known = {
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.get_or_insert_default();
        read.get(&key).filter(|(when, _)| when.elapsed() < FRESH).map(|(_, loaded)| loaded.clone())
    };
    if let Some(loaded) = known {
        return loaded;
    }
    let wanted = key.clone();
    // A file may lie on a disk that hangs: only this check waits for it, up to its own limit.
    let task = tokio::task::spawn_blocking(move || load(&wanted).map(Arc::new));
    let loaded = task.await.unwrap_or_else(|error| Err(format!("certificates cannot be read: {error}")));
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let read = read.get_or_insert_default();
    if read.len() >= KEPT {
        read.clear();
    }
    read.insert(key, (Instant::now(), loaded.clone()));
    loaded
}

fn load(options: &TlsOptions) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| format!("TLS: {error}"))?;
    let builder = match options.verify {
        true => builder.with_root_certificates(roots(options.ca_file.as_deref())?),
        false => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    let mut config = match &options.certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let chain = certificates(path)?;
            let key = private_key(options)?;
            let shown = builder.with_client_auth_cert(chain, key);
            shown.map_err(|error| format!("certificate {path} of the SSL block cannot be used: {error}"))?
        }
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn roots(file: Option<&str>) -> Result<RootCertStore, String> {
    let found = SYSTEM_LISTS.iter().find(|path| std::path::Path::new(path).exists()).copied();
    let path = file.or(found).ok_or("this system has no list of trusted certificates: write ca_file")?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates(path)?);
    match taken {
        0 => Err(format!("ca_file {path} holds no certificate that can be trusted")),
        _ => Ok(roots),
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let octets = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{path} holds no certificate in PEM form")),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("{path} holds no certificate in PEM form: {error}")),
    }
}

/// The key that belongs to the certificate, opened with `password` if it is locked; one that is not needs none.
pub(super) fn private_key(options: &TlsOptions) -> Result<PrivateKeyDer<'static>, String> {
    let path = options.key.as_ref().or(options.certificate.as_ref()).ok_or("no key is configured")?;
    let octets = read(path)?;
    if let Some(locked) = locked_key(&octets) {
        let password = options.password.as_ref().map(|password| password.0.as_str());
        let password = password.ok_or_else(|| {
            format!("the key in {path} is protected by a password: write `password` in the SSL block")
        })?;
        return open_key(locked, password).map_err(|why| format!("the key in {path} {why}"));
    }
    // The form of OpenSSL 0.9: its cipher hangs on one round of MD5.
    if octets.windows(OLD_LOCK.len()).any(|part| part == OLD_LOCK) {
        return Err(format!(
            "the key in {path} is locked in a form that is not read: openssl pkcs8 -topk8 -in {path} writes one that is"
        ));
    }
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| format!("{path} holds no private key: {error}"))
}

/// How a locked key begins and ends (RFC 7468 11).
const LOCKED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----"];

/// In a key that is locked in the older form (RFC 1421 4.6.1.1).
const OLD_LOCK: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// The locked key of a file, which may hold certificates as well.
fn locked_key(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    let from = text.find(LOCKED[0])?;
    let length = text.get(from..)?.find(LOCKED[1])? + LOCKED[1].len();
    text.get(from..from + length)
}

/// Why not, as what is said of the key.
fn open_key(locked: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let document = SecretDocument::from_pem(locked);
    let (_, document) = document.map_err(|error| format!("is not in PEM form: {error}"))?;
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
    let info = info.map_err(|error| format!("is not in PKCS #8 form: {error}"))?;
    let opened = info.decrypt(password);
    let opened = opened.map_err(|error| format!("is not opened by `password` of the SSL block: {error}"))?;
    Ok(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into())
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut octets));
    file.map(|_| octets).map_err(|error| format!("{path} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check::Password;

    fn why(options: TlsOptions) -> String {
        load(&options).map(|_| ()).expect_err("it cannot be loaded")
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let verify =
            |ca: &str| TlsOptions { verify: true, ca_file: Some(ca.into()), ..TlsOptions::default() };
        let show = |path: &str| TlsOptions { certificate: Some(path.into()), ..TlsOptions::default() };
        let [certificate, key] = ["expired.pem", "expired.key"]
            .map(|name| format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")));
        assert!(why(verify("/does/not/exist")).starts_with("/does/not/exist cannot be read: "));
        assert_eq!(why(verify(&key)), format!("{key} holds no certificate in PEM form"));
        assert!(why(show(&certificate)).starts_with(&format!("{certificate} holds no private key")));
        assert!(load(&verify(&certificate)).is_ok());
        let whole = TlsOptions { key: Some(key), ..show(&certificate) };
        assert!(load(&whole).is_ok(), "certificate and key may lie in two files");
    }

    #[test]
    fn a_locked_key_is_opened_by_its_password() {
        let data = |name: &str| format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        let with = |key: &str, password: Option<&str>| TlsOptions {
            certificate: Some(data("expired.pem")),
            key: Some(key.to_owned()),
            password: password.map(|password| Password(password.to_owned())),
            ..TlsOptions::default()
        };
        let locked = data("locked.key");
        assert!(load(&with(&locked, Some("wolf"))).is_ok(), "rustls takes a key of the certificate only");
        assert!(load(&with(&data("expired.key"), Some("wolf"))).is_ok(), "one that needs no password");
        let protected = "is protected by a password: write `password` in the SSL block";
        assert!(why(with(&locked, None)).ends_with(protected));
        assert!(why(with(&locked, Some("lamb"))).contains("is not opened by `password` of the SSL block: "));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key").to_str().expect("plain").to_owned();
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n");
        assert!(
            why(with(&path, Some("wolf"))).contains("is locked in a form that is not read: openssl pkcs8")
        );
        write(&format!("{}\n%%%%\n{}\n", LOCKED[0], LOCKED[1]));
        assert!(why(with(&path, Some("wolf"))).contains("is not in PEM form"));
        let both = format!("{}{}", read_text(&data("expired.pem")), read_text(&locked));
        write(&both);
        let whole = TlsOptions { certificate: Some(path.clone()), ..with(&path, Some("wolf")) };
        assert!(load(&whole).is_ok(), "certificate and key in one file");
    }

    fn read_text(path: &str) -> String {
        std::fs::read_to_string(path).expect("test data")
    }
}
