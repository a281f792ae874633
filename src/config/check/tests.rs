//! Keywords of holdfast, from the file to the plan.

use crate::config::tests::lowered;
use crate::plan::check::{CheckKind, GrpcCheck, HttpRequest, HttpVersion, Password, Question, TlsOptions};
use crate::plan::lvs::VirtualServer;
use keepalived_compat::Code;
use std::time::Duration;

fn server(outside: &str, of_service: &str, of_server: &str) -> (VirtualServer, Vec<Code>) {
    let (plans, codes) = lowered(&format!(
        "{outside}\nvirtual_server 192.0.2.1 80 {{\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\n{of_service}\n\
         real_server 198.51.100.1 80 {{\n{of_server}\n}}\nreal_server 198.51.100.2 80 {{\n}}\n}}"
    ));
    (plans.lvs.virtual_servers.into_iter().next().expect("a virtual server"), codes)
}

fn check(outside: &str, text: &str) -> (Question, Vec<Code>) {
    let (server, codes) = server(outside, "", text);
    ((**server.real_servers[0].checkers[0].question()).clone(), codes)
}

#[test]
fn rise_and_fall_are_of_every_check_that_asks() {
    let url = "url {\npath /\n}";
    for (block, more) in [
        ("TCP_CHECK", ""),
        ("PING_CHECK", ""),
        ("UDP_CHECK", ""),
        ("SMTP_CHECK", ""),
        ("DNS_CHECK", ""),
        ("HTTP_GET", url),
        ("SSL_GET", url),
        ("MISC_CHECK", "misc_path /bin/true"),
    ] {
        let (plan, codes) = check("", &format!("{block} {{\nrise 3\nfall 2\n{more}\n}}"));
        let built: Vec<_> = codes.into_iter().filter(|code| *code != Code::ScriptSecurity).collect();
        assert_eq!((plan.schedule.rise, plan.schedule.fall, built), (3, 2, vec![]), "{block}");
        let (plan, _) = check("", &format!("{block} {{\n{more}\n}}"));
        assert_eq!((plan.schedule.rise, plan.schedule.fall), (1, 0), "{block}");
    }
}

#[test]
fn a_tcp_check_may_speak() {
    let (plan, codes) = check("", "TCP_CHECK {\nsend \"PING\\r\\n\"\nexpect \"+PONG\"\n}");
    let CheckKind::Talk(talk) = plan.kind.clone() else { panic!("{:?}", plan.kind) };
    assert_eq!((talk.send.as_slice(), talk.expect.as_slice()), (&b"PING\r\n"[..], &b"+PONG"[..]));
    assert_eq!(codes, []);
    assert_eq!(check("", "TCP_CHECK {\n}").0.kind, CheckKind::Tcp);
}

#[test]
fn a_tcp_check_may_ask_for_health() {
    let of = |lines: &str| {
        let (plan, codes) = check("", &format!("TCP_CHECK {{\n{lines}\n}}"));
        let CheckKind::Grpc(check) = plan.kind.clone() else { panic!("{:?}", plan.kind) };
        (*check, codes)
    };
    let plain = GrpcCheck { service: String::new(), host: None, tls: None };
    assert_eq!(of("grpc_health"), (plain.clone(), vec![]));
    let named = GrpcCheck { service: "a.B".into(), host: Some("www.example".into()), ..plain.clone() };
    assert_eq!(of("grpc_health a.B\nvirtualhost www.example"), (named, vec![]));
    let (check, codes) =
        of("grpc_health\ntls\nverify\nserver_name a.example\nca_file /ca.pem\nexpiry_warning 7");
    let tls = check.tls.expect("tls");
    let options = TlsOptions {
        verify: true,
        ca_file: Some("/ca.pem".into()),
        server_name: Some("a.example".into()),
        expiry_warning_days: Some(7),
        ..TlsOptions::default()
    };
    assert_eq!((tls.enable_sni, tls.options, codes), (true, Some(Box::new(options)), vec![]));
    assert_eq!(of("grpc_health\ntls no"), (plain.clone(), vec![]));
    assert_eq!(of("grpc_health\nverify\nsend \"x\""), (plain, vec![Code::BadValue; 2]));
    let (plan, codes) = self::check("", "TCP_CHECK {\ntls\nverify\nvirtualhost x\n}");
    assert_eq!((&plan.kind, codes), (&CheckKind::Tcp, vec![Code::BadValue; 3]));
    let (outer, _) = server("", "virtualhost of.service", "TCP_CHECK {\ngrpc_health\n}");
    let CheckKind::Grpc(check) = &outer.real_servers[0].checkers[0].kind else { panic!("{outer:?}") };
    assert_eq!(check.host.as_deref(), Some("of.service"));
}

