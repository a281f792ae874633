//! What `holdfastctl ipvs` does beyond ipvsadm, on the table of a real kernel.
//!
//! Without IPVS every test says so and does nothing, unless HOLDFAST_REQUIRE_IPVS is set: then it fails.

mod ipvs_support;

use holdfast::netlink::ipvs_raw::{RawDestination, RawIpvs, RawService, RawTimeouts};
use ipvs_support::in_namespace;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// Every kind of row: a mark that is negative in 32 bits, thresholds, a tunnel, persistence, flags.
const TABLE: &str = "\
-A -f 4000000000 -s rr
-a -f 4000000000 -r 10.0.0.1:8080 -m -w 3 -x 9 -y 2
-A -t 192.0.2.1:80 -s sh -b sh-port
-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0
-A -u [2001:db8::1]:53 -s wlc -p 60 -M 64
";

/// Output, complaints, status.
fn tool(arguments: &str, input: &str) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfastctl"));
    command.arg("ipvs").args(arguments.split_whitespace());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it is read to the end");
    let output = child.wait_with_output().expect("it ends");
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("it is text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("it ends by itself"))
}

fn restore(arguments: &str, lines: &str) -> (String, i32) {
    let (_, complaints, status) = tool(arguments, lines);
    (complaints, status)
}

type Rows = (Vec<(RawService, Vec<RawDestination>)>, RawTimeouts);

/// Sorted, since a server that comes back stands elsewhere in the kernel's list.
fn rows() -> Rows {
    let mut ipvs = RawIpvs::open().expect("IPVS");
    let mut rows: Vec<_> = ipvs
        .services()
        .expect("services are listed")
        .into_iter()
        .map(|service| {
            let mut servers = ipvs.destinations(&service).expect("destinations are listed");
            servers.sort_by_key(|server| (server.address, server.port));
            (service, servers)
        })
        .collect();
    rows.sort_by_key(|(service, _)| (service.mark, service.address, service.port));
    (rows, ipvs.timeouts().expect("timeouts are listed"))
}

#[test]
fn what_is_saved_is_restored_whole() {
    in_namespace(|mut ipvs| {
        assert_eq!(restore("-R", TABLE), (String::new(), 0));
        let (saved, before) = (tool("-S -n", "").0, rows());
        assert!(saved.contains("-f 4000000000 -r 10.0.0.1:8080 -m -w 3 -x 9 -y 2\n"), "{saved}");
        ipvs.flush().expect("the table is emptied");
        assert_eq!(restore("-R", &saved), (String::new(), 0));
        assert_eq!(rows(), before);
    });
}

#[test]
fn a_restore_that_the_kernel_refuses_changes_nothing() {
    in_namespace(|_| {
        assert_eq!(restore("-R", TABLE), (String::new(), 0));
        let before = rows();
        for (lines, number, why) in [
            ("-A -t 192.0.2.1:80", 1, "Service already exists"),
            (
                "-A -t 192.0.2.9:80\n-a -t 192.0.2.9:80 -r 10.0.0.1 -m\n-A -t 192.0.2.8:80 -s nosuch",
                3,
                "Scheduler",
            ),
            ("-C\n-A -t 192.0.2.9:80\n# more\n-d -t 192.0.2.9:80 -r 10.0.0.1", 4, "No such destination"),
            ("-D -f 4000000000\n--set 7 8 9\n-D -f 4000000000", 3, "No such service"),
            (
                "-e -t 192.0.2.1:80 -r 10.0.0.2 -m -w 9\n-d -t 192.0.2.1:80 -r 10.0.0.1\n-E -t 192.0.2.1:80 -s rr\n\
                 -a -t 192.0.2.1:80 -r 10.0.0.3 -w 1\n-a -t 192.0.2.1:80 -r 10.0.0.3 -w 1",
                5,
                "Destination already exists",
            ),
        ] {
            let (complaints, status) = restore("-R", lines);
            let mut said = complaints.lines();
            let first = said.next().unwrap_or_default();
            assert!(first.starts_with(&format!("line {number}: {why}")), "{complaints}");
            assert_eq!(
                said.next(),
                Some("nothing is changed: the lines before it are undone (--partial does what it can)")
            );
            assert_eq!((said.next(), status), (None, 1));
            assert_eq!(rows(), before, "{lines}");
        }
        // Unless asked to.
        let (complaints, status) = restore("-R --partial", "-A -t 192.0.2.1:80\n-A -t 192.0.2.9:80");
        assert_eq!((complaints.as_str(), status), ("line 1: Service already exists\n", 1));
        assert_eq!(rows().0.len(), before.0.len() + 1);
    });
}

#[test]
fn a_listing_that_finds_no_room_fails() {
    in_namespace(|_| {
        assert_eq!(restore("-R", TABLE), (String::new(), 0));
        for arguments in ["-S", "-L -n", "-L --json", "-L -c"] {
            let full = OpenOptions::new().write(true).open("/dev/full").expect("there is /dev/full");
            let mut command = Command::new(env!("CARGO_BIN_EXE_holdfastctl"));
            command.arg("ipvs").args(arguments.split(' ')).stdout(full);
            let output = command.output().expect("it runs");
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{arguments}: {complaint}");
            assert!(complaint.contains("No space left on device"), "{arguments}: {complaint}");
        }
    });
}

#[test]
fn connections_are_listed_as_json() {
    in_namespace(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = listener.local_addr().expect("it is bound");
        assert_eq!(tool("-L -c --json", "").0, "[\n]\n");
        let lines = format!("-A -t 127.0.0.9:80\n-a -t 127.0.0.9:80 -r {server} -m\n");
        assert_eq!(restore("-R", &lines), (String::new(), 0));
        let mut client = TcpStream::connect("127.0.0.9:80").expect("it is balanced");
        let (mut accepted, _) = listener.accept().expect("it arrives");
        accepted.write_all(b"x").expect("it is sent");
        client.read_exact(&mut [0]).expect("it is answered");
        let listed: Value = serde_json::from_str(&tool("-L -c --json", "").0).expect("it is JSON");
        let connection = &listed[0];
        assert_eq!(connection["protocol"], "TCP");
        assert_eq!(connection["state"], "ESTABLISHED");
        assert_eq!(connection["source"], client.local_addr().expect("it is connected").to_string());
        assert_eq!(connection["service"], "127.0.0.9:80");
        assert_eq!(connection["destination"], server.to_string());
        assert!(
            connection["expires_seconds"].is_u64() && listed.as_array().is_some_and(|all| all.len() == 1)
        );
    });
}

#[test]
fn the_help_names_what_there_is_beyond_ipvsadm() {
    in_namespace(|_| {
        let (help, _, status) = tool("--help", "");
        for word in ["--json", "--health", "--watch", "--partial"] {
            assert!(help.contains(word), "{help}");
        }
        assert_eq!(status, 0);
    });
}

#[test]
fn words_that_a_command_has_no_use_for_are_refused() {
    in_namespace(|_| {
        for arguments in ["-S --json", "-A -t 192.0.2.1:80 --json", "-A -t 192.0.2.1:80 --partial"] {
            let (output, complaints, status) = tool(arguments, "");
            assert_eq!((output.as_str(), status), ("", 2), "{arguments}");
            assert!(complaints.ends_with("nothing was done\n"), "{complaints}");
        }
        assert_eq!(rows().0, []);
    });
}
