//! BFD control packets (RFC 5880 4.1) and the checks of RFC 5880 6.8.6 that need no session.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

/// UDP port of single-hop sessions (RFC 5881 4).
pub const SINGLE_HOP_PORT: u16 = 3784;

/// UDP port of multihop sessions (RFC 5883 5).
pub const MULTIHOP_PORT: u16 = 4784;

/// Octets of a packet without an authentication section.
pub const PACKET_LEN: usize = 24;

/// The least octets of a packet with one.
const AUTHENTICATED_LEN: usize = 26;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION_PRESENT: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// State of a session (RFC 5880 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Held down by an operator.
    AdminDown,
    /// The other end is not heard, or says that it does not hear us.
    Down,
    /// The other end is heard, and does not yet know that.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    const fn bits(self) -> u8 {
        match self {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        }
    }

    const fn from_bits(bits: u8) -> State {
        match bits & 3 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        })
    }
}

/// Why the sender's session last left the state Up: a number of five bits (RFC 5880 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// No diagnostic.
    pub const NONE: Diagnostic = Diagnostic(0);
    /// Control detection time expired.
    pub const TIME_EXPIRED: Diagnostic = Diagnostic(1);
    /// Neighbor signaled session down.
    pub const NEIGHBOR_SIGNALED: Diagnostic = Diagnostic(3);
    /// Administratively down.
    pub const ADMINISTRATIVELY_DOWN: Diagnostic = Diagnostic(7);

    /// The lower five bits of `number`.
    pub const fn from_bits(number: u8) -> Diagnostic {
        Diagnostic(number & 0x1f)
    }

    /// Its number, 0 to 31.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            _ => "reserved",
        })
    }
}

/// A control packet without authentication, which keepalived does not know either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPacket {
    /// Why the session last changed.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// The sender wants an answer with `is_final` at once.
    pub poll: bool,
    /// The answer to a poll.
    pub is_final: bool,
    /// The sender's BFD outlives its control plane.
    pub control_plane_independent: bool,
    /// The sender asks for silence once both ends are up.
    pub demand: bool,
    /// Detect Mult.
    pub multiplier: NonZeroU8,
    /// The sender's discriminator.
    pub my_discriminator: NonZeroU32,
    /// The receiver's, as the sender knows it; 0 while it does not.
    pub your_discriminator: u32,
    /// Desired Min TX Interval in microseconds.
    pub desired_min_tx_us: u32,
    /// Required Min RX Interval in microseconds; 0 asks for silence.
    pub required_min_rx_us: u32,
    /// Required Min Echo RX Interval in microseconds; 0 refuses echoes.
    pub required_min_echo_rx_us: u32,
}

/// Why a packet is discarded, in the order of the checks of RFC 5880 6.8.6. Each has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Discard {
    /// Not even the version can be read, or fewer octets than the shortest packet.
    Truncated,
    /// Not version 1.
    Version,
    /// The Length field is below 24, or below 26 with authentication.
    Length,
    /// The Length field is larger than the payload.
    BeyondPayload,
    /// Detect Mult is zero.
    Multiplier,
    /// The Multipoint bit is set.
    Multipoint,
    /// My Discriminator is zero.
    MyDiscriminator,
    /// Your Discriminator is zero in a state that presumes a conversation.
    YourDiscriminator,
    /// The packet is authenticated, and no session uses that.
    Authentication,
}

impl Discard {
    /// All of them.
    pub const ALL: [Discard; 9] = [
        Discard::Truncated,
        Discard::Version,
        Discard::Length,
        Discard::BeyondPayload,
        Discard::Multiplier,
        Discard::Multipoint,
        Discard::MyDiscriminator,
        Discard::YourDiscriminator,
        Discard::Authentication,
    ];

