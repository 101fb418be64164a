//! JSON for people: indented, and else as it came. Numbers are not read, so that a faulty one is seen as it is.

/// `json`, which has to be JSON, with each member and element on a line of its own.
pub(super) fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' | '[' => {
                text.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                // Nothing is in it.
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_space_changes() {
        let json = r#"{"a":[1,{"b" : "x, \"{y}\\"}, [ ]],"n":12345678901234567890.10,"e":{}}"#;
        let expected = r#"{
  "a": [
    1,
    {
      "b": "x, \"{y}\\"
    },
    []
  ],
  "n": 12345678901234567890.10,
  "e": {}
}"#;
        assert_eq!(indented(json), expected);
        assert_eq!(indented("17"), "17");
    }
}
