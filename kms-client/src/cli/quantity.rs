//! Quantities as people write them.

/// A number of bytes: digits, then nothing, `k`, `M`, `G` or `T` (powers of 1,000).
pub fn bytes(text: &str) -> Result<u64, String> {
    scaled(text, &[("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000), ("", 1)])
        .ok_or_else(|| format!("{text:?} is no number of bytes, such as 500M or 4G"))
}

/// A time in seconds: digits, then `s`, `m`, `h` or `d`.
pub fn seconds(text: &str) -> Result<u64, String> {
    scaled(text, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)])
        .ok_or_else(|| format!("{text:?} is no length of time, such as 90s, 15m, 24h or 7d"))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, scale) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse::<u64>().ok()?.checked_mul(*scale)).flatten()
}

#[cfg(test)]
mod tests {
    use super::{bytes, seconds};

    #[test]
    fn quantities_are_read() {
        assert_eq!(bytes("4G"), Ok(4_000_000_000));
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(seconds("24h"), Ok(86_400));
        for bad in ["", "G", "-1", "1.5G", "4g", "99999999999999T"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        for bad in ["", "5", "h", "1w", "+1s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
