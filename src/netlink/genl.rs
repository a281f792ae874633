//! Generic netlink: families are found by name.

use super::message::{Malformed, Request, attributes};
use super::socket::{Answer, NetlinkError, NetlinkSocket};

/// Octets of struct genlmsghdr.
pub(super) const HEADER: usize = 4;

/// The family that resolves families (GENL_ID_CTRL).
const CONTROLLER: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// A socket and a family's number.
#[derive(Debug)]
pub(super) struct GenericSocket {
    pub(super) socket: NetlinkSocket,
    pub(super) family: u16,
    name: &'static str,
}

impl GenericSocket {
    /// Open and resolve the family called `name`. Resolving loads the module behind it where the kernel may.
    /// ENOENT if there is no such family.
    pub(super) fn open(name: &'static str) -> Result<GenericSocket, NetlinkError> {
        let mut socket = NetlinkSocket::open(libc::NETLINK_GENERIC)?;
        let family = resolve(&mut socket, name)?;
        Ok(GenericSocket { socket, family, name })
    }

    /// Resolve again: a module that was unloaded and loaded comes back under another number. True if it has.
    pub(super) fn refresh(&mut self) -> Result<bool, NetlinkError> {
        let before = self.family;
        self.family = resolve(&mut self.socket, self.name)?;
        Ok(self.family != before)
    }
}

fn resolve(socket: &mut NetlinkSocket, name: &str) -> Result<u16, NetlinkError> {
    let context = format!("cannot find the generic netlink family \"{name}\"");
    let mut request = request(CONTROLLER, CTRL_CMD_GETFAMILY, 1);
    request.text(CTRL_ATTR_FAMILY_NAME, name);
    let answers = socket.call(request, &context)?;
    family_id(&answers).map_err(|error| NetlinkError::malformed(error, &context))
}

/// A request to `family`; attributes follow.
pub(super) fn request(family: u16, command: u8, version: u8) -> Request {
    Request::new(family, 0, &[command, version, 0, 0])
}

/// The attributes of an answer.
pub(super) fn body(payload: &[u8]) -> Result<&[u8], Malformed> {
    payload.get(HEADER..).ok_or(Malformed("generic netlink header cut short"))
}

pub(super) fn family_id(answers: &[Answer]) -> Result<u16, Malformed> {
    let missing = Malformed("the controller's answer has no family number");
    let answer = answers.first().ok_or(missing)?;
    for attribute in attributes(body(&answer.payload)?) {
        let attribute = attribute?;
        if attribute.kind == CTRL_ATTR_FAMILY_ID {
            return attribute.u16();
        }
    }
    Err(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_number_is_found_or_missed() {
        let mut built = request(0, 1, 2);
        built.text(CTRL_ATTR_FAMILY_NAME, "IPVS").attribute(CTRL_ATTR_FAMILY_ID, &0x25u16.to_ne_bytes());
        let answer = Answer { kind: CONTROLLER, payload: built.payload().to_vec() };
        assert_eq!(family_id(std::slice::from_ref(&answer)), Ok(0x25));
        assert!(family_id(&[]).is_err());
        assert!(family_id(&[Answer { payload: answer.payload[..3].to_vec(), ..answer }]).is_err());
    }
}
