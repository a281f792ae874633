//! Servers that behave badly, and TLS servers with good and bad certificates, over real sockets.

use super::streams::{Streams, is_stream};
use super::*;
use crate::check::CheckId;
use crate::plan::check::{
    HttpCheck, HttpRequest, HttpUrl, HttpVersion, Schedule, SmtpCheck, TalkCheck, TlsCheck, TlsOptions,
    UdpCheck,
};
use crate::sys::clock::monotonic_now;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

pub(super) fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Answers with status 200 those who accept the certificate `name`; with `asks`, those who show one of the test's CA.
pub(super) fn server(name: &str, asks: bool) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(data(&format!("{name}.pem"))).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(data(&format!("{name}.key"))).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().expect("the versions are known");
    let builder = match asks {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(data("ca.pem")).expect("a CA")).expect("it is one");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
        }
    };
    let config = Arc::new(builder.with_single_cert(vec![certificate], key).expect("they belong together"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("a bound socket");
    // Ends with the test program.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().filter_map(Result::ok) {
            let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
                let _gone = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
            }
        }
    });
    endpoint
}

fn ask_with(endpoint: SocketAddr, options: TlsOptions) -> Outcome {
    let tls = TlsCheck { enable_sni: false, sni_name: None, options: Some(Box::new(options)) };
    ask_web(endpoint, Some(tls), Duration::from_secs(30))
}

fn ask_web(endpoint: SocketAddr, tls: Option<TlsCheck>, connect_timeout: Duration) -> Outcome {
    let kind = CheckKind::Http(HttpCheck {
        version: HttpVersion::V1_0,
        urls: vec![HttpUrl::new("/")],
        tls,
        fast_recovery: false,
    });
    ask_any(question(kind, endpoint, connect_timeout))
}

fn question(kind: CheckKind, endpoint: SocketAddr, connect_timeout: Duration) -> Question {
    let schedule = Schedule { connect_timeout, ..Schedule::every(Duration::from_secs(6)) };
    Question::new(kind, Target::new(endpoint), schedule)
}

/// As the role asks.
fn ask_any(question: Question) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match is_stream(&question) {
        false => runtime.block_on(ask(&question, 0, Mark::default(), None)).0,
        true => runtime.block_on(ask_together(vec![question])).remove(0),
    }
}

/// All of them at a time; the outcomes in their order.
async fn ask_together(questions: Vec<Question>) -> Vec<Outcome> {
    let mut streams = Streams::new().expect("a set of sockets");
    let mut outcomes = BTreeMap::new();
    let count = questions.len();
    for (number, question) in questions.into_iter().enumerate() {
        streams.start(CheckId(number as u64), Arc::new(question), 0, Mark::default(), None);
    }
    streams.settle();
    loop {
        while let Some(ended) = streams.next_ended() {
            let again = outcomes.insert(ended.check, ended.outcome);
            assert_eq!(again, None, "a conversation ends once");
        }
        if outcomes.len() == count {
            assert_eq!(streams.next_timeout(), None, "nothing is left of them");
            return outcomes.into_values().collect();
        }
        streams.wake_at(streams.next_timeout()).expect("a timer");
        streams.ready().await.expect("it says when");
        streams.turn(monotonic_now()).expect("a set of sockets");
    }
}

fn verify(ca: &str, name: &str) -> TlsOptions {
    let ca_file = Some(data(ca));
    TlsOptions { verify: true, ca_file, server_name: Some(name.into()), ..TlsOptions::default() }
}

