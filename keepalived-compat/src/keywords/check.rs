//! Keywords of the checkers.

use super::shape::Shape::*;
use super::shape::{EVER, U32};
use super::{Keyword, Place, accepted, each, grave, inner, later, works};

/// The places of this file and their keywords.
pub(super) const PLACES: &[(Place, &[Keyword])] = &[
    (Place::TcpCheck, TCP_CHECK),
    (Place::PingCheck, TCP_CHECK),
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
    grave("bind_if", 1, "IFNAME", "the check leaves through whatever interface the routes say").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    later("log_all_failures", 0, "[BOOL]", "only changes are logged; holdfastctl shows the last result").takes(Bool),
];

#[rustfmt::skip]
const UDP_CHECK: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR").takes(Address),
    inner("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bindto", 1, "ADDR").takes(Address),
    inner("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bind_if", 1, "IFNAME").takes(Interface),
    inner("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    inner("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    inner("retry", 1, "0..").takes(Number(0, U32)),
    inner("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    inner("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    inner("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    inner("alpha", 0, "[BOOL]").takes(Bool),
    inner("log_all_failures", 0, "[BOOL]").takes(Bool),
    inner("payload", 1, "HEX bytes").takes(Hex).lenient(),
    inner("require_reply", 0, "[HEX bytes, X = any nibble]").takes(Hex),
    inner("min_reply_length", 1, "0..65535").takes(Number(0, 65535)),
    inner("max_reply_length", 1, "0..65535").takes(Number(0, 65535)),
];

#[rustfmt::skip]
const SMTP_CHECK: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR").takes(Address),
    inner("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bindto", 1, "ADDR").takes(Address),
    inner("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bind_if", 1, "IFNAME").takes(Interface),
    inner("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    inner("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    inner("retry", 1, "0..").takes(Number(0, U32)),
    inner("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    inner("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    inner("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    inner("alpha", 0, "[BOOL]").takes(Bool),
    inner("log_all_failures", 0, "[BOOL]").takes(Bool),
    inner("helo_name", 1, "STRING").takes(Text).lenient(),
    inner("host", 0, "{ connection block }").block(Place::SmtpHost),
];

#[rustfmt::skip]
const HTTP_GET: &[Keyword] = &[
    works("connect_ip", 1, "ADDR").takes(Address),
    works("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    works("bindto", 1, "ADDR").takes(Address),
    works("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    grave("bind_if", 1, "IFNAME", "the check leaves through whatever interface the routes say").takes(Interface),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    works("retry", 1, "0..").takes(Number(0, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("alpha", 0, "[BOOL]").takes(Bool),
    later("log_all_failures", 0, "[BOOL]", "only changes are logged; holdfastctl shows the last result").takes(Bool),
    works("nb_get_retry", 1, "0..").takes(Number(0, U32)),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("http_protocol", 1, "1.0|1.0C|1.0c|1.1").takes(OneOf(&["1.0", "1.0C", "1.0c", "1.1"])).lenient(),
    accepted("enable_sni", 0, "[BOOL]", "HTTP_GET speaks no TLS").takes(Bool),
    accepted("sni_name", 0, "[NAME]", "HTTP_GET speaks no TLS").takes(MaybeText),
    later("fast_recovery", 0, "[BOOL]", "urls are checked delay_loop apart while a server recovers").takes(Bool),
    works("url", 0, "{ block } (repeatable)").block(Place::HttpUrl),
];

#[rustfmt::skip]
const SSL_GET: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR").takes(Address),
    inner("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bindto", 1, "ADDR").takes(Address),
    inner("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bind_if", 1, "IFNAME").takes(Interface),
    inner("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    inner("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    inner("retry", 1, "0..").takes(Number(0, U32)),
    inner("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    inner("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    inner("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    inner("alpha", 0, "[BOOL]").takes(Bool),
    inner("log_all_failures", 0, "[BOOL]").takes(Bool),
    inner("nb_get_retry", 1, "0..").takes(Number(0, U32)),
    inner("virtualhost", 1, "STRING").takes(Text).lenient(),
    inner("http_protocol", 1, "1.0|1.0C|1.0c|1.1").takes(OneOf(&["1.0", "1.0C", "1.0c", "1.1"])).lenient(),
    inner("enable_sni", 0, "[BOOL]").takes(Bool),
    inner("sni_name", 0, "[NAME]").takes(MaybeText),
    inner("fast_recovery", 0, "[BOOL]").takes(Bool),
    inner("url", 0, "{ block } (repeatable)").block(Place::SslUrl),
    inner("tls_compliant", 0, "[BOOL]").takes(Bool),
];

#[rustfmt::skip]
const DNS_CHECK: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR").takes(Address),
    inner("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bindto", 1, "ADDR").takes(Address),
    inner("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bind_if", 1, "IFNAME").takes(Interface),
    inner("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    inner("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    inner("retry", 1, "0..").takes(Number(0, U32)),
    inner("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    inner("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    inner("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    inner("alpha", 0, "[BOOL]").takes(Bool),
    inner("log_all_failures", 0, "[BOOL]").takes(Bool),
    inner("type", 1, "A|NS|CNAME|SOA|MX|TXT|AAAA|RRSIG|DNSKEY (any case)").takes(AnyCase(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"])),
    inner("name", 1, "DOMAIN").takes(Text),
];

#[rustfmt::skip]
const MISC_CHECK: &[Keyword] = &[
    inner("retry", 1, "0..").takes(Number(0, U32)),
    inner("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    inner("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    inner("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    inner("alpha", 0, "[BOOL]").takes(Bool),
    inner("log_all_failures", 0, "[BOOL]").takes(Bool),
    inner("misc_path", 1, "\"CMD args\"").takes(Command).lenient(),
    inner("misc_timeout", 1, "SECS integer").takes(Seconds(0, u32::MAX)),
    inner("misc_dynamic", 0, ""),
    inner("user", 1, "USER [[:]GROUP]").takes(User).lenient(),
];

#[rustfmt::skip]
const SMTP_HOST: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR").takes(Address),
    inner("connect_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bindto", 1, "ADDR").takes(Address),
    inner("bind_port", 1, "1..65535").takes(Number(1, 65535)),
    inner("bind_if", 1, "IFNAME").takes(Interface),
    inner("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    inner("fwmark", 1, "0..4294967295").takes(Number(0, U32)),
    inner("retry", 1, "0..").takes(Number(0, U32)),
    inner("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    inner("warmup", 1, "SECS decimal, 0 disables").takes(Decimal(0, EVER)),
    inner("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    inner("alpha", 0, "[BOOL]").takes(Bool),
    inner("log_all_failures", 0, "[BOOL]").takes(Bool),
];

#[rustfmt::skip]
const BFD_CHECK: &[Keyword] = &[
    inner("name", 1, "BFD instance defined earlier").takes(Text).lenient(),
    inner("alpha", 0, "[BOOL]").takes(Bool),
];

#[rustfmt::skip]
const FILE_CHECK: &[Keyword] = &[
    inner("track_file", 1, "NAME defined earlier").takes(Text),
    inner("weight", 1, "-2147483647..2147483647 [reverse|noreverse]").takes(Weight(2147483647)).lenient(),
];

#[rustfmt::skip]
const HTTP_URL: &[Keyword] = &[
    works("path", 1, "STRING").takes(Text),
    works("digest", 1, "32 hex digits").takes(Text),
    works("status_code", 1, "N|N-M ... within 100..599").takes(Words).lenient(),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    each("regex", 1, "\"PATTERN\" (PCRE2)", "the body is not searched, so a server that answers with the wrong page counts as up").takes(Pattern).lenient(),
    each("regex_no_match", 0, "", "the body is not searched, so a server that answers with the wrong page counts as up"),
    accepted("regex_options", 1, "OPTION ...", "no regular expression is searched for yet").takes(Names(Place::RegexOptions)).lenient(),
    accepted("regex_min_offset", 1, "BYTES", "no regular expression is searched for yet").takes(Number(0, U32)).lenient(),
    accepted("regex_max_offset", 1, "BYTES", "no regular expression is searched for yet").takes(Number(0, U32)).lenient(),
    accepted("regex_stack", 1, "START MAX bytes", "no regular expression is searched for yet").takes(Words).lenient(),
];

#[rustfmt::skip]
const SSL_URL: &[Keyword] = &[
    inner("path", 1, "STRING").takes(Text),
    inner("digest", 1, "32 hex digits").takes(Text),
    inner("status_code", 1, "N|N-M ... within 100..599").takes(Words).lenient(),
    inner("virtualhost", 1, "STRING").takes(Text).lenient(),
    inner("regex", 1, "\"PATTERN\" (PCRE2)").takes(Pattern).lenient(),
    inner("regex_no_match", 0, ""),
    inner("regex_options", 1, "OPTION ...").takes(Names(Place::RegexOptions)).lenient(),
    inner("regex_min_offset", 1, "BYTES").takes(Number(0, U32)).lenient(),
    inner("regex_max_offset", 1, "BYTES").takes(Number(0, U32)).lenient(),
    inner("regex_stack", 1, "START MAX bytes").takes(Words).lenient(),
    inner("tls_compliant", 0, "[BOOL]").takes(Bool),
];

#[rustfmt::skip]
const REGEX_OPTIONS: &[Keyword] = &[
    inner("allow_empty_class", 0, ""),
    inner("alt_bsux", 0, ""),
    inner("auto_callout", 0, ""),
    inner("caseless", 0, ""),
    inner("dollar_endonly", 0, ""),
    inner("dotall", 0, ""),
    inner("dupnames", 0, ""),
    inner("extended", 0, ""),
    inner("firstline", 0, ""),
    inner("match_unset_backref", 0, ""),
    inner("multiline", 0, ""),
    inner("never_ucp", 0, ""),
    inner("never_utf", 0, ""),
    inner("no_auto_capture", 0, ""),
    inner("no_auto_possess", 0, ""),
    inner("no_dotstar_anchor", 0, ""),
    inner("no_start_optimize", 0, ""),
    inner("ucp", 0, ""),
    inner("ungreedy", 0, ""),
    inner("utf", 0, ""),
    inner("never_backslash_c", 0, ""),
    inner("alt_circumflex", 0, ""),
    inner("alt_verbnames", 0, ""),
    inner("use_offset_limit", 0, ""),
];
