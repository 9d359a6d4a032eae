//! The repository's files as the rules look at them: Rust without comments, texts and tests.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use kms_tests::repository::root;
use kms_tests::skip;

/// A Rust file.
pub struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    /// As it stands there.
    pub text: String,
    /// The same with comments and the insides of literals blanked; line for line the same.
    pub code: String,
    /// That without what only tests see.
    pub product: String,
}

impl Source {
    fn read(path: String) -> Self {
        let text = fs::read_to_string(root().join(&path)).expect("a Rust file is text");
        let code = without_prose(&text);
        let product = if is_test(&path) { String::new() } else { without_tests(&code) };
        Self { path, text, code, product }
    }

    /// The numbers of the lines of `code` on which `word` stands by itself.
    pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
        let lines = code.lines().enumerate();
        lines.filter(|(_, line)| has_word(line, word)).map(|(at, _)| at + 1).collect()
    }
}

/// Every Rust file of the repository.
pub fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let all = tracked().into_iter().filter(|path| path.ends_with(".rs"));
        let sources: Vec<_> = all.map(Source::read).collect();
        assert!(sources.len() > 100, "the repository has more than {} Rust files", sources.len());
        sources
    })
}

/// Every file that is under version control or will be, from the repository's root.
pub fn tracked() -> Vec<String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut files: Vec<String> = match git.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
        }
        _ => {
            skip("rules: files that git ignores", "this is no git repository; all files count");
            let mut files = Vec::new();
            walk(&root(), "", &mut files);
            files
        }
    };
    files.retain(|path| root().join(path).is_file());
    files.sort();
    files.dedup();
    files
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        match entry.file_type().expect("its type") {
            kind if kind.is_dir()
                && ![".git", "target", ".kms-dev", ".kms-client"].contains(&name.as_str()) =>
            {
                walk(&entry.path(), &format!("{path}/"), files);
            }
            kind if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.starts_with("tests/")
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn has_word(line: &str, word: &str) -> bool {
    let bounded = |character: Option<char>| character.is_none_or(|character| !is_name(character));
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let left = !word.starts_with(is_name) || bounded(before.chars().next_back());
        let right = !word.ends_with(is_name) || bounded(after.chars().next());
        left && right
    })
}

/// Blanks comments and what stands in string and character literals.
pub fn without_prose(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = prose(rest, code.chars().next_back());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (blank, after) = rest.split_at(length);
            code.extend(blank.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
            rest = after;
        }
    }
    code
}

/// How many bytes of a comment or literal `text` begins with.
fn prose(text: &str, before: Option<char>) -> usize {
    let end_of = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at);
    if text.starts_with("//") {
        return end_of("\n", 0);
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    let begins = before.is_none_or(|before| !is_name(before));
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r')).filter(|_| begins);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = text.len() - raw.len() + hashes + 1;
            return (end_of(&end, from) + end.len()).min(text.len());
        }
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    if let Some(after) = text.strip_prefix('\'') {
        let mut characters = after.chars();
        let is_character = characters.next() == Some('\\') || characters.next() == Some('\'');
        return if is_character { quoted(text, '\'') } else { 0 };
    }
    0
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Blanks every item under `#[cfg(test)]`.
pub fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut product = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        product.push_str(before);
        let end = item.find(['{', ';']).map_or(item.len(), |open| {
            if item[open..].starts_with(';') { open + 1 } else { open + block(&item[open..]) }
        });
        product.extend(item[..end].chars().filter(|character| *character == '\n'));
        rest = &item[end..];
    }
    product + rest
}

/// The length of the block that `code` begins with, braces included.
fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

#[test]
fn prose_and_tests_are_left_out() {
    let text = "let a = \"fs // \\\" \"; // std::fs\n/* a /* b */ c */ let b = 'x'; let c: &'a str = r#\"std\"net\"#;\n";
    let code = without_prose(text);
    assert_eq!(code.lines().count(), 2);
    for gone in ["fs", "net", "x", "a /*"] {
        assert!(!code.contains(gone), "{gone} in {code}");
    }
    for left in ["let a", "let b", "let c: &'a str ="] {
        assert!(code.contains(left), "{left} in {code}");
    }
    let product = without_tests("fn a() {}\n#[cfg(test)]\nmod tests { fn b() { { } } }\nfn c() {}\n");
    assert_eq!(product, "fn a() {}\n\n\nfn c() {}\n");
    assert_eq!(Source::lines_with("a std::fs::read\nstd::fsx\nxstd::fs", "std::fs"), [1]);
}
