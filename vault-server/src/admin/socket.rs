//! The socket's two ends, whatever the length of its path.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

use tokio::net::UnixStream;
use tokio_stream::wrappers::UnixListenerStream;

/// Connections to the socket.
pub(crate) type Socket = UnixListenerStream;

const NAME: &str = "admin.sock";

/// Listens on `admin.sock` in the data directory, whose lock the caller holds:
/// a socket that is there already is nobody's.
pub(crate) fn listen(data: &Path) -> io::Result<Socket> {
    let (directory, short) = short_path(data)?;
    match fs::remove_file(data.join(NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(short)?;
    drop(directory);
    // The directory is its owner's alone; this is for one that was not made by us.
    fs::set_permissions(data.join(NAME), Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    Ok(UnixListenerStream::new(listener))
}

/// Connects to the socket.
pub(super) async fn dial(data: &Path) -> io::Result<UnixStream> {
    let (_directory, short) = short_path(data)?;
    UnixStream::connect(short).await
}

/// A path of the socket that fits into the 108 bytes that the kernel has for
/// it, good while the directory is open.
fn short_path(data: &Path) -> io::Result<(File, PathBuf)> {
    let directory = File::open(data)?;
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    Ok((directory, path.into()))
}
