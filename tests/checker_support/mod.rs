//! The supervisor's side of a checker role, servers to check and plans that name them.

use holdfast::link::frame::{Decoder, encode};
use holdfast::link::{FromChecker, News, ToChecker};
use holdfast::net::TransportProtocol;
use holdfast::plan::Generation;
use holdfast::plan::check::{CheckKind, CheckerPlan, Schedule, Target};
use holdfast::plan::lvs::{ForwardingMethod, LvsPlan, RealServer, ServiceKey, VirtualServer};
use holdfast::report::{CheckerDetail, CheckerStatus};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Far longer than anything here takes, on a slow guest too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A role on a thread, and the supervisor's end of its link.
pub struct Role {
    pub link: UnixStream,
    decoder: Decoder,
    pub thread: JoinHandle<ExitCode>,
    asked: u64,
    /// What was told on the way.
    pub news: Vec<News>,
}

impl Role {
    pub fn start(run: impl FnOnce(UnixStream) -> ExitCode + Send + 'static) -> Role {
        let (link, theirs) = UnixStream::pair().expect("a socket pair");
        link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let thread = thread::spawn(move || run(theirs));
        Role { link, decoder: Decoder::default(), thread, asked: 0, news: Vec::new() }
    }

    pub fn tell(&mut self, message: &ToChecker) {
        let frame = encode(message).expect("messages encode");
        self.link.write_all(&frame).expect("the role reads");
    }

    pub fn hear(&mut self) -> FromChecker {
        loop {
            match self.decoder.message().expect("well-formed frames") {
                Some(FromChecker::News(news)) => {
                    self.news.push(news);
                    continue;
                }
                // What the supervisor holds for the next process: nobody follows here.
                Some(FromChecker::Verdicts { .. }) => continue,
                Some(message) => return message,
                None => {}
            }
            let mut buffer = [0; 4096];
            let count = self.link.read(&mut buffer).expect("the role answers in time");
            assert!(count > 0, "the role ended");
            self.decoder.push(&buffer[..count]);
        }
    }

    /// Puts a plan in force.
    pub fn plan(&mut self, generation: u64, virtual_servers: Vec<VirtualServer>) {
        let generation = Generation(generation);
        self.tell(&ToChecker::Plan(LvsPlan { generation, virtual_servers, ..LvsPlan::default() }));
        assert_eq!(self.hear(), FromChecker::Applied(generation));
    }

    pub fn status(&mut self) -> CheckerStatus {
        self.asked += 1;
        self.tell(&ToChecker::Snapshot(self.asked));
        match self.hear() {
            FromChecker::Snapshot(number, status) if number == self.asked => status,
            other => panic!("asked for a snapshot, heard {other:?}"),
        }
    }

    /// The only checker of the first real server.
    pub fn checker(&mut self) -> CheckerDetail {
        self.status().virtual_servers[0].real_servers[0].checkers[0].clone()
    }

    pub fn wait_for_state(&mut self, wanted: &str) -> CheckerDetail {
        wait(&format!("the checker to be {wanted}"), || {
            let checker = self.checker();
            (checker.state == wanted).then_some(checker)
        })
    }

    pub fn stop(mut self, release: bool) {
        self.tell(&ToChecker::Stop { release });
        assert_eq!(self.hear(), FromChecker::Stopped);
        assert_eq!(self.thread.join().expect("no panic"), ExitCode::SUCCESS);
    }
}

/// Waits until `look` finds something.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Listens on loopback until dropped and says `answer` to each connection, then closes or keeps it open.
pub struct Server {
    pub endpoint: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: &'static str, closes: bool) -> Server {
        Server::listen(TcpListener::bind(own_address()).expect("a port"), answer, closes)
    }

    pub fn restart(endpoint: SocketAddr) -> Server {
        Server::listen(TcpListener::bind(endpoint).expect("the port is free again"), "", true)
    }

    fn listen(listener: TcpListener, answer: &'static str, closes: bool) -> Server {
        let endpoint = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("non-blocking");
        let end = Arc::new(AtomicBool::new(false));
        let theirs = end.clone();
        let thread = thread::spawn(move || {
            let mut open = Vec::new();
            while !theirs.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut connection, _)) => {
                        if !answer.is_empty() {
                            respond(&mut connection, answer);
                        }
                        if !closes {
                            open.push(connection);
                        }
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Server { endpoint, end, thread: Some(thread) }
    }
}

/// Hears the request to its end (a close before that is a reset) and answers. The peer may go at any moment.
fn respond(connection: &mut TcpStream, answer: &str) {
    let _ = connection.set_nonblocking(false);
    let _ = connection.set_read_timeout(Some(PATIENCE));
    let (mut request, mut buffer) = (Vec::new(), [0; 512]);
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read(&mut buffer) {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let _ = connection.write_all(answer.as_bytes());
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("servers do not panic");
        }
    }
}

/// A loopback address of its own for every server, so that no test meets the port of another by chance.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = 16 + (std::process::id() % 200) as u8;
    SocketAddr::from(([127, process, high, low], 0))
}

/// An endpoint that refuses.
pub fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind(own_address()).expect("a port");
    listener.local_addr().expect("a bound socket")
}

pub fn key(port: u16) -> ServiceKey {
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: [198, 51, 100, 1].into(), port }
}

pub fn checker(kind: CheckKind, endpoint: SocketAddr) -> CheckerPlan {
    let schedule = Schedule {
        connect_timeout: Duration::from_millis(500),
        delay_before_retry: Duration::from_millis(20),
        ..Schedule::every(Duration::from_millis(50))
    };
    CheckerPlan::new(kind, Target::new(endpoint), schedule, false)
}

pub fn real(checker: CheckerPlan) -> RealServer {
    RealServer {
        endpoint: checker.target.endpoint,
        weight: 1,
        forwarding: ForwardingMethod::Masquerade,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        checkers: vec![checker],
        set: None,
        slow_start: Duration::ZERO,
    }
}

pub fn virtual_server(real_servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer::new("web".into(), vec![key(80)], real_servers)
}

pub fn tcp_servers(endpoints: &[SocketAddr]) -> VirtualServer {
    virtual_server(endpoints.iter().map(|endpoint| real(checker(CheckKind::Tcp, *endpoint))).collect())
}
