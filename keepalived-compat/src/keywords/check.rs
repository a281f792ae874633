//! Keywords of the checkers.

use super::shape::Shape::*;
use super::shape::{EVER, U32};
use super::{Keyword, Place, accepted, works};

/// The places of this file and their keywords.
pub(super) const PLACES: &[(Place, &[Keyword])] = &[
    (Place::TcpCheck, TCP_CHECK),
    (Place::PingCheck, PING_CHECK),
    (Place::UdpCheck, UDP_CHECK),
    (Place::SmtpCheck, SMTP_CHECK),
    (Place::HttpGet, HTTP_GET),
    (Place::SslGet, SSL_GET),
    (Place::DnsCheck, DNS_CHECK),
    (Place::MiscCheck, MISC_CHECK),
    (Place::SmtpHost, SMTP_HOST),
    (Place::BfdCheck, BFD_CHECK),
    (Place::FileCheck, FILE_CHECK),
    (Place::HttpUrl, HTTP_URL),
    (Place::SslUrl, SSL_URL),
    (Place::RegexOptions, REGEX_OPTIONS),
];

#[rustfmt::skip]
const TCP_CHECK: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("send", 1, "\"TEXT\" (a keyword of holdfast)").takes(Pattern).lenient(),
    works("expect", 1, "\"TEXT\" (a keyword of holdfast)").takes(Pattern).lenient(),
    works("grpc_health", 0, "[SERVICE] (a keyword of holdfast)").takes(MaybeText),
    works("virtualhost", 1, "STRING (a keyword of holdfast)").takes(Text).lenient(),
    works("tls", 0, "[BOOL] (a keyword of holdfast)").takes(Bool).lenient(),
    works("verify", 0, "[BOOL] (a keyword of holdfast)").takes(Bool).lenient(),
    works("ca_file", 1, "PATH (a keyword of holdfast)").takes(Text).lenient(),
    works("server_name", 1, "NAME (a keyword of holdfast)").takes(Text).lenient(),
    works("expiry_warning", 1, "DAYS 0..3650 (a keyword of holdfast)").takes(Number(0, 3650)).lenient(),
];

#[rustfmt::skip]
const PING_CHECK: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const UDP_CHECK: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("payload", 1, "HEX bytes").takes(Hex).lenient(),
    works("require_reply", 0, "[HEX bytes, X = any nibble]").takes(Hex),
    works("min_reply_length", 1, "0..65535").takes(Number(0, 65535)),
    works("max_reply_length", 1, "0..65535").takes(Number(0, 65535)),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const SMTP_CHECK: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("helo_name", 1, "STRING").takes(Text).lenient(),
    works("host", 0, "{ connection block }").block(Place::SmtpHost),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const HTTP_GET: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("nb_get_retry", 1, "0..").takes(Number(0, U32)),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("http_protocol", 1, "1.0|1.0C|1.0c|1.1|2 (2: of holdfast)").takes(OneOf(&["1.0", "1.0C", "1.0c", "1.1", "2"])).lenient(),
    accepted("enable_sni", 0, "[BOOL]", "HTTP_GET speaks no TLS").takes(Bool),
    accepted("sni_name", 0, "[NAME]", "HTTP_GET speaks no TLS").takes(MaybeText),
    works("fast_recovery", 0, "[BOOL]").takes(Bool),
    works("url", 0, "{ block } (repeatable)").block(Place::HttpUrl),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const SSL_GET: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("nb_get_retry", 1, "0..").takes(Number(0, U32)),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("http_protocol", 1, "1.0|1.0C|1.0c|1.1|2 (2: of holdfast)").takes(OneOf(&["1.0", "1.0C", "1.0c", "1.1", "2"])).lenient(),
    works("enable_sni", 0, "[BOOL]").takes(Bool),
    works("sni_name", 0, "[NAME]").takes(MaybeText),
    works("fast_recovery", 0, "[BOOL]").takes(Bool),
    works("url", 0, "{ block } (repeatable)").block(Place::SslUrl),
    works("tls_compliant", 0, "[BOOL]").takes(Bool),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("verify", 0, "[BOOL] (a keyword of holdfast)").takes(Bool).lenient(),
    works("ca_file", 1, "PATH (a keyword of holdfast)").takes(Text).lenient(),
    works("server_name", 1, "NAME (a keyword of holdfast)").takes(Text).lenient(),
    works("expiry_warning", 1, "DAYS 0..3650 (a keyword of holdfast)").takes(Number(0, 3650)).lenient(),
];

