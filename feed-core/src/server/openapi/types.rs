//! Schemas of the types that stand in documents and URLs, with the limits of their parsers.

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Object, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::event::{EventId, FeedName, SubscriptionName};
use crate::limits::{
    FEED_NAME_BYTES_MAX, LIST_ITEMS_DEFAULT, LIST_ITEMS_MAX, SUBSCRIPTION_NAME_BYTES_MAX,
};
use crate::position::Cursor;
#[cfg(feature = "client")]
use crate::read_model::ReadAfter;
use crate::server::Limit;

/// A UUID in its 36-character form; upper case is read too.
pub(super) const UUID: &str =
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
/// A position behind the start. Those of 13 digits go on to 2^40 - 1 only.
pub(super) const POSITION: &str = "[1-9][0-9]{0,12}";
/// An epoch.
pub(super) const EPOCH: &str = "[0-9a-f]{16}";
/// A check.
pub(super) const CHECK: &str = "[0-9a-f]{12}";
/// Visible ASCII without spaces, as in the type and the subject of an event.
pub(super) const VISIBLE: &str = "[!-~]+";

/// A pattern for one of these, from the beginning of the text to its end.
pub(super) fn whole(patterns: &[&str]) -> String {
    format!("^({})$", patterns.join("|"))
}

/// A pattern for cursors.
pub(super) fn cursor() -> String {
    format!("{EPOCH}\\.(0\\.0|{POSITION}\\.{CHECK})")
}

/// The schema of a text of `min` to `max` characters: for the checked texts of a service.
pub fn text_schema(pattern: &str, min: usize, max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .min_length(Some(min))
        .max_length(Some(max))
}

/// A type whose schema is always the same.
macro_rules! schema {
    ($type:ty, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let object: Object = $schema.build();
                object.into()
            }
        }

        impl ToSchema for $type {}
    };
}

schema!(
    Cursor,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(whole(&[&cursor()])))
        .description(Some("The last event that was seen: `epoch.position.check`. One token: give it back as it came."))
        .examples(["11851188dcbf6bdf.57.e096f81e17a2"])
);

schema!(
    EventId,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .description(Some("The id of an event"))
        .examples(["01a20841-8540-7337-95c0-17cf11ebbfcb"])
);

#[cfg(feature = "client")]
schema!(
    ReadAfter,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(whole(&[&cursor(), UUID])))
        .description(Some("The id of an event, or its cursor"))
        .examples(["01a20841-8540-7337-95c0-17cf11ebbfcb"])
);

schema!(
    FeedName,
    text_schema("^[a-z0-9][a-z0-9-]*$", 1, FEED_NAME_BYTES_MAX).examples(["orders"])
);

schema!(
    SubscriptionName,
    text_schema("^[a-z0-9_/-]+$", 1, SUBSCRIPTION_NAME_BYTES_MAX).examples(["customers/orders"])
);

schema!(
    Limit,
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(i64::from(LIST_ITEMS_MAX)))
        .default(Some(LIST_ITEMS_DEFAULT.into()))
        .description(Some("How many items are wanted at most"))
);