#[test]
fn certificates_are_verified_where_that_is_wanted() {
    let good = server("server", false);
    let old = server("expired", false);
    let failure = |words: &str| Outcome::Failure(words.into());
    let seen = ask_with(good, verify("ca.pem", "www.example.org"));
    assert_eq!(seen, Outcome::Success("status 200, TLS 1.3".into()));
    assert_eq!(
        ask_with(good, verify("ca.pem", "www.example.net")),
        failure("certificate is not of www.example.net, it is of DnsName(\"www.example.org\")")
    );
    assert_eq!(
        ask_with(good, verify("expired.pem", "www.example.org")),
        failure("certificate is signed by nobody that is trusted (ca_file)"),
    );
    let unnamed = TlsOptions { server_name: None, ..verify("ca.pem", "") };
    let words = "certificate is not of 127.0.0.1, it is of DnsName(\"www.example.org\")";
    assert_eq!(ask_with(good, unnamed), failure(words), "the address counts where no name is written");
    for ca in ["ca.pem", "expired.pem"] {
        assert_eq!(ask_with(old, verify(ca, "expired.test")), failure("certificate expired"));
    }
    // As `openssl req -x509` makes them: signed by itself, and one of a CA.
    let own = server("rsa", false);
    for ca in ["ca.pem", "rsa.pem"] {
        let Outcome::Failure(words) = ask_with(own, verify(ca, "old.example")) else { panic!("no server's") };
        assert!(words.starts_with("certificate is that of a CA (CA:TRUE"), "{words}");
    }
    let missing = TlsOptions { ca_file: Some("/does/not/exist".into()), ..verify("ca.pem", "x") };
    let Outcome::NotRun(why) = ask_with(good, missing) else { panic!("our own trouble") };
    assert!(why.starts_with("/does/not/exist cannot be read: "), "{why}");
}

#[test]
fn a_certificate_of_ours_is_shown_to_servers_that_ask() {
    let strict = server("server", true);
    let own = TlsOptions {
        certificate: Some(data("server.pem")),
        key: Some(data("server.key")),
        ..TlsOptions::default()
    };
    assert_eq!(ask_with(strict, own), Outcome::Success("status 200, TLS 1.3".into()));
    let without = TlsOptions { expiry_warning_days: Some(0), ..TlsOptions::default() };
    match ask_with(strict, without) {
        Outcome::Failure(words) => assert!(words.contains("ertificate"), "{words}"),
        other => panic!("{other}"),
    }
}

#[test]
fn servers_that_only_speak_old_tls_are_told_so() {
    let why = match cfg!(feature = "openssl") {
        false => "; holdfast was built without the feature openssl (keepalived may reach it)",
        true => "; `verify` wants TLS 1.2 or 1.3 and a cipher of theirs",
    };
    // A ServerHello that chooses `minor`, with no extension; alerts (RFC 5246 7.2): protocol_version, handshake_failure.
    let hello = |minor: u8| {
        let mut octets = vec![22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        octets.extend([7; 32]);
        octets.extend([0, 0, 0x2f, 0]);
        octets
    };
    let cases = [
        (hello(1), "the server only speaks TLS 1.0"),
        (hello(2), "the server only speaks TLS 1.1"),
        (vec![21, 3, 1, 0, 2, 2, 70], "the server speaks no TLS 1.2 or 1.3"),
        (
            vec![21, 3, 3, 0, 2, 2, 40],
            "the server refuses every cipher of rustls: it may want static RSA, DHE or TLS older than 1.2",
        ),
    ];
    for (octets, what) in cases {
        let endpoint = misbehaving(move |mut socket| socket.write_all(&octets).expect("the check listens"));
        let seen = ask_with(endpoint, verify("ca.pem", "www.example.org"));
        assert_eq!(seen, Outcome::Failure(format!("{what}{why}")));
    }
}

#[cfg(feature = "openssl")]
mod by_openssl {
    use super::*;
    use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslVersion};

    /// Answers with status 200 those who speak no more than `version`, with `ciphers`.
    fn old_server(version: SslVersion, ciphers: &str, count: usize) -> SocketAddr {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("a builder");
        builder.clear_options(openssl::ssl::SslOptions::all());
        builder.set_min_proto_version(Some(version)).expect("known");
        builder.set_max_proto_version(Some(version)).expect("known");
        builder.set_cipher_list(&format!("{ciphers}:@SECLEVEL=0")).expect("known");
        builder.set_certificate_chain_file(data("rsa.pem")).expect("a certificate");
        builder.set_private_key_file(data("rsa.key"), SslFiletype::PEM).expect("a key");
        let acceptor = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = listener.local_addr().expect("a bound socket");
        std::thread::spawn(move || {
            for socket in listener.incoming().filter_map(Result::ok).take(count) {
                let Ok(mut stream) = acceptor.accept(socket) else { continue };
                if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
                    let _gone = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
                }
            }
        });
        endpoint
    }

    #[test]
    fn old_servers_are_reached_and_named() {
        let cases = [
            (SslVersion::TLS1, "AES128-SHA", "TLS 1.0 with AES128-SHA"),
            (SslVersion::TLS1_1, "ECDHE-RSA-AES128-SHA", "TLS 1.1 with ECDHE-RSA-AES128-SHA"),
            (SslVersion::TLS1_2, "AES128-SHA", "TLS 1.2 with AES128-SHA"),
        ];
        for (version, ciphers, words) in cases {
            // Refused once by rustls; remembered from then on.
            let endpoint = old_server(version, ciphers, 3);
            for _ in 0..2 {
                let seen =
                    ask_with(endpoint, TlsOptions { expiry_warning_days: Some(0), ..TlsOptions::default() });
                assert_eq!(seen, Outcome::Success(format!("status 200, {words} (by OpenSSL)")));
            }
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_named() {
        let endpoint = old_server(SslVersion::TLS1, "AES128-SHA", 2);
        let far = TlsOptions { expiry_warning_days: Some(u16::MAX), ..TlsOptions::default() };
        let Outcome::Success(words) = ask_with(endpoint, far) else { panic!("it is reached") };
        assert!(words.contains("(by OpenSSL), certificate expires in "), "{words}");
    }

    #[test]
    fn who_verifies_is_not_sent_to_old_tls() {
        let endpoint = old_server(SslVersion::TLS1, "AES128-SHA", 1);
        let Outcome::Failure(words) = ask_with(endpoint, verify("rsa.pem", "old.example")) else {
            panic!("an old server is not trusted")
        };
        assert!(words.ends_with("; `verify` wants TLS 1.2 or 1.3 and a cipher of theirs"), "{words}");
    }

    #[test]
    fn a_server_that_nobody_reaches_says_both_reasons() {
        let alert = [21, 3, 1, 0, 2, 2, 70];
        let endpoint = misbehaving(move |mut socket| socket.write_all(&alert).expect("the check listens"));
        let Outcome::Failure(words) =
            ask_with(endpoint, TlsOptions { expiry_warning_days: Some(1), ..TlsOptions::default() })
        else {
            panic!("nobody is there")
        };
        assert!(words.starts_with("the server speaks no TLS 1.2 or 1.3; again: "), "{words}");
    }
}

/// Says what `talk` says to the first who comes, once they have spoken.
pub(super) fn misbehaving(talk: impl FnOnce(std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the check comes");
        let _request = socket.read(&mut [0; 1024]);
        talk(socket);
    });
    endpoint
}

