//! `genhash`: our tool beside keepalived's, against the same servers: output, complaints, status and request are equal
//! octet for octet, but for the time that a verbose run names. Where keepalived is not installed, ours is held to what
//! keepalived 2.2.7's said.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const THEIRS: &str = "/usr/bin/genhash";

/// Between two pieces of an answer: they must be read apart.
const APART: Duration = Duration::from_millis(200);

/// What one run shows.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    status: Option<i32>,
    out: String,
    err: String,
}

struct Lab {
    _folder: tempfile::TempDir,
    ours: PathBuf,
    /// keepalived's, where it is installed.
    theirs: Option<PathBuf>,
}

impl Lab {
    fn new() -> Lab {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ours = folder.path().join("genhash");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_holdfast"), &ours).expect("a link to the daemon");
        let theirs = Path::new(THEIRS).exists().then(|| PathBuf::from(THEIRS));
        Lab { _folder: folder, ours, theirs }
    }

    /// Runs both where both are there; what ours shows, equal to theirs.
    fn run(&self, words: &[&str]) -> Shown {
        let ours = run(&self.ours, words);
        if let Some(theirs) = &self.theirs {
            assert_eq!(ours, run(theirs, words), "ours, then keepalived's: genhash {words:?}");
        }
        ours
    }
}

fn run(program: &Path, words: &[&str]) -> Shown {
    let output = Command::new(program).args(words).output().expect("the tool runs");
    let text = |octets: &[u8]| {
        let text = String::from_utf8_lossy(octets).replace(&*program.to_string_lossy(), "genhash");
        // The time is the only thing that differs from run to run.
        let timed = |line: &str| match line.split_once("] = ") {
            Some((head, _)) if line.starts_with("Global response time") => format!("{head}] = TIME"),
            _ => line.to_owned(),
        };
        text.split('\n').map(timed).collect::<Vec<_>>().join("\n")
    };
    Shown { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Answers each connection with the pieces; the requests come back over the channel.
fn server(pieces: Vec<Vec<u8>>) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let (tell, told) = std::sync::mpsc::channel();
    let pieces = Arc::new(pieces);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = [0; 4096];
            let count = connection.read(&mut request).unwrap_or(0);
            for piece in pieces.iter() {
                // Who went away needs no answer.
                connection.write_all(piece).ok();
                thread::sleep(APART);
            }
            tell.send(String::from_utf8_lossy(&request[..count]).into_owned()).ok();
        }
    });
    (address, told)
}

fn pieces(pieces: &[&str]) -> Vec<Vec<u8>> {
    pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect()
}

