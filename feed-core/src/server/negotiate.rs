//! Which representation a request gets (RFC 9110, section 12.5.1).

use http::{HeaderMap, header};

use super::problem::Problem;
use super::problem_types;

/// The best of what is offered, by `Accept`; the first where the request does not care.
pub(super) fn negotiate<T: Copy>(
    headers: &HeaderMap,
    offers: &[(T, impl AsRef<str>)],
) -> Result<T, Problem> {
    let first = offers.first().map(|(offer, _)| *offer);
    // An empty list says as little as none.
    let mut values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter(|value| !value.is_empty())
        .peekable();
    if let (None, Some(first)) = (values.peek(), first) {
        return Ok(first);
    }
    // Who names one of them and nothing else gets it.
    let value = values.next();
    let is_named = |media_type: &str| value.is_some_and(|value| value == media_type);
    if values.peek().is_none()
        && let Some((offer, _)) = offers.iter().find(|(_, name)| is_named(name.as_ref()))
    {
        return Ok(*offer);
    }
    let ranges: Vec<Range> = value
        .into_iter()
        .chain(values)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    // The first wins a tie.
    let best = offers
        .iter()
        .map(|(offer, media_type)| (*offer, quality(&ranges, media_type.as_ref())))
        .reduce(|best, offer| if offer.1 > best.1 { offer } else { best });
    match best {
        Some((offer, quality)) if quality > 0 => Ok(offer),
        _ => Err(Problem::new(
            &problem_types::NOT_ACCEPTABLE,
            "ask for one of the media types in `available`",
        )
        .with(
            "available",
            offers
                .iter()
                .map(|(_, media_type)| media_type.as_ref())
                .collect::<Vec<_>>(),
        )),
    }
}

/// One media range of an `Accept` header, or one coding of `Accept-Encoding`.
pub(super) struct Range {
    media_type: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    pub(super) fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts
            .next()
            .filter(|media_type| !media_type.is_empty())?
            .to_ascii_lowercase();
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(Some(1.0), |(_, value)| value.trim().parse::<f32>().ok())?;
        (0.0..=1.0).contains(&quality).then_some(Range {
            media_type,
            quality: (quality * 1000.0) as u16,
        })
    }

    /// The same as an item of `Accept-Encoding`, whose `*` is any coding and whose `x-gzip` is gzip (RFC 9110,
    /// section 8.4.1.3).
    pub(super) fn of_coding(mut self) -> Self {
        match self.media_type.as_str() {
            "*" => self.media_type = "*/*".to_owned(),
            "x-gzip" => self.media_type = "gzip".to_owned(),
            _ => {}
        }
        self
    }

    /// Whether it names exactly this.
    pub(super) fn names(&self, media_type: &str) -> bool {
        self.media_type == media_type
    }

    /// How closely the range names the media type; none when it does not.
    fn closeness(&self, media_type: &str) -> Option<u8> {
        let kind = media_type.split('/').next().unwrap_or_default();
        if self.media_type == media_type {
            Some(2)
        } else if self.media_type.strip_suffix("/*") == Some(kind) {
            Some(1)
        } else {
            (self.media_type == "*/*").then_some(0)
        }
    }
}

/// The quality that the closest range gives, in thousandths; 0 when none fits.
pub(super) fn quality(ranges: &[Range], media_type: &str) -> u16 {
    ranges
        .iter()
        .filter_map(|range| Some((range.closeness(media_type)?, range.quality)))
        .max()
        .map_or(0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Format;
    use http::StatusCode;

    const OFFERS: [(Format, &str); 2] = [
        (Format::Atom, "application/atom+xml"),
        (Format::Json, "application/cloudevents-batch+json"),
    ];

    fn asked(accept: &str) -> Result<Format, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        negotiate(&headers, &OFFERS).map_err(|problem| problem.status())
    }

    #[test]
    fn the_best_quality_wins_and_atom_a_tie() {
        assert_eq!(negotiate(&HeaderMap::new(), &OFFERS).unwrap(), Format::Atom);
        for (accept, format) in [
            ("", Format::Atom),
            ("*/*", Format::Atom),
            ("application/*", Format::Atom),
            ("application/cloudevents-batch+json", Format::Json),
            (
                "application/atom+xml;q=0.5, application/cloudevents-batch+json",
                Format::Json,
            ),
            (
                "application/cloudevents-batch+json;q=0.1, */*;q=0.9",
                Format::Atom,
            ),
            ("application/atom+xml;q=0, */*", Format::Json),
            ("text/html, application/xml;q=0.9, */*;q=0.8", Format::Atom),
            ("APPLICATION/ATOM+XML;charset=utf-8", Format::Atom),
        ] {
            assert_eq!(asked(accept), Ok(format), "{accept}");
        }
        for accept in [
            "text/html",
            "application/atom+xml;q=0",
            "application/atom+xml;q=2",
            "garbage",
        ] {
            assert_eq!(asked(accept), Err(StatusCode::NOT_ACCEPTABLE), "{accept}");
        }
    }
}
