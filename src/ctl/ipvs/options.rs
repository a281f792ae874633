//! What may stand on ipvsadm's command line, and which option goes with which command (ipvsadm 1.31, read off the
//! program's answers). Pure.

use std::fmt;

/// Does an option take a value?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Value,
    /// Unless the next word begins with a dash.
    Perhaps,
}

/// A word with a dash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Verb(Verb),
    Help,
    Version,
    Tcp,
    Udp,
    Sctp,
    FwMark,
    Masquerading,
    Ipip,
    Gatewaying,
    Sort,
    Ipv6,
    Option(Opt),
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
}

/// An option that a command may allow, want or refuse, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opt {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    Upper,
    Lower,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    Ops,
    Engine,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    MaxLen,
    TunInfo,
    TunType,
    TunPort,
    TunNoCsum,
    TunCsum,
    TunRemCsum,
}

/// One row of the table.
#[derive(Debug)]
pub struct Entry {
    pub long: &'static str,
    pub short: Option<char>,
    pub takes: Takes,
    pub word: Word,
}

const fn row(long: &'static str, short: Option<char>, takes: Takes, word: Word) -> Entry {
    Entry { long, short, takes, word }
}

const fn verb(long: &'static str, short: Option<char>, verb: Verb) -> Entry {
    row(long, short, Takes::Nothing, Word::Verb(verb))
}

const fn flag(long: &'static str, short: Option<char>, opt: Opt) -> Entry {
    row(long, short, Takes::Nothing, Word::Option(opt))
}

const fn value(long: &'static str, short: Option<char>, opt: Opt) -> Entry {
    row(long, short, Takes::Value, Word::Option(opt))
}

/// Every option there is.
pub static TABLE: &[Entry] = &[
    verb("add-service", Some('A'), Verb::AddService),
    verb("edit-service", Some('E'), Verb::EditService),
    verb("delete-service", Some('D'), Verb::DeleteService),
    verb("clear", Some('C'), Verb::Flush),
    verb("list", Some('L'), Verb::List),
    verb("list", Some('l'), Verb::List),
    verb("zero", Some('Z'), Verb::Zero),
    verb("add-server", Some('a'), Verb::AddServer),
    verb("edit-server", Some('e'), Verb::EditServer),
    verb("delete-server", Some('d'), Verb::DeleteServer),
    verb("set", None, Verb::Set),
    row("help", Some('h'), Takes::Nothing, Word::Help),
    row("version", Some('v'), Takes::Nothing, Word::Version),
    verb("restore", Some('R'), Verb::Restore),
    verb("save", Some('S'), Verb::Save),
    row("start-daemon", None, Takes::Value, Word::Verb(Verb::StartDaemon)),
    row("stop-daemon", None, Takes::Value, Word::Verb(Verb::StopDaemon)),
    row("tcp-service", Some('t'), Takes::Value, Word::Tcp),
    row("udp-service", Some('u'), Takes::Value, Word::Udp),
    row("sctp-service", None, Takes::Value, Word::Sctp),
    row("fwmark-service", Some('f'), Takes::Value, Word::FwMark),
    value("scheduler", Some('s'), Opt::Scheduler),
    row("persistent", Some('p'), Takes::Perhaps, Word::Option(Opt::Persistent)),
    value("netmask", Some('M'), Opt::Netmask),
    value("real-server", Some('r'), Opt::Server),
    row("masquerading", Some('m'), Takes::Nothing, Word::Masquerading),
    row("ipip", Some('i'), Takes::Nothing, Word::Ipip),
    row("gatewaying", Some('g'), Takes::Nothing, Word::Gatewaying),
    value("weight", Some('w'), Opt::Weight),
    value("u-threshold", Some('x'), Opt::Upper),
    value("l-threshold", Some('y'), Opt::Lower),
    flag("numeric", Some('n'), Opt::Numeric),
    flag("connection", Some('c'), Opt::Connection),
    value("mcast-interface", None, Opt::McastInterface),
    value("syncid", None, Opt::SyncId),
    flag("timeout", None, Opt::Timeout),
    flag("daemon", None, Opt::Daemon),
    flag("stats", None, Opt::Stats),
    flag("rate", None, Opt::Rate),
    flag("thresholds", None, Opt::Thresholds),
    flag("persistent-conn", None, Opt::PersistentConn),
    flag("nosort", None, Opt::NoSort),
    row("sort", None, Takes::Nothing, Word::Sort),
    flag("exact", Some('X'), Opt::Exact),
    row("ipv6", Some('6'), Takes::Nothing, Word::Ipv6),
    flag("ops", Some('o'), Opt::Ops),
    value("pe", None, Opt::Engine),
    value("sched-flags", Some('b'), Opt::SchedFlags),
    value("mcast-group", None, Opt::McastGroup),
    value("mcast-port", None, Opt::McastPort),
    value("mcast-ttl", None, Opt::McastTtl),
    value("sync-maxlen", None, Opt::MaxLen),
    flag("tun-info", None, Opt::TunInfo),
    value("tun-type", None, Opt::TunType),
    value("tun-port", None, Opt::TunPort),
    flag("tun-nocsum", None, Opt::TunNoCsum),
    flag("tun-csum", None, Opt::TunCsum),
    flag("tun-remcsum", None, Opt::TunRemCsum),
];

