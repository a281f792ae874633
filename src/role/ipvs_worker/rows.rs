//! Rows of the table: what a change is about, and what is known of the table once changes were tried.

use crate::lvs::reconcile;
use crate::lvs::table::{Table, TableOp};
use crate::plan::lvs::ServiceKey;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A service, or a destination of one.
pub(super) type Row = (ServiceKey, Option<SocketAddr>);

/// The row that `op` is about.
pub(super) fn row(op: &TableOp) -> Row {
    match op {
        TableOp::AddService(key, _) | TableOp::EditService(key, _) | TableOp::DelService(key) => (*key, None),
        TableOp::AddDest(key, server, _)
        | TableOp::EditDest(key, server, _)
        | TableOp::DelDest(key, server) => (*key, Some(*server)),
    }
}

pub(super) fn added_service(op: &TableOp) -> Option<ServiceKey> {
    match op {
        TableOp::AddService(key, _) => Some(*key),
        _ => None,
    }
}

/// Does `op` add a destination to one of `services`?
pub(super) fn needs_any_of(services: &BTreeSet<ServiceKey>, op: &TableOp) -> bool {
    matches!(op, TableOp::AddDest(key, ..) if services.contains(key))
}

/// `ops`, which lead to `desired` but for the rows `refused`, were tried: the kernel's table is what they make of it, but for
/// the rows `undone`.
pub(super) fn observe(
    observed: &mut Table,
    desired: &Table,
    refused: &BTreeSet<Row>,
    ops: &[TableOp],
    undone: &BTreeSet<Row>,
) {
    for op in ops {
        let key = op.service();
        if !has_any_of(undone, key) && !has_any_of(refused, key) {
            // The two share it: at rest they take no more room than one.
            observed.follow(key, desired);
        } else if !undone.contains(&row(op)) {
            reconcile::apply(observed, op);
        }
    }
}

fn has_any_of(rows: &BTreeSet<Row>, key: &ServiceKey) -> bool {
    rows.range((*key, None)..).next().is_some_and(|(service, _)| service == key)
}
