//! The program's own words about itself.

use std::fmt::Write;

/// The version: whose program this stands for, and what it is.
pub fn version((major, minor, patch): (u8, u8, u8)) -> String {
    format!(
        "ipvsadm v1.31 (holdfast {} in its place, IPVS v{major}.{minor}.{patch})\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The help, for a program called `program`.
pub fn text(program: &str) -> String {
    let mut text = String::from("Usage:\n");
    for form in [
        "-A|-E SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M MASK] [--pe ENGINE] [-b FLAGS] [-o]",
        "-D SERVICE",
        "-C",
        "-a|-e SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]",
        "-d SERVICE -r SERVER",
        "-L|-l [SERVICE] [HOW]",
        "-L -c|--timeout|--daemon",
        "-S [-n]",
        "-R",
        "-Z [SERVICE]",
        "--set TCP TCPFIN UDP",
        "--start-daemon master|backup [--mcast-interface IF] [--syncid N] [--sync-maxlen N]",
        "                  [--mcast-group ADDRESS] [--mcast-port PORT] [--mcast-ttl N]",
        "--stop-daemon master|backup [--syncid N]",
        "-h | --version",
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {program} {form}");
    }
    text + HELP
}

const HELP: &str = "
SERVICE    -t, -u or --sctp-service HOST[:PORT], or -f MARK [-6]
SERVER     HOST[:PORT]; without a port the service's
HOW        -n (numbers, no names), --exact (no K, M, G), --nosort, and one of --stats, --rate,
           --thresholds, --persistent-conn, --tun-info
TUNNEL     --tun-type ipip|gue|gre, --tun-port PORT, --tun-nocsum|--tun-csum|--tun-remcsum

Long forms:
  -A --add-service   -E --edit-service   -D --delete-service   -C --clear       -Z --zero
  -a --add-server    -e --edit-server    -d --delete-server    -L --list        -S --save  -R --restore
  -t --tcp-service   -u --udp-service    -f --fwmark-service   -6 --ipv6        -r --real-server
  -s --scheduler     -p --persistent     -M --netmask          -b --sched-flags -o --ops
  -g --gatewaying    -i --ipip           -m --masquerading     -w --weight
  -x --u-threshold   -y --l-threshold    -n --numeric          -c --connection  -X --exact

Without SCHEDULER it is wlc, without SECONDS 360, without a method -g, without WEIGHT 1.
A whole description is in the manual of ipvsadm; what holdfastctl ipvs has beyond it is in holdfast's guide.
";
