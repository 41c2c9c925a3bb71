//! From characters to syntax.
//!
//! A recursive descent over a source of characters, with nothing consumed after the datum's last character, so the
//! `read` procedure and the program loader share it.

use crate::syntax::{Ident, Name, Node, Pos, Syntax};
use crate::value::Value;
use std::io;

pub trait CharSource {
    fn peek(&mut self) -> io::Result<Option<char>>;
    fn next(&mut self) -> io::Result<Option<char>>;
}

/// A source over text in memory.
pub struct Text<'a>(pub std::iter::Peekable<std::str::Chars<'a>>);

impl<'a> Text<'a> {
    pub fn new(text: &'a str) -> Text<'a> {
        Text(text.chars().peekable())
    }
}
impl CharSource for Text<'_> {
    fn peek(&mut self) -> io::Result<Option<char>> {
        Ok(self.0.peek().copied())
    }
    fn next(&mut self) -> io::Result<Option<char>> {
        Ok(self.0.next())
    }
}

#[derive(Debug)]
pub struct ReadError {
    pub message: String,
    pub line: u32,
    pub column: u32,
    /// The text ended inside a datum: a REPL asks for more.
    pub incomplete: bool,
}

pub struct Reader<'a> {
    source: &'a mut dyn CharSource,
    file: Name,
    line: u32,
    column: u32,
    fold: bool,
    depth: u32,
}

enum Token {
    Datum(Syntax),
    Close(char),
    Dot,
    End,
}

type Read<T> = Result<T, ReadError>;

impl<'a> Reader<'a> {
    pub fn new(source: &'a mut dyn CharSource, file: &str) -> Reader<'a> {
        Reader { source, file: Name::new(file), line: 1, column: 1, fold: false, depth: 0 }
    }
    /// The next datum; `None` at the end of the source.
    pub fn read(&mut self) -> Read<Option<Syntax>> {
        self.depth = 0;
        match self.token()? {
            Token::Datum(d) => Ok(Some(d)),
            Token::End => Ok(None),
            Token::Close(c) => self.fail(format!("unexpected {c}")),
            Token::Dot => self.fail("unexpected dot"),
        }
    }

    fn pos(&self) -> Pos {
        Pos { file: self.file, line: self.line, column: self.column }
    }
    fn error(&self, message: impl Into<String>, incomplete: bool) -> ReadError {
        ReadError { message: message.into(), line: self.line, column: self.column, incomplete }
    }
    fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(self.error(message, false))
    }
    fn peek(&mut self) -> Read<Option<char>> {
        self.source.peek().map_err(|e| self.error(e.to_string(), false))
    }
    fn next(&mut self) -> Read<Option<char>> {
        let c = self.source.next().map_err(|e| self.error(e.to_string(), false))?;
        match c {
            Some('\n') => {
                self.line += 1;
                self.column = 1;
            }
            Some(_) => self.column += 1,
            None => {}
        }
        Ok(c)
    }
    fn need(&mut self) -> Read<char> {
        match self.next()? {
            Some(c) => Ok(c),
            None => Err(self.error("unexpected end of file", true)),
        }
    }

