//! Keywords of the checkers.

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
    works("connect_ip", 1, "ADDR"),
    works("connect_port", 1, "1..65535"),
    works("bindto", 1, "ADDR"),
    works("bind_port", 1, "1..65535"),
    grave("bind_if", 1, "IFNAME", "the check leaves through whatever interface the routes say"),
    works("connect_timeout", 1, "SECS decimal >0"),
    works("fwmark", 1, "0..4294967295"),
    works("retry", 1, "0.."),
    works("delay_before_retry", 1, "SECS decimal"),
    works("warmup", 1, "SECS decimal, 0 disables"),
    works("delay_loop", 1, "SECS decimal >0"),
    works("alpha", 0, "[BOOL]"),
    later("log_all_failures", 0, "[BOOL]", "only changes are logged; holdfastctl shows the last result"),
];

#[rustfmt::skip]
const UDP_CHECK: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR"),
    inner("connect_port", 1, "1..65535"),
    inner("bindto", 1, "ADDR"),
    inner("bind_port", 1, "1..65535"),
    inner("bind_if", 1, "IFNAME"),
    inner("connect_timeout", 1, "SECS decimal >0"),
    inner("fwmark", 1, "0..4294967295"),
    inner("retry", 1, "0.."),
    inner("delay_before_retry", 1, "SECS decimal"),
    inner("warmup", 1, "SECS decimal, 0 disables"),
    inner("delay_loop", 1, "SECS decimal >0"),
    inner("alpha", 0, "[BOOL]"),
    inner("log_all_failures", 0, "[BOOL]"),
    inner("payload", 1, "HEX bytes").lenient(),
    inner("require_reply", 0, "[HEX bytes, X = any nibble]"),
    inner("min_reply_length", 1, "0..65535"),
    inner("max_reply_length", 1, "0..65535"),
];

#[rustfmt::skip]
const SMTP_CHECK: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR"),
    inner("connect_port", 1, "1..65535"),
    inner("bindto", 1, "ADDR"),
    inner("bind_port", 1, "1..65535"),
    inner("bind_if", 1, "IFNAME"),
    inner("connect_timeout", 1, "SECS decimal >0"),
    inner("fwmark", 1, "0..4294967295"),
    inner("retry", 1, "0.."),
    inner("delay_before_retry", 1, "SECS decimal"),
    inner("warmup", 1, "SECS decimal, 0 disables"),
    inner("delay_loop", 1, "SECS decimal >0"),
    inner("alpha", 0, "[BOOL]"),
    inner("log_all_failures", 0, "[BOOL]"),
    inner("helo_name", 1, "STRING").lenient(),
    inner("host", 0, "{ connection block }").block(Place::SmtpHost),
];

#[rustfmt::skip]
const HTTP_GET: &[Keyword] = &[
    works("connect_ip", 1, "ADDR"),
    works("connect_port", 1, "1..65535"),
    works("bindto", 1, "ADDR"),
    works("bind_port", 1, "1..65535"),
    grave("bind_if", 1, "IFNAME", "the check leaves through whatever interface the routes say"),
    works("connect_timeout", 1, "SECS decimal >0"),
    works("fwmark", 1, "0..4294967295"),
    works("retry", 1, "0.."),
    works("delay_before_retry", 1, "SECS decimal"),
    works("warmup", 1, "SECS decimal, 0 disables"),
    works("delay_loop", 1, "SECS decimal >0"),
    works("alpha", 0, "[BOOL]"),
    later("log_all_failures", 0, "[BOOL]", "only changes are logged; holdfastctl shows the last result"),
    works("nb_get_retry", 1, "0.."),
    works("virtualhost", 1, "STRING").lenient(),
    works("http_protocol", 1, "1.0|1.0C|1.0c|1.1").lenient(),
    accepted("enable_sni", 0, "[BOOL]", "HTTP_GET speaks no TLS"),
    accepted("sni_name", 0, "[NAME]", "HTTP_GET speaks no TLS"),
    later("fast_recovery", 0, "[BOOL]", "urls are checked delay_loop apart while a server recovers"),
    works("url", 0, "{ block } (repeatable)").block(Place::HttpUrl),
];

#[rustfmt::skip]
const SSL_GET: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR"),
    inner("connect_port", 1, "1..65535"),
    inner("bindto", 1, "ADDR"),
    inner("bind_port", 1, "1..65535"),
    inner("bind_if", 1, "IFNAME"),
    inner("connect_timeout", 1, "SECS decimal >0"),
    inner("fwmark", 1, "0..4294967295"),
    inner("retry", 1, "0.."),
    inner("delay_before_retry", 1, "SECS decimal"),
    inner("warmup", 1, "SECS decimal, 0 disables"),
    inner("delay_loop", 1, "SECS decimal >0"),
    inner("alpha", 0, "[BOOL]"),
    inner("log_all_failures", 0, "[BOOL]"),
    inner("nb_get_retry", 1, "0.."),
    inner("virtualhost", 1, "STRING").lenient(),
    inner("http_protocol", 1, "1.0|1.0C|1.0c|1.1").lenient(),
    inner("enable_sni", 0, "[BOOL]"),
    inner("sni_name", 0, "[NAME]"),
    inner("fast_recovery", 0, "[BOOL]"),
    inner("url", 0, "{ block } (repeatable)").block(Place::SslUrl),
    inner("tls_compliant", 0, "[BOOL]"),
];

