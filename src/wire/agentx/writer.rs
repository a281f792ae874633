//! Writes what a subagent says. Everything is in network byte order.

use super::{Fault, Header, NETWORK_BYTE_ORDER, Oid, VERSION, Value, VarBind, kind};

/// Who speaks: session, transaction and packet.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    session: u32,
    transaction: u32,
    packet: u32,
}

/// Asks for a session (6.2.1). `timeout`: seconds that the master waits for an answer of ours, 0 for its own default.
pub fn open(packet: u32, timeout: u8, description: &str) -> Vec<u8> {
    let mut payload = vec![timeout, 0, 0, 0];
    oid(&mut payload, &Oid::default());
    octets(&mut payload, description.as_bytes());
    framed(kind::OPEN, Number { packet, ..Number::default() }, &payload)
}

/// Ends a session (6.2.2): we go.
pub fn close(session: u32, packet: u32) -> Vec<u8> {
    const SHUTDOWN: u8 = 5;
    framed(kind::CLOSE, Number { session, packet, ..Number::default() }, &[SHUTDOWN, 0, 0, 0])
}

/// Whatever is below `subtree` is ours (6.2.3), with the priority that most have.
pub fn register(session: u32, packet: u32, subtree: &Oid) -> Vec<u8> {
    const PRIORITY: u8 = 127;
    let mut payload = vec![0, PRIORITY, 0, 0];
    oid(&mut payload, subtree);
    framed(kind::REGISTER, Number { session, packet, ..Number::default() }, &payload)
}

/// Is the master there (6.2.11)?
pub fn ping(session: u32, packet: u32) -> Vec<u8> {
    framed(kind::PING, Number { session, packet, ..Number::default() }, &[])
}

/// A trap (6.2.10); its name, snmpTrapOID.0, is among `variables`.
pub fn notify(session: u32, packet: u32, variables: &[VarBind]) -> Vec<u8> {
    let mut payload = Vec::new();
    variables.iter().for_each(|variable| bind(&mut payload, variable));
    framed(kind::NOTIFY, Number { session, packet, ..Number::default() }, &payload)
}

/// The answer (6.2.16) to the packet of `question`: values, or what is wrong with the variable of that number, from 1 on.
pub fn respond(question: &Header, answer: Result<&[VarBind], (Fault, u16)>) -> Vec<u8> {
    let (error, index) = answer.err().map_or((0, 0), |(fault, index)| (fault as u16, index));
    let mut payload = vec![0; 4]; // sysUpTime is the master's
    payload.extend(error.to_be_bytes());
    payload.extend(index.to_be_bytes());
    answer.unwrap_or_default().iter().for_each(|variable| bind(&mut payload, variable));
    let Header { session, transaction, packet, .. } = *question;
    framed(kind::RESPONSE, Number { session, transaction, packet }, &payload)
}

fn framed(kind: u8, number: Number, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![VERSION, kind, NETWORK_BYTE_ORDER, 0];
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX); // a few kilobytes
    for word in [number.session, number.transaction, number.packet, length] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

fn oid(out: &mut Vec<u8>, oid: &Oid) {
    let count = u8::try_from(oid.0.len()).unwrap_or(u8::MAX);
    out.extend([count, 0, 0, 0]);
    oid.0.iter().take(count.into()).for_each(|number| out.extend(number.to_be_bytes()));
}

/// With zeros up to a multiple of four octets.
fn octets(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend(u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(octets);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn bind(out: &mut Vec<u8>, (name, value): &VarBind) {
    let kind: u16 = match value {
        Value::Integer(_) => 2,
        Value::Octets(_) => 4,
        Value::Oid(_) => 6,
        Value::Counter32(_) => 65,
        Value::Gauge32(_) => 66,
        Value::TimeTicks(_) => 67,
        Value::Counter64(_) => 70,
        Value::NoSuchObject => 128,
        Value::NoSuchInstance => 129,
        Value::EndOfMibView => 130,
    };
    out.extend(kind.to_be_bytes());
    out.extend([0, 0]);
    oid(out, name);
    match value {
        Value::Integer(value) => out.extend(value.to_be_bytes()),
        Value::Octets(value) => octets(out, value),
        Value::Oid(value) => oid(out, value),
        Value::Counter32(value) | Value::Gauge32(value) | Value::TimeTicks(value) => {
            out.extend(value.to_be_bytes());
        }
        Value::Counter64(value) => out.extend(value.to_be_bytes()),
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
    }
}