#[test]
fn a_url_may_be_asked_in_other_ways() {
    let of = |lines: &str| {
        let (plan, codes) = check("", &format!("HTTP_GET {{\nurl {{\npath /\n{lines}\n}}\n}}"));
        let CheckKind::Http(http) = plan.kind.clone() else { panic!("{:?}", plan.kind) };
        (http.urls[0].clone(), codes)
    };
    let (url, codes) = of("method HEAD\nheader \"X-A: b c\"\nheader \"Accept: */*\"");
    let headers = vec![("X-A".to_owned(), "b c".to_owned()), ("Accept".to_owned(), "*/*".to_owned())];
    let request = HttpRequest { method: "HEAD".into(), headers, body: vec![] };
    assert_eq!((url.request.as_deref(), codes), (Some(&request), vec![]));
    let (url, _) = of("request_body \"a=b\"");
    assert_eq!(url.request.map(|r| (r.method, r.body)), Some(("POST".into(), b"a=b".to_vec())));
    assert_eq!(of("").0.request, None, "keepalived's request");
    for bad in ["header \"Host: x\"", "header \"no colon\"", "header \"A: b\\r\\nC: d\"", "method \"A B\""] {
        let (url, codes) = of(bad);
        assert_eq!((url.request, codes), (None, vec![Code::BadValue]), "{bad}");
    }
    let (url, codes) = of("body_match \"1+1=2 (ok)\"");
    let search = url.search.expect("the body is searched");
    assert_eq!(search.pattern, r"1\+1=2 \(ok\)");
    assert_eq!(codes, []);
    assert_eq!(of("regex \"a\"\nbody_match \"b\"").1, [Code::BadValue]);
}

#[test]
fn a_url_may_be_asked_over_http_2() {
    for (block, lines, expected) in [
        ("HTTP_GET", "", vec![]),
        ("SSL_GET", "header \"X-A: b\"", vec![]),
        ("SSL_GET", "header \"Upgrade: x\"", vec![Code::BadValue]),
    ] {
        let text = format!("{block} {{\nhttp_protocol 2\nurl {{\npath /\n{lines}\n}}\n}}");
        let (plan, codes) = check("", &text);
        let CheckKind::Http(http) = plan.kind.clone() else { panic!("{:?}", plan.kind) };
        assert_eq!((http.version, codes), (HttpVersion::V2, expected), "{block} {lines}");
    }
    let (plan, codes) = check("", "HTTP_GET {\nhttp_protocol 3\nurl {\npath /\n}\n}");
    let CheckKind::Http(http) = plan.kind.clone() else { panic!("{:?}", plan.kind) };
    assert_eq!((http.version, codes), (HttpVersion::V1_0, vec![Code::BadValue]));
}

#[test]
fn certificates_are_verified_and_shown_where_that_is_written() {
    let of = |outside: &str, lines: &str| {
        let (plan, codes) = check(outside, &format!("SSL_GET {{\n{lines}\nurl {{\npath /\n}}\n}}"));
        let CheckKind::Http(http) = plan.kind.clone() else { panic!("{:?}", plan.kind) };
        (http.tls.expect("SSL_GET").options, codes)
    };
    assert_eq!(of("", ""), (None, vec![]), "as keepalived: any certificate will do");
    let block = "SSL {\nca /ca.pem\ncertificate /c.pem\nkey /k.pem\n}";
    let shown = TlsOptions {
        certificate: Some("/c.pem".into()),
        key: Some("/k.pem".into()),
        ..TlsOptions::default()
    };
    assert_eq!(of(block, ""), (Some(Box::new(shown.clone())), vec![]), "the ca alone verifies nothing");
    let verified = TlsOptions { verify: true, ca_file: Some("/ca.pem".into()), ..shown.clone() };
    assert_eq!(of(block, "verify").0, Some(Box::new(verified.clone())));
    let own = TlsOptions {
        ca_file: Some("/own.pem".into()),
        server_name: Some("www.example.org".into()),
        expiry_warning_days: Some(14),
        ..verified
    };
    let lines = "verify\nca_file /own.pem\nserver_name www.example.org\nexpiry_warning 14";
    assert_eq!(of(block, lines), (Some(Box::new(own)), vec![]));
    let locked = TlsOptions {
        certificate: Some("/c.pem".into()),
        password: Some(Password("x y".into())),
        ..TlsOptions::default()
    };
    let block = "SSL {\ncertificate /c.pem\npassword \"x y\"\n}";
    assert_eq!(of(block, ""), (Some(Box::new(locked)), vec![]));
    assert_eq!(of("SSL {\npassword x\n}", ""), (None, vec![]), "it opens nothing");
}

#[test]
fn servers_start_slowly_and_some_stay_where_that_is_written() {
    let (plain, _) = server("", "", "");
    assert_eq!((plain.min_alive, plain.real_servers[0].slow_start), (0, Duration::ZERO));
    let (own, codes) = server("", "min_alive 1\nslow_start 30", "slow_start 5");
    let times: Vec<u64> = own.real_servers.iter().map(|server| server.slow_start.as_secs()).collect();
    assert_eq!((own.min_alive, times, codes), (1, vec![5, 30], vec![]));
    let (all, codes) = server("", "min_alive 9", "");
    assert_eq!((all.min_alive, codes), (2, vec![Code::Adjusted]));
}
