//! Rows and columns in the order in which SNMP walks them. Numbers are those below KEEPALIVED-MIB.

use crate::plan::snmp::{Cells, SnmpPlan};
use crate::wire::agentx::Value;
use std::ops::RangeInclusive;

/// What a row says in a column; `None`: there is no such variable.
type Cell<'a> = Box<dyn Fn(usize, u32) -> Option<Value> + 'a>;

/// The numbers of a row. A walk asks for them again and again, so they are made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// That of a single object.
    Once,
    /// One number.
    One([u32; 1]),
    /// Two.
    Two([u32; 2]),
}

impl Index {
    fn numbers(&self) -> &[u32] {
        match self {
            Index::Once => &[0],
            Index::One(numbers) => numbers,
            Index::Two(numbers) => numbers,
        }
    }
}

/// A table, or a single object, which has no columns and one row, 0.
pub(super) struct Table<'a> {
    /// Numbers of the entry, the column's not among them; of a single object all but the last 0.
    place: &'a [u32],
    /// `None` for a single object.
    columns: Option<RangeInclusive<u32>>,
    /// The index of each row, in order.
    rows: &'a [Index],
    cell: Cell<'a>,
}

impl<'a> Table<'a> {
    /// A table. `cell` is asked with the number of a row, from 0 on, and that of a column.
    pub(super) fn new(
        (place, columns): Extent,
        rows: &'a [Index],
        cell: impl Fn(usize, u32) -> Option<Value> + 'a,
    ) -> Table<'a> {
        Table { place, columns: Some(columns), rows, cell: Box::new(cell) }
    }

    /// An object that is there once.
    pub(super) fn scalar((place, value): &'a (Vec<u32>, Value)) -> Table<'a> {
        Table { place, columns: None, rows: &[Index::Once], cell: Box::new(|_, _| Some(value.clone())) }
    }

    pub(super) fn place(&self) -> &[u32] {
        self.place
    }

    /// The variable `numbers`; `None` if it belongs to another table.
    pub(super) fn get(&self, numbers: &[u32]) -> Option<Value> {
        let rest = numbers.strip_prefix(self.place)?;
        let (column, index) = match &self.columns {
            None => (0, rest),
            Some(columns) => match rest.split_first() {
                Some((column, index)) if columns.contains(column) => (*column, index),
                _ => return Some(Value::NoSuchObject),
            },
        };
        let row = self.rows.binary_search_by(|row| row.numbers().cmp(index)).ok();
        Some(row.and_then(|row| (self.cell)(row, column)).unwrap_or(Value::NoSuchInstance))
    }

    /// The first variable behind `start`, or `start` itself.
    fn behind(&self, start: &[u32], include: bool) -> Option<(Vec<u32>, Value)> {
        let (from, index) = match start.strip_prefix(self.place) {
            Some(rest) if self.columns.is_none() => (0, rest),
            Some(rest) => rest.split_first().map_or((0, [].as_slice()), |(column, index)| (*column, index)),
            None if start < self.place => (0, [].as_slice()),
            None => return None,
        };
        let columns = self.columns.clone().unwrap_or(0..=0);
        (from.max(*columns.start())..=*columns.end()).find_map(|column| {
            let seen = |row: &Index| row.numbers() < index || (row.numbers() == index && !include);
            let first = if column == from { self.rows.partition_point(seen) } else { 0 };
            (first..self.rows.len()).find_map(|row| {
                let value = (self.cell)(row, column)?;
                let column = self.columns.is_some().then_some(column);
                let name =
                    self.place.iter().copied().chain(column).chain(self.rows[row].numbers().iter().copied());
                Some((name.collect(), value))
            })
        })
    }
}

/// The first variable of `tables`, which are in order, behind `start`.
pub(super) fn first_behind(tables: &[Table<'_>], start: &[u32], include: bool) -> Option<(Vec<u32>, Value)> {
    tables.iter().find_map(|table| table.behind(start, include))
}

/// The index of `count` rows that have no other number.
pub(super) fn counted(count: usize) -> Vec<Index> {
    (0..count).map(|row| Index::One([number(row)])).collect()
}

/// Rows count from 1.
pub(super) fn number(row: usize) -> u32 {
    u32::try_from(row + 1).unwrap_or(u32::MAX)
}

/// What `cells` say of `column`.
pub(super) fn cell(cells: &Cells, column: u32) -> Option<Value> {
    let at = cells.binary_search_by_key(&column, |(column, _)| *column).ok()?;
    Some(cells[at].1.clone())
}

/// Where a table is, and its columns.
pub(super) type Extent = (&'static [u32], RangeInclusive<u32>);

/// emailTable.
pub(super) const MAIL: Extent = (&[1, 3, 5, 1], 2..=2);

/// virtualServerGroupTable.
pub(super) const GROUPS: Extent = (&[3, 1, 1], 2..=2);

/// virtualServerGroupMemberTable.
pub(super) const MEMBERS: Extent = (&[3, 2, 1], 2..=8);

/// The rows of tables that the configuration alone decides.
#[derive(Debug, Default)]
pub(super) struct Rows {
    mail: Vec<Index>,
    groups: Vec<Index>,
    members: Vec<Index>,
    /// What the members are: numbers of the group and its member in the plan.
    places: Vec<(usize, usize)>,
}

impl Rows {
    pub(super) fn of(plan: &SnmpPlan) -> Rows {
        let all = plan.groups.iter().enumerate();
        let places = all.flat_map(|(group, of)| (0..of.members.len()).map(move |member| (group, member)));
        let places: Vec<(usize, usize)> = places.collect();
        Rows {
            mail: counted(plan.mail.len()),
            groups: counted(plan.groups.len()),
            members: places
                .iter()
                .map(|(group, member)| Index::Two([number(*group), number(*member)]))
                .collect(),
            places,
        }
    }

    /// [`MAIL`], [`GROUPS`] and [`MEMBERS`].
    pub(super) fn tables<'a>(&'a self, plan: &'a SnmpPlan) -> [Table<'a>; 3] {
        let address = |row: usize, _| plan.mail.get(row).map(|address| Value::text(address));
        let name = |row: usize, _| plan.groups.get(row).map(|group| Value::text(&group.name));
        let member = |row: usize, column| {
            let (group, member) = *self.places.get(row)?;
            cell(&plan.groups[group].members[member], column)
        };
        [
            Table::new(MAIL, &self.mail, address),
            Table::new(GROUPS, &self.groups, name),
            Table::new(MEMBERS, &self.members, member),
        ]
    }
}
