//! The options of a layer in a file, and what is said of wrong ones.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, ValueDeserializer};

use crate::error::{Error, Result};

/// A text, and where it is from: a path, or `model file`.
pub(super) struct Source<'a> {
    pub text: &'a str,
    pub origin: &'a str,
}

impl Source<'_> {
    /// The line of a byte.
    fn line(&self, at: usize) -> String {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        format!("{}, line {line}", self.origin)
    }

    /// An error at a byte.
    pub fn wrong(&self, at: usize, what: &str, expected: &str, got: impl AsRef<str>) -> Error {
        wrong(&self.line(at), what, expected, got.as_ref())
    }
}

fn wrong(line: &str, what: &str, expected: &str, got: &str) -> Error {
    let colon = if what.is_empty() { "" } else { ": " };
    Error::value(format!("{line}{colon}{what}"), expected, got)
}

/// The candidate that is most like `word`, if one is like it.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let alike = |name: &str| strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase());
    let rated = candidates.map(|name| (alike(name), name));
    let best = rated.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > 0.75).then_some(best.1)
}

/// What was written, and what may have been meant.
pub(super) fn unknown<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    match nearest(word, candidates) {
        Some(name) => format!("`{word}`; did you mean `{name}`?"),
        None => format!("`{word}`"),
    }
}

/// The keys of a table, with the text of each value.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// The kind of the layer; empty for the file itself.
    layer: &'static str,
    /// Where the table begins.
    line: String,
    values: BTreeMap<String, Value>,
}

#[derive(Debug, Clone)]
struct Value {
    line: String,
    text: String,
}

impl Options {
    /// Of a table that begins at a byte; `layer` is empty for the file itself.
    pub fn new(source: &Source<'_>, at: usize, layer: &'static str, table: &DeTable<'_>) -> Self {
        let values = table.iter().map(|(key, value)| {
            let value = Value {
                line: source.line(key.span().start),
                text: source.text[value.span()].to_owned(),
            };
            (key.get_ref().to_string(), value)
        });
        Options {
            layer,
            line: source.line(at),
            values: values.collect(),
        }
    }

    /// # Errors
    /// There is a key that is none of `keys`.
    pub fn allow(&self, keys: &[&str]) -> Result<()> {
        match self.values.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let expected = format!("one of {}", keys.join(", "));
                let got = unknown(key, keys.iter().copied());
                Err(wrong(&self.values[key].line, self.layer, &expected, &got))
            }
        }
    }

    /// The value of `key`, if it is there.
    ///
    /// # Errors
    /// It is not what is `expected`.
    pub fn optional<T: DeserializeOwned>(&self, key: &str, expected: &str) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        let parsed = ValueDeserializer::parse(&value.text).and_then(T::deserialize);
        parsed.map(Some).map_err(|_| self.wrong(key, expected))
    }

    /// The value of `key`, or `default`.
    ///
    /// # Errors
    /// It is not what is `expected`.
    pub fn or<T: DeserializeOwned>(&self, key: &str, expected: &str, default: T) -> Result<T> {
        Ok(self.optional(key, expected)?.unwrap_or(default))
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// It is missing, or not what is `expected`.
    pub fn required<T: DeserializeOwned>(&self, key: &str, expected: &str) -> Result<T> {
        let value = self.optional(key, expected)?;
        value.ok_or_else(|| self.wrong(key, expected))
    }

    /// An error about the value of `key`.
    pub fn wrong(&self, key: &str, expected: &str) -> Error {
        match self.values.get(key) {
            Some(value) => self.wrong_value(&value.line, key, expected, &value.text),
            None => self.wrong_value(&self.line, key, expected, "nothing"),
        }
    }

    fn wrong_value(&self, line: &str, key: &str, expected: &str, got: &str) -> Error {
        let space = if self.layer.is_empty() { "" } else { " " };
        let what = format!("{}{space}{key}", self.layer);
        wrong(line, &what, expected, got)
    }

    /// An error about a name in the value of `key`.
    pub fn unknown(&self, key: &str, name: &str, names: &[String], expected: &str) -> Error {
        let line = self.values.get(key).map_or(&self.line, |value| &value.line);
        let got = unknown(name, names.iter().map(String::as_str));
        self.wrong_value(line, key, expected, &got)
    }
}
