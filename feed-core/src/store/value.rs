//! Values that go into SQL and come out of it, the same on every backend.

use chrono::{DateTime, Utc};

use crate::error::StoreError;
use crate::event::EventId;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `NULL`.
    Null,
    /// A 64-bit integer; also booleans (0 and 1) and times (microseconds since 1970).
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Blob(bytes)
    }
}

impl<'a> From<&'a EventId> for Value<'a> {
    fn from(id: &'a EventId) -> Self {
        Value::Blob(id.as_bytes())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Integer(i64::from(number))
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Value::Integer(i64::from(truth))
    }
}

impl From<DateTime<Utc>> for Value<'_> {
    fn from(time: DateTime<Utc>) -> Self {
        Value::Integer(time.timestamp_micros())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A value that can go to another thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OwnedValue {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<&Value<'_>> for OwnedValue {
    fn from(value: &Value<'_>) -> Self {
        match value {
            Value::Null => OwnedValue::Null,
            Value::Integer(number) => OwnedValue::Integer(*number),
            Value::Text(text) => OwnedValue::Text((*text).to_owned()),
            Value::Blob(bytes) => OwnedValue::Blob((*bytes).to_owned()),
        }
    }
}

impl OwnedValue {
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            OwnedValue::Null => Value::Null,
            OwnedValue::Integer(number) => Value::Integer(*number),
            OwnedValue::Text(text) => Value::Text(text),
            OwnedValue::Blob(bytes) => Value::Blob(bytes),
        }
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            OwnedValue::Null | OwnedValue::Integer(_) => 24,
            OwnedValue::Text(text) => 24 + text.len(),
            OwnedValue::Blob(bytes) => 24 + bytes.len(),
        }
    }
}

/// A row of a result, for the time that it is being read.
pub struct Row<'r>(pub(crate) RowInner<'r>);

pub(crate) enum RowInner<'r> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'r rusqlite::Row<'r>),
    #[cfg(feature = "postgres")]
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    /// The value of the column `name`.
    ///
    /// # Errors
    /// When there is no such column or its value is no `T`.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, StoreError> {
        let index = match &self.0 {
            #[cfg(feature = "sqlite")]
            RowInner::Sqlite(row) => row.as_ref().column_index(name).ok(),
            #[cfg(feature = "postgres")]
            RowInner::Postgres(row) => row
                .columns()
                .iter()
                .position(|column| column.name() == name),
        };
        let index = index.ok_or_else(|| column_error(name, "there is no such column"))?;
        self.at(index).map_err(|error| match error {
            StoreError::Column { reason, .. } => column_error(name, &reason),
            other => other,
        })
    }

    /// The value of the column number `index`, from 0.
    ///
    /// # Errors
    /// When there is no such column or its value is no `T`.
    pub fn at<T: FromValue>(&self, index: usize) -> Result<T, StoreError> {
        let error = |reason: String| column_error(&index.to_string(), &reason);
        match &self.0 {
            #[cfg(feature = "sqlite")]
            RowInner::Sqlite(row) => {
                let value = row
                    .get_ref(index)
                    .map_err(|source| error(source.to_string()))?;
                T::from_value(crate::sqlite::borrowed(value).map_err(error)?).map_err(error)
            }
            #[cfg(feature = "postgres")]
            RowInner::Postgres(row) => {
                let value: Value<'_> = row
                    .try_get(index)
                    .map_err(|source| error(crate::postgres::explain(&source)))?;
                T::from_value(value).map_err(error)
            }
        }
    }
}

fn column_error(column: &str, reason: &str) -> StoreError {
    StoreError::Column {
        column: column.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A type that a column's value can be read as.
pub trait FromValue: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with the value, in words.
    fn from_value(value: Value<'_>) -> Result<Self, String>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Integer(number) => Ok(number),
            other => Err(format!("{other:?} is no integer")),
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let number = i64::from_value(value)?;
        u32::try_from(number).map_err(|_| format!("{number} does not fit 32 bits"))
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        Ok(i64::from_value(value)? != 0)
    }
}

impl FromValue for DateTime<Utc> {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let micros = i64::from_value(value)?;
        DateTime::from_timestamp_micros(micros).ok_or_else(|| format!("{micros} is no time"))
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.to_owned()),
            other => Err(format!("{other:?} is no text")),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Blob(bytes) => Ok(bytes.to_owned()),
            other => Err(format!("{other:?} is no blob")),
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Blob(bytes) => bytes
                .try_into()
                .map_err(|_| format!("{} bytes, not {N}", bytes.len())),
            other => Err(format!("{other:?} is no blob")),
        }
    }
}

impl FromValue for EventId {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        <[u8; 16]>::from_value(value).map(EventId::from_bytes)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// A type that a row can be read as: a struct by its columns' names, or a tuple by their order.
pub trait FromRow: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When a column is missing or has another type.
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError>;
}

macro_rules! from_row_for_tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: FromValue),+> FromRow for ($($name,)+) {
            fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
                Ok(($(row.at::<$name>($index)?,)+))
            }
        }
    };
}

from_row_for_tuple!(A 0);
from_row_for_tuple!(A 0, B 1);
from_row_for_tuple!(A 0, B 1, C 2);
from_row_for_tuple!(A 0, B 1, C 2, D 3);
from_row_for_tuple!(A 0, B 1, C 2, D 3, E 4);
from_row_for_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