#[rustfmt::skip]
const DNS_CHECK: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR"),
    inner("connect_port", 1, "1..65535"),
    inner("bindto", 1, "ADDR"),
    inner("bind_port", 1, "1..65535"),
    inner("bind_if", 1, "IFNAME"),
    inner("connect_timeout", 1, "SECS decimal >0"),
    inner("fwmark", 1, "0..4294967295"),
    inner("retry", 1, "0.."),
    inner("delay_before_retry", 1, "SECS decimal"),
    inner("warmup", 1, "SECS decimal, 0 disables"),
    inner("delay_loop", 1, "SECS decimal >0"),
    inner("alpha", 0, "[BOOL]"),
    inner("log_all_failures", 0, "[BOOL]"),
    inner("type", 1, "A|NS|CNAME|SOA|MX|TXT|AAAA|RRSIG|DNSKEY (any case)"),
    inner("name", 1, "DOMAIN"),
];

#[rustfmt::skip]
const MISC_CHECK: &[Keyword] = &[
    inner("retry", 1, "0.."),
    inner("delay_before_retry", 1, "SECS decimal"),
    inner("warmup", 1, "SECS decimal, 0 disables"),
    inner("delay_loop", 1, "SECS decimal >0"),
    inner("alpha", 0, "[BOOL]"),
    inner("log_all_failures", 0, "[BOOL]"),
    inner("misc_path", 1, "\"CMD args\"").lenient(),
    inner("misc_timeout", 1, "SECS integer"),
    inner("misc_dynamic", 0, ""),
    inner("user", 1, "USER [[:]GROUP]").lenient(),
];

#[rustfmt::skip]
const SMTP_HOST: &[Keyword] = &[
    inner("connect_ip", 1, "ADDR"),
    inner("connect_port", 1, "1..65535"),
    inner("bindto", 1, "ADDR"),
    inner("bind_port", 1, "1..65535"),
    inner("bind_if", 1, "IFNAME"),
    inner("connect_timeout", 1, "SECS decimal >0"),
    inner("fwmark", 1, "0..4294967295"),
    inner("retry", 1, "0.."),
    inner("delay_before_retry", 1, "SECS decimal"),
    inner("warmup", 1, "SECS decimal, 0 disables"),
    inner("delay_loop", 1, "SECS decimal >0"),
    inner("alpha", 0, "[BOOL]"),
    inner("log_all_failures", 0, "[BOOL]"),
];

#[rustfmt::skip]
const BFD_CHECK: &[Keyword] = &[
    inner("name", 1, "BFD instance defined earlier").lenient(),
    inner("alpha", 0, "[BOOL]"),
];

#[rustfmt::skip]
const FILE_CHECK: &[Keyword] = &[
    inner("track_file", 1, "NAME defined earlier"),
    inner("weight", 1, "-2147483647..2147483647 [reverse|noreverse]").lenient(),
];

#[rustfmt::skip]
const HTTP_URL: &[Keyword] = &[
    works("path", 1, "STRING"),
    works("digest", 1, "32 hex digits"),
    works("status_code", 1, "N|N-M ... within 100..599").lenient(),
    works("virtualhost", 1, "STRING").lenient(),
    each("regex", 1, "\"PATTERN\" (PCRE2)", "the body is not searched, so a server that answers with the wrong page counts as up").lenient(),
    each("regex_no_match", 0, "", "the body is not searched, so a server that answers with the wrong page counts as up"),
    accepted("regex_options", 1, "OPTION ...", "no regular expression is searched for yet").lenient(),
    accepted("regex_min_offset", 1, "BYTES", "no regular expression is searched for yet").lenient(),
    accepted("regex_max_offset", 1, "BYTES", "no regular expression is searched for yet").lenient(),
    accepted("regex_stack", 1, "START MAX bytes", "no regular expression is searched for yet").lenient(),
];

#[rustfmt::skip]
const SSL_URL: &[Keyword] = &[
    inner("path", 1, "STRING"),
    inner("digest", 1, "32 hex digits"),
    inner("status_code", 1, "N|N-M ... within 100..599").lenient(),
    inner("virtualhost", 1, "STRING").lenient(),
    inner("regex", 1, "\"PATTERN\" (PCRE2)").lenient(),
    inner("regex_no_match", 0, ""),
    inner("regex_options", 1, "OPTION ...").lenient(),
    inner("regex_min_offset", 1, "BYTES").lenient(),
    inner("regex_max_offset", 1, "BYTES").lenient(),
    inner("regex_stack", 1, "START MAX bytes").lenient(),
    inner("tls_compliant", 0, "[BOOL]"),
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
