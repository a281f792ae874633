//! `virtual_server_group` to the rows of virtualServerGroupMemberTable.

use super::{Row, address_type};
use crate::net::AddressFamily;
use crate::plan::snmp::{Cells, SnmpGroup};
use keepalived_compat::Spanned;
use keepalived_compat::config::lvs::{Entry, Group};
use std::net::IpAddr;

/// Kinds of members.
const FWMARK: i32 = 1;
const ADDRESS: i32 = 2;
const RANGE: i32 = 3;

/// One member for each line, marks before addresses as in keepalived.
pub(super) fn group(group: &Group) -> SnmpGroup {
    let mut rest = group.entries.as_slice();
    let (mut marks, mut addresses) = (Vec::new(), Vec::new());
    for entries in &group.lines {
        let Some((line, others)) = rest.split_at_checked(*entries) else { break };
        rest = others;
        match line {
            [Spanned { value: Entry::Fwmark(mark, _), .. }, ..] => marks.push(marked(*mark)),
            _ => addresses.extend(range(line)),
        }
    }
    marks.append(&mut addresses);
    SnmpGroup { name: group.name.value.clone(), members: marks }
}

fn marked(mark: u32) -> Cells {
    let mut row = Row::default();
    row.integer(2, FWMARK);
    row.unsigned(3, mark);
    row.into_cells()
}

/// An address, or the first and the last of several.
fn range(line: &[Spanned<Entry>]) -> Option<Cells> {
    let ((first, port), (last, _)) = (address(line.first()?)?, address(line.last()?)?);
    let mut row = Row::default();
    row.integer(2, if first == last { ADDRESS } else { RANGE });
    row.integer(4, address_type(AddressFamily::of(first)));
    if first == last {
        row.address(5, first);
    } else {
        row.address(6, first);
        row.address(7, last);
    }
    row.unsigned(8, port.into());
    Some(row.into_cells())
}

const fn address(entry: &Spanned<Entry>) -> Option<(IpAddr, u16)> {
    match entry.value {
        Entry::Address(address, port) => Some((address, port)),
        Entry::Fwmark(..) => None,
    }
}
