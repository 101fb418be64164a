//! The `Link` header (RFC 8288, section 3), as far as a reader needs it.

/// The target of the first link with this relation.
pub(super) fn find<'h>(
    headers: impl IntoIterator<Item = &'h str>,
    relation: &str,
) -> Option<&'h str> {
    headers.into_iter().find_map(|header| {
        let mut rest = header;
        while let Some((target, after)) = rest
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
        {
            let (parameters, further) = split_parameters(after);
            if has_relation(parameters, relation) {
                return Some(target);
            }
            rest = further;
        }
        None
    })
}

/// The link's parameters, which end at the first comma outside of quotes, and what comes behind.
fn split_parameters(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&text[..index], &text[index + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn has_relation(parameters: &str, relation: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("rel"))
        .any(|(_, value)| {
            value
                .trim()
                .trim_matches('"')
                .split(' ')
                .any(|found| found.eq_ignore_ascii_case(relation))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_found_by_relation() {
        let header =
            r#"<a?x=1,2>; rel="self"; title="x, <y>", <b>;rel=next, <c>; rel="prev-archive other""#;
        assert_eq!(find([header], "self"), Some("a?x=1,2"));
        assert_eq!(find([header], "next"), Some("b"));
        assert_eq!(find([header], "other"), Some("c"));
        assert_eq!(find([header], "current"), None);
        assert_eq!(find(["<x>; rel=self", header], "next"), Some("b"));
        assert_eq!(find(["<never closed; rel=next"], "next"), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "\\PC{0,80}") {
            let _ = find([header.as_str()], "next");
        }
    }
}
