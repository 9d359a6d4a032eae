//! What readers see: the database, less whatever in it is not durable yet.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::sled::IVec;

use super::follow::Followers;
use super::{Order, StoreError};

/// Entries as they were before a commit that is under way; `None` for those that did not exist.
pub type Before = BTreeMap<Vec<u8>, Option<IVec>>;

/// The durable state. While a commit is written and synced, the entries that it changes are answered from
/// [`View::hidden`] instead of the database. If the sync fails they stay hidden: what readers see then is
/// still the last durable state, not what the database believes.
#[derive(Debug, Default)]
pub struct View {
    /// The database; `None` when it could not be opened again after a failure.
    pub db: Option<::sled::Db>,
    /// What the entries of an unfinished commit were before it.
    pub hidden: Before,
    /// Why the store takes no writes, if it does not.
    pub read_only: Option<String>,
    /// Who wants to know which records change.
    pub followers: Followers,
}

type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

impl View {
    /// The database.
    pub fn db(&self) -> Result<&::sled::Db, StoreError> {
        self.db.as_ref().ok_or(StoreError::Closed)
    }

    /// The durable value of `key`.
    pub fn value(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.hidden.get(key) {
            Some(before) => Ok(before.clone()),
            None => read(self.db()?, key),
        }
    }

    /// Shows `each` durable entry of the range, in order, until it breaks off.
    pub fn walk(
        &self,
        range: Range,
        order: Order,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let hidden = self.hidden.range::<Vec<u8>, _>((range.0.as_ref(), range.1.as_ref()));
        let hidden = hidden.filter_map(|(key, value)| Some((key.as_slice(), value.as_ref()?)));
        let stored = self.db()?.range(range.clone());
        caught("an index", || match order {
            Order::Ascending => self.merge(stored, hidden, |a, b| a < b, &mut each),
            Order::Descending => self.merge(stored.rev(), hidden.rev(), |a, b| a > b, &mut each),
        })
    }

    fn merge<'a>(
        &self,
        stored: impl Iterator<Item = ::sled::Result<(IVec, IVec)>>,
        hidden: impl Iterator<Item = (&'a [u8], &'a IVec)>,
        comes_first: impl Fn(&[u8], &[u8]) -> bool,
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut hidden = hidden.peekable();
        for entry in stored {
            let (key, value) = entry.map_err(|error| engine("reading", &error))?;
            while let Some((key, value)) = hidden.next_if(|(before, _)| comes_first(before, &key)) {
                if each(key, value)?.is_break() {
                    return Ok(());
                }
            }
            if !self.hidden.contains_key(&*key) && each(&key, &value)?.is_break() {
                return Ok(());
            }
        }
        for (key, value) in hidden {
            if each(key, value)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The value of `key` in the database, durable or not.
pub fn read(db: &::sled::Db, key: &[u8]) -> Result<Option<IVec>, StoreError> {
    caught("a record", || db.get(key).map_err(|error| engine("reading", &error)))
}

/// Runs `work` on the database. sled panics on some damage that it finds in its file: that is the file's
/// fault, not a reason for the server to lose a thread.
pub fn caught<T>(at: &str, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(StoreError::corrupt(format!("the database engine gave up: {}", message(panic.as_ref())), at))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

/// What sled says, in the store's words.
pub fn engine(doing: &'static str, error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(source) => {
            // sled hands on copies of an error, with its text in a form for programmers.
            let source = match source.kind() {
                ErrorKind::Other => std::io::Error::other(source.to_string()),
                kind => kind.into(),
            };
            StoreError::io(doing, "the database".as_ref(), source)
        }
        ::sled::Error::Corruption { at, .. } => StoreError::corrupt(
            "an entry whose checksum is wrong",
            at.map_or_else(|| "an unknown place".to_owned(), |at| at.to_string()),
        ),
        other => StoreError::corrupt(other.to_string(), doing),
    }
}