/// Writes `piece` until the other end goes.
fn endless(mut socket: std::net::TcpStream, head: &[u8], piece: &[u8], pause: Duration) {
    let mut said = socket.write_all(head);
    while said.is_ok() {
        said = socket.write_all(piece);
        std::thread::sleep(pause);
    }
}

#[test]
fn servers_that_never_end_get_a_verdict() {
    const HEAD: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
    let patient = Duration::from_secs(30);
    let huge = misbehaving(|socket| endless(socket, HEAD, &[b'x'; 1 << 16], Duration::ZERO));
    let seen = ask_web(huge, None, patient);
    assert_eq!(seen, Outcome::Success("status 200, stopped reading after 64 MiB".into()));
    let heads = misbehaving(|socket| endless(socket, b"HTTP/1.0 200 OK\r\n", b"A: b\r\n", Duration::ZERO));
    assert_eq!(ask_web(heads, None, patient), Outcome::Failure("headers over 64 KiB".into()));
    let slow = misbehaving(|socket| endless(socket, HEAD, b"x", Duration::from_millis(10)));
    let seen = ask_web(slow, None, Duration::from_millis(50));
    // On a machine that is held up for long its pauses count as silence.
    let words = ["no end within 3 s".to_owned(), "silent for 50 ms after".to_owned()];
    assert!(matches!(&seen, Outcome::Failure(why) if words.iter().any(|w| why.starts_with(w))), "{seen}");
}

