//! Long files, read and written without leaving them in the page cache.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, pwrite, pwritev2};

/// `RWF_DONTCACHE`, since Linux 6.14: pages that were not in the cache before do
/// not stay in it, and what is written begins its way to the disk at once.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// From this size on, in bytes, a file is long. Shorter ones are not worth a
/// write to the disk each.
pub(super) const LONG: u64 = 1 << 20;

/// Whether a file's bytes are to be left in the page cache.
///
/// A backup reads every file once: what it left there would push out what other
/// programs use, and finding the memory for it costs more than the reading. What
/// is in the cache already is taken from there and stays.
#[derive(Debug)]
pub(super) struct Caching {
    is_avoided: AtomicBool,
}

impl Caching {
    /// As it is done with a file of that size.
    pub(super) fn of_size(size: u64) -> Self {
        Self {
            is_avoided: AtomicBool::new(size >= LONG),
        }
    }

    /// `pread`.
    pub(super) fn read_at(
        &self,
        fd: &OwnedFd,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<usize, Errno> {
        if self.is_avoided.load(Ordering::Relaxed) {
            let buffers = &mut [IoSliceMut::new(buffer)];
            match preadv2(fd, buffers, offset, DONT_CACHE) {
                Err(errno) if is_unknown(errno) => self.give_up(),
                done => return done,
            }
        }
        pread(fd, buffer, offset)
    }

    /// `pwrite`.
    pub(super) fn write_at(&self, fd: &OwnedFd, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        if self.is_avoided.load(Ordering::Relaxed) {
            match pwritev2(fd, &[IoSlice::new(bytes)], offset, DONT_CACHE) {
                Err(errno) if is_unknown(errno) => self.give_up(),
                done => return done,
            }
        }
        pwrite(fd, bytes, offset)
    }

    fn give_up(&self) {
        self.is_avoided.store(false, Ordering::Relaxed);
    }
}

/// An older kernel, or a file system that does not know the flag. An error of
/// the file itself comes again without it.
fn is_unknown(errno: Errno) -> bool {
    matches!(errno, Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn bytes_are_the_same_either_way() {
        let file = tempfile::tempfile().unwrap();
        let fd = OwnedFd::from(file);
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let halves = bytes.split_at(1_234_567);
        let (long, short) = (Caching::of_size(LONG), Caching::of_size(LONG - 1));
        let write = |caching: &Caching, mut part: &[u8], mut at: u64| {
            while !part.is_empty() {
                let written = caching.write_at(&fd, part, at).unwrap();
                part = &part[written..];
                at += written as u64;
            }
        };
        write(&short, halves.1, halves.0.len() as u64);
        write(&long, halves.0, 0);
        for caching in [&long, &short] {
            let mut read = Vec::new();
            let mut buffer = vec![0; 700_001];
            loop {
                let got = caching
                    .read_at(&fd, &mut buffer, read.len() as u64)
                    .unwrap();
                if got == 0 {
                    break;
                }
                read.extend_from_slice(&buffer[..got]);
            }
            assert!(read == bytes);
        }
    }

    #[test]
    fn a_file_that_takes_no_flag_is_read_without() {
        // What the kernel makes up has no pages.
        let fd = OwnedFd::from(File::open("/proc/self/stat").unwrap());
        let caching = Caching::of_size(LONG);
        let mut buffer = [0; 16];
        assert_eq!(caching.read_at(&fd, &mut buffer, 0), Ok(16));
        assert!(!caching.is_avoided.load(Ordering::Relaxed));
    }
}
