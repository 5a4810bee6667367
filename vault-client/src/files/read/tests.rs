use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;
use crate::files::testing::{make_fifo, time, without_privileges};
use crate::files::{FileId, NodeKind};

fn read(reader: &mut FileReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

fn base() -> (tempfile::TempDir, Directory) {
    let base = tempfile::tempdir().unwrap();
    let directory = Directory::open(base.path()).unwrap();
    (base, directory)
}

/// The whole contents, holes filled in.
fn expand(data: &[u8], read: &ReadFile) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut data = data;
    for hole in &read.holes {
        let (before, after) = data.split_at(hole.offset as usize - whole.len());
        whole.extend_from_slice(before);
        whole.resize((hole.offset + hole.length) as usize, 0);
        data = after;
    }
    whole.extend_from_slice(data);
    whole
}

#[test]
fn reads_a_file_to_its_end() {
    let (base, directory) = base();
    let contents: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(base.path().join("file"), &contents).unwrap();
    fs::write(base.path().join("empty"), "").unwrap();
    for (name, expected) in [("file", &contents[..]), ("empty", b"")] {
        let mut reader = directory.open_file(name.as_bytes()).unwrap();
        assert_eq!(reader.expected_bytes(), expected.len() as u64);
        assert!(read(&mut reader) == expected);
        let read = reader.finish().unwrap();
        assert_eq!(read.stat.size, expected.len() as u64);
        assert!(read.holes.is_empty() && !read.has_changed);
    }
}

#[test]
fn skips_holes_however_large() {
    let (base, directory) = base();
    let path = base.path().join("sparse");
    let file = File::create(&path).unwrap();
    let size = 10 << 30;
    file.set_len(size).unwrap();
    file.write_at(b"middle", 5 << 30).unwrap();
    let mut reader = directory.open_file(b"sparse").unwrap();
    let data = read(&mut reader);
    // Blocks, not bytes, are allocated.
    assert!(data.len() < 1 << 20, "{} bytes read", data.len());
    let read = reader.finish().unwrap();
    let holes: u64 = read.holes.iter().map(|hole| hole.length).sum();
    assert_eq!((read.stat.size, holes + data.len() as u64), (size, size));
    assert_eq!(read.holes.len(), 2);
    let start = (5 << 30) - read.holes[0].length as usize;
    assert_eq!(&data[start..start + 6], b"middle");
}

#[test]
fn reads_small_holes_as_zeros_when_there_are_too_many() {
    let (base, directory) = base();
    let path = base.path().join("comb");
    let file = File::create(&path).unwrap();
    // 1,500 holes; every tenth is larger than the others.
    let mut offset = 0;
    for n in 0..1_500u64 {
        file.write_all_at(&[n as u8 | 1; 4096], offset).unwrap();
        offset += if n % 10 == 0 { 16_384 } else { 8_192 };
    }
    file.set_len(offset).unwrap();
    let mut reader = directory.open_file(b"comb").unwrap();
    let expected = reader.expected_bytes();
    let data = read(&mut reader);
    assert_eq!(data.len() as u64, expected);
    let read = reader.finish().unwrap();
    assert_eq!(read.holes.len(), MAX_HOLES);
    let large = read.holes.iter().filter(|hole| hole.length > 4096);
    assert_eq!(large.count(), 150, "the largest are kept");
    assert!(expand(&data, &read) == fs::read(path).unwrap());
}

#[test]
fn notices_that_a_file_grew_and_keeps_what_was_there() {
    let (base, directory) = base();
    let path = base.path().join("log");
    fs::write(&path, "before").unwrap();
    let mut reader = directory.open_file(b"log").unwrap();
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b" and after").unwrap();
    assert_eq!(read(&mut reader), b"before");
    let read = reader.finish().unwrap();
    assert!(read.has_changed);
    assert_eq!(read.stat.size, 6);
}