#[test]
fn servers_that_lie_or_break_off_are_told_apart() {
    let failure = |words: &str| Outcome::Failure(words.into());
    let say = |text: &'static [u8]| {
        move |mut socket: std::net::TcpStream| socket.write_all(text).expect("the check listens")
    };
    let short = misbehaving(say(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhello"));
    let patient = Duration::from_secs(30);
    assert_eq!(
        ask_web(short, None, patient),
        Outcome::Success("status 200 (5 octets of body, Content-Length says 10)".into())
    );
    let silent = misbehaving(|_socket| {});
    assert_eq!(ask_web(silent, None, patient), failure("closed without an answer"));
    let (stay, end) = std::sync::mpsc::channel::<()>();
    let open = misbehaving(move |mut socket| {
        socket.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").expect("the check listens");
        // Until the test is over.
        let _over = end.recv();
    });
    let words = "the whole answer came but the server did not close within 300 ms";
    assert_eq!(ask_web(open, None, Duration::from_millis(300)), failure(words));
    drop(stay);
}

#[test]
fn tls_servers_that_misbehave_are_told_apart() {
    // By `verify`, so that no other library is asked for a second opinion.
    let limit = Duration::from_millis(300);
    let asking = |endpoint, connect_timeout| {
        let tls =
            TlsCheck { options: Some(Box::new(verify("ca.pem", "www.example.org"))), ..TlsCheck::default() };
        ask_web(endpoint, Some(tls), connect_timeout)
    };
    let failure = |words: &str| Outcome::Failure(words.into());
    let closes = misbehaving(|_socket| {});
    assert_eq!(asking(closes, PATIENT), failure("closed during the TLS handshake"));
    let resets = misbehaving(|socket| {
        let linger = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        linger.expect("a socket");
    });
    assert_eq!(asking(resets, PATIENT), failure("connection reset by the server during the TLS handshake"));
    let plain =
        misbehaving(|socket| endless(socket, b"HTTP/1.0 200 OK\r\n", &[b'x'; 1 << 16], Duration::ZERO));
    assert_eq!(asking(plain, PATIENT), failure("what the server says is no TLS"));
    let (stay, end) = std::sync::mpsc::channel::<()>();
    let mute = misbehaving(move |_socket| {
        // Until the test is over.
        let _over = end.recv();
    });
    assert_eq!(asking(mute, limit), failure("no TLS handshake within 300 ms"));
    drop(stay);
    // A ServerHello of 16 KiB in records of one octet; then one whose length has no end.
    let slow = misbehaving(|socket| {
        endless(socket, &[22, 3, 3, 0, 4, 2, 0, 64, 0], &[22, 3, 3, 0, 1, 0], Duration::from_millis(10))
    });
    assert_eq!(asking(slow, limit), failure("no TLS handshake within 300 ms"));
    let long = misbehaving(|socket| {
        let record = [&[22, 3, 3, 64, 0][..], &[0; 1 << 14]].concat();
        endless(socket, &[22, 3, 3, 0, 4, 2, 255, 255, 255], &record, Duration::ZERO)
    });
    assert_eq!(asking(long, PATIENT), failure("what the server says is no TLS"));
}

/// Answers the first datagram with `answer`.
fn answering(answer: Vec<u8>) -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let endpoint = socket.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        let (_, peer) = socket.recv_from(&mut [0; 1024]).expect("the check comes");
        socket.send_to(&answer, peer).expect("the check listens");
    });
    endpoint
}

#[test]
fn long_answers_to_datagrams_have_their_whole_length() {
    let asked = |length: usize| {
        let check = UdpCheck { payload: None, reply: Some(vec![(b'x', 0xff)]), reply_length: 5000..=5000 };
        ask_any(question(CheckKind::Udp(check), answering(vec![b'x'; length]), PATIENT))
    };
    assert_eq!(asked(5000), Outcome::Success("the wanted answer, 5000 octets".into()));
    let words = "an answer of 5001 octets, wanted 5000 to 5000";
    assert_eq!(asked(5001), Outcome::Failure(words.into()));
}

#[test]
fn our_own_troubles_are_told_apart() {
    let error = |errno| io::Error::from_raw_os_error(errno);
    assert!(no_socket(&error(libc::EMFILE)).starts_with("this process has no file descriptor left"));
    assert!(no_socket(&error(libc::ENFILE)).starts_with("this machine has no file descriptor left"));
    let target = Target::new(([127, 0, 0, 1], 80).into());
    assert!(cannot_connect(&target, &error(libc::EADDRNOTAVAIL)).starts_with("no local port is free"));
    for own in [libc::EADDRNOTAVAIL, libc::EMFILE, libc::ENOBUFS, libc::EPERM, libc::EINVAL] {
        assert!(is_our_own(&error(own)), "{}", error(own));
    }
    for theirs in
        [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EHOSTDOWN, libc::ETIMEDOUT]
    {
        assert!(!is_our_own(&error(theirs)), "{}", error(theirs));
    }
}

