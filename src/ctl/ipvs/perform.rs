//! Does what a command says: orders to the kernel, listings to standard output.

use super::grammar::{Command, Format, REFUSED, Subject};
use super::health::Health;
use super::names::Names;
use super::{connections, help, listing, refusal, save, sort};
use crate::netlink::NetlinkError;
use crate::netlink::ipvs_raw::{RawDestination, RawIpvs, RawService};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};

/// Status of a listing that cannot be made.
const NO_LISTING: u8 = 1;

/// The kernel's connections.
const CONNECTIONS: &str = "/proc/net/ip_vs_conn";

/// Octets gathered before they are written: a whole table costs few system calls.
const OUTPUT_BUFFER: usize = 64 << 10;

/// Why a command was not done.
#[derive(Debug)]
pub enum Failure {
    /// The kernel's refusal, and the status that goes with it.
    Refused(NetlinkError, u8),
    /// A sentence, and the status that goes with it.
    Said(String, u8),
    /// Nobody reads any more (`| head`): no failure of ours.
    NoReader,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::NoReader,
            // Half a table in a file that somebody saves must not look like a whole one.
            _ => Failure::Said(format!("standard output cannot be written: {error}"), NO_LISTING),
        }
    }
}

/// Where a command is done, and how it is shown.
pub struct Stage<'a> {
    /// The door to the kernel.
    pub ipvs: &'a mut RawIpvs,
    /// The names of the system.
    pub names: &'a Names,
    /// How the program was called.
    pub program: &'a str,
    /// `-S` also writes what ipvsadm forgets.
    pub whole: bool,
}

