//! Counters of IPVS as columns.

use crate::wire::agentx::Value;
use std::ops::AddAssign;

/// What the kernel counts for a service or a destination; rates are its estimates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients (masquerading only).
    pub out_packets: u64,
    /// Octets from clients.
    pub in_bytes: u64,
    /// Octets to clients.
    pub out_bytes: u64,
    /// Of connections, packets from and to clients, octets from and to clients.
    pub rates: [u64; 5],
    /// Of a destination: connections in an established state.
    pub active: u64,
    /// Of a destination: other connections.
    pub inactive: u64,
    /// Of a destination: persistence templates.
    pub persistent: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        let Counters { connections, in_packets, out_packets, in_bytes, out_bytes, rates, .. } = other;
        self.connections += connections;
        self.in_packets += in_packets;
        self.out_packets += out_packets;
        self.in_bytes += in_bytes;
        self.out_bytes += out_bytes;
        self.rates.iter_mut().zip(rates).for_each(|(sum, rate)| *sum += rate);
        self.active += other.active;
        self.inactive += other.inactive;
        self.persistent += other.persistent;
    }
}

/// The low half: what a column of 32 bits has room for.
#[expect(clippy::cast_possible_truncation, reason = "as Counter32 is defined")]
const fn low(value: u64) -> u32 {
    value as u32
}

const fn high(value: u64) -> u32 {
    low(value >> 32)
}

impl Counters {
    /// virtualServerStatsConns to virtualServerRateOutBPSHigh, columns 27 to 50; `None` for any other.
    pub(super) fn of_virtual_server(&self, column: u32) -> Option<Value> {
        match column {
            27..=36 => self.narrow(column - 27),
            38..=40 => self.wide(column - 38),
            41..=50 => self.halves(column - 41),
            _ => None,
        }
    }

    /// realServerStatsConns to realServerRateOutBPSHigh, columns 14 to 39; `None` for any other.
    pub(super) fn of_real_server(&self, column: u32) -> Option<Value> {
        match column {
            14 => self.narrow(0),
            15 => Some(Value::Gauge32(low(self.active))),
            16 => Some(Value::Gauge32(low(self.inactive))),
            17 => Some(Value::Gauge32(low(self.persistent))),
            18..=26 => self.narrow(column - 17),
            27..=29 => self.wide(column - 27),
            30..=39 => self.halves(column - 30),
            _ => None,
        }
    }

    /// Connections, packets in and out, octets in and out, five rates.
    fn narrow(&self, which: u32) -> Option<Value> {
        Some(match which {
            0 => Value::Gauge32(low(self.connections)),
            1 => Value::Counter32(low(self.in_packets)),
            2 => Value::Counter32(low(self.out_packets)),
            3 => Value::Counter64(self.in_bytes),
            4 => Value::Counter64(self.out_bytes),
            _ => Value::Gauge32(low(*self.rates.get(which as usize - 5)?)),
        })
    }

    /// Connections, packets in, packets out.
    fn wide(&self, which: u32) -> Option<Value> {
        let values = [self.connections, self.in_packets, self.out_packets];
        values.get(which as usize).map(|value| Value::Counter64(*value))
    }

    /// The low and the high half of each rate.
    fn halves(&self, which: u32) -> Option<Value> {
        let rate = *self.rates.get(which as usize / 2)?;
        Some(Value::Gauge32(if which.is_multiple_of(2) { low(rate) } else { high(rate) }))
    }
}
