//! What makes a web answer good, whichever version of HTTP carries it.
//!
//! Order of the tests as in keepalived: headers received, status, MD5 of the body, regular expression.

use super::Outcome;
use super::search::Search;
use crate::plan::check::{HttpCheck, HttpUrl};
use crate::plan::search::SearchPlan;
use md5::{Digest, Md5};
use std::ops::RangeInclusive;

/// The most octets of status line and headers; servers themselves refuse to send more than 8 to 32 KiB.
pub const MAX_HEAD: usize = 64 << 10;

/// The most octets of body that are read. Past it the answer is judged by what is known.
pub const MAX_BODY: u64 = 64 << 20;

/// What is wanted of the answer about one url.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Words before each result when the check has several urls.
    prefix: String,
    /// HEAD: what Content-Length promises does not come.
    bodiless: bool,
    status: Vec<RangeInclusive<u16>>,
    digest: Option<[u8; 16]>,
    search: Option<SearchPlan>,
}

/// An answer whose status is as wanted, while its body comes.
#[derive(Debug)]
pub(super) struct Body {
    status: u16,
    promised: Option<u64>,
    received: u64,
    /// Only while a digest is wanted: hashing a large page costs.
    digest: Option<Md5>,
    search: Option<Box<Search>>,
}

impl Wanted {
    /// Of url number `part` (the last one past the end).
    pub(super) fn new(check: &HttpCheck, part: usize) -> Wanted {
        let url = url(check, part);
        let prefix = match url {
            Some(url) if check.urls.len() > 1 => format!("url {}: ", url.path),
            _ => String::new(),
        };
        Wanted {
            prefix,
            bodiless: url.and_then(|url| url.request.as_ref()).is_some_and(|extra| extra.method == "HEAD"),
            status: url.map(|url| url.status.clone()).unwrap_or_default(),
            digest: url.and_then(|url| url.digest),
            search: url.and_then(|url| url.search.clone()),
        }
    }

    /// The status has come, and what Content-Length promises.
    pub(super) fn begin(&self, status: u16, promised: Option<u64>) -> Result<Body, String> {
        let promised = promised.filter(|_| !self.bodiless);
        if !self.status.iter().any(|range| range.contains(&status)) {
            return Err(format!("status {status}, wanted {}", ranges(&self.status)));
        }
        let search = self.search.as_ref().map(Search::new).transpose()?.map(Box::new);
        let digest = self.digest.map(|_| Md5::new());
        Ok(Body { status, promised, received: 0, digest, search })
    }

    /// The verdict on an answer that has ended. `how` is appended when that is worth a remark.
    pub(super) fn judge(&self, body: &mut Body, how: &str) -> Result<String, String> {
        if let (Some(wanted), Some(digest)) = (self.digest, &body.digest) {
            let found: [u8; 16] = digest.clone().finalize().into();
            if found != wanted {
                return Err(format!("MD5 {}, wanted {}{}{how}", hex(&found), hex(&wanted), body.remark()));
            }
        }
        let found = body.search.as_mut().map(|search| search.end()).transpose();
        let found =
            found.map_err(|why| format!("status {}, but {why}{}{how}", body.status, body.remark()))?;
        let negate = self.search.as_ref().is_some_and(|search| search.negate);
        match found {
            Some(false) if !negate => Err(format!(
                "status {}, but the body has no match of the regex{}{how}",
                body.status,
                body.remark()
            )),
            Some(true) if negate => {
                Err(format!("status {}, but the body matches the regex{}{how}", body.status, body.remark()))
            }
            _ => Ok(format!("status {}{}{how}", body.status, body.remark())),
        }
    }

    /// The verdict where no more is read, for its length.
    pub(super) fn judge_part(&self, body: &mut Body) -> Result<String, String> {
        self.judge(body, &format!(", stopped reading after {} MiB", MAX_BODY >> 20))
    }

    /// A result as the end of a conversation.
    pub(super) fn outcome(&self, result: Result<String, String>) -> Outcome {
        match result {
            Ok(words) => Outcome::Success(format!("{}{words}", self.prefix)),
            Err(words) => Outcome::Failure(format!("{}{words}", self.prefix)),
        }
    }
}

impl Body {
    /// Takes octets; false when the limit is reached.
    pub(super) fn take(&mut self, octets: &[u8]) -> Result<bool, String> {
        if let Some(digest) = &mut self.digest {
            // Octets past Content-Length are read but not summed.
            let room = self.promised.unwrap_or(u64::MAX).saturating_sub(self.received);
            let summed = usize::try_from(room).map_or(octets.len(), |room| room.min(octets.len()));
            digest.update(&octets[..summed]);
        }
        if let Some(search) = &mut self.search {
            search.take(octets);
        }
        self.received = self.received.saturating_add(octets.len() as u64);
        if self.received <= MAX_BODY {
            return Ok(true);
        }
        // An MD5 over a part of the body would be a verdict invented by our own limit.
        let summed_all = self.promised.is_some_and(|promised| promised <= self.received);
        if self.digest.is_some() && !summed_all {
            return Err(format!("body over {} MiB, too long to check its MD5", MAX_BODY >> 20));
        }
        Ok(false)
    }

    /// Octets so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// All that was promised is there.
    pub(super) fn is_whole(&self) -> bool {
        self.promised.is_some_and(|promised| self.received >= promised)
    }

    /// A body of another length than promised is no failure for keepalived, but worth a word.
    fn remark(&self) -> String {
        match self.promised {
            Some(promised) if promised != self.received => {
                format!(" ({} octets of body, Content-Length says {promised})", self.received)
            }
            _ => String::new(),
        }
    }
}

/// Url number `part`, the last one past the end.
pub(super) fn url(check: &HttpCheck, part: usize) -> Option<&HttpUrl> {
    check.urls.get(part).or(check.urls.last())
}

fn ranges(ranges: &[RangeInclusive<u16>]) -> String {
    let one = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low}-{high}"),
    };
    match ranges {
        [] => "none".into(),
        ranges => ranges.iter().map(one).collect::<Vec<_>>().join(" or "),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}