/// What a command does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Must,
    May,
    /// At most one of these.
    OneOf,
    Never,
}

impl Opt {
    pub const ALL: [Opt; 34] = [
        Opt::Numeric,
        Opt::Connection,
        Opt::Service,
        Opt::Scheduler,
        Opt::Persistent,
        Opt::Netmask,
        Opt::Server,
        Opt::Forward,
        Opt::Weight,
        Opt::Upper,
        Opt::Lower,
        Opt::McastInterface,
        Opt::Timeout,
        Opt::Daemon,
        Opt::Stats,
        Opt::Rate,
        Opt::Thresholds,
        Opt::PersistentConn,
        Opt::NoSort,
        Opt::SyncId,
        Opt::Exact,
        Opt::Ops,
        Opt::Engine,
        Opt::SchedFlags,
        Opt::McastGroup,
        Opt::McastPort,
        Opt::McastTtl,
        Opt::MaxLen,
        Opt::TunInfo,
        Opt::TunType,
        Opt::TunPort,
        Opt::TunNoCsum,
        Opt::TunCsum,
        Opt::TunRemCsum,
    ];

    /// Options that only tunnels take.
    pub const TUNNEL: [Opt; 5] = [Opt::TunType, Opt::TunPort, Opt::TunNoCsum, Opt::TunCsum, Opt::TunRemCsum];
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Opt::Service => "service-address",
            Opt::Forward => "forwarding-method",
            other => {
                let entry = TABLE.iter().find(|entry| entry.word == Word::Option(*other));
                entry.map_or("", |entry| entry.long)
            }
        })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            // The option is --clear, the messages say this.
            Verb::Flush => "flush",
            other => {
                let entry = TABLE.iter().find(|entry| entry.word == Word::Verb(*other));
                entry.map_or("", |entry| entry.long)
            }
        })
    }
}

impl Verb {
    /// What the command does with the option.
    pub fn rule(self, opt: Opt) -> Rule {
        let (must, one_of, may): (&[Opt], &[Opt], &[Opt]) = match self {
            Verb::AddService | Verb::EditService => (
                &[Opt::Service],
                &[],
                &[Opt::Scheduler, Opt::Persistent, Opt::Netmask, Opt::Ops, Opt::Engine, Opt::SchedFlags],
            ),
            Verb::DeleteService => (&[Opt::Service], &[], &[]),
            Verb::List => (
                &[],
                &[Opt::Connection, Opt::Service, Opt::Timeout, Opt::Daemon],
                &[
                    Opt::Numeric,
                    Opt::Stats,
                    Opt::Rate,
                    Opt::Thresholds,
                    Opt::PersistentConn,
                    Opt::NoSort,
                    Opt::SyncId,
                    Opt::Exact,
                    Opt::TunInfo,
                ],
            ),
            Verb::AddServer | Verb::EditServer => (
                &[Opt::Service, Opt::Server],
                &[],
                &[
                    Opt::Forward,
                    Opt::Weight,
                    Opt::Upper,
                    Opt::Lower,
                    Opt::TunType,
                    Opt::TunPort,
                    Opt::TunNoCsum,
                    Opt::TunCsum,
                    Opt::TunRemCsum,
                ],
            ),
            Verb::DeleteServer => (&[Opt::Service, Opt::Server], &[], &[]),
            Verb::StartDaemon => (
                &[],
                &[],
                &[
                    Opt::McastInterface,
                    Opt::SyncId,
                    Opt::McastGroup,
                    Opt::McastPort,
                    Opt::McastTtl,
                    Opt::MaxLen,
                ],
            ),
            Verb::StopDaemon => (&[], &[], &[Opt::SyncId]),
            Verb::Save => (&[], &[], &[Opt::Numeric]),
            Verb::Zero => (&[], &[], &[Opt::Service]),
            Verb::Flush | Verb::Set | Verb::Restore => (&[], &[], &[]),
        };
        if must.contains(&opt) {
            Rule::Must
        } else if one_of.contains(&opt) {
            Rule::OneOf
        } else if may.contains(&opt) {
            Rule::May
        } else {
            Rule::Never
        }
    }
}
