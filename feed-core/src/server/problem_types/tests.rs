use super::*;

#[test]
fn types_are_complete_and_have_slugs_of_their_own() {
    let mut slugs = std::collections::BTreeSet::new();
    for one in ALL {
        assert!(slugs.insert(one.slug), "{} is there twice", one.slug);
        let is_slug = one
            .slug
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(is_slug, "{}", one.slug);
        assert_eq!(one.uri(), format!("/problems/{}", one.slug));
        assert!(
            one.statuses.iter().all(|s| s.as_u16() >= 400),
            "{}",
            one.slug
        );
        assert!(!one.statuses.is_empty(), "{}", one.slug);
        for text in [one.happened, one.caller, one.operator] {
            assert!(
                text.ends_with('.') && !text.contains("  "),
                "{}: {text}",
                one.slug
            );
        }
        assert!(!one.title.ends_with('.'), "{}", one.slug);
    }
}
