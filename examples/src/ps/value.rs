//! Reads JSON, as much as the answers of a loop need.
//!
//! Contract. Any text gives a value or `None`. Nothing panics, and what is nested deeper than `DEEPEST` is refused.

/// Objects within objects, at most.
const DEEPEST: usize = 16;

/// A value of JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number that is not negative and has no fraction.
    Number(u64),
    /// Any other number.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object, with its keys in their order.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads a value that is all of this text.
    ///
    /// ```
    /// use examples::ps::value::Value;
    /// let value = Value::read(r##"{"task": "#3.1", "polls": 7, "waits": [{"text": "timer"}]}"##).unwrap();
    /// assert_eq!((value.text("task"), value.number("polls")), ("#3.1", 7));
    /// assert_eq!(value.list("waits")[0].text("text"), "timer");
    /// assert_eq!(Value::read("{\"task\": "), None);
    /// ```
    #[must_use]
    pub fn read(text: &str) -> Option<Value> {
        let mut reader = Reader { rest: text, depth: 0 };
        let value = reader.value()?;
        reader.space();
        reader.rest.is_empty().then_some(value)
    }

    /// The field of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A text in an object; empty if there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        if let Some(Value::Text(text)) = self.get(key) { text } else { "" }
    }

    /// A number in an object; zero if there is none.
    #[must_use]
    pub fn number(&self, key: &str) -> u64 {
        if let Some(Value::Number(number)) = self.get(key) { *number } else { 0 }
    }

    /// A list in an object; empty if there is none.
    #[must_use]
    pub fn list(&self, key: &str) -> &[Value] {
        if let Some(Value::List(list)) = self.get(key) { list } else { &[] }
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Takes this word, if it comes next.
    fn take(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.rest.chars().next()? {
            '"' => self.string().map(Value::Text),
            '{' => self.nested(Reader::object),
            '[' => self.nested(Reader::list),
            _ if self.take("null") => Some(Value::Null),
            _ if self.take("true") => Some(Value::Flag(true)),
            _ if self.take("false") => Some(Value::Flag(false)),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Value> {
        let mut fields = Vec::new();
        self.take("{");
        while !self.take("}") {
            if !fields.is_empty() && !self.take(",") {
                return None;
            }
            self.space();
            let key = self.string()?;
            if !self.take(":") {
                return None;
            }
            fields.push((key, self.value()?));
        }
        Some(Value::Object(fields))
    }

    fn list(&mut self) -> Option<Value> {
        let mut list = Vec::new();
        self.take("[");
        while !self.take("]") {
            if !list.is_empty() && !self.take(",") {
                return None;
            }
            list.push(self.value()?);
        }
        Some(Value::List(list))
    }

    fn number(&mut self) -> Option<Value> {
        let end = self.rest.find([',', '}', ']', ' ', '\r', '\n']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.parse().map(Value::Number).or_else(|_| word.parse().map(Value::Fraction)).ok()
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(escaped(&mut chars)?),
                char => text.push(char),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }
}

/// The character that an escape stands for. Halves of a pair are not put together, because no loop writes them.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'u' => {
            let (code, rest) = chars.as_str().split_at_checked(4)?;
            *chars = rest.chars();
            char::from_u32(u32::from_str_radix(code, 16).ok()?)
        }
        char => Some(char),
    }
}
