//! Readers of the state files that take them as the two Prometheus exporters in use do (mehdy's and gen2brain's): the
//! same indents, separators and lists of words, so that what they misread fails here.

use std::collections::BTreeMap;

/// What an exporter makes of `keepalived.data`: of each instance, the properties that it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Property to value, of those that exporters ask for.
    pub properties: BTreeMap<String, String>,
    /// Virtual addresses: the first word and the third.
    pub addresses: Vec<(String, String)>,
}

const WANTED: [&str; 6] =
    ["State", "Wantstate", "Interface", "Last transition", "Gratuitous ARP delay", "Virtual Router ID"];

/// Reads on to the next head: lines without `=` are lists.
pub fn patient(text: &str) -> BTreeMap<String, Instance> {
    let mut found: BTreeMap<String, Instance> = BTreeMap::new();
    let (mut name, mut key) = (None, String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(" VRRP Instance") {
            let value = rest.split('=').nth(1).expect("a name").trim().to_owned();
            found.insert(value.clone(), Instance::default());
            name = Some(value);
        } else if let Some(instance) = name.as_ref().filter(|_| line.starts_with("   ")) {
            let instance = found.get_mut(instance).expect("just put there");
            if line.starts_with("     ") {
                if key.starts_with("Virtual IP (") {
                    let words: Vec<&str> = line.trim().split(' ').collect();
                    assert!(words.len() >= 3, "{line}");
                    instance.addresses.push((words[0].to_owned(), words[2].to_owned()));
                }
                continue;
            }
            let separator = if line.contains('=') { '=' } else { ':' };
            let Some((left, right)) = line.trim().split_once(separator) else { continue };
            key = left.trim().to_owned();
            if WANTED.contains(&key.as_str()) {
                let old = instance.properties.insert(key.clone(), right.trim().to_owned());
                assert_eq!(old, None, "{key} stands twice");
            }
        } else {
            name = None;
        }
    }
    found
}

/// Takes an instance for finished at the first line that has no `=`.
pub fn hasty(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found = Vec::new();
    let mut current: Option<(String, BTreeMap<String, String>)> = None;
    for line in text.lines() {
        if line.starts_with(" VRRP Instance") && line.contains('=') {
            // It keeps no instance that another head follows directly.
            current = Some((line.split('=').nth(1).expect("split").trim().to_owned(), BTreeMap::new()));
        } else if let (true, true, Some((_, properties))) =
            (line.starts_with("   "), line.contains('='), current.as_mut())
        {
            let (key, value) = line.trim().split_once('=').expect("there is one");
            if WANTED.contains(&key.trim()) {
                properties.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        } else if !line.starts_with(" VRRP Version") {
            found.extend(current.take());
        }
    }
    found
}

/// Name, status and state of each script.
pub fn scripts(text: &str) -> Vec<(String, String, String)> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(" VRRP Script") {
            let name = rest.split('=').nth(1).expect("a name").trim();
            found.push((name.to_owned(), String::new(), String::new()));
            inside = true;
        } else if let (true, true, Some(script)) = (inside, line.starts_with("   "), found.last_mut()) {
            match line.trim().split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("Status", value)) => script.1 = value.to_owned(),
                Some(("State", value)) => script.2 = value.to_owned(),
                _ => {}
            }
        } else {
            inside = false;
        }
    }
    found
}

/// Instance to "Section/Name" or "Name" to number. Panics on what makes an exporter give up.
pub fn stats(text: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut found: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let (mut instance, mut section) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("VRRP Instance") {
            instance = rest.split(':').nth(1).expect("a name").trim().to_owned();
            found.insert(instance.clone(), BTreeMap::new());
            continue;
        }
        assert!(line.starts_with("  "), "{line}");
        let (name, number) = line.trim().split_once(':').expect("a colon");
        let deep = line.starts_with("    ");
        if number.is_empty() {
            section = name.to_owned();
            continue;
        }
        let key = if deep { format!("{section}/{name}") } else { name.to_owned() };
        let number = number.trim().parse().expect("a number");
        found.get_mut(&instance).expect("a head came first").insert(key, number);
    }
    found
}
