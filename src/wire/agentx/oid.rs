//! Object identifiers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An object identifier; in order as SNMP walks them. At most 128 numbers mean something (RFC 2578, 3.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Oid(pub Vec<u32>);

impl Oid {
    /// This one with more behind it.
    pub fn with(&self, more: &[u32]) -> Oid {
        Oid([self.0.as_slice(), more].concat())
    }
}

impl<const N: usize> From<[u32; N]> for Oid {
    fn from(numbers: [u32; N]) -> Oid {
        Oid(numbers.to_vec())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|number| write!(f, ".{number}"))
    }
}