    fn block_comment(&mut self) -> Read<()> {
        let mut level = 1;
        while level > 0 {
            match self.need()? {
                '|' if self.peek()? == Some('#') => {
                    self.next()?;
                    level -= 1;
                }
                '#' if self.peek()? == Some('|') => {
                    self.next()?;
                    level += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn datum(&mut self) -> Read<Syntax> {
        match self.token()? {
            Token::Datum(d) => Ok(d),
            Token::Close(c) => self.fail(format!("unexpected {c}")),
            Token::Dot => self.fail("unexpected dot"),
            Token::End => Err(self.error("unexpected end of file", true)),
        }
    }

    fn token(&mut self) -> Read<Token> {
        loop {
            let pos = self.pos();
            let Some(c) = self.peek()? else { return Ok(Token::End) };
            let done = |node| Ok(Token::Datum(Syntax::new(pos, node)));
            if c.is_whitespace() {
                self.next()?;
                continue;
            }
            match c {
                ';' => {
                    while !matches!(self.peek()?, None | Some('\n')) {
                        self.next()?;
                    }
                }
                '(' | '[' => {
                    self.next()?;
                    let (items, tail) = self.list(if c == '(' { ')' } else { ']' })?;
                    return done(match tail {
                        // (a . (b c)) is (a b c)
                        Some(t) => match t.node() {
                            Node::List(more, end) => {
                                let mut items = items;
                                items.extend(more.iter().cloned());
                                Node::List(items, end.clone())
                            }
                            _ => Node::List(items, Some(t)),
                        },
                        None => Node::List(items, None),
                    });
                }
                ')' | ']' => {
                    self.next()?;
                    return Ok(Token::Close(c));
                }
                '\'' => return self.quoted(pos, "quote"),
                '`' => return self.quoted(pos, "quasiquote"),
                ',' => {
                    self.next()?;
                    let name = if self.peek()? == Some('@') { "unquote-splicing" } else { "unquote" };
                    if name == "unquote" {
                        return self.wrap(pos, name);
                    }
                    return self.quoted(pos, name);
                }
                '"' => {
                    self.next()?;
                    let text = self.delimited('"')?;
                    return done(Node::Str(text.into()));
                }
                '|' => {
                    let text = self.word()?;
                    return done(Node::Id(Ident::Plain(Name::new(&text.0))));
                }
                '#' => {
                    if let Some(t) = self.hash(pos)? {
                        return Ok(t);
                    }
                }
                _ => {
                    let (text, bars) = self.word()?;
                    return self.atom(pos, text, bars);
                }
            }
        }
    }

    fn quoted(&mut self, pos: Pos, name: &str) -> Read<Token> {
        self.next()?;
        self.wrap(pos, name)
    }
    fn wrap(&mut self, pos: Pos, name: &str) -> Read<Token> {
        let datum = self.marked()?;
        let head = Syntax::id(pos, Ident::Plain(Name::new(name)));
        Ok(Token::Datum(Syntax::list(pos, vec![head, datum])))
    }

    /// The reader recurses, and a stack is not endless: not for lists in lists, nor for marks before marks.
    fn go_deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > 10_000 { self.fail("data nested too deeply") } else { Ok(()) }
    }

    /// The datum that belongs to a mark before it.
    fn marked(&mut self) -> Read<Syntax> {
        self.go_deeper()?;
        let datum = self.datum()?;
        self.depth -= 1;
        Ok(datum)
    }

    fn list(&mut self, close: char) -> Read<(Vec<Syntax>, Option<Syntax>)> {
        self.go_deeper()?;
        let (mut items, mut tail) = (Vec::new(), None);
        loop {
            match self.token()? {
                Token::Datum(d) if tail.is_none() => items.push(d),
                Token::Datum(_) => return self.fail("more than one datum after the dot"),
                Token::Dot if !items.is_empty() && tail.is_none() => tail = Some(self.marked()?),
                Token::Dot => return self.fail("unexpected dot"),
                Token::Close(c) if c == close => {
                    self.depth -= 1;
                    return Ok((items, tail));
                }
                Token::Close(c) => return self.fail(format!("unexpected {c}")),
                Token::End => return Err(self.error("unexpected end of file", true)),
            }
        }
    }

    /// The rest of a string or of a `|symbol|`, after the opening delimiter.
    fn delimited(&mut self, end: char) -> Read<String> {
        let mut text = String::new();
        loop {
            let c = self.need()?;
            if c == end {
                return Ok(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            match self.need()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'a' => text.push('\x07'),
                'b' => text.push('\x08'),
                'x' | 'X' => {
                    let mut code = String::new();
                    loop {
                        match self.need()? {
                            ';' => break,
                            h => code.push(h),
                        }
                    }
                    match u32::from_str_radix(&code, 16).ok().and_then(char::from_u32) {
                        Some(c) => text.push(c),
                        None => return self.fail(format!("bad escape \\x{code};")),
                    }
                }
                c if c == '\n' || c == ' ' || c == '\t' => {
                    let mut c = Some(c);
                    while matches!(c, Some(' ' | '\t')) {
                        c = self.next()?;
                    }
                    if c != Some('\n') {
                        return self.fail("bad line continuation in a string");
                    }
                    while matches!(self.peek()?, Some(' ' | '\t')) {
                        self.next()?;
                    }
                }
                c => text.push(c),
            }
        }
    }

    /// Characters up to a delimiter; whether `|` was among them (then it is a symbol for sure).
    fn word(&mut self) -> Read<(String, bool)> {
        let (mut text, mut bars) = (String::new(), false);
        while let Some(c) = self.peek()? {
            if c == '|' {
                bars = true;
                self.next()?;
                text.push_str(&self.delimited('|')?);
                continue;
            }
            if c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '"' | ';' | '\'') {
                break;
            }
            self.next()?;
            if self.fold {
                text.extend(c.to_lowercase());
            } else {
                text.push(c);
            }
        }
        Ok((text, bars))
    }

    fn atom(&mut self, pos: Pos, text: String, bars: bool) -> Read<Token> {
        if text == "." && !bars {
            return Ok(Token::Dot);
        }
        let node = if !bars && looks_numeric(&text) {
            // Decided for good when the number is built: what is none becomes a symbol.
            if crate::standard::numbers::is_number_text(&text, 10) {
                Node::Number(text.into())
            } else {
                Node::Id(Ident::Plain(Name::new(&text)))
            }
        } else {
            Node::Id(Ident::Plain(Name::new(&text)))
        };
        Ok(Token::Datum(Syntax::new(pos, node)))
    }

    /// Everything that begins with `#`; `None` if it was a comment or a directive.
    fn hash(&mut self, pos: Pos) -> Read<Option<Token>> {
        self.next()?;
        let done = |node| Ok(Some(Token::Datum(Syntax::new(pos, node))));
        match self.peek()? {
            Some('|') => {
                self.next()?;
                self.block_comment()?;
                Ok(None)
            }
            Some(';') => {
                self.next()?;
                self.marked()?;
                Ok(None)
            }
            Some('!') => {
                let (word, _) = self.word()?;
                match word.as_str() {
                    "!fold-case" => self.fold = true,
                    "!no-fold-case" => self.fold = false,
                    "!eof" => return done(Node::Value(Value::EOF)),
                    "!unspecific" | "!void" => return done(Node::Value(Value::UNSPECIFIED)),
                    "!default" => return done(Node::Value(Value::DEFAULT)),
                    _ => {
                        while !matches!(self.peek()?, None | Some('\n')) {
                            self.next()?;
                        }
                    }
                }
                Ok(None)
            }
            Some('(') => {
                self.next()?;
                match self.list(')')? {
                    (items, None) => done(Node::Vector(items)),
                    _ => self.fail("dot in a vector"),
                }
            }
            Some('\\') => {
                self.next()?;
                let c = self.need()?;
                let mut text = String::from(c);
                if c.is_alphanumeric() {
                    let fold = std::mem::replace(&mut self.fold, false);
                    text.push_str(&self.word()?.0);
                    self.fold = fold;
                }
                match char_named(&text) {
                    Some(c) => done(Node::Char(c)),
                    None => self.fail(format!("unknown character #\\{text}")),
                }
            }
            Some(d) if d.is_ascii_digit() => {
                let mut n = 0u32;
                while let Some(d) = self.peek()?.and_then(|c| c.to_digit(10)) {
                    self.next()?;
                    n = n.saturating_mul(10).saturating_add(d);
                }
                match self.need()? {
                    '=' => {
                        let datum = self.marked()?;
                        done(Node::Label(n, datum))
                    }
                    '#' => done(Node::Ref(n)),
                    c => self.fail(format!("unexpected {c} after #{n}")),
                }
            }
            _ => {
                let (word, _) = self.word()?;
                match word.as_str() {
                    "t" | "true" => done(Node::Value(Value::TRUE)),
                    "f" | "false" => done(Node::Value(Value::FALSE)),
                    "u8" if self.peek()? == Some('(') => {
                        self.next()?;
                        let (items, _) = self.list(')')?;
                        let byte = |s: &Syntax| match s.node() {
                            Node::Number(n) => n.parse::<u8>().ok(),
                            _ => None,
                        };
                        match items.iter().map(byte).collect::<Option<Vec<_>>>() {
                            Some(b) => done(Node::Bytes(b.into())),
                            None => self.fail("a bytevector holds bytes"),
                        }
                    }
                    _ => {
                        let text = format!("#{word}");
                        if crate::standard::numbers::is_number_text(&text, 10) {
                            return done(Node::Number(text.into()));
                        }
                        self.fail(format!("unknown syntax {text}"))
                    }
                }
            }
        }
    }
}

fn looks_numeric(text: &str) -> bool {
    let mut c = text.chars();
    match c.next() {
        Some('0'..='9') => true,
        Some('+' | '-' | '.') => c.next().is_some(),
        _ => false,
    }
}

fn char_named(text: &str) -> Option<char> {
    let mut chars = text.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return Some(c);
    }
    Some(match text {
        "space" => ' ',
        "newline" | "linefeed" | "nl" => '\n',
        "tab" => '\t',
        "return" => '\r',
        "null" | "nul" => '\0',
        "alarm" => '\x07',
        "backspace" => '\x08',
        "delete" | "rubout" => '\x7f',
        "escape" | "altmode" | "esc" => '\x1b',
        "page" => '\x0c',
        _ => return u32::from_str_radix(text.strip_prefix('x')?, 16).ok().and_then(char::from_u32),
    })
}
