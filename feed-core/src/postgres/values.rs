//! Our values as PostgreSQL's, and back. What is wanted where is said by the statement's types.

use bytes::BufMut;
use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::Value;

type Wrong = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        match *self {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => match *wanted {
                Type::INT8 => out.put_i64(number),
                Type::INT4 => out.put_i32(number.try_into()?),
                Type::INT2 => out.put_i16(number.try_into()?),
                Type::BOOL => out.put_u8(u8::from(number != 0)),
                _ => return Err(format!("an integer where {wanted} is wanted").into()),
            },
            Value::Text(text) => match *wanted {
                Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                    out.put_slice(text.as_bytes());
                }
                _ => return Err(format!("a text where {wanted} is wanted").into()),
            },
            Value::Blob(bytes) => match *wanted {
                Type::BYTEA => out.put_slice(bytes),
                Type::UUID if bytes.len() == 16 => out.put_slice(bytes),
                _ => return Err(format!("{} bytes where {wanted} is wanted", bytes.len()).into()),
            },
        }
        Ok(IsNull::No)
    }

    /// Which values go where is known when there is one.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(found: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        Ok(match *found {
            Type::INT8 => Value::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Value::Integer(i32::from_be_bytes(raw.try_into()?).into()),
            Type::INT2 => Value::Integer(i16::from_be_bytes(raw.try_into()?).into()),
            Type::BOOL => Value::Integer(raw.first().copied().unwrap_or(0).into()),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                Value::Text(std::str::from_utf8(raw)?)
            }
            Type::BYTEA | Type::UUID => Value::Blob(raw),
            _ => return Err(format!("{found} is none of integer, text and bytes").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Wrong> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A number of a transaction, which never comes again in one cluster (xid8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Xid(u64);

impl ToSql for Xid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        out.put_u64(self.0);
        Ok(IsNull::No)
    }

    fn accepts(wanted: &Type) -> bool {
        *wanted == Type::XID8
    }

    to_sql_checked!();
}

impl FromSql<'_> for Xid {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Wrong> {
        Ok(Xid(u64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(found: &Type) -> bool {
        *found == Type::XID8
    }
}
