//! One line that is being typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Most characters of a line; an editor takes longer texts.
const INPUT_CHARS_MAX: usize = 4000;

/// What is typed, and where in it the cursor stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Input {
    chars: Vec<char>,
    /// Between 0 and the number of characters.
    cursor: usize,
}

impl Input {
    pub(super) fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().filter(|c| !c.is_control()).take(INPUT_CHARS_MAX).collect();
        Self { cursor: chars.len(), chars }
    }

    pub(super) fn text(&self) -> String {
        self.chars.iter().collect()
    }

    /// What stands before the cursor, and what after.
    pub(super) fn halves(&self) -> (String, String) {
        let (before, after) = self.chars.split_at(self.cursor);
        (before.iter().collect(), after.iter().collect())
    }

    /// Pasted text; line ends become spaces.
    pub(super) fn paste(&mut self, text: &str) {
        for c in text.chars() {
            self.put(if c == '\n' || c == '\t' { ' ' } else { c });
        }
    }

    fn put(&mut self, c: char) {
        if !c.is_control() && self.chars.len() < INPUT_CHARS_MAX {
            self.chars.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.chars.len(),
            KeyCode::Char('u') if control => drop(self.chars.drain(..std::mem::take(&mut self.cursor))),
            KeyCode::Char('w') if control => self.delete_word(),
            KeyCode::Char(c) if !control => self.put(c),
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.chars.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.chars.len() => drop(self.chars.remove(self.cursor)),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.chars.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.chars.len(),
            _ => {}
        }
    }

    fn delete_word(&mut self) {
        let before = self.chars.iter().take(self.cursor).rev();
        let spaces = before.clone().take_while(|c| c.is_whitespace()).count();
        let letters = before.skip(spaces).take_while(|c| !c.is_whitespace()).count();
        let from = self.cursor - spaces - letters;
        self.chars.drain(from..self.cursor);
        self.cursor = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[(KeyCode, KeyModifiers)], expected: (&str, &str)) {
        let mut input = Input::new("one two");
        for (code, modifiers) in keys {
            input.key(KeyEvent::new(*code, *modifiers));
        }
        let (before, after) = input.halves();
        assert_eq!((before.as_str(), after.as_str()), expected);
    }

    #[test]
    fn lines_are_edited_as_in_a_shell() {
        let (plain, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        check(&[(KeyCode::Char('w'), control)], ("one ", ""));
        check(&[(KeyCode::Left, plain), (KeyCode::Char('ü'), plain)], ("one twü", "o"));
        check(&[(KeyCode::Home, plain), (KeyCode::Delete, plain), (KeyCode::Backspace, plain)], ("", "ne two"));
        check(&[(KeyCode::Left, plain), (KeyCode::Char('u'), control)], ("", "o"));
    }

    #[test]
    fn control_characters_are_never_taken() {
        let mut input = Input::new("a\u{1b}[2Jb");
        input.paste("\u{9b}\nc");
        assert_eq!(input.text(), "a[2Jb c");
    }
}
