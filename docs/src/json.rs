//! Just enough JSON to read what mdBook gives to a preprocessor, and to give it back.
//!
//! Facts. mdBook sends one text, `[context, book]`, and takes a changed book. It is well formed, because mdBook has
//! written it. This crate has no dependencies that a reader would have to download in order to read the book.
//!
//! What follows. [`read`] keeps numbers and the words `true`, `false` and `null` as they stand. A value that is read
//! and written again means the same. The order of the keys stays.
//!
//! What it does not know: what the values mean.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// A number, `true`, `false` or `null`, as it stands.
    Word(String),
    /// A text without its quotes and escapes.
    Text(String),
    /// Values in brackets.
    List(Vec<Json>),
    /// Keys and values, in the order in which they stand.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Self::Object(pairs) = self else { return None };
        pairs.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let Self::Text(text) = self else { return None };
        Some(text)
    }
}

/// Reads one value and the white space around it.
///
/// # Errors
///
/// If it is not JSON: what was expected, and what stands there.
pub fn read(text: &str) -> Result<Json, String> {
    let mut letters = text.chars().peekable();
    let value = value(&mut letters)?;
    match next(&mut letters) {
        None => Ok(value),
        Some(letter) => Err(format!("after the value stands `{letter}`")),
    }
}

type Letters<'a> = Peekable<Chars<'a>>;

/// Skips white space, and shows the letter after it.
fn next(letters: &mut Letters<'_>) -> Option<char> {
    while letters.next_if(char::is_ascii_whitespace).is_some() {}
    letters.peek().copied()
}

fn expect(letters: &mut Letters<'_>, wanted: char) -> Result<(), String> {
    next(letters);
    match letters.next() {
        Some(letter) if letter == wanted => Ok(()),
        other => Err(format!("expected `{wanted}`, found {other:?}")),
    }
}

fn value(letters: &mut Letters<'_>) -> Result<Json, String> {
    match next(letters) {
        Some('"') => quoted(letters).map(Json::Text),
        Some('[') => listed(letters, ']', value).map(Json::List),
        Some('{') => listed(letters, '}', pair).map(Json::Object),
        Some(_) => word(letters),
        None => Err("the text ends where a value was expected".to_owned()),
    }
}

fn pair(letters: &mut Letters<'_>) -> Result<(String, Json), String> {
    let key = quoted(letters)?;
    expect(letters, ':')?;
    Ok((key, value(letters)?))
}

/// Items with commas between them, after a bracket and up to its partner.
fn listed<T>(
    letters: &mut Letters<'_>,
    end: char,
    item: fn(&mut Letters<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    letters.next();
    let mut items = Vec::new();
    while next(letters) != Some(end) {
        if !items.is_empty() {
            expect(letters, ',')?;
        }
        items.push(item(letters)?);
    }
    letters.next();
    Ok(items)
}

fn word(letters: &mut Letters<'_>) -> Result<Json, String> {
    let is_part = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '+' | '.');
    let word: String = std::iter::from_fn(|| letters.next_if(is_part)).collect();
    (!word.is_empty()).then_some(Json::Word(word)).ok_or_else(|| format!("found {:?}", letters.peek()))
}

fn quoted(letters: &mut Letters<'_>) -> Result<String, String> {
    expect(letters, '"')?;
    let mut text = String::new();
    loop {
        match letters.next().ok_or("a text without its last quote")? {
            '"' => return Ok(text),
            '\\' => text.push(escaped(letters)?),
            letter => text.push(letter),
        }
    }
}

fn escaped(letters: &mut Letters<'_>) -> Result<char, String> {
    match letters.next().ok_or("the text ends after a backslash")? {
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'b' => Ok('\u{8}'),
        'f' => Ok('\u{c}'),
        'u' => unicode(letters),
        letter => Ok(letter),
    }
}

/// Four hexadecimal digits, or twice four where one letter needs two.
fn unicode(letters: &mut Letters<'_>) -> Result<char, String> {
    let first = digits(letters)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).ok_or_else(|| format!("{first:x} is no letter"));
    }
    expect(letters, '\\')?;
    expect(letters, 'u')?;
    let second = digits(letters)?;
    let whole = 0x1_0000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00);
    char::from_u32(whole).ok_or_else(|| format!("{first:x} {second:x} is no letter"))
}

fn digits(letters: &mut Letters<'_>) -> Result<u32, String> {
    let digits: String = letters.take(4).collect();
    u32::from_str_radix(&digits, 16).map_err(|error| format!("\\u{digits}: {error}"))
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Text(text) => quote(f, text),
            Self::List(items) => {
                let each = |f: &mut fmt::Formatter<'_>, item: &Self| item.fmt(f);
                separated(f, ['[', ']'], items, each)
            }
            Self::Object(pairs) => separated(f, ['{', '}'], pairs, |f, (key, value)| {
                quote(f, key)?;
                write!(f, ":{value}")
            }),
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    [begin, end]: [char; 2],
    items: &[T],
    each: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{begin}")?;
    for (at, item) in items.iter().enumerate() {
        f.write_str(if at > 0 { "," } else { "" })?;
        each(f, item)?;
    }
    write!(f, "{end}")
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
            letter => write!(f, "{letter}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::{Json, read};

    #[test]
    fn what_is_read_and_written_means_the_same() {
        let text = r#" [ {"a b" : "x\n\"\u00e9\ud83d\ude00\\" , "n":null}, [ ], -1.5e+3, true , {} ] "#;
        let value = read(text).expect("JSON");
        assert_eq!(value.to_string(), "[{\"a b\":\"x\\u000a\\\"é😀\\\\\",\"n\":null},[],-1.5e+3,true,{}]");
        assert_eq!(read(&value.to_string()), Ok(value.clone()));
        let Json::List(items) = value else { panic!("a list") };
        assert_eq!(items[0].get("a b").and_then(Json::text), Some("x\n\"é😀\\"));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in ["", "[", "[1", "[1 2]", "{\"a\"}", "\"a", "\"\\u12", "\"\\ud800x", "1 2", "?"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
