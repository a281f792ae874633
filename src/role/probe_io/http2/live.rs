//! Checks of an HTTP/2 server by the same library, over real sockets, with TLS and without.

use super::super::tests::{data, misbehaving, server};
use super::super::{Mark, ask};
use super::tests::{frame, question};
use super::*;
use crate::plan::check::{
    CheckKind, GrpcCheck, HttpCheck, HttpRequest, HttpUrl, HttpVersion, TlsCheck, TlsOptions,
};
use crate::plan::search::SearchPlan;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use md5::{Digest, Md5};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::SocketAddr;
use tokio_rustls::TlsAcceptor;

fn acceptor(alpn: &[&str]) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(data("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(data("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("the versions are known");
    let mut config =
        builder.with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// An HTTP/2 server, over TLS where there are names for ALPN. Ends with the test program.
fn serve(alpn: Option<&[&str]>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let endpoint = listener.local_addr().expect("a bound socket");
    let acceptor = alpn.map(acceptor);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                match acceptor.clone() {
                    None => drop(tokio::spawn(connection(socket))),
                    Some(acceptor) => drop(tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(socket).await {
                            connection(stream).await;
                        }
                    })),
                }
            }
        });
    });
    endpoint
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        tokio::spawn(respond(request, answer));
    }
}

async fn respond(mut request: Request<RecvStream>, mut answer: SendResponse<Bytes>) {
    if request.uri().path() == "/grpc.health.v1.Health/Check" {
        return health(request, answer).await;
    }
    let status = if request.uri().path() == "/gone" { 404 } else { 200 };
    let head = Response::builder().status(status).body(()).expect("a head");
    let Ok(mut stream) = answer.send_response(head, false) else { return };
    match request.uri().path() {
        "/big" => big(stream).await,
        "/asked" => {
            let mut words = format!("{} {}\n", request.method(), request.uri());
            words += &fields_text(request.headers());
            while let Some(Ok(piece)) = request.body_mut().data().await {
                words += &String::from_utf8_lossy(&piece);
            }
            let _gone = stream.send_data(words.into(), true);
        }
        _ => {
            let _gone = stream.send_data("healthy\n".into(), true);
        }
    }
}

/// The server as a whole and `up` serve, `down` does not, and more it does not know.
async fn health(mut request: Request<RecvStream>, mut answer: SendResponse<Bytes>) {
    let mut asked = Vec::new();
    while let Some(Ok(piece)) = request.body_mut().data().await {
        asked.extend_from_slice(&piece);
    }
    let status = match asked.get(5..) {
        Some(b"" | b"\x0a\x02up") => 1,
        Some(b"\x0a\x04down") => 2,
        _ => 0,
    };
    let head = Response::builder().header("content-type", "application/grpc");
    if status == 0 {
        let head = head.header("grpc-status", "5").header("grpc-message", "unknown service");
        let _gone = answer.send_response(head.body(()).expect("a head"), true);
        return;
    }
    let Ok(mut stream) = answer.send_response(head.body(()).expect("a head"), false) else { return };
    let _gone = stream.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false);
    let trailers =
        HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))]);
    let _gone = stream.send_trailers(trailers);
}

/// Zeros, as fast as they are taken and for as long as anybody does.
async fn big(mut stream: SendStream<Bytes>) {
    loop {
        stream.reserve_capacity(1 << 16);
        let Some(Ok(room)) = poll_fn(|context| stream.poll_capacity(context)).await else { return };
        if stream.send_data(vec![0; room].into(), false).is_err() {
            return;
        }
    }
}

fn web(endpoint: SocketAddr, urls: Vec<HttpUrl>, tls: bool) -> Question {
    let tls = tls.then(verified);
    let check = HttpCheck { version: HttpVersion::V2, urls, tls, fast_recovery: false };
    let mut question = question(CheckKind::Http(check), &endpoint.to_string());
    question.manner_mut().schedule.connect_timeout = Duration::from_secs(30);
    question
}

/// What the check trusts and calls the server.
fn verified() -> TlsCheck {
    let verify = TlsOptions {
        verify: true,
        ca_file: Some(data("ca.pem")),
        server_name: Some("www.example.org".into()),
        ..TlsOptions::default()
    };
    TlsCheck { options: Some(Box::new(verify)), ..TlsCheck::default() }
}

fn answer(question: &Question, part: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ask(question, part, Mark::default(), None)).0
}

fn ok(words: &str) -> Outcome {
    Outcome::Success(words.into())
}

fn no(words: &str) -> Outcome {
    Outcome::Failure(words.into())
}

