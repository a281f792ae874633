//! `grpc_health`: the call grpc.health.v1.Health/Check (gRPC's health checking protocol), over HTTP/2.
//!
//! Its messages have one field each, so they are written and read here: HealthCheckRequest { string service = 1; } and
//! HealthCheckResponse { ServingStatus status = 1; }.

use super::http2::{Call, Field, Request, Said, authority, field};
use super::{Outcome, words};
use crate::plan::check::GrpcCheck;
use std::net::SocketAddr;
use std::time::Duration;

/// The most octets of an answer: a status takes two.
pub const MAX_MESSAGE: usize = 4 << 10;

/// Characters shown of what a server says of an error.
const SHOWN: usize = 120;

/// Octets before a message: is it compressed, and its length.
const PREFIX: usize = 5;

/// The call.
pub(super) fn request(check: &GrpcCheck, endpoint: SocketAddr, limit: Duration) -> Request {
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    // At most eight digits; a limit ends at 2^32 microseconds.
    let timeout = format!("{}m", limit.as_millis().clamp(1, 99_999_999));
    Request {
        method: "POST".into(),
        scheme: if check.tls.is_some() { "https" } else { "http" },
        authority: authority(check.host.as_deref(), endpoint),
        path: "/grpc.health.v1.Health/Check".into(),
        headers: vec![
            text("te", "trailers"),
            text("grpc-timeout", &timeout),
            text("content-type", "application/grpc"),
            text("user-agent", "grpc-holdfast"),
        ],
        body: framed(&asking(&check.service)),
    }
}

/// HealthCheckRequest; an empty name is not written.
fn asking(service: &str) -> Vec<u8> {
    if service.is_empty() {
        return Vec::new();
    }
    let mut message = vec![0x0a]; // field 1, octets
    let mut length = service.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80); // the lower seven bits, and more follow
        length >>= 7;
    }
    message.push(length as u8); // below 0x80
    message.extend_from_slice(service.as_bytes());
    message
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// What is made of the answer.
#[derive(Debug)]
pub struct Health {
    /// `service NAME`, or the server as a whole.
    subject: String,
    service: String,
    head: bool,
    message: Vec<u8>,
}

impl Health {
    /// The answer to `check`.
    pub fn new(check: &GrpcCheck) -> Health {
        let subject = match check.service.as_str() {
            "" => "the server".to_owned(),
            service => format!("service {service}"),
        };
        Health { subject, service: check.service.clone(), head: false, message: Vec::new() }
    }

    fn head(&mut self, status: u16, fields: &[Field<'_>]) -> Option<Result<String, String>> {
        self.head = true;
        // An error may come as the head alone.
        if let Some(code) = grpc_status(fields) {
            return match code {
                Ok(0) => None,
                Ok(code) => Some(Err(self.refused(code, fields))),
                Err(words) => Some(Err(words)),
            };
        }
        if status != 200 {
            return Some(Err(format!("status {status}, and not a word of gRPC")));
        }
        match field(fields, "content-type") {
            Some(kind) if kind.starts_with("application/grpc") => None,
            Some(kind) => Some(Err(format!("the answer is not gRPC, it is {}", shown(kind)))),
            None => Some(Err("the answer is not gRPC: it has no content-type".into())),
        }
    }

    fn end(&self, trailers: &[Field<'_>]) -> Result<String, String> {
        match grpc_status(trailers) {
            Some(Ok(0)) => self.judge(),
            Some(Ok(code)) => Err(self.refused(code, trailers)),
            Some(Err(words)) => Err(words),
            None => Err("the answer ends without a grpc-status".into()),
        }
    }

    /// The call was made, and not answered.
    fn refused(&self, code: u32, fields: &[Field<'_>]) -> String {
        let mut words = match code {
            5 if !self.service.is_empty() => {
                format!("the server does not know the {} (NOT_FOUND)", self.subject)
            }
            12 => "the server has no health service (UNIMPLEMENTED)".to_owned(),
            code => match NAMES.get(code as usize) {
                Some(name) => format!("grpc-status {code} {name}"),
                None => format!("grpc-status {code}, which nobody has defined"),
            },
        };
        if let Some(message) = field(fields, "grpc-message").filter(|message| !message.is_empty()) {
            words += &format!(": {}", shown(&unescaped(message)));
        }
        words
    }

    /// The call was answered.
    fn judge(&self) -> Result<String, String> {
        let subject = &self.subject;
        match serving_status(&self.message)? {
            1 => Ok(format!("{subject} is SERVING")),
            0 => Err(format!("{subject} is UNKNOWN: it has not said yet whether it serves")),
            2 => Err(format!("{subject} is NOT_SERVING")),
            3 => Err(format!("the server does not know the {subject} (SERVICE_UNKNOWN)")),
            other => Err(format!("{subject} is in state {other}, which nobody has defined")),
        }
    }
}

impl Call for Health {
    fn hear(&mut self, said: Said<'_>) -> Option<Outcome> {
        let result = match said {
            Said::Head(status, fields) => self.head(status, fields)?,
            Said::Data(octets) if self.message.len() + octets.len() <= MAX_MESSAGE => {
                self.message.extend_from_slice(octets);
                return None;
            }
            Said::Data(_) => Err(format!("the answer is over {} KiB: no health service", MAX_MESSAGE >> 10)),
            Said::End(trailers) => self.end(trailers),
            Said::Closed if self.head => Err("closed before the answer ended".into()),
            Said::Closed => Err("closed without an answer".into()),
            Said::Broken(how) => Err(how.into()),
            Said::TimedOut(limit) if self.head => {
                Err(format!("silent for {} before the answer ended", words(limit)))
            }
            Said::TimedOut(limit) => Err(format!("no answer within {}", words(limit))),
        };
        Some(match result {
            Ok(words) => Outcome::Success(words),
            Err(words) => Outcome::Failure(words),
        })
    }
}

/// Names of gRPC's status codes.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn grpc_status(fields: &[Field<'_>]) -> Option<Result<u32, String>> {
    let text = field(fields, "grpc-status")?;
    Some(text.parse().map_err(|_| format!("grpc-status {} is no number", shown(text))))
}

/// The status in the one message of the answer. A field that is not written has its default, 0.
fn serving_status(octets: &[u8]) -> Result<i32, String> {
    let broken = || "the answer is no HealthCheckResponse".to_owned();
    let Some((prefix, message)) = octets.split_first_chunk::<PREFIX>() else {
        return Err(match octets {
            [] => "the answer has no message".to_owned(),
            _ => broken(),
        });
    };
    let [compressed, l0, l1, l2, l3] = *prefix;
    if compressed == 1 {
        return Err("the answer is compressed, which nobody has asked for".into());
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    if compressed > 1 || usize::try_from(length) != Ok(message.len()) {
        return Err(broken());
    }
    status_field(message).ok_or_else(broken)
}

/// Field 1 of a protobuf message, other fields skipped.
fn status_field(mut message: &[u8]) -> Option<i32> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                let value = varint(&mut message)?;
                if key >> 3 == 1 {
                    // An enum is an int32: what is above its bits is cut off.
                    status = value as i32;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = varint(&mut message)?;
                message = message.get(usize::try_from(length).ok()?..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// grpc-message without its percent signs.
fn unescaped(message: &str) -> String {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let mut octets = Vec::new();
    let mut rest = message.as_bytes();
    while let [first, later @ ..] = rest {
        let octet = match (first, later) {
            (b'%', [high, low, ..]) => digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low) as u8),
            _ => None,
        };
        octets.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { &later[2..] } else { later }; // two digits were there
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Fit for a line of a log.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