#[test]
fn pages_have_keepalived_s_hash_and_dump() {
    let lab = Lab::new();
    let long_header = format!("HTTP/1.0 200 OK\r\nX: {}\r\n\r\nabc", "a".repeat(5000));
    let abc = "900150983cd24fb0d6963f7d28e17f72\n";
    let every_octet: Vec<u8> =
        b"HTTP/1.0 200 OK\r\n\r\n".iter().copied().chain((0..=255).cycle().take(700)).collect();
    let cases: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (pieces(&["HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"]), abc),
        (pieces(&["HTTP/1.0 200 OK\r\nX: y\r\n\r", "\nab", "c"]), abc),
        (pieces(&["HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "abcdef", "g"]), abc),
        (pieces(&["HTTP/1.0 200 OK\r\nContent-Length:  3\r\n\r\nab", "cdef", "g"]), abc),
        (
            pieces(&["HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabcdef"]),
            "e80b5017098950fc58aad83c8c14978e\n",
        ),
        (pieces(&["HTTP/1.0 200 OK\r\nX-Content-Length: 3\r\n\r\nabcdef"]), abc),
        (
            pieces(&["HTTP/1.0 200 OK\r\nContent-Length: 3 \r\n\r\nabcdef"]),
            "e80b5017098950fc58aad83c8c14978e\n",
        ),
        (pieces(&["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\nabc"]), "d41d8cd98f00b204e9800998ecf8427e\n"),
        (pieces(&["HTTP/1.0 200 OK\r\nContent-Length: -3\r\n\r\nabc"]), abc),
        (pieces(&["HTTP/1.1 503 No\r\n\r\nabc"]), abc),
        (pieces(&["HTTP/1.0 200 OK\r\n\r\n"]), "d41d8cd98f00b204e9800998ecf8427e\n"),
        (vec![every_octet], "49344cf669d6486c8a0ee1426e72f10a\n"),
        (pieces(&["rubbish\r\n\r\nabc"]), abc),
        (pieces(&["HTTP/1.0 200 OK\n\nabc"]), ""),
        (pieces(&["no answer at all"]), ""),
        (pieces(&[&long_header]), ""),
        (pieces(&[]), ""),
    ];
    // Their servers sleep: all at once.
    thread::scope(|scope| {
        for (pieces, wanted) in cases {
            let lab = &lab;
            scope.spawn(move || {
                let (address, _requests) = server(pieces.clone());
                let port = address.port().to_string();
                let quiet = lab.run(&["-s", "127.0.0.1", "-p", &port, "-u", "/x"]);
                assert_eq!(quiet.out, wanted, "{:?}", pieces.first().map(|p| String::from_utf8_lossy(p)));
                assert_eq!(quiet.status, Some(0));
                let complaint =
                    if wanted.is_empty() { "no data received from remote webserver\n" } else { "" };
                assert_eq!(quiet.err, complaint);
                let verbose = lab.run(&["-v", "-s", "127.0.0.1", "-p", &port, "-u", "/x"]);
                assert!(verbose.out.contains("Global response time for [/x]"), "{}", verbose.out);
            });
        }
    });
}

#[test]
fn requests_are_keepalived_s() {
    let lab = Lab::new();
    let (address, requests) = server(pieces(&["HTTP/1.0 200 OK\r\n\r\nx"]));
    let port = address.port().to_string();
    let own = format!("127.0.0.1:{port}");
    let cases = [
        (vec!["-u", "/a"], format!("GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: {own}\r\n\r\n")),
        (
            vec!["-u", "a b", "-P", "1.1"],
            format!("GET a b HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: {own}\r\n\r\n"),
        ),
        (
            vec!["-u", "/a", "-P1.0C", "--use-virtualhost=www.example"],
            "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example\r\n\r\n".into(),
        ),
    ];
    for (more, wanted) in cases {
        let words = [vec!["-s", "127.0.0.1", "-p", &port], more].concat();
        lab.run(&words);
        for _ in 0..1 + usize::from(lab.theirs.is_some()) {
            let heard = requests.recv_timeout(Duration::from_secs(30)).expect("a request");
            assert_eq!(heard, wanted, "{words:?}");
        }
    }
}

#[test]
fn what_goes_wrong_has_keepalived_s_words() {
    let lab = Lab::new();
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let silent_port = silent.local_addr().expect("bound").port().to_string();
    let (half, _requests) = server(vec![b"HTTP/1.0 200 OK\r\n".to_vec(), Vec::new(), Vec::new(), Vec::new()]);
    let (nobody, half) = (nobody.port().to_string(), half.port().to_string());
    let cases: [(&[&str], &str); 4] = [
        (&["-p", &nobody], "Connection failed\n"),
        (&["-p", &silent_port, "-t", "1"], "Timeout WEB read\n"),
        (&["-p", &half, "-S"], "SSL handshake/communication error connecting to\n"),
        (&["-p", &nobody, "-S", "-v"], "Connection failed\n\nGlobal response time for [/] = TIME\n"),
    ];
    for (more, wanted) in cases {
        let words = [&["-s", "127.0.0.1", "-u", "/"], more].concat();
        let shown = lab.run(&words);
        assert_eq!(
            (shown.status, shown.out.as_str(), shown.err.as_str()),
            (Some(0), wanted, ""),
            "{words:?}"
        );
    }
}

#[test]
fn words_that_make_no_sense_are_refused_as_keepalived_refuses_them() {
    let lab = Lab::new();
    let whole = ["-s", "127.0.0.1", "-p", "80", "-u", "/"];
    let refused: [&[&str]; 16] = [
        &["-Q"],
        &["-h"],
        &["-vQx"],
        &["--verbose=3"],
        &["--use"],
        &["-t"],
        &["-t", "-1"],
        &["-t", "1x"],
        &["-p", "0"],
        &["-p", "70000"],
        &["-p", ""],
        &["-m", "0x7"],
        &["-P", "2.0"],
        &["-s", "localhost"],
        &["a", "--", "-b"],
        &["-Q", "-p", "x", "-t", "y", "zzz", "-m", "w"],
    ];
    for more in refused {
        let shown = lab.run(&[&whole, more].concat());
        assert_eq!((shown.status, shown.out.as_str()), (Some(1), ""), "{more:?}");
        assert!(shown.err.ends_with("   --timeout         -t       Timeout in seconds\n"), "{more:?}");
    }
    for few in [&[][..], &["-Q"], &["-v", "-v"], &["-s", "127.0.0.1", "-p", "80"]] {
        let shown = lab.run(few);
        assert_eq!(shown.status, Some(1));
        assert!(shown.err.starts_with("Usage: genhash COMMAND [OPTIONS]\n"), "{few:?}: {}", shown.err);
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Answers each connection through TLS by rustls: 1.2 and 1.3.
fn tls_server() -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(data("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(data("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .expect("a server");
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
            let mut stream = rustls::Stream::new(&mut session, &mut connection);
            if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                // Who went away needs no answer.
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nabc").ok();
            }
            session.send_close_notify();
            session.complete_io(&mut connection).ok();
        }
    });
    address
}

#[test]
fn through_tls_any_certificate_will_do() {
    let lab = Lab::new();
    let port = tls_server().port().to_string();
    for more in [&[][..], &["-I", "-V", "www.example"]] {
        let words = [&["-S", "-s", "127.0.0.1", "-p", &port, "-u", "/"][..], more].concat();
        assert_eq!(lab.run(&words).out, "900150983cd24fb0d6963f7d28e17f72\n", "{words:?}");
    }
}

/// A server that only speaks TLS 1.0, which neither rustls nor keepalived on Debian does.
#[cfg(feature = "openssl")]
#[test]
fn a_server_of_old_tls_is_reached() {
    use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslOptions, SslVersion};
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("a builder");
    builder.clear_options(SslOptions::all());
    builder.set_min_proto_version(Some(SslVersion::TLS1)).expect("known");
    builder.set_max_proto_version(Some(SslVersion::TLS1)).expect("known");
    builder.set_cipher_list("AES128-SHA:@SECLEVEL=0").expect("known");
    builder.set_certificate_chain_file(data("rsa.pem")).expect("a certificate");
    builder.set_private_key_file(data("rsa.key"), SslFiletype::PEM).expect("a key");
    let acceptor = builder.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let Ok(mut stream) = acceptor.accept(connection) else { continue };
            if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nabc").ok();
            }
        }
    });
    let daemon = Path::new(env!("CARGO_BIN_EXE_holdfast"));
    let shown = run(daemon, &["-T", "-S", "-s", "127.0.0.1", "-p", &port, "-u", "/"]);
    assert_eq!(shown.out, "900150983cd24fb0d6963f7d28e17f72\n", "{}", shown.err);
}

#[test]
fn the_daemon_called_with_dash_t_is_the_tool() {
    let daemon = Path::new(env!("CARGO_BIN_EXE_holdfast"));
    let (address, _requests) = server(pieces(&["HTTP/1.0 200 OK\r\n\r\nabc"]));
    let port = address.port().to_string();
    let shown = run(daemon, &["-T", "-s", "127.0.0.1", "-p", &port, "-u", "/"]);
    assert_eq!(shown.out, "900150983cd24fb0d6963f7d28e17f72\n");
    let shown = run(daemon, &["--genhash"]);
    assert!(shown.err.starts_with("Usage: genhash --genhash COMMAND"), "{}", shown.err);
}
