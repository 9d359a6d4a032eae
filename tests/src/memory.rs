//! The writable memory of a process, as far as there is any behind its mappings.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
/// Bits of an entry of the kernel's page map: the page is in memory, or swapped out.
const IN_USE: u64 = 1 << 63 | 1 << 62;

/// The memory of one process. An allocator reserves much more than it uses: what was never touched is left out.
pub struct Memory {
    bytes: File,
    pages: File,
    maps: String,
}

impl Memory {
    /// Opens the memory of `process`, a number or `self`.
    ///
    /// # Errors
    /// Where this process may not look into that one.
    pub fn of(process: &str) -> io::Result<Self> {
        let folder = format!("/proc/{process}");
        Ok(Self {
            bytes: File::open(format!("{folder}/mem"))?,
            pages: File::open(format!("{folder}/pagemap"))?,
            maps: fs::read_to_string(format!("{folder}/maps"))?,
        })
    }

    /// Where there are pages, one after the other, of mappings that the process can write to.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (start, end) in self.maps.lines().filter_map(writable) {
            let mut entries =
                vec![0; usize::try_from((end - start) / PAGE * 8).expect("it fits an address space")];
            // What has no page map, as the kernel's own pages, is read whole.
            let mapped = self.pages.read_exact_at(&mut entries, start / PAGE * 8).is_ok();
            for (at, entry) in (start..end).step_by(4096).zip(entries.chunks_exact(8)) {
                let entry = u64::from_ne_bytes(entry.try_into().expect("eight bytes"));
                if mapped && entry & IN_USE == 0 {
                    continue;
                }
                match ranges.last_mut() {
                    Some(last) if last.end == at => last.end = at + PAGE,
                    _ => ranges.push(at..at + PAGE),
                }
            }
        }
        ranges
    }

    /// Reads what is at `address`.
    ///
    /// # Errors
    /// Where nothing is mapped any more, or the kernel does not let anybody read it.
    pub fn read(&self, buffer: &mut [u8], address: u64) -> io::Result<()> {
        self.bytes.read_exact_at(buffer, address)
    }
}

fn writable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    rest.starts_with("rw").then_some(())?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}
