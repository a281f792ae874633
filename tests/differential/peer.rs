//! Debian's keepalived, in network and process namespaces of its own: exit statuses of `-t`, and what its VRRP process
//! dumps.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The interfaces in its namespace.
pub const INTERFACES: &[&str] = &["lo", "eth0", "eth1"];

/// What a program makes of a file.
#[derive(Debug, Default)]
pub struct Read {
    /// Exit status of `-t` where no interface exists but `lo`.
    pub bare_status: i32,
    /// Exit status of `-t` with all of [`INTERFACES`].
    pub status: i32,
    /// The virtual routers in the order of the file; none when the daemon does not start.
    pub routers: Vec<Router>,
}

/// A virtual router as far as it is compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Router {
    pub name: String,
    pub interface: String,
    pub vrid: String,
    pub priority: String,
    pub milliseconds: u128,
    pub version: String,
    pub preempt: bool,
    pub addresses: Vec<String>,
    pub peers: Vec<String>,
}

/// `$1`: the file; `$2`: a directory. The first process of the namespace: with its end all others end.
const SCRIPT: &str = r#"
ip link set lo up
keepalived -t -f "$1" >/dev/null 2>&1; echo "BARE $?"
for i in 0 1; do
  ip link add eth$i type veth peer name peer$i
  ip addr add 192.0.2.1$i/24 dev eth$i
  ip addr add 2001:db8::1$i/64 dev eth$i nodad
  ip link set eth$i up; ip link set peer$i up
done
keepalived -t -f "$1" >/dev/null 2>&1; echo "STATUS $?"
# Process numbers of an earlier namespace would mean a living daemon here.
rm -f "$2/p" "$2/r" "$2/c"
timeout -s KILL 10 keepalived -n -d -l -G -P -f "$1" -p "$2/p" -r "$2/r" -c "$2/c" 2>&1
"#;

/// Can it be asked here?
pub fn usable() -> Result<(), String> {
    let root = nix::unistd::geteuid().is_root();
    let runs = |program: &str, word: &str| {
        Command::new(program).arg(word).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    match (root, runs("keepalived", "--version"), runs("unshare", "--version"), runs("ip", "-V")) {
        (false, ..) => Err("it needs root for a network namespace".to_owned()),
        (_, false, ..) => Err("keepalived is not installed".to_owned()),
        (_, _, false, _) => Err("unshare is not installed".to_owned()),
        (_, _, _, false) => Err("ip is not installed".to_owned()),
        _ => Ok(()),
    }
}

/// Has it read the file.
pub fn read(file: &Path) -> Read {
    let folder = file.parent().expect("the file stands in a directory");
    let mut child = Command::new("unshare")
        .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", SCRIPT, "bash"])
        .args([file, folder])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("unshare runs");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut read = Read::default();
    let mut list = List::None;
    for line in output.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains("------< Interfaces >") {
            break;
        }
        if let Some(status) = line.strip_prefix("BARE ") {
            read.bare_status = status.parse().expect("a status");
        } else if let Some(status) = line.strip_prefix("STATUS ") {
            read.status = status.parse().expect("a status");
        } else if let Some((_, text)) = line.split_once(": ") {
            // After the date, of which the time has colons but no blank after one.
            list = dumped(&mut read.routers, text, list);
        }
    }
    // All that runs in the namespace ends with it.
    let _ = child.kill();
    let _ = child.wait();
    read
}

/// Which list the next lines belong to.
#[derive(Clone, Copy)]
enum List {
    None,
    Addresses,
    Peers,
}

/// One line of the dump. Its lines begin with a blank, or with the dashes of a section; any other is a message of
/// another process of keepalived ("Startup complete"), which may stand in the middle of a list.
fn dumped(routers: &mut Vec<Router>, text: &str, list: List) -> List {
    if let Some(name) = text.strip_prefix(" VRRP Instance = ") {
        routers.push(Router { name: name.to_owned(), ..Router::default() });
        return List::None;
    }
    if !text.starts_with([' ', '-']) {
        return list;
    }
    let Some(router) = routers.last_mut() else { return List::None };
    if let (Some(line), true) = (text.strip_prefix("     "), !text.contains(" = ")) {
        let first = line.split(' ').next().unwrap_or_default().to_owned();
        match list {
            List::Addresses => router.addresses.push(first),
            List::Peers => router.peers.push(first),
            List::None => {}
        }
        return list;
    }
    let line = text.trim();
    match line.split_once(" = ") {
        Some(("VRRP Version", value)) => router.version = value.to_owned(),
        Some(("Interface", value)) => {
            router.interface = value.split(',').next().unwrap_or_default().to_owned()
        }
        Some(("Virtual Router ID", value)) => router.vrid = value.to_owned(),
        Some(("Priority", value)) => router.priority = value.to_owned(),
        Some(("Advert interval", value)) => router.milliseconds = interval(value),
        Some(("Preempt", value)) => router.preempt = value.starts_with("enabled"),
        _ => {}
    }
    if line.starts_with("Virtual IP (") {
        List::Addresses
    } else if line.starts_with("Unicast Peer") {
        List::Peers
    } else {
        List::None
    }
}

/// `1 sec`, `500 milli-sec`.
fn interval(text: &str) -> u128 {
    let (count, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = if unit.starts_with("milli") { 1.0 } else { 1000.0 };
    let milliseconds = count.parse::<f64>().expect("a number") * factor;
    // keepalived's are whole hundredths of a second below a day.
    milliseconds.round() as u128
}

#[test]
fn a_message_in_the_middle_of_a_list_does_not_end_it() {
    let lines = [
        " VRRP Instance = VI",
        "   Virtual IP (2):",
        "     10.0.0.1/24 dev eth1",
        "Startup complete",
        "     10.0.0.2/24 dev eth1",
    ];
    let mut routers = Vec::new();
    lines.iter().fold(List::None, |list, line| dumped(&mut routers, line, list));
    assert_eq!(routers[0].addresses, ["10.0.0.1/24", "10.0.0.2/24"]);
}
