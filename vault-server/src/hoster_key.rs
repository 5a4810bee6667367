//! The hoster's long-lived key: who it is, for every member for ever.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use vault_proto::{ids::HosterId, login::Hello, sign::VerifyingKey};

use crate::random;

/// An Ed25519 key in `DIR/hoster.key`: 64 hexadecimal digits and a line feed,
/// readable by its owner alone.
///
/// Whoever loses it has to invite every member again; whoever leaks it can be
/// impersonated, and even then cannot read anything.
pub struct HosterKey {
    signing: SigningKey,
    id: HosterId,
}

impl HosterKey {
    /// Reads the key, or makes one at the first start.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is no key.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = random::array().map_err(io::Error::other)?;
                let text = format!("{}\n", HEXLOWER.encode(&seed));
                write_secret(path, text.as_bytes())?;
                text
            }
            Err(error) => return Err(error),
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "hoster.key holds no key");
        let seed = HEXLOWER
            .decode(text.trim_end().as_bytes())
            .map_err(|_| damaged())?;
        let seed: [u8; 32] = seed.try_into().map_err(|_| damaged())?;
        let signing = SigningKey::from_bytes(&seed);
        let public = VerifyingKey::from_slice(signing.verifying_key().as_bytes());
        let id = public.map_err(io::Error::other)?.hoster_id();
        Ok(Self { signing, id })
    }

    /// The hash of the public key, which invitations carry.
    #[must_use]
    pub fn id(&self) -> HosterId {
        self.id
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    pub(crate) fn sign(&self, hello: &Hello) -> [u8; 64] {
        self.signing.sign(&hello.to_sign()).to_bytes()
    }
}

impl fmt::Debug for HosterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HosterKey({})", self.id)
    }
}

/// Writes a file that is there whole or not at all, for its owner alone.
///
/// # Errors
/// Those of the file system. An existing file is replaced.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hoster.key");
        let made = HosterKey::load_or_create(&path).unwrap();
        let again = HosterKey::load_or_create(&path).unwrap();
        assert_eq!(made.id(), again.id());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_key_is_no_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hoster.key");
        fs::write(&path, "0123\n").unwrap();
        assert!(HosterKey::load_or_create(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"0123\n");
    }
}
