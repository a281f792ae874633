//! Settings of interfaces under /proc/sys/net, and what they were before this process changed them.
//!
//! What was is kept in memory, and, for what virtual interfaces need, in their own text (`ip link show` prints it as
//! alias): it lives exactly as long as the interface, so after a crash the next run knows what to put back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

/// A setting: family (`ipv4`, `ipv6`), interface (or `all`, `default`), key.
pub type Setting = (&'static str, String, &'static str);

/// The keys that are changed on interfaces which are not ours.
const KEYS: [&str; 4] = ["arp_ignore", "arp_filter", "promote_secondaries", "rp_filter"];

/// Octets of an interface's text (IFALIASZ is 256, with a NUL).
const LONGEST_TEXT: usize = 255;

/// What the text begins with.
const MARK: &str = "holdfast";

/// What settings were before we changed them.
#[derive(Debug, Default)]
pub struct Originals {
    before: BTreeMap<Setting, String>,
}

impl Originals {
    /// Set it, and remember what it was when this is the first change.
    pub fn set(&mut self, interface: &str, key: &'static str, value: &str) -> io::Result<()> {
        let setting = ("ipv4", interface.to_owned(), key);
        let now = read(&setting)?;
        if now != value {
            write(&setting, value)?;
        }
        self.before.entry(setting).or_insert(now);
        Ok(())
    }

    /// What would have to be put back after a virtual interface is made on `base`: `known`, and what is as it is now.
    pub fn ahead_of(known: &Originals, base: &str) -> io::Result<Originals> {
        let mut before = known.before.clone();
        let mut note = |interface: &str, key: &'static str| -> io::Result<String> {
            let setting = ("ipv4", interface.to_owned(), key);
            let now = read(&setting)?;
            before.entry(setting).or_insert_with(|| now.clone());
            Ok(now)
        };
        note(base, "arp_ignore")?;
        note(base, "arp_filter")?;
        let level = read(&("ipv4", "all".to_owned(), "rp_filter"))?;
        if level != "0" {
            note("all", "rp_filter")?;
            for name in interfaces()? {
                if name != "all" && read(&("ipv4", name.clone(), "rp_filter")).is_ok_and(|own| own < level) {
                    note(&name, "rp_filter")?;
                }
            }
        }
        Ok(Originals { before })
    }

    /// Put back what `select` chooses. A setting whose interface is gone is forgotten; one that somebody changed since
    /// is put back all the same, as in keepalived.
    pub fn restore(&mut self, select: impl Fn(&Setting) -> bool) -> Vec<String> {
        let chosen: Vec<Setting> = self.before.keys().filter(|setting| select(setting)).cloned().collect();
        let mut problems = Vec::new();
        for setting in chosen {
            let Some(value) = self.before.remove(&setting) else { continue };
            match write(&setting, &value) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let (family, interface, key) = &setting;
                    problems.push(format!(
                        "cannot put net.{family}.conf.{interface}.{key} back to {value}: {error}"
                    ));
                }
                _ => {}
            }
        }
        problems
    }

    /// Reverse path filtering would drop what a virtual interface hears, because its route points at the base. The
    /// kernel takes the larger of `all` and the interface's own: `all` becomes 0 and every interface gets its value.
    pub fn move_rp_filter(&mut self) -> io::Result<bool> {
        let all = ("ipv4", "all".to_owned(), "rp_filter");
        let value = read(&all)?;
        let Some(level) = value.parse::<u8>().ok().filter(|level| *level > 0) else { return Ok(false) };
        for name in interfaces()? {
            let own = read(&("ipv4", name.clone(), "rp_filter")).unwrap_or_default();
            if name != "all" && own.parse::<u8>().is_ok_and(|own| own < level) {
                self.set(&name, "rp_filter", &value)?;
            }
        }
        self.set("all", "rp_filter", "0")?;
        Ok(true)
    }

    /// What belongs into the text of a virtual interface on `base`: the process, and what to put back if it dies. What
    /// does not fit is left out: it would not be put back.
    pub fn text(&self, process: u32, base: &str) -> String {
        let mut text = format!("{MARK} {process}");
        for ((_, interface, key), value) in &self.before {
            if *key != "rp_filter" && interface != base {
                continue;
            }
            let Some(code) = KEYS.iter().position(|known| known == key) else { continue };
            let entry = format!(" {code}:{interface}={value}");
            if text.len() + entry.len() <= LONGEST_TEXT {
                text.push_str(&entry);
            }
        }
        text
    }

    /// Learn from the text of an interface that an earlier run left. What is known already stays.
    pub fn learn(&mut self, text: &str) {
        for entry in text.split(' ').skip(2) {
            let parsed = entry.split_once(':').and_then(|(code, rest)| {
                let key = *KEYS.get(code.parse::<usize>().ok()?)?;
                let (interface, value) = rest.rsplit_once('=')?;
                let plain = !interface.contains('/') && interface != "." && interface != "..";
                (plain && value.parse::<u8>().is_ok()).then_some((key, interface, value))
            });
            if let Some((key, interface, value)) = parsed {
                let setting = ("ipv4", interface.to_owned(), key);
                self.before.entry(setting).or_insert_with(|| value.to_owned());
            }
        }
    }
}

