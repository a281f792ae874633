//! The program's own words about itself.

use std::fmt::Write;

/// What `--version` says, or with `help` what `--help` says; `whole`: with what there is beyond ipvsadm.
pub fn answer(help: bool, program: &str, kernel: Option<(u8, u8, u8)>, whole: bool) -> String {
    let mut answer = version(kernel);
    if help {
        answer += &text(program);
        answer += if whole { MORE } else { "" };
    }
    answer
}

/// The version: whose program this stands for, and what it is. `kernel`: that of IPVS, if there is one.
fn version(kernel: Option<(u8, u8, u8)>) -> String {
    let kernel =
        kernel.map_or(String::new(), |(major, minor, patch)| format!(", IPVS v{major}.{minor}.{patch}"));
    format!("ipvsadm v1.31 (holdfast {} in its place{kernel})\n", env!("CARGO_PKG_VERSION"))
}

/// The help, for a program called `program`.
fn text(program: &str) -> String {
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

/// What `holdfastctl ipvs` has beyond ipvsadm.
const MORE: &str = "
Beyond ipvsadm:
  --json             a listing as JSON
  --health           beside each line what the daemon knows, and the servers that are out
  --watch[=SPAN]     the same again and again, with rates; --times=N ends it
  -R                 changes nothing unless every line makes sense and the kernel takes it
  -R --partial       does the lines that it can
  -S                 also writes thresholds, and every mark so that it can be read again
";

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
