//! `lvs_method`: `NAT | DR | TUN [type ipip | gue port N | gre] [nocsum | csum | remcsum]`, and `FULLNAT [source ADDRESS]`.

use super::Context;
use super::lvs::{Checksum, Method, Tunnel};
use super::value::shortened;
use crate::lexer::Word;
use crate::source::Spanned;
use crate::tree::Statement;
use crate::{Code, Diagnostic};
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
        "TUN" => Method::Tun(tunnel(cx, keyword, statement.arguments().get(1..).unwrap_or_default())),
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

/// What is wrong (said) leaves a plain tunnel, as in keepalived.
fn tunnel(cx: &mut Context, keyword: &str, words: &[Word]) -> Tunnel {
    let (kind, port, checksum) = match options(words) {
        Ok(options) => options,
        Err(word) => {
            let title = format!("`{}` is not valid for `{keyword} TUN`", shortened(&word.text));
            return plain(cx, word, title, "TUN type ipip, TUN type gue port N, or TUN type gre");
        }
    };
    match (kind.map_or("ipip", |kind| kind.text.as_str()), port, checksum) {
        ("gue", Some(port), checksum) => Tunnel::Gue { port, checksum },
        ("gre", None, Checksum::None | Checksum::Full) => Tunnel::Gre { checksum },
        ("ipip", None, Checksum::None) => Tunnel::Ipip,
        (name, ..) => {
            let Some(word) = kind.or(words.first()) else { return Tunnel::Ipip };
            let title = format!("a tunnel of type {name} does not go with these options");
            plain(cx, word, title, "ipip alone, gue with a port and any checksum, or gre with csum or nocsum")
        }
    }
}

fn plain(cx: &mut Context, word: &Word, title: String, usage: &str) -> Tunnel {
    let now = "the method is TUN type ipip, as in keepalived";
    cx.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(usage));
    Tunnel::Ipip
}

/// Type, port and checksum after `TUN`, or the word that is wrong.
fn options(words: &[Word]) -> Result<(Option<&Word>, Option<u16>, Checksum), &Word> {
    let (mut kind, mut port, mut checksum) = (None, None, Checksum::None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "type" => {
                let name = words.next().unwrap_or(word);
                kind = Some(name).filter(|name| matches!(name.text.as_str(), "ipip" | "gue" | "gre"));
                kind.ok_or(name)?;
            }
            "port" => {
                let number = words.next().unwrap_or(word);
                port = number.text.parse().ok().filter(|port| *port > 0);
                port.ok_or(number)?;
            }
            "nocsum" => checksum = Checksum::None,
            "csum" => checksum = Checksum::Full,
            "remcsum" => checksum = Checksum::Remote,
            _ => return Err(word),
        }
    }
    Ok((kind, port, checksum))
}
