//! A file system that is really full.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use vault_proto::pack_list::PackList;
use vault_rpc::hoster::Reason;

use crate::support::{TestServer, assert_refused, not_tested, pack, sorted};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A small file system of its own, until it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// An error where mounting is not allowed, which takes root.
    fn mount(mebibytes: u32) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let size = format!("size={mebibytes}m,mode=700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .output()?;
        if !mount.status.success() {
            let said = String::from_utf8_lossy(&mount.stderr).trim().to_owned();
            return Err(io::Error::other(said));
        }
        Ok(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes every byte that is left; deleting the file gives them back.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [MIB, 4 * KIB, 1] {
            let piece = vec![1; size];
            while file.write_all(&piece).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once for new names, and for good when nobody has a file open.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        let _ = unmounted;
    }
}

#[tokio::test]
async fn a_really_full_disk_refuses_corrupts_nothing_and_recovers() {
    let disk = match SmallDisk::mount(64) {
        Ok(disk) => disk,
        Err(error) => {
            return not_tested(&format!(
                "a really full disk, as a file system cannot be mounted here ({error}); only \
                 the injected error of crash::a_disk_that_fills_up_refuses_and_recovers stands \
                 for it"
            ));
        }
    };
    let server = TestServer::start_in(disk.path()).await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let kept = [pack(MIB), pack(16 * KIB)];
    for pack in &kept {
        member.put(vault.id(), pack).await.unwrap();
    }
    let nothing = PackList::default();
    member.commit(&mut vault, &sorted(&kept), &nothing).await;

    let filler = disk.fill();
    let large = pack(MIB);
    let put = member.put(vault.id(), &large).await;
    assert_refused(put, Reason::DiskFull);
    // Small packs go to the ledger's log, until it needs another block.
    let mut small = Vec::new();
    loop {
        let next = pack(16 * KIB);
        match member.put(vault.id(), &next).await {
            Ok(_) => small.push(next),
            refused => break assert_refused(refused.map(drop), Reason::DiskFull),
        }
        assert!(small.len() < 1024, "the disk is not full");
    }
    let commit = member.commit_of(&vault, &nothing, &sorted(&kept[1..]));
    assert_refused(member.send(&commit).await, Reason::DiskFull);
    for pack in &kept {
        let range = [(pack.id, 0, pack.bytes.len() as u32)];
        assert!(member.read(vault.id(), &range).await.unwrap() == pack.bytes);
    }

    fs::remove_file(filler).unwrap();
    // By itself, and soon: the ledger looks every few seconds.
    let recovered = async {
        while let Err(status) = member.put(vault.id(), &large).await {
            assert_refused::<()>(Err(status), Reason::DiskFull);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let recovered = tokio::time::timeout(Duration::from_secs(120), recovered).await;
    recovered.expect("it does not recover");
    let adds = sorted([&large]);
    member.commit(&mut vault, &adds, &nothing).await;

    let server = server.restart(|_| {}).await;
    let invitation = server.invite(1000).await;
    member.reconnect(server.dial(&invitation).await);
    member.log_in().await;
    for pack in kept.iter().chain(&small).chain([&large]) {
        let range = [(pack.id, 0, pack.bytes.len() as u32)];
        assert!(member.read(vault.id(), &range).await.unwrap() == pack.bytes);
    }
    member.commit(&mut vault, &nothing, &sorted(&kept)).await;
    server.server.stop().await;
}