impl Stage<'_> {
    /// Performs one command but the restore, which is many.
    pub fn perform(&mut self, command: &Command) -> Result<(), Failure> {
        let ordered = match command {
            Command::AddService(service) => self.ipvs.set_service(service, true),
            Command::EditService(service) => self.ipvs.set_service(service, false),
            Command::DeleteService(service) => self.ipvs.delete_service(service),
            Command::AddServer(service, server) => self.ipvs.set_destination(service, server, true),
            Command::EditServer(service, server) => self.ipvs.set_destination(service, server, false),
            Command::DeleteServer(service, server) => self.ipvs.delete_destination(service, server),
            Command::Flush => self.ipvs.flush(),
            Command::Zero(service) => self.ipvs.zero(service.as_ref()),
            Command::SetTimeouts(timeouts) => self.ipvs.set_timeouts(*timeouts),
            Command::StartDaemon(daemon) => self.ipvs.start_daemon(daemon),
            Command::StopDaemon(daemon) => self.ipvs.stop_daemon(daemon),
            Command::List(subject, format) => return self.list(subject, format),
            Command::Save(format) => return self.save(format),
            Command::Help | Command::Version | Command::Restore => return self.tell(command),
        };
        ordered.map_err(|error| Failure::Refused(error, REFUSED))
    }

    /// What a refusal means, in a line.
    pub fn explain(command: &Command, error: &NetlinkError) -> String {
        refusal::words(command, error)
    }

    fn tell(&mut self, command: &Command) -> Result<(), Failure> {
        let version = self.ipvs.info().map(|info| info.version).unwrap_or_default();
        let asked_for_help = *command == Command::Help;
        let answer = help::answer(asked_for_help, self.program, Some(version), self.whole);
        io::stdout().lock().write_all(answer.as_bytes())?;
        Ok(())
    }

    fn list(&mut self, subject: &Subject, format: &Format) -> Result<(), Failure> {
        let mut out = BufWriter::with_capacity(OUTPUT_BUFFER, io::stdout().lock());
        self.list_to(subject, format, None, &mut out)
    }

    /// Writes a listing; with `health` each line of a service or destination has what the daemon knows of it.
    pub fn list_to(
        &mut self,
        subject: &Subject,
        format: &Format,
        health: Option<&Health<'_>>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let refused = |error| Failure::Refused(error, NO_LISTING);
        match subject {
            Subject::Everything => {
                let info = self.ipvs.info().map_err(refused)?;
                write!(out, "{}{}", listing::version(&info), listing::heading(format))?;
                for service in self.services(format).map_err(refused)? {
                    self.list_service(&service, format, health, out)?;
                }
            }
            Subject::Service(key) => {
                let service = self.ipvs.service(key).map_err(refused)?;
                write!(out, "{}", listing::heading(format))?;
                self.list_service(&service, format, health, out)?;
            }
            Subject::Timeouts => {
                write!(out, "{}", listing::timeouts(&self.ipvs.timeouts().map_err(refused)?))?;
            }
            Subject::Daemons => {
                let mut daemons = self.ipvs.daemons().map_err(refused)?;
                daemons.sort_by_key(|daemon| daemon.state);
                for daemon in &daemons {
                    write!(out, "{}", listing::daemon(daemon))?;
                }
            }
            Subject::Connections => list_connections(format, self.names_for(format), out)?,
        }
        out.flush()?;
        Ok(())
    }

    fn list_service(
        &mut self,
        service: &RawService,
        format: &Format,
        health: Option<&Health<'_>>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let numbers = Names::default();
        let names = if format.numeric { &numbers } else { self.names };
        let line = listing::service_line(service, format, names);
        let line = health.map_or(line.clone(), |health| health.service(&line, service));
        out.write_all(line.as_bytes())?;
        let destinations = self.destinations(service, format)?;
        for destination in &destinations {
            let line = listing::destination_line(destination, service, format, names);
            match health {
                None => out.write_all(line.as_bytes())?,
                Some(health) => out.write_all(health.destination(&line, service, destination).as_bytes())?,
            }
        }
        if let Some(health) = health {
            out.write_all(health.missing(service, &destinations).as_bytes())?;
        }
        Ok(())
    }

    fn save(&mut self, format: &Format) -> Result<(), Failure> {
        let refused = |error| Failure::Refused(error, NO_LISTING);
        let numbers = Names::default();
        let names = if format.numeric { &numbers } else { self.names };
        let mut out = BufWriter::with_capacity(OUTPUT_BUFFER, io::stdout().lock());
        for service in self.services(format).map_err(refused)? {
            out.write_all(save::service_line(&service, names, self.whole).as_bytes())?;
            for destination in self.destinations(&service, format)? {
                let line = save::destination_line(&destination, &service, names, self.whole);
                out.write_all(line.as_bytes())?;
            }
        }
        out.flush()?;
        Ok(())
    }

    /// The services in the order that is asked for.
    pub fn services(&mut self, format: &Format) -> Result<Vec<RawService>, NetlinkError> {
        let services = self.ipvs.services()?;
        Ok(if format.unsorted { services } else { sort::services(services) })
    }

    /// The destinations of one service: of the whole table no more is in memory at a time.
    pub fn destinations(
        &mut self,
        service: &RawService,
        format: &Format,
    ) -> Result<Vec<RawDestination>, Failure> {
        match self.ipvs.destinations(service) {
            Ok(destinations) if format.unsorted => Ok(destinations),
            Ok(destinations) => Ok(sort::destinations(destinations)),
            // Somebody deleted the service meanwhile.
            Err(error) if error.errno == libc::ESRCH => Ok(Vec::new()),
            Err(error) => Err(Failure::Refused(error, NO_LISTING)),
        }
    }

    fn names_for(&self, format: &Format) -> Option<&Names> {
        (!format.numeric).then_some(self.names)
    }
}

/// The kernel's connections, line by line.
pub fn connection_lines() -> Result<impl Iterator<Item = Result<String, Failure>>, Failure> {
    let file = File::open(CONNECTIONS)
        .map_err(|_| Failure::Said(format!("cannot open file {CONNECTIONS}"), NO_LISTING))?;
    let lines = BufReader::new(file).lines();
    Ok(lines.map(|line| line.map_err(|error| Failure::Said(error.to_string(), NO_LISTING))))
}

fn list_connections(format: &Format, names: Option<&Names>, out: &mut dyn Write) -> Result<(), Failure> {
    let numbers = Names::default();
    let names = names.unwrap_or(&numbers);
    let lines = connection_lines()?;
    out.write_all(connections::heading(format.persistent).as_bytes())?;
    for text in lines {
        let text = text?;
        if let Some(line) = connections::line(&text, format.persistent, names) {
            out.write_all(line.as_bytes())?;
        }
    }
    Ok(())
}
