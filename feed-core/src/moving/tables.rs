//! The rows of a table on both sides, in the order of their keys.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::progress::{Counter, Told};
use super::report::{Report, shown, shown_row};
use super::schema::Table;
use super::side::Side;
use super::{MovedRow, Rows};
use crate::error::StoreError;
use crate::store::OwnedValue;

/// Rows with a look at the next one.
struct Ahead {
    rows: Rows,
    read: VecDeque<MovedRow>,
    ended: bool,
}

impl Ahead {
    async fn fill(&mut self) -> Result<(), StoreError> {
        if self.read.is_empty() && !self.ended {
            match self.rows.next().await? {
                Some(rows) => self.read.extend(rows),
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

/// Compares a table that both have. An error comes with its side.
pub(super) async fn compare(
    sides: [&Side; 2],
    table: &Table,
    report: &mut Report,
    told: &mut Told<'_>,
) -> Result<(), (usize, StoreError)> {
    report.turn();
    let [a, b] = sides;
    let total = a.count(&table.name).await.map_err(|error| (0, error))?;
    let mut counter = Counter::begin(&table.name, total, told);
    let mut unread = 0;
    let ahead = |rows| Ahead {
        rows,
        read: VecDeque::new(),
        ended: false,
    };
    let mut first = ahead(a.rows(table).await.map_err(|error| (0, error))?);
    let mut second = ahead(b.rows(table).await.map_err(|error| (1, error))?);
    let keys = table.key_indexes();
    let name = &table.name;
    loop {
        first.fill().await.map_err(|error| (0, error))?;
        second.fill().await.map_err(|error| (1, error))?;
        let order = match (first.read.front(), second.read.front()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => key(&keys, a).cmp(&key(&keys, b)),
        };
        let only = |row: Option<MovedRow>, which: &str| {
            let key: Vec<OwnedValue> = key(&keys, &row.unwrap_or_default())
                .into_iter()
                .cloned()
                .collect();
            format!(
                "table {name}: row {} is in the {which} database only",
                shown_row(&key)
            )
        };
        match order {
            Ordering::Less => report.add(only(first.read.pop_front(), "first")),
            Ordering::Greater => report.add(only(second.read.pop_front(), "second")),
            Ordering::Equal => {
                if let (Some(a), Some(b)) = (first.read.pop_front(), second.read.pop_front()) {
                    compare_rows(table, &keys, &a, &b, report);
                }
            }
        }
        unread += 1;
        if first.read.is_empty() {
            counter.add(unread);
            unread = 0;
        }
    }
    counter.add(unread);
    report.tables.push((name.clone(), counter.done()));
    Ok(())
}

fn key<'a>(indexes: &[usize], row: &'a MovedRow) -> Vec<&'a OwnedValue> {
    indexes.iter().filter_map(|index| row.get(*index)).collect()
}

fn compare_rows(table: &Table, keys: &[usize], a: &MovedRow, b: &MovedRow, report: &mut Report) {
    for (column, (a_value, b_value)) in table.columns.iter().zip(a.iter().zip(b)) {
        if a_value != b_value && !table.is_lease(&column.name) {
            let key: Vec<OwnedValue> = key(keys, a).into_iter().cloned().collect();
            report.add(format!(
                "table {}, row {}: {} is {} in the first and {} in the second database",
                table.name,
                shown_row(&key),
                column.name,
                shown(a_value),
                shown(b_value)
            ));
        }
    }
}
