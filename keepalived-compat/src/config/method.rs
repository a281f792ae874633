//! `lvs_method`: `NAT | DR | TUN [type ipip | gue port N | gre] [nocsum | csum | remcsum]`, and `FULLNAT [source ADDRESS]`.

use super::Context;
use super::lvs::{Checksum, Method, Tunnel};
use crate::Code;
use crate::lexer::Word;
use crate::source::Spanned;
use crate::tree::Statement;
use std::net::IpAddr;

/// The method after the keyword; `None` (said) when it cannot be understood.
pub(super) fn read(cx: &mut Context, statement: &Statement) -> Option<Spanned<Method>> {
    let keyword = &statement.keyword().text;
    let word = statement.arguments().first()?;
    let method = match word.text.as_str() {
        "NAT" => Method::Nat,
        "FULLNAT" => {
            Method::FullNat(source(cx, keyword, statement.arguments().get(1..).unwrap_or_default())?)
        }
        "DR" => Method::Dr,
        "TUN" => Method::Tun(tunnel(cx, keyword, statement.arguments().get(1..).unwrap_or_default())?),
        _ => {
            cx.bad(word, keyword, &format!("{keyword} NAT, DR, TUN or FULLNAT"));
            return None;
        }
    };
    Some(Spanned::new(method, statement.span()))
}

/// `source ADDRESS`: what real servers see instead of the client. The outer `None`: said.
fn source(cx: &mut Context, keyword: &str, words: &[Word]) -> Option<Option<IpAddr>> {
    let usage = format!("{keyword} FULLNAT, or {keyword} FULLNAT source 192.0.2.1");
    match words {
        [] => Some(None),
        [word, address] if word.text == "source" => match address.text.parse() {
            Ok(address) => Some(Some(address)),
            Err(_) => {
                cx.bad(address, keyword, &usage);
                None
            }
        },
        [word, ..] => {
            cx.bad(word, keyword, &usage);
            None
        }
    }
}

fn tunnel(cx: &mut Context, keyword: &str, words: &[Word]) -> Option<Tunnel> {
    let (mut kind, mut port, mut checksum) = ("ipip", None, Checksum::None);
    let mut kind_word = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "type" => {}
            "ipip" | "gue" | "gre" => {
                kind = &word.text;
                kind_word = Some(word);
            }
            "port" => port = words.next().and_then(|n| cx.number(n, "port", 1..=65535)),
            "nocsum" => checksum = Checksum::None,
            "csum" => checksum = Checksum::Full,
            "remcsum" => checksum = Checksum::Remote,
            _ => {
                cx.bad(word, keyword, "TUN type ipip, TUN type gue port N, or TUN type gre");
                return None;
            }
        }
    }
    let port = port.and_then(|p| u16::try_from(p).ok());
    match (kind, port, checksum) {
        ("gue", Some(port), checksum) => Some(Tunnel::Gue { port, checksum }),
        ("gre", None, Checksum::None | Checksum::Full) => Some(Tunnel::Gre { checksum }),
        ("ipip", None, Checksum::None) => Some(Tunnel::Ipip),
        _ => {
            let title = format!("a {kind} tunnel does not go with these options");
            cx.tell(Code::BadValue, kind_word.map(|w| w.span), title, "the line has no effect");
            None
        }
    }
}