/// The process that made an interface, by its text; `None` if it was none of ours.
pub fn maker(text: Option<&str>) -> Option<u32> {
    let mut words = text?.split(' ');
    if words.next()? == MARK { words.next()?.parse().ok() } else { None }
}

/// Sets what is on an interface of our own: nothing to put back.
pub fn set_own(family: &'static str, interface: &str, key: &'static str, value: &str) -> io::Result<()> {
    write(&(family, interface.to_owned(), key), value)
}

fn interfaces() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory("ipv4"))? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

fn directory(family: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/{family}/conf"))
}

fn path((family, interface, key): &Setting) -> PathBuf {
    directory(family).join(interface).join(key)
}

fn read(setting: &Setting) -> io::Result<String> {
    fs::read_to_string(path(setting)).map(|text| text.trim().to_owned())
}

fn write(setting: &Setting, value: &str) -> io::Result<()> {
    fs::write(path(setting), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(entries: &[(&str, &'static str, &str)]) -> Originals {
        let before = entries
            .iter()
            .map(|(interface, key, value)| (("ipv4", (*interface).to_owned(), *key), (*value).to_owned()));
        Originals { before: before.collect() }
    }

    #[test]
    fn the_text_of_an_interface_says_what_to_put_back() {
        let ours = known(&[
            ("eth0", "arp_ignore", "0"),
            ("eth1", "arp_ignore", "2"),
            ("all", "rp_filter", "1"),
            ("eth0.5", "rp_filter", "0"),
        ]);
        let text = ours.text(4711, "eth0");
        assert_eq!(maker(Some(&text)), Some(4711));
        let mut next = Originals::default();
        next.learn(&text);
        let learnt: Vec<_> = next.before.iter().map(|((_, i, k), v)| format!("{i} {k} {v}")).collect();
        assert_eq!(learnt, ["all rp_filter 1", "eth0 arp_ignore 0", "eth0.5 rp_filter 0"]);
    }

    #[test]
    fn a_text_that_is_not_ours_or_broken_is_no_harm() {
        assert_eq!(maker(Some("uplink to the core switch")), None);
        assert_eq!(maker(Some("holdfast or not")), None);
        assert_eq!(maker(None), None);
        let mut originals = Originals::default();
        originals.learn("holdfast 1 0:../../x=1 9:eth0=1 0:eth0 0:eth0=99999 0:eth1=1");
        assert_eq!(originals.before.len(), 1);
    }

    #[test]
    fn a_long_text_is_cut_between_entries() {
        let names: Vec<String> = (0..100).map(|n| format!("interface{n:05}")).collect();
        let entries: Vec<_> = names.iter().map(|name| (name.as_str(), "rp_filter", "0")).collect();
        let text = known(&entries).text(1, "eth0");
        assert!(text.len() <= LONGEST_TEXT && text.len() > LONGEST_TEXT - 30);
        let mut next = Originals::default();
        next.learn(&text);
        assert!(next.before.len() > 5);
    }
}
