use super::*;
use crate::link::news::Standing;
use crate::net::Priority;
use crate::plan::notify::{InstanceHooks, StateScripts};
use crate::plan::scripts::CommandPlan;
use crate::vrrp::State;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc as threads;

/// Far longer than anything here takes; a test that comes to it has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// A directory of its own, removed at the end.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Room {
        let path = std::env::temp_dir().join(format!("holdfast-notify-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Room(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// A shell script; `$OUT` is a file beside it.
    fn script(&self, name: &str, text: &str) -> CommandPlan {
        let path = self.path(name);
        let out = self.path("out");
        std::fs::write(&path, format!("#!/bin/sh\nOUT={out}\n{text}\n")).expect("a script can be written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("and made executable");
        CommandPlan { words: vec![path], ..CommandPlan::default() }
    }

    fn out(&self) -> String {
        std::fs::read_to_string(self.path("out")).unwrap_or_default()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn entered(name: &str, to: Standing) -> News {
    let (from, cause) = (State::Backup, "a test".to_owned());
    News::Instance { name: name.to_owned(), from, to, priority: Priority(150), cause }
}

fn hooks(name: &str, any: CommandPlan) -> InstanceHooks {
    let scripts = StateScripts { any: Some(any), ..StateScripts::default() };
    InstanceHooks { name: name.to_owned(), scripts, ..InstanceHooks::default() }
}

fn fifo(path: String, script: Option<CommandPlan>) -> FifoPlan {
    FifoPlan { listens: Listens::All, path, account: None, owner: None, no_owner: None, script }
}

/// Lets the driver work until `there` is true.
async fn until(driver: &mut NotifyDriver, what: &str, mut there: impl FnMut(&NotifyDriver) -> bool) {
    let work = async {
        while !there(driver) {
            tokio::time::timeout(LOOK, driver.turn()).await.ok();
        }
    };
    assert!(tokio::time::timeout(LIMIT, work).await.is_ok(), "{what}");
}

#[tokio::test]
async fn scripts_get_their_arguments_in_order() {
    let room = Room::new("arguments");
    let any = room.script("any", "sleep 0.05; echo \"$@\" >> $OUT");
    let mut driver = NotifyDriver::default();
    driver.plan(NotifyPlan { instances: vec![hooks("VI_1", any)], ..NotifyPlan::default() });
    for to in [Standing::Backup, Standing::Master, Standing::Fault] {
        driver.news(&entered("VI_1", to));
    }
    until(&mut driver, "three runs", |_| room.out().lines().count() == 3).await;
    assert_eq!(room.out(), "INSTANCE VI_1 BACKUP 150\nINSTANCE VI_1 MASTER 150\nINSTANCE VI_1 FAULT 150\n");
}

#[tokio::test]
async fn a_script_that_hangs_delays_nobody_else_and_a_missing_one_is_counted() {
    let room = Room::new("hanging");
    let hangs = room.script("hangs", "echo begun >> $OUT; exec sleep 600");
    let missing = CommandPlan { words: vec![room.path("missing")], ..CommandPlan::default() };
    let quick = room.script("quick", "echo quick >> $OUT");
    let instances = vec![hooks("A", hangs), hooks("B", quick), hooks("C", missing)];
    let mut driver = NotifyDriver::default();
    driver.plan(NotifyPlan { instances, ..NotifyPlan::default() });
    driver.news(&entered("A", Standing::Master));
    until(&mut driver, "the first one hangs", |_| room.out() == "begun\n").await;
    driver.news(&entered("C", Standing::Master));
    driver.news(&entered("B", Standing::Master));
    until(&mut driver, "B is told", |_| room.out() == "begun\nquick\n").await;
    until(&mut driver, "the missing one is counted", |driver| driver.failures == 1).await;
    until(&mut driver, "only A's script still runs", |driver| driver.runs.alive() == 1).await;
}

#[tokio::test]
async fn a_script_runs_as_its_user() {
    if !nix::unistd::geteuid().is_root() {
        return; // nobody else may become somebody
    }
    let room = Room::new("user");
    std::fs::set_permissions(&room.0, PermissionsExt::from_mode(0o777)).expect("a mode");
    let identity = crate::plan::scripts::Identity { uid: 65534, gid: 65534, groups: Vec::new() };
    let any = CommandPlan { identity: Some(identity), ..room.script("any", "id -u > $OUT") };
    let mut driver = NotifyDriver::default();
    driver.plan(NotifyPlan { instances: vec![hooks("A", any)], ..NotifyPlan::default() });
    driver.news(&entered("A", Standing::Master));
    until(&mut driver, "it ran", |_| room.out() == "65534\n").await;
}

#[tokio::test]
async fn stop_waits_for_the_last_scripts() {
    let room = Room::new("stop");
    let any = room.script("any", "sleep 0.2; echo $3 >> $OUT");
    let mut driver = NotifyDriver::default();
    driver.plan(NotifyPlan { instances: vec![hooks("A", any)], ..NotifyPlan::default() });
    driver.news(&entered("A", Standing::Backup));
    driver.news(&entered("A", Standing::Stop));
    driver.stop().await;
    assert_eq!(room.out(), "BACKUP\nSTOP\n");
}

#[tokio::test]
async fn a_fifo_is_made_read_and_taken_away() {
    let room = Room::new("fifo");
    let path = room.path("fifo");
    let mut driver = NotifyDriver::default();
    driver.plan(NotifyPlan { fifos: vec![fifo(path.clone(), None)], ..NotifyPlan::default() });
    let meta = std::fs::metadata(&path).expect("the FIFO is there");
    assert!(meta.file_type().is_fifo());
    assert_eq!(meta.permissions().mode() & 0o777, 0o640, "nobody else takes lines from its reader");
    // Before anybody reads.
    driver.news(&entered("VI 1", Standing::Master));
    until(&mut driver, "it is written", |driver| !driver.fifos[0].waits()).await;
    let flags = nix::libc::O_NONBLOCK;
    let mut reader =
        std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&path).expect("it can be read");
    let mut heard = [0; 100];
    let count = reader.read(&mut heard).expect("a line waits");
    assert_eq!(String::from_utf8_lossy(&heard[..count]), "INSTANCE \"VI 1\" MASTER 150\n");
    driver.stop().await;
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn a_fifo_that_nobody_reads_keeps_the_newest_lines_and_holds_up_nothing() {
    let room = Room::new("full");
    let path = room.path("fifo");
    let mut driver = NotifyDriver::default();
    driver.plan(NotifyPlan { fifos: vec![fifo(path.clone(), None)], ..NotifyPlan::default() });
    let name = "x".repeat(900);
    for _ in 0..1000 {
        driver.news(&entered(&name, Standing::Backup));
    }
    driver.news(&entered("last", Standing::Master));
    assert!(driver.fifos[0].dropped() > 0);
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(&path)
        .expect("it can be read");
    let mut heard = Vec::new();
    until(&mut driver, "the last line comes through", |_| {
        let mut octets = [0; 4096];
        while let Ok(count) = reader.read(&mut octets)
            && count > 0
        {
            heard.extend_from_slice(&octets[..count]);
        }
        heard.ends_with(b"\nINSTANCE \"last\" MASTER 150\n")
    })
    .await;
    assert!(
        heard.split(|octet| *octet == b'\n').all(|line| line.is_empty() || line.starts_with(b"INSTANCE \""))
    );
    driver.stop().await;
}

#[tokio::test]
async fn a_path_that_is_no_fifo_is_not_written() {
    let room = Room::new("file");
    let path = room.path("file");
    std::fs::write(&path, "kept").expect("a file");
    let link = room.path("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let mut driver = NotifyDriver::default();
    for path in [&path, &link] {
        driver.plan(NotifyPlan { fifos: vec![fifo(path.clone(), None)], ..NotifyPlan::default() });
        assert!(driver.fifos.is_empty());
        driver.news(&entered("A", Standing::Master));
    }
    driver.stop().await;
    assert_eq!(std::fs::read_to_string(&path).expect("it is still there"), "kept");
}

#[tokio::test]
async fn a_reader_gets_the_path_lives_on_through_a_reload_and_is_ended() {
    let room = Room::new("reader");
    let path = room.path("fifo");
    let script =
        room.script("reader", "echo $$ $1 >> $OUT\nwhile read line; do echo \"$line\" >> $OUT; done < $1");
    let plan = NotifyPlan { fifos: vec![fifo(path.clone(), Some(script))], ..NotifyPlan::default() };
    let mut driver = NotifyDriver::default();
    driver.plan(plan.clone());
    driver.news(&entered("A", Standing::Backup));
    until(&mut driver, "the first line", |_| room.out().contains("BACKUP")).await;
    driver.plan(plan);
    driver.news(&entered("A", Standing::Stop));
    driver.stop().await;
    let out = room.out();
    let (first, rest) = out.split_once('\n').expect("lines");
    let (pid, argument) = first.split_once(' ').expect("two words");
    assert_eq!((argument, rest), (path.as_str(), "INSTANCE \"A\" BACKUP 150\nINSTANCE \"A\" STOP 150\n"));
    let process = format!("/proc/{pid}/stat");
    let gone = std::fs::read_to_string(process).map_or(true, |stat| stat.contains(") Z "));
    assert!(gone, "the reader {pid} still runs");
}

#[tokio::test]
async fn a_reader_of_another_account_may_read_it() {
    if !nix::unistd::geteuid().is_root() {
        return; // nobody else may become somebody
    }
    let room = Room::new("stranger");
    std::fs::set_permissions(&room.0, PermissionsExt::from_mode(0o777)).expect("a mode");
    let identity = crate::plan::scripts::Identity { uid: 65534, gid: 65533, groups: Vec::new() };
    let script = room.script("reader", "read line < $1; echo $line > $OUT");
    let script = CommandPlan { identity: Some(identity), ..script };
    let mut driver = NotifyDriver::default();
    let fifos = vec![fifo(room.path("fifo"), Some(script))];
    driver.plan(NotifyPlan { fifos, ..NotifyPlan::default() });
    driver.news(&entered("A", Standing::Backup));
    until(&mut driver, "it was read", |_| room.out() == "INSTANCE \"A\" BACKUP 150\n").await;
    driver.stop().await;
}

#[tokio::test]
async fn a_reader_that_fails_is_started_again() {
    let room = Room::new("fails");
    let script = room.script("reader", "echo x >> $OUT; exit 3");
    let plan = NotifyPlan { fifos: vec![fifo(room.path("fifo"), Some(script))], ..NotifyPlan::default() };
    let mut driver = NotifyDriver::default();
    driver.plan(plan);
    until(&mut driver, "it is started twice", |_| room.out().lines().count() >= 2).await;
    driver.stop().await;
}

/// A mail server of one connection that gives `answers` one after the other, one to each line or mail.
fn server(answers: &'static [&'static str]) -> (u16, threads::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    let (said, heard) = threads::channel();
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        stream.set_read_timeout(Some(LIMIT)).ok();
        said.send(talk(stream, answers)).ok();
    });
    (port, heard)
}

fn talk(mut stream: TcpStream, answers: &[&str]) -> String {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut all = String::new();
    for answer in answers {
        stream.write_all(answer.as_bytes()).ok();
        let mail = answer.starts_with("354");
        loop {
            let mut line = String::new();
            if !matches!(reader.read_line(&mut line), Ok(count) if count > 0) {
                return all;
            }
            all.push_str(&line);
            if !mail || line == ".\r\n" {
                break;
            }
        }
    }
    all
}

fn mailing(port: u16) -> NotifyPlan {
    let instance = InstanceHooks { name: "A".into(), mail: true, ..InstanceHooks::default() };
    NotifyPlan {
        instances: vec![instance],
        router_id: Some("lb1".into()),
        mail: Some(MailPlan {
            server: "127.0.0.1".into(),
            port,
            helo: Some("lb1.example.org".into()),
            from: Some("lb1@example.org".into()),
            to: vec!["a@example.org".into(), "b@example.org".into()],
            timeout: Duration::from_secs(1),
            faults: true,
            servers: true,
        }),
        ..NotifyPlan::default()
    }
}

const OK: &str = "250 ok\r\n";

#[tokio::test]
async fn a_mail_arrives() {
    let (port, heard) = server(&["220 hello\r\n", OK, OK, OK, OK, "354 go\r\n", OK]);
    let mut driver = NotifyDriver::default();
    driver.plan(mailing(port));
    driver.news(&entered("A", Standing::Master));
    until(&mut driver, "the mail is taken", |driver| driver.outbox.sent() == 1).await;
    let all = heard.recv_timeout(LIMIT).expect("the server ends");
    let date = all.lines().find(|line| line.starts_with("Date: ")).expect("a date").to_owned();
    assert_eq!(
        all,
        format!(
            "HELO lb1.example.org\r\nMAIL FROM:<lb1@example.org>\r\nRCPT TO:<a@example.org>\r\n\
             RCPT TO:<b@example.org>\r\nDATA\r\n{date}\r\nFrom: lb1@example.org\r\n\
             Subject: [lb1] VRRP Instance A - Entering MASTER state\r\nX-Mailer: Keepalived\r\n\
             To: a@example.org,\r\n b@example.org\r\n\r\nVRRP Instance A - Entering MASTER state\r\n\
             Reason: a test\r\n.\r\nQUIT\r\n"
        )
    );
}

#[tokio::test]
async fn a_server_that_refuses_for_ever_is_not_tried_again() {
    let (port, heard) = server(&["220 hello\r\n", OK, "550 go away\r\n", OK]);
    let mut driver = NotifyDriver::default();
    driver.plan(mailing(port));
    driver.news(&entered("A", Standing::Master));
    until(&mut driver, "the mail is given up", |driver| driver.outbox.lost() == 1).await;
    assert!(heard.recv_timeout(LIMIT).expect("the server ends").ends_with("QUIT\r\n"));
    assert_eq!(driver.outbox.waiting(), 0);
}

#[tokio::test]
async fn a_server_that_is_silent_or_away_is_tried_later() {
    // It takes the connection and says nothing; the port of the other one is closed again.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let away = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    for port in [silent.local_addr().expect("an address").port(), away] {
        let mut driver = NotifyDriver::default();
        driver.plan(mailing(port));
        driver.news(&entered("A", Standing::Master));
        until(&mut driver, "a second try is planned", |driver| driver.outbox.next_timeout().is_some()).await;
        assert_eq!((driver.outbox.waiting(), driver.outbox.lost()), (1, 0));
    }
}
