//! What keepalived checks when a block ends, and when the whole configuration has been read.

use super::setting::{Setting, Settings, Value, removed};
use super::value::shortened;
use super::{Config, Context, duplicate, sync};
use crate::{Code, Diagnostic};

/// Old names that keepalived still takes, with a message, and the new ones.
const DEPRECATED: &[(&str, &str)] = &[
    ("global_tracking", "sync_group_tracking_weight"),
    ("lvs_sync_daemon_interface", "lvs_sync_daemon in global_defs"),
    ("vmac_garp_intvl", "garp_extra_if"),
    ("nb_get_retry", "retry"),
    ("vrrp_vmac_garp_intvl", "vrrp_garp_extra_if"),
];

/// Blocks that others refer to: the keyword that refers to them, the block, what it cannot do without, and how
/// that is written.
const OBJECTS: &[(&str, &str, &str, &str)] = &[
    ("track_script", "vrrp_script", "script", "script \"COMMAND\""),
    ("track_process", "vrrp_track_process", "process", "process NAME"),
    ("track_file", "track_file", "file", "file PATH"),
    ("track_file", "vrrp_track_file", "file", "file PATH"),
    ("track_bfd", "bfd_instance", "", ""),
    ("track_group", "track_group", "", ""),
    ("sync_group", "vrrp_sync_group", "", ""),
];

/// Is the setting kept? If not, says why. A named block is known from here on.
pub(super) fn accept(cx: &mut Context, setting: &Setting) -> bool {
    if let Some((_, new)) = DEPRECATED.iter().find(|(old, _)| *old == setting.keyword) {
        let title = format!("`{}` is deprecated", setting.keyword);
        cx.say(Diagnostic::new(Code::Deprecated, setting.span, title, "it is taken").instead(*new));
    }
    let object = OBJECTS.iter().find(|(_, block, ..)| *block == setting.keyword && setting.name().is_some());
    // `track_file NAME` inside FILE_CHECK refers; the block of that name defines.
    match object.filter(|_| !matches!(setting.value, Value::None) && !cx.in_checker) {
        Some(&(keyword, _, needs, usage)) => named(cx, setting, keyword, needs, usage),
        None => fits(cx, setting),
    }
}

fn named(cx: &mut Context, setting: &Setting, keyword: &'static str, needs: &str, usage: &str) -> bool {
    let Some(name) = setting.named() else { return false };
    if let Some(first) = cx.places.get(&(keyword, name.value.clone())) {
        let first = crate::Spanned::new(name.value.clone(), *first);
        duplicate(cx, setting.keyword, &name, &first);
        return false;
    }
    if !needs.is_empty() && setting.block.find(needs).is_none() {
        removed(cx, setting.span, format!("{} `{}` has no `{needs}`", setting.keyword, name.value), usage);
        return false;
    }
    if setting.keyword == "bfd_instance" && !bfd(cx, setting, &name.value) {
        return false;
    }
    cx.defined.insert((keyword, name.value.clone()));
    cx.places.insert((keyword, name.value), setting.span);
    true
}

/// keepalived's longest name of a BFD instance.
const BFD_NAME: usize = 31;

fn bfd(cx: &mut Context, setting: &Setting, name: &str) -> bool {
    let address = |keywords: &[&str]| {
        keywords.iter().find_map(|k| match setting.block.find(k)?.value {
            Value::Address(address) => Some(address),
            _ => None,
        })
    };
    let title = match (address(&["neighbor_ip", "neighbour_ip"]), address(&["source_ip"])) {
        _ if name.len() > BFD_NAME => format!("the name of a bfd_instance has at most {BFD_NAME} letters"),
        (None, _) => format!("bfd_instance `{}` has no neighbor_ip", shortened(name)),
        (Some(n), Some(s)) if n.is_ipv4() != s.is_ipv4() => {
            format!("bfd_instance `{name}`: {s} and {n} are not of the same family")
        }
        (Some(neighbor), _) if cx.bfd_neighbors.insert(neighbor) => return true,
        (Some(neighbor), _) => format!("another bfd_instance has the neighbor {neighbor} already"),
    };
    removed(cx, setting.span, title, "bfd_instance NAME { neighbor_ip ADDRESS }");
    // Trackers may still name one that has no session.
    if name.len() <= BFD_NAME {
        cx.defined.insert(("track_bfd", name.to_owned()));
    }
    false
}