#[rustfmt::skip]
const DNS_CHECK: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("type", 1, "A|NS|CNAME|SOA|MX|TXT|AAAA|RRSIG|DNSKEY (any case)").takes(AnyCase(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"])),
    works("name", 1, "DOMAIN").takes(Text),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const MISC_CHECK: &[Keyword] = &[
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("misc_path", 1, "\"CMD args\"").takes(Command).lenient(),
    works("misc_timeout", 1, "SECS integer").takes(Seconds(0, u32::MAX)),
    works("misc_dynamic", 0, ""),
    works("user", 1, "USER [[:]GROUP]").takes(User).lenient(),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const SMTP_HOST: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bind_if", 1, "IFNAME").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("log_all_failures", 0, "[BOOL]").takes(Bool),
    works("rise", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
    works("fall", 1, "1.. (a keyword of holdfast)").takes(Number(1, U32)).lenient(),
];

#[rustfmt::skip]
const BFD_CHECK: &[Keyword] = &[
    works("name", 1, "BFD instance defined earlier").takes(Text).lenient(),
    works("alpha", 0, "[BOOL]").takes(Bool),
];

#[rustfmt::skip]
const FILE_CHECK: &[Keyword] = &[
    works("track_file", 1, "NAME defined earlier").takes(Text),
    works("weight", 1, "-2147483647..2147483647 [reverse|noreverse]").takes(Weight(2147483647)).lenient(),
];

#[rustfmt::skip]
const HTTP_URL: &[Keyword] = &[
    works("path", 1, "STRING").takes(Text),
    works("digest", 1, "32 hex digits").takes(Text),
    works("status_code", 1, "N|N-M ... within 100..599").takes(Words).lenient(),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("regex", 1, "\"PATTERN\" (PCRE2)").takes(Pattern).lenient(),
    works("regex_no_match", 0, ""),
    works("regex_options", 1, "OPTION ...").takes(Names(Place::RegexOptions)).lenient(),
    works("regex_min_offset", 1, "BYTES").takes(Number(0, U32)).lenient(),
    works("regex_max_offset", 1, "BYTES").takes(Number(0, U32)).lenient(),
    accepted("regex_stack", 1, "START MAX bytes", "the search takes time in proportion to the page and needs no stack").takes(Words).lenient(),
    works("method", 1, "METHOD (a keyword of holdfast)").takes(Text).lenient(),
    works("header", 1, "\"NAME: VALUE\" (repeatable, a keyword of holdfast)").takes(Pattern).lenient(),
    works("request_body", 1, "\"TEXT\" (a keyword of holdfast)").takes(Pattern).lenient(),
    works("body_match", 1, "\"TEXT\" (a keyword of holdfast)").takes(Pattern).lenient(),
];

#[rustfmt::skip]
const SSL_URL: &[Keyword] = &[
    works("path", 1, "STRING").takes(Text),
    works("digest", 1, "32 hex digits").takes(Text),
    works("status_code", 1, "N|N-M ... within 100..599").takes(Words).lenient(),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("regex", 1, "\"PATTERN\" (PCRE2)").takes(Pattern).lenient(),
    works("regex_no_match", 0, ""),
    works("regex_options", 1, "OPTION ...").takes(Names(Place::RegexOptions)).lenient(),
    works("regex_min_offset", 1, "BYTES").takes(Number(0, U32)).lenient(),
    works("regex_max_offset", 1, "BYTES").takes(Number(0, U32)).lenient(),
    accepted("regex_stack", 1, "START MAX bytes", "the search takes time in proportion to the page and needs no stack").takes(Words).lenient(),
    works("tls_compliant", 0, "[BOOL]").takes(Bool),
    works("method", 1, "METHOD (a keyword of holdfast)").takes(Text).lenient(),
    works("header", 1, "\"NAME: VALUE\" (repeatable, a keyword of holdfast)").takes(Pattern).lenient(),
    works("request_body", 1, "\"TEXT\" (a keyword of holdfast)").takes(Pattern).lenient(),
    works("body_match", 1, "\"TEXT\" (a keyword of holdfast)").takes(Pattern).lenient(),
];

#[rustfmt::skip]
const REGEX_OPTIONS: &[Keyword] = &[
    accepted("allow_empty_class", 0, "", "an empty class is read as the expression engine reads it"),
    accepted("alt_bsux", 0, "", "escapes of other languages are not read"),
    accepted("auto_callout", 0, "", "there is nobody to call"),
    works("caseless", 0, ""),
    works("dollar_endonly", 0, ""),
    works("dotall", 0, ""),
    accepted("dupnames", 0, "", "groups are never asked for by name"),
    works("extended", 0, ""),
    works("firstline", 0, ""),
    accepted("match_unset_backref", 0, "", "back references are not searched for"),
    works("multiline", 0, ""),
    accepted("never_ucp", 0, "", "patterns cannot switch it on"),
    accepted("never_utf", 0, "", "patterns cannot switch it on"),
    accepted("no_auto_capture", 0, "", "groups are never asked for"),
    accepted("no_auto_possess", 0, "", "it changes speed only"),
    accepted("no_dotstar_anchor", 0, "", "it changes speed only"),
    accepted("no_start_optimize", 0, "", "it changes speed only"),
    works("ucp", 0, ""),
    accepted("ungreedy", 0, "", "only whether there is a match counts"),
    works("utf", 0, ""),
    accepted("never_backslash_c", 0, "", "\\C is never read"),
    accepted("alt_circumflex", 0, "", "it changes the empty last line only"),
    accepted("alt_verbnames", 0, "", "verbs are not read"),
    accepted("use_offset_limit", 0, "", "regex_max_offset does it"),
];
