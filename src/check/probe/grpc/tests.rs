//! Answers of health services, and of servers that have none.

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn check(service: &str) -> GrpcCheck {
    GrpcCheck { service: service.into(), host: None, tls: None }
}

fn endpoint() -> SocketAddr {
    ([192, 0, 2, 1], 50051).into()
}

#[test]
fn the_call_is_written_as_grpc_writes_it() {
    let all = request(&check(""), endpoint(), LIMIT);
    let whole = (all.method.as_str(), all.scheme, all.authority.as_str(), all.path.as_str());
    assert_eq!(whole, ("POST", "http", "192.0.2.1:50051", "/grpc.health.v1.Health/Check"));
    assert_eq!(all.body, [0, 0, 0, 0, 0], "the server as a whole is no name");
    let own =
        |name: &str| all.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((own("te"), own("grpc-timeout")), (Some("trailers"), Some("5000m")));
    let one = GrpcCheck { host: Some("a.example".into()), ..check("ab") };
    let one = request(&one, endpoint(), Duration::from_micros(10));
    assert_eq!((one.authority.as_str(), one.body.as_slice()), ("a.example", &b"\0\0\0\0\x04\x0a\x02ab"[..]));
    assert!(one.headers.contains(&("grpc-timeout".into(), "1m".into())));
    let long = request(&check(&"a".repeat(300)), endpoint(), LIMIT);
    assert_eq!(long.body[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02], "303 octets, 300 of them the name");
}

/// What a server says; the last of it must end the conversation.
type Words<'a> = Vec<Said<'a>>;

fn end(service: &str, said: &Words<'_>) -> Outcome {
    let mut call = Health::new(&check(service));
    let mut ends: Vec<Option<Outcome>> = said.iter().map(|said| call.hear(*said)).collect();
    let last = ends.pop().flatten().expect("it ends");
    assert!(ends.iter().all(Option::is_none), "it ended early: {ends:?}");
    last
}

fn ok(words: &str) -> Outcome {
    Outcome::Success(words.into())
}

fn no(words: &str) -> Outcome {
    Outcome::Failure(words.into())
}

const KIND: Field<'static> = ("content-type", b"application/grpc");
const HEAD: Said<'static> = Said::Head(200, &[KIND]);
const FINE: Said<'static> = Said::End(&[("grpc-status", b"0")]);

#[test]
fn each_answer_has_its_words() {
    let message = |octets: &'static [u8]| vec![HEAD, Said::Data(octets), FINE];
    let broken = "the answer is no HealthCheckResponse";
    let named = &[KIND, ("grpc-status", b"5"), ("grpc-message", b"unknown%20service%0A%C3%BC%zz")];
    let gone = &[KIND, ("grpc-status", b"12")];
    let away: &[Field<'_>] = &[("grpc-status", b"14"), ("grpc-message", b"starting")];
    #[rustfmt::skip]
    let cases: Vec<(&str, Words<'_>, Outcome)> = vec![
        ("", message(b"\0\0\0\0\x02\x08\x01"), ok("the server is SERVING")),
        ("a.b", message(b"\0\0\0\0\x02\x08\x01"), ok("service a.b is SERVING")),
        ("a.b", message(b"\0\0\0\0\x02\x08\x02"), no("service a.b is NOT_SERVING")),
        ("a.b", message(b"\0\0\0\0\x02\x08\0"), no("service a.b is UNKNOWN: it has not said yet whether it serves")),
        ("", message(b"\0\0\0\0\0"), no("the server is UNKNOWN: it has not said yet whether it serves")),
        ("a.b", message(b"\0\0\0\0\x02\x08\x03"), no("the server does not know the service a.b (SERVICE_UNKNOWN)")),
        ("a.b", message(b"\0\0\0\0\x02\x08\x09"), no("service a.b is in state 9, which nobody has defined")),
        ("a.b", message(b"\0\0\0\0\x0b\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), no("service a.b is in state -2, which nobody has defined")),
        ("a.b", message(b"\0\0\0\0\x0c\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), no(broken)),
        ("", vec![HEAD, Said::Data(b"\0\0\0"), Said::Data(b"\0\x02\x08"), Said::Data(b"\x01"), FINE], ok("the server is SERVING")),
        ("", message(b"\0\0\0\0\x19\x12\x02ab\x1d\0\0\0\0\x21\0\0\0\0\0\0\0\0\x28\x80\x01\x08\x01\x32\0"), ok("the server is SERVING")),
        ("", message(b"\x01\0\0\0\x02\x08\x01"), no("the answer is compressed, which nobody has asked for")),
        ("", message(b"\x02\0\0\0\x02\x08\x01"), no(broken)),
        ("", message(b"\0\0\0\0\x02\x08"), no(broken)),
        ("", message(b"\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x01"), no(broken)),
        ("", message(b"\0\0\0\0\x02\x0b\x01"), no(broken)),
        ("", message(b"\0\0\0\0\x02\x12\x7f"), no(broken)),
        ("", message(b"\0\0"), no(broken)),
        ("", vec![HEAD, FINE], no("the answer has no message")),
        ("", vec![HEAD, Said::Data(&[0; MAX_MESSAGE + 1])], no("the answer is over 4 KiB: no health service")),
        ("", vec![HEAD, Said::End(&[])], no("the answer ends without a grpc-status")),
        ("", vec![HEAD, Said::End(&[("grpc-status", b"x")])], no("grpc-status x is no number")),
        ("", vec![HEAD, Said::End(away)], no("grpc-status 14 UNAVAILABLE: starting")),
        ("", vec![HEAD, Said::End(&[("grpc-status", b"99")])], no("grpc-status 99, which nobody has defined")),
        ("a.b", vec![Said::Head(200, named)], no("the server does not know the service a.b (NOT_FOUND): unknown service \u{fc}%zz")),
        ("", vec![Said::Head(200, &[KIND, ("grpc-status", b"5")])], no("grpc-status 5 NOT_FOUND")),
        ("a.b", vec![Said::Head(200, gone)], no("the server has no health service (UNIMPLEMENTED)")),
        ("", vec![Said::Head(200, &[KIND, ("grpc-status", b"0")]), Said::End(&[])], no("the answer ends without a grpc-status")),
        ("", vec![Said::Head(404, &[("content-type", b"text/html")])], no("status 404, and not a word of gRPC")),
        ("", vec![Said::Head(200, &[("content-type", b"text/html\x1b")])], no("the answer is not gRPC, it is text/html ")),
        ("", vec![Said::Head(200, &[])], no("the answer is not gRPC: it has no content-type")),
        ("", vec![Said::Closed], no("closed without an answer")),
        ("", vec![HEAD, Said::Closed], no("closed before the answer ended")),
        ("", vec![Said::Broken("reset")], no("reset")),
        ("", vec![Said::TimedOut(LIMIT)], no("no answer within 5 s")),
        ("", vec![HEAD, Said::TimedOut(LIMIT)], no("silent for 5 s before the answer ended")),
    ];
    for (service, said, expected) in cases {
        assert_eq!(end(service, &said), expected, "{said:?}");
    }
}