/// Checks of values that their shape does not tell.
fn fits(cx: &mut Context, setting: &Setting) -> bool {
    let words: &[String] = if let Value::Words(words) = &setting.value { words } else { &[] };
    match setting.keyword {
        "notification_email" if setting.block.is_empty() => {
            let title = "`notification_email` is empty";
            cx.tell(Code::Adjusted, setting.span, title, "no mail is sent");
            true
        }
        "umask" => every(cx, setting, words, |w| {
            let bits = |w: &str| w.split('|').all(|bit| bit.is_empty() || is_umask_bit(bit));
            w.parse::<u32>().is_ok()
                || w.strip_prefix("0x").is_some_and(|h| u32::from_str_radix(h, 16).is_ok())
                || bits(w)
        }),
        "vrrp_cpu_affinity" | "checker_cpu_affinity" | "bfd_cpu_affinity" => {
            every(cx, setting, words, |w| w.parse::<u16>().is_ok())
        }
        "smtp_server" => {
            let port = words.get(1).is_none_or(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
            every(cx, setting, words, |_| port)
        }
        "vrrp_rx_bufs_policy" => {
            let number =
                setting.name().is_some_and(|w| matches!(w, "MTU" | "ADVERT") || w.parse::<u32>().is_ok());
            if !number {
                wrong(cx, setting, setting.name().unwrap_or_default());
            }
            number
        }
        "smtp_connect_timeout" if setting.value == Value::Time(std::time::Duration::ZERO) => {
            cx.tell(
                Code::Adjusted,
                setting.span,
                "smtp_connect_timeout 0",
                "1 second is used, as in keepalived",
            );
            true
        }
        "init_file" => every(cx, setting, words, |w| {
            w == "overwrite" || w.parse::<i64>().is_ok_and(|n| (-254..=254).contains(&n))
        }),
        "digest" => {
            let digest = setting.name().filter(|d| d.len() == 32 && d.bytes().all(|b| b.is_ascii_hexdigit()));
            let fits = digest.is_some();
            if !fits {
                wrong(cx, setting, setting.name().unwrap_or_default());
            }
            fits
        }
        "status_code" => every(cx, setting, words, |w| {
            let code = |c: &str| c.parse::<u16>().is_ok_and(|c| (100..=599).contains(&c));
            w.split_once('-').map_or(code(w), |(low, high)| code(low) && code(high))
        }),
        "MISC_CHECK" => needs(cx, setting, "misc_path"),
        "FILE_CHECK" => refers(cx, setting, "track_file", "track_file"),
        "BFD_CHECK" => refers(cx, setting, "name", "track_bfd"),
        "SSL_GET" | "HTTP_GET" => needs(cx, setting, "url"),
        "url" => needs(cx, setting, "path"),
        "UDP_CHECK" => {
            if let (Some(low), Some(high)) =
                (setting.block.number("min_reply_length"), setting.block.number("max_reply_length"))
                && low > high
            {
                let title = format!("min_reply_length {low} is above max_reply_length {high}");
                cx.tell(Code::Adjusted, setting.span, title, "the check always fails, as in keepalived");
            }
            true
        }
        "auth_hmac" => {
            super::vrrp::hmac::complete(cx, setting);
            true
        }
        _ => true,
    }
}

/// `IRUSR` and the like, of umask(2).
fn is_umask_bit(bit: &str) -> bool {
    let Some((kind, who)) = bit.strip_prefix('I').and_then(|b| b.split_at_checked(b.len().saturating_sub(1)))
    else {
        return false;
    };
    match (kind, who) {
        ("RWX", "U" | "G" | "O") => true,
        _ => matches!(
            bit,
            "IRUSR" | "IWUSR" | "IXUSR" | "IRGRP" | "IWGRP" | "IXGRP" | "IROTH" | "IWOTH" | "IXOTH"
        ),
    }
}

fn wrong(cx: &mut Context, setting: &Setting, word: &str) {
    let title = format!("`{}` is not valid for `{}`", shortened(word), setting.keyword);
    cx.tell(Code::BadValue, setting.span, title, "it is left out, as in keepalived");
}

fn every(cx: &mut Context, setting: &Setting, words: &[String], fits: impl Fn(&str) -> bool) -> bool {
    match words.iter().find(|w| !fits(w)) {
        Some(word) => {
            wrong(cx, setting, word);
            false
        }
        None => true,
    }
}

fn needs(cx: &mut Context, setting: &Setting, keyword: &str) -> bool {
    let there = setting.block.find(keyword).is_some();
    if !there {
        let title = format!("`{}` has no `{keyword}`", setting.keyword);
        removed(cx, setting.span, title, &format!("{} {{ {keyword} ... }}", setting.keyword));
    }
    there
}

fn refers(cx: &mut Context, setting: &Setting, keyword: &str, kind: &'static str) -> bool {
    let Some(name) = setting.block.text(keyword).map(str::to_owned) else {
        return needs(cx, setting, keyword);
    };
    let known = cx.defined.contains(&(kind, name.clone()));
    if !known {
        let title = format!("`{}` names `{}`, which is not defined above", setting.keyword, shortened(&name));
        cx.tell(Code::UnknownName, setting.span, title, "the check is left out, as in keepalived");
    }
    known
}

/// The checks that need the whole configuration.
pub(super) fn finish(cx: &mut Context, config: &mut Config) {
    sync::groups(cx, config);
    for instance in &config.instances {
        let more = instance.settings.others.as_slice();
        let name = &instance.name.value;
        combinations(cx, instance);
        if let Some(vmac) = more.find("use_vmac") {
            if !instance.settings.unicast_peers.is_empty() && more.find("vmac_xmit_base").is_none() {
                let title = format!("vrrp_instance {name}: unicast with `use_vmac` needs `vmac_xmit_base`");
                cx.tell(Code::Adjusted, vmac.span, title, "vmac_xmit_base is set, as in keepalived");
            }
            if let Some(set) = more.find("promote_secondaries") {
                let title =
                    format!("vrrp_instance {name}: `promote_secondaries` is set anyway with `use_vmac`");
                cx.tell(Code::Cleared, set.span, title, "it is left out, as in keepalived");
            }
        }
    }
}

/// Settings of an instance that do not go together.
fn combinations(cx: &mut Context, instance: &super::vrrp::VrrpInstance) {
    let settings = &instance.settings;
    let more = settings.others.as_slice();
    let there = |keyword: &str| more.find(keyword);
    let v6 = settings.addresses.first().is_some_and(|a| a.address.is_ipv6());
    let source = settings.ipvlan().is_some_and(|ipvlan| ipvlan.address.is_some());
    let virtual_link = there("use_vmac").or(there("use_ipvlan")).is_some();
    let multicast = settings.unicast_peers.is_empty();
    let quiet = settings.unicast.is_none() && settings.unicast_source.is_none();
    let unicast = there("check_unicast_src").or(there("old_unicast_checksum"));
    let own = settings.mcast_source.is_some() || settings.unicast_source.is_some();
    let found = [
        (
            there("vmac_xmit_base").filter(|_| !virtual_link),
            Code::Cleared,
            "`vmac_xmit_base` is for a vmac",
            "it is left out",
        ),
        (
            there("use_ipvlan").filter(|_| !v6 && !source && !own),
            Code::BadValue,
            "`use_ipvlan` has no address",
            "the instance is in FAULT, as in keepalived",
        ),
        (
            there("vrf").filter(|_| settings.interface.is_some()),
            Code::Cleared,
            "`vrf` does not go with `interface`",
            "it is left out",
        ),
        (
            there("unicast_ttl").filter(|_| multicast),
            Code::Cleared,
            "`unicast_ttl` is for unicast",
            "it is left out",
        ),
        (
            unicast.filter(|_| multicast && quiet),
            Code::Deprecated,
            "a unicast keyword, but no peer",
            "it speaks multicast, as in keepalived",
        ),
        (
            there("linkbeat_use_polling"),
            Code::Deprecated,
            "`linkbeat_use_polling` is deprecated here",
            "nothing is polled",
        ),
    ];
    for (setting, code, title, now) in found {
        if let Some(setting) = setting {
            let title = format!("vrrp_instance {}: {title}", instance.name.value);
            cx.tell(code, setting.span, title, now);
        }
    }
}
