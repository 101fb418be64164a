//! Tables and columns, as both stores have them. Pure.

use std::collections::BTreeMap;

use super::MoveError;

/// What a column holds, on every store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Text,
    Blob,
    /// What only one store knows, by its name there.
    Other(String),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Integer => "an integer",
            Kind::Text => "a text",
            Kind::Blob => "bytes",
            Kind::Other(name) => name,
        })
    }
}

/// A column that is written; those that are computed are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) not_null: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Columns of its primary key; none when it has none.
    pub(crate) key: Vec<String>,
}

/// Where the events and their places are, which each store keeps in its own way.
pub(crate) const SPECIAL: [&str; 3] = ["outbox", "positions", "sequencer_batches"];

/// The tables of this crate that are empty before a service has run.
const OWN: [&str; 6] = [
    "feeds",
    "epochs",
    "subscriptions",
    "subscription_events",
    "inbox",
    "timers",
];

/// The columns of an event on its way, in the order of [`Event`].
#[cfg(feature = "postgres")]
pub(crate) const EVENT_COLUMNS: [&str; 16] = [
    "feed",
    "position",
    "recorded_us",
    "check",
    "id",
    "type",
    "subject",
    "version",
    "time_us",
    "datacontenttype",
    "dataschema",
    "traceparent",
    "causationid",
    "correlationid",
    "extensions",
    "data",
];

/// Where something stands in a row of [`EVENT_COLUMNS`].
pub(crate) struct Event;

impl Event {
    pub(crate) const FEED: usize = 0;
    pub(crate) const POSITION: usize = 1;
    pub(crate) const RECORDED_US: usize = 2;
    pub(crate) const CHECK: usize = 3;
    /// From here on, what was appended.
    pub(crate) const ID: usize = 4;
}

/// Columns of a lease, which means nothing in another database.
const LEASE: [&str; 3] = ["holder", "lease_boot", "lease_until_ms"];

impl Table {
    /// Whether it is one of this crate's, which are empty before a service has run.
    pub(crate) fn is_own(&self) -> bool {
        OWN.contains(&self.name.as_str())
    }

    /// Whether its rows are nothing but leases.
    pub(crate) fn is_of_leases(&self) -> bool {
        self.columns
            .iter()
            .any(|column| column.name == "lease_until_ms" && column.not_null)
    }

    /// Whether a column of it is part of a lease.
    pub(crate) fn is_lease(&self, column: &str) -> bool {
        self.name == "subscriptions" && LEASE.contains(&column)
    }

    /// Where the columns of its key stand; all of them when it has none.
    pub(crate) fn key_indexes(&self) -> Vec<usize> {
        if self.key.is_empty() {
            return (0..self.columns.len()).collect();
        }
        let index = |name: &String| self.columns.iter().position(|column| column.name == *name);
        self.key.iter().filter_map(index).collect()
    }
}

/// The tables of one database in the other's order of columns, when both have the same.
///
/// # Errors
/// What one of them has and the other has not, or has otherwise.
pub(super) fn paired(
    (source, source_is): (Vec<Table>, &str),
    (target, target_is): (Vec<Table>, &str),
) -> Result<Vec<Table>, MoveError> {
    let differ = |what: String| Err(MoveError::SchemasDiffer(what));
    let mut by_name: BTreeMap<String, Table> = target
        .into_iter()
        .map(|table| (table.name.clone(), table))
        .collect();
    for table in &source {
        let Some(other) = by_name.remove(&table.name) else {
            return differ(format!(
                "table {} is in {source_is} and not in {target_is}: is it of another version of the service?",
                table.name
            ));
        };
        for (these, others, is, is_not) in [
            (table, &other, source_is, target_is),
            (&other, table, target_is, source_is),
        ] {
            let missing = |column: &&Column| others.columns.iter().all(|c| c.name != column.name);
            if let Some(column) = these.columns.iter().find(missing) {
                return differ(format!(
                    "table {} has a column {} in {is} and not in {is_not}: is it of another version of the service?",
                    table.name, column.name
                ));
            }
        }
        for column in &table.columns {
            let found = other.columns.iter().find(|c| c.name == column.name);
            let Some(found) = found else { continue };
            let unknown =
                matches!(column.kind, Kind::Other(_)) || matches!(found.kind, Kind::Other(_));
            if unknown || column.kind != found.kind {
                return differ(format!(
                    "column {} of table {} is {} in {source_is} and {} in {target_is}; integers, texts and bytes are taken",
                    column.name, table.name, column.kind, found.kind
                ));
            }
        }
        if table.key != other.key {
            return differ(format!(
                "the primary key of table {} is ({}) in {source_is} and ({}) in {target_is}",
                table.name,
                table.key.join(", "),
                other.key.join(", ")
            ));
        }
    }
    match by_name.into_keys().next() {
        None => Ok(source),
        Some(name) => differ(format!(
            "table {name} is in {target_is} and not in {source_is}: is it of another version of the service?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, Kind)], key: &[&str]) -> Table {
        let column = |(name, kind): &(&str, Kind)| Column {
            name: (*name).to_owned(),
            kind: kind.clone(),
            not_null: false,
        };
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn pair(source: Vec<Table>, target: Vec<Table>) -> Result<Vec<Table>, String> {
        paired((source, "A"), (target, "B")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_order_of_columns_is_of_no_matter_and_all_else_is() {
        let lamps = |kind| table("lamps", &[("id", Kind::Integer), ("name", kind)], &["id"]);
        let turned = table(
            "lamps",
            &[("name", Kind::Text), ("id", Kind::Integer)],
            &["id"],
        );
        assert_eq!(
            pair(vec![lamps(Kind::Text)], vec![turned]),
            Ok(vec![lamps(Kind::Text)])
        );
        let refused = |target: Vec<Table>, why: &str| {
            let error = pair(vec![lamps(Kind::Text)], target).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(vec![], "lamps is in A and not in B");
        refused(
            vec![lamps(Kind::Text), table("birds", &[], &[])],
            "birds is in B and not in A",
        );
        refused(vec![lamps(Kind::Blob)], "a text in A and bytes in B");
        refused(vec![lamps(Kind::Other("jsonb".into()))], "jsonb");
        refused(
            vec![table("lamps", &[("id", Kind::Integer)], &["id"])],
            "a column name in A and not in B",
        );
        refused(
            vec![table(
                "lamps",
                &[("id", Kind::Integer), ("name", Kind::Text)],
                &["name"],
            )],
            "primary key",
        );
    }

    #[test]
    fn leases_are_told_from_what_lasts() {
        let members = Table {
            columns: vec![Column {
                name: "lease_until_ms".into(),
                kind: Kind::Integer,
                not_null: true,
            }],
            ..table("subscription_members", &[], &[])
        };
        assert!(members.is_of_leases());
        let subscriptions = table("subscriptions", &[("lease_until_ms", Kind::Integer)], &[]);
        assert!(!subscriptions.is_of_leases());
        assert!(subscriptions.is_lease("holder") && !subscriptions.is_lease("fence"));
    }
}
