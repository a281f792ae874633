//! The names of a plan, written one behind the other: a string of its own takes more room than what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A piece of the text that all names of a plan make up.
#[derive(Clone)]
pub struct Name {
    all: Arc<Box<str>>,
    from: u32,
    to: u32,
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.all.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// All names of a plan, while it is taken over.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Arc<Box<str>>,
    places: BTreeMap<String, (u32, u32)>,
}

impl Names {
    /// Each of them once. What does not fit into 4 GB of text is cut, and no plan comes near it.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Names {
        let (mut all, mut places) = (String::new(), BTreeMap::new());
        for name in names {
            if !places.contains_key(name) {
                let from = all.len();
                all.push_str(name);
                let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
                places.insert(name.to_owned(), (place(from), place(all.len())));
            }
        }
        Names { all: Arc::new(all.into_boxed_str()), places }
    }

    /// The name as it is kept; one that was not among them is kept alone.
    pub fn keep(&self, name: &str) -> Name {
        match self.places.get(name) {
            Some((from, to)) => Name { all: self.all.clone(), from: *from, to: *to },
            None => {
                let to = u32::try_from(name.len()).unwrap_or(u32::MAX);
                Name { all: Arc::new(name.into()), from: 0, to }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_share_one_text() {
        let names = Names::of(["web", "eth0", "mail", "eth0", ""].into_iter());
        let kept = ["web", "eth0", "mail", ""].map(|name| names.keep(name));
        assert_eq!(kept.each_ref().map(|name| name.to_string()), ["web", "eth0", "mail", ""]);
        assert!(kept.iter().all(|name| **name.all == *"webeth0mail"));
        assert_eq!(names.keep("else"), *"else");
    }
}