    /// The name of its counter.
    pub const fn counter(self) -> &'static str {
        match self {
            Discard::Truncated => "discarded_truncated",
            Discard::Version => "discarded_version",
            Discard::Length => "discarded_length",
            Discard::BeyondPayload => "discarded_beyond_payload",
            Discard::Multiplier => "discarded_multiplier_zero",
            Discard::Multipoint => "discarded_multipoint",
            Discard::MyDiscriminator => "discarded_my_discriminator_zero",
            Discard::YourDiscriminator => "discarded_your_discriminator_zero",
            Discard::Authentication => "discarded_authentication",
        }
    }
}

impl ControlPacket {
    /// As octets.
    pub fn encode(&self) -> [u8; PACKET_LEN] {
        let flags = [
            (self.poll, POLL),
            (self.is_final, FINAL),
            (self.control_plane_independent, CONTROL_PLANE_INDEPENDENT),
            (self.demand, DEMAND),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |sum, (_, bit)| sum | bit);
        let mut bytes = [0; PACKET_LEN];
        bytes[0] = VERSION << 5 | self.diagnostic.number();
        bytes[1] = self.state.bits() << 6 | flags;
        bytes[2] = self.multiplier.get();
        bytes[3] = PACKET_LEN as u8;
        let words = [
            self.my_discriminator.get(),
            self.your_discriminator,
            self.desired_min_tx_us,
            self.required_min_rx_us,
            self.required_min_echo_rx_us,
        ];
        for (place, word) in bytes[4..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// From a UDP payload. Octets after the Length field's end are ignored.
    pub fn decode(payload: &[u8]) -> Result<ControlPacket, Discard> {
        let bytes = payload.first_chunk::<PACKET_LEN>().ok_or(Discard::Truncated)?;
        let [first, flags, multiplier, length, ..] = *bytes;
        if first >> 5 != VERSION {
            return Err(Discard::Version);
        }
        let authenticated = flags & AUTHENTICATION_PRESENT != 0;
        let length = usize::from(length);
        if length < if authenticated { AUTHENTICATED_LEN } else { PACKET_LEN } {
            return Err(Discard::Length);
        }
        if length > payload.len() {
            return Err(Discard::BeyondPayload);
        }
        let multiplier = NonZeroU8::new(multiplier).ok_or(Discard::Multiplier)?;
        if flags & MULTIPOINT != 0 {
            return Err(Discard::Multipoint);
        }
        let my_discriminator = NonZeroU32::new(word(bytes, 4)).ok_or(Discard::MyDiscriminator)?;
        let your_discriminator = word(bytes, 8);
        let state = State::from_bits(flags >> 6);
        if your_discriminator == 0 && !matches!(state, State::Down | State::AdminDown) {
            return Err(Discard::YourDiscriminator);
        }
        if authenticated {
            return Err(Discard::Authentication);
        }
        Ok(ControlPacket {
            diagnostic: Diagnostic::from_bits(first),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx_us: word(bytes, 12),
            required_min_rx_us: word(bytes, 16),
            required_min_echo_rx_us: word(bytes, 20),
        })
    }
}

/// The four octets from `at`, which is below 21 in every call.
fn word(bytes: &[u8; PACKET_LEN], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packet and its octets, laid out by hand from the figure of RFC 5880 4.1.
    fn sample() -> (ControlPacket, [u8; 24]) {
        let packet = ControlPacket {
            diagnostic: Diagnostic::NEIGHBOR_SIGNALED,
            state: State::Init,
            poll: true,
            is_final: false,
            control_plane_independent: false,
            demand: false,
            multiplier: NonZeroU8::new(5).unwrap(),
            my_discriminator: NonZeroU32::new(0x0102_0304).unwrap(),
            your_discriminator: 0x0506_0708,
            desired_min_tx_us: 1_000_000,
            required_min_rx_us: 10_000,
            required_min_echo_rx_us: 0,
        };
        let bytes =
            [0x23, 0xa0, 5, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x0f, 0x42, 0x40, 0, 0, 0x27, 0x10, 0, 0, 0, 0];
        (packet, bytes)
    }

    #[test]
    fn a_packet_is_laid_out_as_the_rfc_draws_it() {
        let (packet, bytes) = sample();
        assert_eq!(packet.encode(), bytes);
        assert_eq!(ControlPacket::decode(&bytes), Ok(packet));
    }

    #[test]
    fn each_check_has_a_discard_of_its_own() {
        let (_, good) = sample();
        let with = |changes: &[(usize, u8)]| {
            let mut bytes = good.to_vec();
            changes.iter().for_each(|(at, value)| bytes[*at] = *value);
            ControlPacket::decode(&bytes).unwrap_err()
        };
        for length in 0..PACKET_LEN {
            assert_eq!(ControlPacket::decode(&good[..length]), Err(Discard::Truncated), "{length} octets");
        }
        for version in [0, 2, 3, 7] {
            assert_eq!(with(&[(0, version << 5)]), Discard::Version);
        }
        for length in 0..24 {
            assert_eq!(with(&[(3, length)]), Discard::Length);
        }
        assert_eq!(with(&[(1, 0xa4), (3, 25)]), Discard::Length, "26 with authentication");
        assert_eq!(with(&[(3, 25)]), Discard::BeyondPayload);
        assert_eq!(with(&[(2, 0)]), Discard::Multiplier);
        assert_eq!(with(&[(1, 0xa1)]), Discard::Multipoint);
        assert_eq!(with(&[(4, 0), (5, 0), (6, 0), (7, 0)]), Discard::MyDiscriminator);
        let unknown = [(8, 0), (9, 0), (10, 0), (11, 0)];
        assert_eq!(with(&unknown), Discard::YourDiscriminator, "in Init");
        assert_eq!(with(&[&unknown[..], &[(1, 0xc0)]].concat()), Discard::YourDiscriminator, "in Up");
        let mut authenticated = good.to_vec();
        authenticated[1] |= AUTHENTICATION_PRESENT;
        authenticated[3] = 28;
        authenticated.extend([1, 4, 0, 0]);
        assert_eq!(ControlPacket::decode(&authenticated), Err(Discard::Authentication));
    }

    #[test]
    fn a_first_packet_knows_no_discriminator_of_ours() {
        let (packet, _) = sample();
        for state in [State::Down, State::AdminDown] {
            let first = ControlPacket { state, your_discriminator: 0, ..packet };
            assert_eq!(ControlPacket::decode(&first.encode()), Ok(first));
        }
    }

    #[test]
    fn octets_after_the_packet_are_ignored() {
        let (packet, bytes) = sample();
        assert_eq!(ControlPacket::decode(&[&bytes[..], &[9; 40]].concat()), Ok(packet));
    }

    #[test]
    fn counters_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = Discard::ALL.iter().map(|d| d.counter()).collect();
        assert_eq!(names.len(), Discard::ALL.len());
    }

    proptest! {
        #[test]
        fn any_octets_are_a_packet_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = ControlPacket::decode(&bytes) {
                let mut same = bytes[..PACKET_LEN].to_vec();
                // The length may be longer than what is understood.
                same[3] = PACKET_LEN as u8;
                prop_assert_eq!(packet.encode().to_vec(), same);
            }
        }

        #[test]
        fn what_is_encoded_is_decoded(
            words in any::<[u32; 4]>(), mine in 1u32.., multiplier in 1u8.., bits in any::<u8>(), diagnostic in 0u8..32,
        ) {
            let state = State::from_bits(bits >> 6);
            let packet = ControlPacket {
                diagnostic: Diagnostic::from_bits(diagnostic),
                state,
                poll: bits & 1 != 0,
                is_final: bits & 2 != 0,
                control_plane_independent: bits & 4 != 0,
                demand: bits & 8 != 0,
                multiplier: NonZeroU8::new(multiplier).unwrap(),
                my_discriminator: NonZeroU32::new(mine).unwrap(),
                your_discriminator: words[0].max(1),
                desired_min_tx_us: words[1],
                required_min_rx_us: words[2],
                required_min_echo_rx_us: words[3],
            };
            prop_assert_eq!(ControlPacket::decode(&packet.encode()), Ok(packet));
        }
    }
}