#[test]
fn notices_that_a_file_shrank_and_keeps_what_was_read() {
    let (base, directory) = base();
    let path = base.path().join("file");
    let file = File::create(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(&[1; 100_000], 0).unwrap();
    file.write_all_at(&[2; 100_000], 500_000).unwrap();
    let mut reader = directory.open_file(b"file").unwrap();
    let mut start = [0; 1000];
    reader.read_exact(&mut start).unwrap();
    file.set_len(50_000).unwrap();
    let mut data = start.to_vec();
    data.extend(read(&mut reader));
    let read = reader.finish().unwrap();
    assert!(read.has_changed);
    let holes: u64 = read.holes.iter().map(|hole| hole.length).sum();
    assert_eq!(data.len() as u64 + holes, read.stat.size);
    assert_eq!(data, [1; 50_000]);
}

#[test]
fn notices_a_change_of_the_same_length() {
    let (base, directory) = base();
    let path = base.path().join("file");
    fs::write(&path, "one").unwrap();
    let old = fs::metadata(&path).unwrap().modified().unwrap();
    let mut reader = directory.open_file(b"file").unwrap();
    assert_eq!(read(&mut reader), b"one");
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    file.set_modified(old + std::time::Duration::from_nanos(1))
        .unwrap();
    assert!(reader.finish().unwrap().has_changed);
}

#[test]
fn refuses_whatever_is_no_file_without_waiting_for_it() {
    let (base, directory) = base();
    make_fifo(&base.path().join("fifo"));
    let _socket = UnixListener::bind(base.path().join("socket")).unwrap();
    fs::create_dir(base.path().join("directory")).unwrap();
    fs::write(base.path().join("file"), "x").unwrap();
    symlink("file", base.path().join("link")).unwrap();
    for name in ["fifo", "socket", "directory", "link"] {
        let refused = directory.open_file(name.as_bytes()).err();
        assert_eq!(refused, Some(Reason::Replaced), "{name}");
    }
    assert_eq!(directory.open_file(b"no").err(), Some(Reason::Vanished));
    let dev = Directory::open(Path::new("/dev")).unwrap();
    assert_eq!(dev.open_file(b"zero").err(), Some(Reason::Replaced));
}

#[test]
fn reports_a_file_that_may_not_be_read() {
    let (base, directory) = base();
    let path = base.path().join("secret");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    let refused = without_privileges(|| directory.open_file(b"secret").err());
    assert_eq!(refused, Some(Reason::NotPermitted));
}

#[test]
fn reads_files_that_lie_about_their_size() {
    let proc = Directory::open(Path::new("/proc/self")).unwrap();
    let mut reader = proc.open_file(b"status").unwrap();
    assert_eq!(reader.stat().size, 0);
    let data = read(&mut reader);
    assert!(data.starts_with(b"Name:"));
    let read_file = reader.finish().unwrap();
    assert_eq!(read_file.stat.size, data.len() as u64);
    // This one claims 4,096 bytes.
    let sys = Directory::open(Path::new("/sys/kernel/mm/transparent_hugepage"));
    let Ok(sys) = sys else { return };
    let mut reader = sys.open_file(b"enabled").unwrap();
    let data = read(&mut reader);
    let read_file = reader.finish().unwrap();
    assert!(read_file.stat.size == data.len() as u64 && !read_file.has_changed);
}

/// A file that the tests make up.
struct Made {
    size: u64,
    read_at: fn(u64) -> io::Result<usize>,
    looks: Cell<u32>,
    grows: bool,
}

impl Made {
    fn reader(size: u64, read_at: fn(u64) -> io::Result<usize>, grows: bool) -> FileReader {
        let looks = Cell::new(0);
        FileReader::new(Box::new(Self {
            size,
            read_at,
            looks,
            grows,
        }))
        .unwrap()
    }
}

impl Source for Made {
    fn stat(&self) -> io::Result<Stat> {
        self.looks.set(self.looks.get() + 1);
        let grown = if self.grows {
            u64::from(self.looks.get() - 1)
        } else {
            0
        };
        Ok(Stat {
            kind: NodeKind::File,
            id: FileId { dev: 1, ino: 1 },
            size: self.size + grown,
            modified: time(1, 0),
            changed: time(1, 0),
            mode: 0o644,
            uid: 0,
            gid: 0,
            links: 1,
            device: (0, 0),
            may_have_holes: false,
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok((self.read_at)(offset)?.min(buffer.len()))
    }

    fn seek_data(&self, _: u64) -> io::Result<Option<u64>> {
        Err(Errno::INVAL.into())
    }

    fn seek_hole(&self, _: u64) -> io::Result<u64> {
        Err(Errno::INVAL.into())
    }
}

#[test]
fn passes_on_what_the_disk_says() {
    let broken = |offset| {
        if offset < 10_000 {
            Ok(10_000 - offset as usize)
        } else {
            Err(Errno::IO.into())
        }
    };
    let mut reader = Made::reader(20_000, broken, false);
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(
        Reason::from(&error),
        Reason::Failed(Errno::IO.raw_os_error())
    );
    assert_eq!(bytes.len(), 10_000);
}

#[test]
fn goes_on_after_an_interruption() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    let interrupted = |_| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            Ok(10)
        } else {
            Err(Errno::INTR.into())
        }
    };
    let mut reader = Made::reader(10, interrupted, false);
    let mut bytes = [0; 10];
    assert_eq!(reader.read(&mut bytes).unwrap(), 10);
}

#[test]
fn gives_up_on_a_file_that_claims_to_be_empty_and_never_ends() {
    for (grows, result) in [(false, Some(Reason::Endless)), (true, None)] {
        let mut reader = Made::reader(0, |_| Ok(usize::MAX), grows);
        let mut total = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                got => total += got as u64,
            }
        }
        assert_eq!(total, MAX_UNDECLARED);
        // One that somebody writes to is saved as far as it was read.
        assert_eq!(reader.finish().err(), result);
    }
}
