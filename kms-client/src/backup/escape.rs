//! Paths as text: any bytes there and back, and readable where they are.

/// UTF-8 stays as it is but for `%`, which begins the two hexadecimal digits of any other byte.
pub fn escape(bytes: &[u8]) -> String {
    use core::fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '%' => text.push_str("%25"),
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The bytes that [`escape`] wrote.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.map(char::from).and_then(|digit| digit.to_digit(16));
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape};

    #[test]
    fn any_bytes_come_back() {
        for bytes in [&b"plain"[..], b"100%", b"\xff\xfe/a", "Grüße".as_bytes(), b"%41", b""] {
            assert_eq!(unescape(&escape(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(escape(b"a%\xff"), "a%25%FF");
        for bad in ["%", "%4", "%zz"] {
            assert_eq!(unescape(bad), None);
        }
    }
}
