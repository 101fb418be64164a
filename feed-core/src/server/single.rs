//! One event by its id, in three forms.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};

use super::conditional::Known;
use super::look::find_event;
use super::negotiate::negotiate;
use super::problem::Problem;
use super::rendered::not_modified;
use super::resolve;
use super::respond::{self, Caching};
use crate::document::{Format, Links, RENDER_VERSION};
use crate::error::InvalidValue;
use crate::event::{Data, Event, EventId};
use crate::feed::FeedIdentity;
use crate::store::Log;
use crate::{atom, json};

/// What is percent-encoded in a header (CloudEvents 1.0 HTTP binding, section 3.1.3.2): all but visible ASCII, and
/// space, double quote and percent.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The representations of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventForm {
    Document(Format),
    /// The data as the body, the attributes as headers (CloudEvents 1.0 HTTP binding, section 3.1).
    Binary,
}

impl EventForm {
    fn name(self) -> &'static str {
        match self {
            EventForm::Document(format) => format.extension(),
            EventForm::Binary => "binary",
        }
    }
}

pub(super) async fn event(
    log: &Log,
    headers: &HeaderMap,
    id: &str,
    query: &str,
) -> Result<Response, Problem> {
    let asked = form(query)?;
    let parsed: EventId = id
        .parse()
        .map_err(|error: InvalidValue| resolve::unknown_event(&error.found))?;
    let event = find_event(log, parsed).await?;
    let form = match asked {
        Some(form) => form,
        None => negotiate(headers, &offers(&event))?,
    };
    let state = log.state().await?;
    let caching = Caching {
        negotiated: asked.is_none(),
        ..Caching::UNSEALED
    };
    Ok(respond(headers, &state.identity, &event, form, caching))
}

/// The media types by which each form can be asked for. An event without data has no binary form to ask for.
fn offers(event: &Event) -> Vec<(EventForm, String)> {
    let mut offers = vec![
        (
            EventForm::Document(Format::Atom),
            Format::Atom.media_type().to_owned(),
        ),
        (
            EventForm::Document(Format::Json),
            Format::Json.event_media_type().to_owned(),
        ),
    ];
    if let Some(data) = &event.data {
        let essence = data.content_type().split(';').next().unwrap_or_default();
        offers.push((EventForm::Binary, essence.trim().to_ascii_lowercase()));
    }
    offers
}

/// The only parameter that there is: `format`.
fn form(query: &str) -> Result<Option<EventForm>, Problem> {
    let mut form = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if name != "format" || form.is_some() {
            return Err(respond::unknown_parameter(&name, "`format` is taken, once"));
        }
        form = Some(match &*value {
            "atom" => EventForm::Document(Format::Atom),
            "json" => EventForm::Document(Format::Json),
            "binary" => EventForm::Binary,
            other => {
                let allowed = "atom, json or binary";
                let error = InvalidValue::new("format", other, allowed);
                return Err(super::feed_query::QueryError::Invalid(error).into());
            }
        });
    }
    Ok(form)
}

/// The event, or 304 when the reader has it.
fn respond(
    request: &HeaderMap,
    feed: &FeedIdentity,
    event: &Event,
    form: EventForm,
    caching: Caching,
) -> Response {
    let etag = format!(
        "\"r{RENDER_VERSION}.event.{}.{}\"",
        form.name(),
        event.cursor()
    );
    let mut headers = HeaderMap::new();
    respond::set(&mut headers, header::ETAG, &etag);
    respond::set_caching(&mut headers, caching, Some(feed));
    if Known::by(request).is(&etag) {
        return not_modified(headers);
    }
    let format = match form {
        EventForm::Binary => {
            set_attributes(&mut headers, event);
            let body = event.data.as_ref().map(Data::bytes).unwrap_or_default();
            return (headers, Body::from(body.to_vec())).into_response();
        }
        EventForm::Document(format) => format,
    };
    respond::set(
        &mut headers,
        header::CONTENT_TYPE,
        format.event_media_type(),
    );
    let links = Links {
        this: event.id.to_string(),
        current: format!("../../{}", feed.name),
        next: None,
        prev_archive: None,
        tail: None,
        events: String::new(),
    };
    let body = match format {
        Format::Atom => atom::write_entry(event, &links),
        Format::Json => json::write_event(event),
    };
    (headers, body).into_response()
}

/// The attributes as headers, taken from the event's JSON, so that no form has another set of them.
fn set_attributes(headers: &mut HeaderMap, event: &Event) {
    if let Some(data) = &event.data {
        respond::set(headers, header::CONTENT_TYPE, data.content_type());
    }
    let members: Map<String, Value> =
        serde_json::from_slice(&json::write_event(event)).unwrap_or_default();
    for (name, value) in members {
        // Stand in the body and in its type.
        if ["data", "data_base64", "datacontenttype"].contains(&name.as_str()) {
            continue;
        }
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        if let Ok(name) = HeaderName::try_from(format!("ce-{name}")) {
            let value = utf8_percent_encode(&text, ENCODED).to_string();
            respond::set(headers, name, &value);
        }
    }
}
