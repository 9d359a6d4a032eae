//! Two messages side by side.

use super::tree::tree;

/// Lines beyond which the middle is not aligned but told as a whole: aligning takes the square of their number.
const ALIGNED: usize = 2_000;

/// The lines of both trees, each with ` `, `-` (only in the first) or `+` (only in the second) in front; `None` where the
/// messages are alike. Offsets do not count.
#[must_use]
pub fn differences(one: &[u8], other: &[u8], values: bool) -> Option<String> {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let mut text = String::new();
        if let Err(error) = tree(bytes, values, &mut text) {
            text.push_str(&format!("000000  malformed: {error}\n"));
        }
        text.lines().filter_map(|line| line.get(8..)).map(str::to_owned).collect()
    };
    let (one, other) = (lines(one), lines(other));
    if one == other {
        return None;
    }
    let before = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let most = one.len().min(other.len()) - before;
    let after = one.iter().rev().zip(other.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let middle = |lines: &[String]| -> Vec<String> {
        lines.get(before..lines.len() - after).unwrap_or_default().to_vec()
    };
    let mut told: Vec<String> = one.iter().take(before).map(|line| format!("  {line}")).collect();
    told.extend(aligned(&middle(&one), &middle(&other)));
    told.extend(one.iter().skip(one.len() - after).map(|line| format!("  {line}")));
    Some(told.join("\n"))
}

/// The longest common subsequence of both, with what is only in one of them around it.
fn aligned(one: &[String], other: &[String]) -> Vec<String> {
    let only = |sign: char, lines: &[String]| {
        lines.iter().map(move |line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    if one.len() > ALIGNED || other.len() > ALIGNED {
        return [only('-', one), only('+', other)].concat();
    }
    let width = other.len() + 1;
    let mut longest = vec![0u32; (one.len() + 1) * width];
    let at = |table: &[u32], a: usize, b: usize| table.get(a * width + b).copied().unwrap_or_default();
    for (a, left) in one.iter().enumerate().rev() {
        for (b, right) in other.iter().enumerate().rev() {
            let best = if left == right {
                at(&longest, a + 1, b + 1) + 1
            } else {
                at(&longest, a + 1, b).max(at(&longest, a, b + 1))
            };
            if let Some(place) = longest.get_mut(a * width + b) {
                *place = best;
            }
        }
    }
    let (mut a, mut b, mut told) = (0, 0, Vec::new());
    while let (Some(left), Some(right)) = (one.get(a), other.get(b)) {
        if left == right {
            told.push(format!("  {left}"));
            (a, b) = (a + 1, b + 1);
        } else if at(&longest, a + 1, b) >= at(&longest, a, b + 1) {
            told.push(format!("- {left}"));
            a += 1;
        } else {
            told.push(format!("+ {right}"));
            b += 1;
        }
    }
    told.extend(only('-', one.get(a..).unwrap_or_default()));
    told.extend(only('+', other.get(b..).unwrap_or_default()));
    told
}
