//! The `Link` header (RFC 8288, section 3), strictly: what a rule judges has to be what it says.

/// A link with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The reference, as it was written.
    pub(super) target: String,
    /// The values of `rel`, in lower case.
    pub(super) relations: Vec<String>,
}

impl Link {
    pub(super) fn has(&self, relation: &str) -> bool {
        self.relations
            .iter()
            .any(|found| found.eq_ignore_ascii_case(relation))
    }
}

/// All links of one header value.
///
/// # Errors
/// Says what of the syntax is broken.
pub(super) fn parse_links(header: &str) -> Result<Vec<Link>, String> {
    let mut links = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let inner = rest
            .strip_prefix('<')
            .ok_or_else(|| format!("'<' is expected at {:?}", crate::text::cut(rest, 40)))?;
        let (target, after) = inner.split_once('>').ok_or("a '<' is never closed")?;
        let (parameters, further) = parameters(after)?;
        let relations = parameters
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("rel"))
            .map(|(_, value)| {
                value
                    .split_ascii_whitespace()
                    .map(str::to_ascii_lowercase)
                    .collect()
            });
        links.push(Link {
            target: target.to_owned(),
            relations: relations.ok_or("a link has no rel")?,
        });
        rest = further.trim_start();
    }
    Ok(links)
}

type Parameters = Vec<(String, String)>;

/// The parameters up to the comma before the next link, and what stands behind it.
fn parameters(text: &str) -> Result<(Parameters, &str), String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if rest.is_empty() {
            return Ok((found, rest));
        }
        if let Some(further) = rest.strip_prefix(',') {
            return Ok((found, further));
        }
        rest = rest
            .strip_prefix(';')
            .ok_or_else(|| format!("';' or ',' is expected at {:?}", crate::text::cut(rest, 40)))?
            .trim_start();
        let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            None => (String::new(), after),
            Some(after) => value(after.trim_start())?,
        };
        found.push((name.trim().to_owned(), value));
        rest = after.trim_start();
    }
}

/// A token or a quoted string, and what stands behind it.
fn value(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Ok((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[index + 1..])),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    Err("a quote is never closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(header: &str) -> Vec<(String, String)> {
        let links = parse_links(header).unwrap();
        links
            .into_iter()
            .map(|link| (link.target, link.relations.join(" ")))
            .collect()
    }

    #[test]
    fn links_are_parsed_strictly() {
        let links = parsed(
            r#"<a?x=1,2>; rel="self"; title="x, \"<y>", <b>;rel=next , <c> ; crossorigin ; REL="Prev-Archive other""#,
        );
        let expected = [
            ("a?x=1,2", "self"),
            ("b", "next"),
            ("c", "prev-archive other"),
        ];
        let expected = expected.map(|(target, rel)| (target.to_owned(), rel.to_owned()));
        assert_eq!(links, expected);
        assert_eq!(parsed(""), []);
        for bad in [
            "a; rel=next",
            "<a; rel=next",
            "<a> rel=next",
            "<a>",
            "<a>; rel=\"next",
            "<a>; title=x",
        ] {
            assert!(parse_links(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "[<>;,=\" a-cé\\\\rel]{0,60}") {
            let _ = parse_links(&header);
        }
    }
}