#[test]
fn pages_are_judged_as_over_http_1() {
    let digest = HttpUrl { digest: Some(Md5::digest(b"healthy\n").into()), ..HttpUrl::new("/health") };
    let gone = HttpUrl::new("/gone");
    let asking = |text: &str| HttpUrl {
        host: Some("www.example".into()),
        search: Some(SearchPlan::literal(text)),
        request: Some(Box::new(HttpRequest {
            method: "PUT".into(),
            headers: vec![("X-Token".into(), "a b".into())],
            body: b"ping pong".to_vec(),
        })),
        ..HttpUrl::new("/asked?x")
    };
    let urls =
        vec![digest, gone, asking("x-token: a b\ncontent-length: 9\nping pong"), asking("no such words")];
    for (endpoint, tls, version) in
        [(serve(None), false, ""), (serve(Some(&["http/1.1", "h2"])), true, ", TLS 1.3")]
    {
        let question = web(endpoint, urls.clone(), tls);
        let ends = [0, 1, 2, 3].map(|part| answer(&question, part));
        let expected = [
            ok(&format!("url /health: status 200, HTTP/2{version}")),
            no("url /gone: status 404, wanted 200-299"),
            ok(&format!("url /asked?x: status 200, HTTP/2{version}")),
            no("url /asked?x: status 200, but the body has no match of the regex"),
        ];
        assert_eq!(ends, expected);
    }
}

#[test]
fn health_is_asked_for_by_grpc() {
    for (endpoint, tls, version) in
        [(serve(None), None, ""), (serve(Some(&["h2"])), Some(verified()), ", TLS 1.3")]
    {
        let health = |service: &str| {
            let check = GrpcCheck { service: service.into(), host: None, tls: tls.clone() };
            let mut question = question(CheckKind::Grpc(Box::new(check)), &endpoint.to_string());
            question.manner_mut().schedule.connect_timeout = Duration::from_secs(30);
            answer(&question, 0)
        };
        assert_eq!(health(""), ok(&format!("the server is SERVING{version}")));
        assert_eq!(health("up"), ok(&format!("service up is SERVING{version}")));
        assert_eq!(health("down"), no("service down is NOT_SERVING"));
        let unknown = "the server does not know the service x (NOT_FOUND): unknown service";
        assert_eq!(health("x"), no(unknown));
    }
}

#[test]
fn the_host_is_the_authority() {
    let scheme = HttpUrl {
        host: Some("www.example".into()),
        search: Some(SearchPlan::literal("GET https://www.example/asked\nuser-agent: KeepAliveClient\n")),
        ..HttpUrl::new("/asked")
    };
    let question = web(serve(Some(&["h2"])), vec![scheme], true);
    assert_eq!(answer(&question, 0), ok("status 200, HTTP/2, TLS 1.3"));
}

#[test]
fn a_body_without_end_is_read_in_part() {
    let question = web(serve(None), vec![HttpUrl::new("/big")], false);
    assert_eq!(answer(&question, 0), ok("status 200, stopped reading after 64 MiB, HTTP/2"));
}

#[test]
fn a_server_that_speaks_no_http_2_is_told_apart() {
    let url = || vec![HttpUrl::new("/")];
    let without = web(server("server", false), url(), true);
    assert_eq!(answer(&without, 0), no("the server does not speak HTTP/2: it chose nothing by ALPN"));
    let other = web(serve(Some(&["http/1.1"])), url(), true);
    let words = "the server does not speak HTTP/2: of what ALPN offers it knows nothing";
    assert_eq!(answer(&other, 0), no(words));
    let plain = misbehaving(|mut socket| {
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("the check listens");
    });
    let words = "the server does not speak HTTP/2: it answers with HTTP/1";
    assert_eq!(answer(&web(plain, url(), false), 0), no(words));
}

#[test]
fn a_server_that_only_pings_gets_its_verdict() {
    let pinging = misbehaving(|mut socket| {
        let mut said = socket.write_all(&frame(4, 0, 0, &[]));
        while said.is_ok() {
            std::thread::sleep(Duration::from_millis(10));
            said = socket.write_all(&frame(6, 0, 0, &[0; 8]));
            // What it answers is taken, so that it can say more.
            socket.set_nonblocking(true).expect("a socket");
            let _some = socket.read(&mut [0; 4096]);
            socket.set_nonblocking(false).expect("a socket");
        }
    });
    let mut question = web(pinging, vec![HttpUrl::new("/")], false);
    question.manner_mut().schedule.connect_timeout = Duration::from_millis(200);
    assert_eq!(answer(&question, 0), no("no answer within 200 ms"));
}
