//! What most routers never have costs them a pointer.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A type with a value of which one serves all that have nothing else.
pub trait Blank: Sized + 'static {
    /// That value, as [`Default`] makes it.
    const BLANK: &'static Self;
}

/// A value that is mostly blank. To read it is free; to reach for it mutably makes one, so whoever only wants to change
/// what is there asks [`Sparse::there`].
pub struct Sparse<T>(Option<Box<T>>);

impl<T> Sparse<T> {
    /// The blank value.
    pub const fn new() -> Sparse<T> {
        Sparse(None)
    }

    /// `value`, of which the caller knows whether it is blank.
    pub fn unless(blank: bool, value: T) -> Sparse<T> {
        Sparse((!blank).then(|| Box::new(value)))
    }

    /// The value, if there may be something in it.
    pub fn there(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T> Default for Sparse<T> {
    fn default() -> Sparse<T> {
        Sparse::new()
    }
}

impl<T: Blank> Deref for Sparse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::BLANK)
    }
}

impl<T: Blank + Default> DerefMut for Sparse<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Blank + fmt::Debug> fmt::Debug for Sparse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Blank for Vec<String> {
    const BLANK: &'static Vec<String> = &Vec::new();
}

impl From<Vec<String>> for Sparse<Vec<String>> {
    fn from(list: Vec<String>) -> Sparse<Vec<String>> {
        Sparse::unless(list.is_empty(), list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_value_is_made_only_when_it_is_changed() {
        let mut words: Sparse<Vec<String>> = Vec::new().into();
        assert!(words.is_empty() && words.there().is_none());
        words.push("one".to_owned());
        assert_eq!(words.there().map(|words| words.len()), Some(1));
        let words: Sparse<Vec<String>> = vec!["two".to_owned()].into();
        assert_eq!(*words, ["two"]);
    }
}
