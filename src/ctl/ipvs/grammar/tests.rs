//! What ipvsadm 1.31 answered to the same lines.

use super::*;
use crate::ctl::ipvs::names::Names;

fn read(line: &str) -> Result<Command, Fault> {
    let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(String::from).collect();
    parse(&words, &Names::default(), false)
}

#[test]
fn wrong_lines_have_the_messages_and_statuses_of_ipvsadm() {
    for (line, said) in [
        ("-A -t 192.0.2.1", "Zero port specified for non-persistent service"),
        ("-A -t 192.0.2.1:80 -o", "One-Packet Scheduling is only for UDP virtual services"),
        ("-A -t 192.0.2.1:80 -p 0", "invalid timeout value `0' specified"),
        ("-A -t 192.0.2.1:80 -b sh-port", "incompatible scheduler flag `sh-port'"),
        ("-A -t 192.0.2.1 -b sh-port", "incompatible scheduler flag `sh-port'"),
        ("-L -b nosuch", "invalid scheduler flag `nosuch'"),
        ("-D -t 192.0.2.1:80 -b flag-1", "Illegal 'sched-flags' option with the 'delete-service' command"),
        ("-A -f 0", "invalid fwmark value `0' specified"),
        ("-A -6 -f 5", "-6 used before -f\n"),
        ("-A -t [::1]", "illegal virtual server address[:port] specified"),
        ("-A -t [::1]:80 -M 129", "illegal ipv6 netmask specified"),
        ("-A -s rr", "You need to supply the 'service-address' option for the 'add-service' command"),
        ("-A -t 192.0.2.1:80 -w 1", "Illegal 'weight' option with the 'add-service' command"),
        ("-A -t 192.0.2.1:80 -f 5", "multiple 'service-address' options specified"),
        ("-C -n", "Illegal 'numeric' option with the 'flush' command"),
        ("-LA", "invalid option `-LA'"),
        (
            "-L --timeout --daemon",
            "The option 'daemon' conflicts with the 'timeout' option in the 'list' command",
        ),
        ("-L -c --stats", "options conflicts in the list command"),
        ("-L --timeout --persistent-conn", "options conflicts in the list command"),
        ("-L n", "unexpected argument n"),
        ("--set 1 2", "--set option requires 3 timeout values"),
        ("--start-daemon foo", "illegal start-daemon parameter specified"),
        ("--stop-daemon foo", "illegal start_daemon specified"),
        (
            "-a -t 192.0.2.1:80 -r [::1]:80 -m",
            "Different address family is allowed only for tunneling servers",
        ),
        ("-a -t 192.0.2.1:80 -r 192.0.2.2 --tun-type gre", "Tunnel options conflict with forward method"),
        (
            "-a -f 5 -r 192.0.2.2 -i --tun-type gue",
            "You need to supply the 'tun-port' option for the 'gue' tunnel type",
        ),
        ("-a -f 5 -r 192.0.2.2 -i --tun-csum", "Illegal 'tun-csum' option with the 'ipip' tunnel type"),
    ] {
        assert_eq!(read(line), Err(Fault::Say(said.to_owned(), 2)), "{line}");
    }
}

#[test]
fn words_that_are_no_options_are_blamed_as_popt_does() {
    for (line, word, why) in [
        ("-L -Q", "-Q", "unknown option"),
        ("-Ln5", "-Ln5", "unknown option"),
        ("-At", "-At", "missing argument"),
        ("-L --numeric=5", "--numeric=5", "option does not take an argument"),
        ("-Ln=5", "-Ln=5", "option does not take an argument"),
        ("-A -t 192.0.2.1:80 -p -1", "-1", "unknown option"),
    ] {
        assert_eq!(read(line), Err(Fault::Bad(Bad { word: word.to_owned(), why })), "{line}");
    }
    for line in ["-n", "-nL", "foo", "--add-serv", "--set=1 2 3", "-", "-L=5"] {
        assert_eq!(read(line), Err(Fault::Hint), "{line}");
    }
}

#[test]
fn a_server_takes_the_port_of_a_service_that_was_named_before_or_that_it_cannot_change() {
    let port = |line| match read(line) {
        Ok(Command::AddServer(_, server) | Command::DeleteServer(_, server)) => server.port,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(port("-a -t 192.0.2.1:80 -r 192.0.2.2 -m"), 80);
    assert_eq!(port("-a -r 192.0.2.2 -t 192.0.2.1:80 -m"), 0);
    assert_eq!(port("-a -t 192.0.2.1:80 -r 192.0.2.2:81 -m"), 81);
    assert_eq!(port("-a -t 192.0.2.1:80 -r 192.0.2.2:81"), 80);
    assert_eq!(port("-d -t 192.0.2.1:80 -r 192.0.2.2:81"), 81);
    assert_eq!(port("-a -f 5 -r 192.0.2.2:81"), 81);
    assert_eq!(port("-a -t 192.0.2.1:80 -r [192.0.2.2]:81 -m"), 80);
}

#[test]
fn a_cluster_ends_in_a_value_and_persistence_may_do_without() {
    let service = |line| match read(line) {
        Ok(Command::AddService(service)) => (service.flags, service.timeout, service.scheduler),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(service("-Au192.0.2.1:53 -op5"), (5, 5, "wlc".to_owned()));
    assert_eq!(service("-A -t=192.0.2.1:80 -p -s rr"), (1, 360, "rr".to_owned()));
    assert_eq!(service("-A --tcp-service=192.0.2.1:80 --persistent=10"), (1, 10, "wlc".to_owned()));
}
