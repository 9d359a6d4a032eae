//! Lengths of time, as people write them. Pure.

use core::fmt;

use jiff::SpanRelativeTo;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written as `90d`, `1d 12h`, `30s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Period {
    /// Its length.
    pub seconds: i64,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.seconds;
        let mut gap = "";
        for (unit, name) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
            let count = rest / unit;
            rest %= unit;
            if count > 0 || (unit == 1 && gap.is_empty()) {
                write!(f, "{gap}{count}{name}")?;
                gap = " ";
            }
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Written(text) = Written::deserialize(from)?;
        let seconds = parse(&text).map_err(|cause| {
            D::Error::custom(format!("{text:?} is no duration: {cause}; write it like 90d, 12h or 30s"))
        })?;
        Ok(Self { seconds })
    }
}

/// A duration as it stands in a file.
struct Written(String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a duration such as "90d", "12h" or "30s""#)
            }

            fn visit_str<E>(self, text: &str) -> Result<Written, E> {
                Ok(Written(text.to_owned()))
            }
        }
        from.deserialize_str(Text)
    }
}

/// Reads a duration such as `90d`, `1d 12h`, `30s`, in seconds. A day has 24 hours; months and years have no length.
///
/// # Errors
/// What is wrong with it, also with a negative one and with fractions of a second.
pub fn parse(text: &str) -> Result<i64, String> {
    let span: jiff::Span = text.parse().map_err(|cause: jiff::Error| cause.to_string())?;
    if span.get_months() != 0 || span.get_years() != 0 {
        return Err("months and years differ in length".into());
    }
    let duration =
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|cause| cause.to_string())?;
    if duration.is_negative() {
        return Err("it is negative".into());
    }
    if duration.subsec_nanos() != 0 {
        return Err("a second is the smallest unit".into());
    }
    Ok(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Period, parse};

    proptest! {
        #[test]
        fn a_period_is_read_as_it_is_written(seconds in 0..400_000_000_i64) {
            prop_assert_eq!(parse(&Period { seconds }.to_string()).unwrap(), seconds);
        }
    }
}
