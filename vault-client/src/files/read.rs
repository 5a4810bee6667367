//! Reading a file: its data without its holes, and whether it held still.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Advice, Mode, OFlags, SeekFrom, fadvise, fstat, openat, seek};
use rustix::io::Errno;
use vault_core::tree::Hole;

use super::Reason;
use super::directory::Directory;
use super::stat::{NodeKind, Stat};
use super::uncached::{Caching, LONG};

/// Holes that a node may list. The largest are kept; smaller ones are read as
/// the zeros that they stand for.
pub const MAX_HOLES: usize = 1024;

/// A file that claims to be empty is read up to here, in bytes. Files in
/// `/proc` claim so and are small; some claim so and never end.
const MAX_UNDECLARED: u64 = 256 << 20;

/// Bytes read at a time where nobody keeps them.
const BLOCK: usize = 256 << 10;

/// Where a file's bytes come from: a descriptor, or what a test makes of it.
pub trait Source: Send {
    /// What the file is now.
    ///
    /// # Errors
    /// The system's.
    fn stat(&self) -> io::Result<Stat>;

    /// Reads at an offset; 0 at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Says that the whole file will be read, and how long it is.
    fn expect(&mut self, _size: u64) {}

    /// Where the first data at or after `offset` begins; `None` if there is
    /// none before the end.
    ///
    /// # Errors
    /// The system's, also where it does not know about holes.
    fn seek_data(&self, offset: u64) -> io::Result<Option<u64>>;

    /// Where the first hole after `offset` begins; the end counts as one.
    ///
    /// # Errors
    /// The system's.
    fn seek_hole(&self, offset: u64) -> io::Result<u64>;

    /// The descriptor, if there is one.
    fn descriptor(&self) -> Option<&OwnedFd> {
        None
    }
}

/// Reads one file from its beginning to its end.
///
/// [`Read`] gives the data without the holes; [`FileReader::finish`] then says
/// how large the file turned out to be, where the holes are, and whether it
/// changed underneath.
pub struct FileReader {
    source: Box<dyn Source>,
    before: Stat,
    holes: Vec<Hole>,
    // Index in `holes` of the first that is still ahead.
    next_hole: usize,
    position: u64,
    is_at_end: bool,
}

/// A file that was read to its end.
#[derive(Debug, Clone)]
pub struct ReadFile {
    /// What the file was when it was opened; its `size` is that of what was
    /// read, holes included.
    pub stat: Stat,
    /// Ascending, not touching, at most [`MAX_HOLES`].
    pub holes: Vec<Hole>,
    /// Whether somebody wrote to it meanwhile. What was read is to be kept and
    /// reported as [`Reason::ChangedWhileRead`].
    pub has_changed: bool,
}

