//! Notices: messages for the user that are not errors.

use std::ops::Deref;

/// Lines for the user, in order. The library prints none of them: a [`Trainer`](crate::Trainer)
/// keeps them for the program to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices(Vec<String>);

impl Notices {
    /// Adds a line, unless it is already there.
    pub fn push(&mut self, line: impl AsRef<str>) {
        let words: Vec<&str> = line.as_ref().split_whitespace().collect();
        let line = words.join(" ");
        if !self.0.contains(&line) {
            self.0.push(line);
        }
    }
}

impl Deref for Notices {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Notices;

    #[test]
    fn a_notice_is_one_line_and_said_once() {
        let mut notices = Notices::default();
        notices.push("a kernel\n  was refused");
        notices.push("a kernel was refused");
        notices.push("the cache cannot be written");
        assert_eq!(
            *notices,
            ["a kernel was refused", "the cache cannot be written"]
        );
    }
}
