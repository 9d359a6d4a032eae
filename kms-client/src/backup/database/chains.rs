//! The chains that this installation knows, and their files.

use std::path::{Path, absolute};

use super::super::chains::{Chain, ChainFile, stem_and_number};
use super::{BackupError, Batch, CHAINS, Database, FILES, folder_of, named};

impl Database {
    /// All chains.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn chains(&self) -> Result<Vec<Chain>, BackupError> {
        self.read_all(CHAINS)
    }

    /// The chain of this identifier.
    ///
    /// # Errors
    /// `Unknown` when there is none.
    pub fn chain(&self, id: &str) -> Result<Chain, BackupError> {
        let unknown = || BackupError::Unknown { what: "chain", name: id.to_owned() };
        self.read(&named(CHAINS, id))?.ok_or_else(unknown)
    }

    /// Whether a file is one of a chain that is known here as signed.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn is_signed(&self, file: &Path) -> Result<bool, BackupError> {
        let file = absolute(file).map_err(BackupError::io("find", file))?;
        let folder = folder_of(&file);
        let stem = match file.extension().is_some_and(|extension| extension == "chain") {
            true => file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned),
            false => stem_and_number(&file).map(|(stem, _)| stem),
        };
        let same = |chain: &Chain| {
            chain.signed && Some(&chain.stem) == stem.as_ref() && same_folder(&chain.repository(), &folder)
        };
        Ok(self.chains()?.iter().any(same))
    }

    /// The files of a chain, in their order.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn chain_files(&self, chain: &str) -> Result<Vec<ChainFile>, BackupError> {
        self.read_all(&format!("{FILES}{chain}/"))
    }

    /// Writes a chain and some of its files, as one change.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_chain(&mut self, chain: &Chain, files: &[ChainFile]) -> Result<(), BackupError> {
        self.write_chain(Batch::default(), chain, files)
    }

    /// Writes a chain and its files in the place of what was known of it, as one change.
    ///
    /// # Errors
    /// When the database fails.
    pub(in crate::backup) fn replace_chain(
        &mut self,
        chain: &Chain,
        files: &[ChainFile],
    ) -> Result<(), BackupError> {
        let mut batch = Batch::default();
        for known in self.keys_below(&format!("{FILES}{}/", chain.id))? {
            batch.remove(known);
        }
        self.write_chain(batch, chain, files)
    }

    fn write_chain(
        &mut self,
        mut batch: Batch,
        chain: &Chain,
        files: &[ChainFile],
    ) -> Result<(), BackupError> {
        self.put(&mut batch, &named(CHAINS, &chain.id), chain)?;
        for file in files {
            let key = format!("{FILES}{}/{:010}", chain.id, file.number).into_bytes();
            self.put(&mut batch, &key, file)?;
        }
        self.commit(batch)
    }
}

/// Whether two paths lead to the same folder, however they are written.
fn same_folder(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