impl Directory {
    /// Opens a file in this directory for reading.
    ///
    /// Neither waits for a FIFO nor wakes a device that took the file's place:
    /// it opens without blocking, looks at what it got, and gives that up.
    ///
    /// # Errors
    /// [`Reason::Replaced`] if it is no regular file; otherwise why it could
    /// not be opened.
    pub fn open_file(&self, name: &[u8]) -> Result<FileReader, Reason> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let parent = self.0.fd()?;
        // Reading should leave no trace; only the owner may ask for that.
        let fd = match openat(&*parent, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => openat(&*parent, name, flags, Mode::empty()),
            other => other,
        };
        match fd {
            Ok(fd) => FileReader::new(Box::new(OpenFile {
                fd,
                caching: Caching::of_size(0),
            })),
            // A symlink, or a socket, or a device without a driver.
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => Err(Reason::Replaced),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl FileReader {
    /// Reads what `source` gives.
    ///
    /// # Errors
    /// [`Reason::Replaced`] if it is no regular file.
    pub fn new(mut source: Box<dyn Source>) -> Result<Self, Reason> {
        let before = source.stat().map_err(|error| Reason::from(&error))?;
        if before.kind != NodeKind::File {
            return Err(Reason::Replaced);
        }
        source.expect(before.size);
        let holes = if before.may_have_holes {
            find_holes(&*source, before.size)
        } else {
            Vec::new()
        };
        Ok(Self {
            source,
            before,
            holes,
            next_hole: 0,
            position: 0,
            is_at_end: false,
        })
    }

    /// What the file was when it was opened. Not what its directory's listing
    /// said, if it was written to or replaced in between.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.before
    }

    /// Bytes of data that reading will give, if the file tells the truth and
    /// holds still.
    #[must_use]
    pub fn expected_bytes(&self) -> u64 {
        let holes: u64 = self.holes.iter().map(|hole| hole.length).sum();
        self.before.size - holes
    }

    pub(super) fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// Ends the reading, and says what was read.
    ///
    /// # Errors
    /// [`Reason::Endless`] for a file that claims to be empty and does not
    /// end; otherwise why the file could not be looked at again.
    pub fn finish(mut self) -> Result<ReadFile, Reason> {
        let after = self.source.stat().map_err(|error| Reason::from(&error))?;
        let has_changed = !self.before.same_contents(&after);
        if !self.is_at_end && self.before.size == 0 && !has_changed {
            return Err(Reason::Endless);
        }
        let size = self.position;
        self.holes.retain_mut(|hole| {
            hole.length = hole.length.min(size.saturating_sub(hole.offset));
            hole.length > 0
        });
        Ok(ReadFile {
            stat: Stat {
                size,
                ..self.before
            },
            holes: self.holes,
            has_changed,
        })
    }

    /// Fills a buffer from an offset, holes read as zeros; less only at the end.
    pub(crate) fn read_block(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Reason> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            match self.source.read_at(&mut buffer[filled..], at) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Reason::from(&error)),
            }
        }
        Ok(filled)
    }

    /// Whether there is nothing but zeros in that part of the file. Reads only
    /// what the file system does not know to be a hole.
    pub(crate) fn is_zero(&self, part: &Hole) -> Result<bool, Reason> {
        let end = part.offset.saturating_add(part.length);
        let mut buffer = vec![0; usize::try_from(part.length).unwrap_or(BLOCK).min(BLOCK)];
        let mut position = part.offset;
        while position < end {
            // A file system that knows no holes is read throughout.
            let data = self.source.seek_data(position).unwrap_or(Some(position));
            match data {
                Some(data) if data < end => position = data.max(position),
                _ => return Ok(true),
            }
            let wanted = usize::try_from(end - position).unwrap_or(BLOCK).min(BLOCK);
            let read = self.read_block(&mut buffer[..wanted], position)?;
            if read == 0 || buffer[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            position += read as u64;
        }
        Ok(true)
    }

    /// How far this extent of data goes, from `position`.
    fn extent_end(&self) -> u64 {
        match self.holes.get(self.next_hole) {
            Some(hole) => hole.offset,
            // Whoever declares nothing is read to the end, within limits.
            None if self.before.size == 0 => MAX_UNDECLARED,
            None => self.before.size,
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.extent_end() {
            let Some(hole) = self.holes.get(self.next_hole) else {
                self.is_at_end = self.before.size > 0;
                return Ok(0);
            };
            self.position += hole.length;
            self.next_hole += 1;
        }
        if self.is_at_end || buffer.is_empty() {
            return Ok(0);
        }
        let left = self.extent_end() - self.position;
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let got = loop {
            match self.source.read_at(&mut buffer[..want], self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.position += got as u64;
        self.is_at_end = got == 0;
        Ok(got)
    }
}

/// The holes of a file, or none where the file system does not tell.
fn find_holes(source: &dyn Source, size: u64) -> Vec<Hole> {
    // The smallest on top, so that it goes when there are too many.
    let mut largest = BinaryHeap::new();
    let mut position = 0;
    while position < size {
        let Ok(data) = source.seek_data(position) else {
            break;
        };
        let data = data.unwrap_or(size).min(size);
        if data > position {
            largest.push(Reverse((data - position, position)));
            if largest.len() > MAX_HOLES {
                largest.pop();
            }
        }
        if data >= size {
            break;
        }
        match source.seek_hole(data) {
            // A file system that stands still is not asked again.
            Ok(hole) if hole > data => position = hole,
            _ => break,
        }
    }
    let mut holes: Vec<Hole> = largest
        .into_iter()
        .map(|Reverse((length, offset))| Hole { offset, length })
        .collect();
    holes.sort_unstable_by_key(|hole| hole.offset);
    holes
}

/// A file by its descriptor.
struct OpenFile {
    fd: OwnedFd,
    caching: Caching,
}

impl Source for OpenFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::from(&fstat(&self.fd)?))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.caching.read_at(&self.fd, buffer, offset)?)
    }

    fn expect(&mut self, size: u64) {
        self.caching = Caching::of_size(size);
        if size >= LONG {
            // Only advice: a file system that takes none reads all the same.
            let _ = fadvise(&self.fd, 0, None, Advice::Sequential);
        }
    }

    fn seek_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn seek_hole(&self, offset: u64) -> io::Result<u64> {
        Ok(seek(&self.fd, SeekFrom::Hole(offset))?)
    }

    fn descriptor(&self) -> Option<&OwnedFd> {
        Some(&self.fd)
    }
}

#[cfg(test)]
mod tests;