const PATIENT: Duration = Duration::from_secs(30);

#[test]
fn connections_that_stand_are_refused_or_never_answered_are_told_apart_in_one_go() {
    let open = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a bound socket");
    // A queue that is full takes no more connections: they wait.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    full.listen(0).expect("it is bound");
    let full_endpoint = full.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    let _first = std::net::TcpStream::connect(full_endpoint).expect("room for one");
    let mut questions = Vec::new();
    for _ in 0..20 {
        questions.push(question(CheckKind::Tcp, open.local_addr().expect("a bound socket"), PATIENT));
        questions.push(question(CheckKind::Tcp, closed, PATIENT));
        questions.push(question(CheckKind::Tcp, full_endpoint, Duration::from_millis(300)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for three in runtime.block_on(ask_together(questions)).chunks(3) {
        let [stands, refused, waits] = three else { panic!("three at a time") };
        assert_eq!(*stands, Outcome::Success("connected".into()));
        assert!(
            matches!(refused, Outcome::Failure(why) if why.starts_with("connection refused after ")),
            "{refused}"
        );
        assert_eq!(*waits, Outcome::Failure("no connection within 300 ms".into()));
    }
}

#[test]
fn what_comes_with_the_end_is_heard_whole() {
    // All at once, and the end with it; and an answer of more than one read.
    let long: Vec<u8> =
        [&b"HTTP/1.0 200 OK\r\nContent-Length: 300000\r\n\r\n"[..], &[b'x'; 300_000]].concat();
    let server = misbehaving(move |mut socket| socket.write_all(&long).expect("the check listens"));
    assert_eq!(ask_web(server, None, PATIENT), Outcome::Success("status 200".into()));
    // It has ended before it is spoken to: what it said is heard all the same, then its end.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the check comes");
        socket.write_all(b"220 hello\r\n").expect("the check listens");
        socket.shutdown(std::net::Shutdown::Write).expect("it is open");
        let _rest = socket.read_to_end(&mut Vec::new());
    });
    let kind = CheckKind::Smtp(SmtpCheck { helo: "test".into() });
    match ask_any(question(kind, endpoint, PATIENT)) {
        Outcome::Failure(why) => assert!(why.contains("closed"), "{why}"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_request_that_does_not_fit_is_sent_piece_by_piece() {
    let body = vec![b'b'; 8 << 20];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("a bound socket");
    let wanted = body.len();
    let reader = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the check comes");
        let (mut heard, mut piece) = (0, vec![0; 1 << 16]);
        while heard < wanted {
            heard += socket.read(&mut piece).expect("the check speaks");
        }
        socket.write_all(b"HTTP/1.0 200 OK\r\n\r\n").expect("the check listens");
        heard
    });
    let request = HttpRequest { method: "POST".into(), headers: Vec::new(), body };
    let urls = vec![HttpUrl { request: Some(Box::new(request)), ..HttpUrl::new("/") }];
    let check = HttpCheck { version: HttpVersion::V1_0, urls, tls: None, fast_recovery: false };
    assert_eq!(
        ask_any(question(CheckKind::Http(check), endpoint, PATIENT)),
        Outcome::Success("status 200".into())
    );
    assert!(reader.join().expect("it heard all") > wanted, "the head came, too");
}

#[test]
fn a_conversation_of_several_turns_has_its_limit_for_each() {
    let talk =
        |expect: &str| CheckKind::Talk(TalkCheck { send: b"PING\r\n".to_vec(), expect: expect.into() });
    let slow = misbehaving(|mut socket| {
        for piece in ["+", "P", "O", "N", "G"] {
            std::thread::sleep(Duration::from_millis(100));
            socket.write_all(piece.as_bytes()).expect("the check listens");
        }
    });
    let seen = ask_any(question(talk("PONG"), slow, Duration::from_secs(20)));
    assert_eq!(seen, Outcome::Success("the expected answer, 5 octets".into()));
    let (stay, end) = std::sync::mpsc::channel::<()>();
    let mute = misbehaving(move |_socket| {
        // Until the test is over.
        let _over = end.recv();
    });
    let seen = ask_any(question(talk("PONG"), mute, Duration::from_millis(200)));
    assert_eq!(seen, Outcome::Failure("no expected words within 200 ms, nothing was said".into()));
    drop(stay);
}
