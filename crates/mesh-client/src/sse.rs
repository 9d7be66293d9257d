//! Server-sent events (WHATWG HTML §9.2.6), as far as MESH uses them: names and data, with limits on both.

use crate::limits::{EVENT_BYTES_MAX, EVENT_LINE_BYTES_MAX};
use mesh_proto::api::Event;

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name; `message` if it has none.
    pub name: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A line or an event is larger than its limit.
    #[error("an event is larger than {EVENT_BYTES_MAX} bytes")]
    TooLarge,
    /// A line is not UTF-8.
    #[error("an event is not UTF-8")]
    NotText,
}

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    /// The last byte was a carriage return: a line feed after it belongs to the same line end.
    after_return: bool,
    started: bool,
}

impl Parser {
    /// Takes the next bytes and answers the messages that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, StreamError> {
        let mut messages = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_return) => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    let line = std::str::from_utf8(&line).map_err(|_| StreamError::NotText)?;
                    messages.extend(self.end_line(line)?);
                }
                _ if self.line.len() >= EVENT_LINE_BYTES_MAX => return Err(StreamError::TooLarge),
                byte => {
                    self.after_return = false;
                    self.line.push(*byte);
                }
            }
        }
        Ok(messages)
    }

    fn end_line(&mut self, line: &str) -> Result<Option<Message>, StreamError> {
        let line = if self.started { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        self.started = true;
        if line.is_empty() {
            return Ok(self.end_message());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                if self.data.len() + value.len() >= EVENT_BYTES_MAX {
                    return Err(StreamError::TooLarge);
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // Comments (an empty field), ids and retry times: nothing here depends on them.
            _ => {}
        }
        Ok(None)
    }

    fn end_message(&mut self) -> Option<Message> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        Some(Message { name: if name.is_empty() { "message".to_owned() } else { name }, data })
    }
}

/// The event in a message: `{"feed": …}`, or what stands in it under the event's name. Events of a later version are `None`.
pub fn event(message: &Message) -> Option<Event> {
    if let Ok(event) = serde_json::from_str(&message.data) {
        return Some(event);
    }
    let data = serde_json::value::RawValue::from_string(message.data.clone()).ok()?;
    match message.name.as_str() {
        "feed" => serde_json::from_str(data.get()).ok().map(Event::Feed),
        "notification" => serde_json::from_str(data.get()).ok().map(Event::Notification),
        "missed" => serde_json::from_str(data.get()).ok().map(Event::Missed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, data)| Message { name: (*name).to_owned(), data: (*data).to_owned() }).collect();
        assert_eq!(Parser::default().push(stream.as_bytes()).expect("within limits"), expected);
        // However the bytes are cut, the messages are the same.
        let mut parser = Parser::default();
        let cut: Vec<_> = stream.bytes().flat_map(|byte| parser.push(&[byte]).expect("within limits")).collect();
        assert_eq!(cut, expected);
    }

    #[test]
    fn messages_are_read_with_any_line_end() {
        check("event: feed\ndata: {}\n\n", &[("feed", "{}")]);
        check("event: feed\r\ndata: {}\r\n\r\n", &[("feed", "{}")]);
        check("event:feed\rdata:{}\r\r", &[("feed", "{}")]);
        check("\u{feff}data: a\ndata:  b\n\n", &[("message", "a\n b")]);
    }

    #[test]
    fn comments_ids_and_empty_messages_are_passed_over() {
        check(": alive\n\nid: 5\nretry: 10\n\nevent: feed\n\ndata: x\n\n", &[("message", "x")]);
        check("data: cut off\n", &[]);
    }

    #[test]
    fn endless_lines_and_events_are_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'x'; EVENT_LINE_BYTES_MAX + 1]), Err(StreamError::TooLarge));
        let mut parser = Parser::default();
        let line = format!("data: {}\n", "x".repeat(100_000));
        let refused = (0..10).find_map(|_| parser.push(line.as_bytes()).err());
        assert_eq!(refused, Some(StreamError::TooLarge));
    }

    #[test]
    fn event_is_found_bare_or_under_its_name() {
        let message = |name: &str, data: &str| Message { name: name.to_owned(), data: data.to_owned() };
        assert_eq!(event(&message("missed", "7")), Some(Event::Missed(7)));
        assert_eq!(event(&message("missed", r#"{"missed":7}"#)), Some(Event::Missed(7)));
        assert_eq!(event(&message("news", "7")), None);
    }
}
