//! The messages in the JSON array of an answer, taken from it while it comes.

use serde_json::value::RawValue;

use crate::Failure;

/// What has come of an array and is no whole message yet.
#[derive(Debug, Default)]
pub(super) struct Messages {
    rest: Vec<u8>,
    ended: bool,
}

impl Messages {
    /// Hands on each message that is complete with `part`.
    pub(super) fn read(&mut self, part: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
        self.rest.extend_from_slice(part);
        let mut at = 0;
        loop {
            // Brackets and commas between the messages.
            while let Some(byte) = self.rest.get(at) {
                match byte {
                    b'[' | b',' | b'\n' | b' ' => at += 1,
                    b']' => {
                        at += 1;
                        self.ended = true;
                    }
                    _ => break,
                }
            }
            let mut values =
                serde_json::Deserializer::from_slice(&self.rest[at..]).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(message)) => {
                    each(message.get().as_bytes());
                    at += values.byte_offset();
                }
                Some(Err(error)) if !error.is_eof() => return Err(error.into()),
                Some(Err(_)) | None => break,
            }
        }
        self.rest.drain(..at);
        Ok(())
    }

    /// A failure when the array is not complete.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if self.ended && self.rest.is_empty() {
            return Ok(());
        }
        Err("the answer ended within its array".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_wherever_an_answer_is_cut() {
        let text = br#"[{"a":"]},{"},{"b":[1,2]},{"c":{}}]"#;
        for cut in 0..=text.len() {
            let (mut messages, mut found) = (Messages::default(), Vec::new());
            for part in [&text[..cut], &text[cut..]] {
                messages
                    .read(part, |message| found.push(message.to_vec()))
                    .unwrap();
            }
            messages.end().unwrap();
            let expected: [&[u8]; 3] = [br#"{"a":"]},{"}"#, br#"{"b":[1,2]}"#, br#"{"c":{}}"#];
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_cut_off_is_told() {
        let mut messages = Messages::default();
        messages.read(br#"[{"a":1},{"b""#, |_| ()).unwrap();
        assert!(messages.end().is_err());
        assert!(Messages::default().read(b"[}", |_| ()).is_err());
    }
}
