//! What [`Packs`] does with both ports, whichever adapters stand behind them.

use std::sync::{Arc, atomic::AtomicBool};

use vault_proto::{
    ids::{AccountId, PackId, VaultId},
    wire::VaultKind,
};

use super::{blobs::OnDisk, contract};
use crate::{
    clock::UnixTime,
    store::{
        blobs::{BlobError, BlobStore, Incoming, Room, Which},
        ledger::{Ledger, NewAccount, NewOffer, NewVault, QuotaRoom, Terms},
        memory::{MemoryBlobs, MemoryLedger},
        packs::{Begun, DiskReserve, Packs, PutError, Reconciled, Swept},
        records::{
            Blob, Invitation, InvitationHash, OfferFrom, OfferHash, PackState, Presence, Usage,
        },
    },
};

macro_rules! suite {
    ($adapter:ident, $make:expr) => {
        contract!(
            $adapter,
            $make,
            crate::store::contract::packs {
                an_upload_is_there_when_it_is_finished,
                the_wrong_bytes_leave_nothing,
                an_upload_that_is_dropped_gives_its_room_back,
                a_full_disk_refuses_before_and_during,
                a_lowered_quota_refuses_during,
                the_sweep_takes_what_is_over,
                the_sweep_spares_what_is_uploaded_again,
                a_pack_that_cannot_be_deleted_stops_no_sweep,
                what_the_ledger_does_not_know_is_deleted,
                what_has_no_bytes_is_lost_and_repaired,
            }
        );
    };
}

suite!(
    memory_packs,
    crate::store::contract::packs::Stores::memory()
);
suite!(
    embedded_packs,
    crate::store::contract::packs::Stores::embedded()
);

static NEVER: AtomicBool = AtomicBool::new(false);
const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
const VAULT: VaultId = VaultId::from_array([3; 32]);
const ACCOUNT: AccountId = AccountId::from_array([4; 32]);
const QUOTA: u64 = 10_000_000;
/// One that RocksDB keeps, one that is a file.
const SIZES: [usize; 2] = [16 << 10, 2 << 20];

/// An account with a vault, in two stores.
pub(super) struct Stores {
    ledger: Arc<dyn Ledger>,
    blobs: Arc<dyn BlobStore>,
    _on_disk: Option<Box<dyn std::any::Any>>,
}

impl Stores {
    pub(super) fn memory() -> Self {
        Self {
            ledger: Arc::new(MemoryLedger::new(Terms::default())),
            blobs: Arc::new(MemoryBlobs::default()),
            _on_disk: None,
        }
        .with_vault()
    }

    pub(super) fn embedded() -> Self {
        let OnDisk { store, directory } = OnDisk::new();
        Self {
            ledger: Arc::new(store.ledger),
            blobs: Arc::new(store.blobs),
            _on_disk: Some(Box::new(directory)),
        }
        .with_vault()
    }

    fn with_vault(self) -> Self {
        let invitation = Invitation {
            quota_bytes: QUOTA,
            label: String::new(),
            expires: UnixTime::from_seconds(u64::MAX),
            used_by: None,
        };
        let hash = InvitationHash([0; 32]);
        self.ledger.add_invitation(&hash, &invitation).unwrap();
        let account = NewAccount {
            invitation: hash,
            id: ACCOUNT,
            genesis: &[],
            devices: &[],
            now: NOW,
        };
        let _ = self.ledger.create_account(&account).unwrap();
        let vault = NewVault {
            id: VAULT,
            kind: VaultKind::Storage,
            creator: ACCOUNT,
            genesis: &[],
        };
        let _ = self.ledger.create_vault(&vault).unwrap();
        self
    }

    fn port(&self) -> &Self {
        self
    }

    fn packs(&self) -> Arc<Packs> {
        let none = DiskReserve {
            bytes: 0,
            percent: 0,
        };
        self.packs_with(none)
    }

    fn packs_with(&self, reserve: DiskReserve) -> Arc<Packs> {
        let (ledger, blobs) = (Arc::clone(&self.ledger), Arc::clone(&self.blobs));
        Arc::new(Packs::new(ledger, blobs, reserve))
    }

    /// The same packs, of which one cannot be deleted.
    fn stubborn(&self, blob: Blob) -> Arc<Packs> {
        let blobs = Stubborn(Arc::clone(&self.blobs), blob);
        let none = DiskReserve {
            bytes: 0,
            percent: 0,
        };
        Arc::new(Packs::new(Arc::clone(&self.ledger), Arc::new(blobs), none))
    }

    fn usage(&self) -> Usage {
        self.ledger.account(&ACCOUNT).unwrap().unwrap().usage
    }

    fn state(&self, blob: &Blob) -> Option<PackState> {
        let records = self.ledger.packs(&VAULT, &[blob.pack]).unwrap();
        records[0].map(|pack| pack.state)
    }
}

/// A store that fails to delete one blob.
struct Stubborn(Arc<dyn BlobStore>, Blob);

impl BlobStore for Stubborn {
    fn begin(&self, blob: &Blob) -> Result<Box<dyn Incoming>, BlobError> {
        self.0.begin(blob)
    }

    fn read(&self, blob: &Blob, offset: u32, into: &mut [u8]) -> Result<(), BlobError> {
        self.0.read(blob, offset, into)
    }

    fn delete(&self, blob: &Blob) -> Result<(), BlobError> {
        match *blob == self.1 {
            true => Err(BlobError::Io(std::io::ErrorKind::PermissionDenied.into())),
            false => self.0.delete(blob),
        }
    }

    fn is_there(&self, blob: &Blob) -> Result<bool, BlobError> {
        self.0.is_there(blob)
    }

    fn is_apart(&self, blob: &Blob) -> bool {
        self.0.is_apart(blob)
    }

    fn list(
        &self,
        which: Which,
        visit: &mut dyn FnMut(Blob) -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        self.0.list(which, visit)
    }

    fn verify(&self, blob: &Blob) -> Result<(), BlobError> {
        self.0.verify(blob)
    }

    fn room(&self) -> Result<Room, BlobError> {
        self.0.room()
    }
}

fn blob(size: usize) -> (Blob, Vec<u8>) {
    let bytes = vec![size as u8 + 1; size];
    let blob = Blob {
        vault: VAULT,
        pack: PackId::of(&bytes),
        size: size.try_into().unwrap(),
    };
    (blob, bytes)
}

fn put(packs: &Arc<Packs>, blob: &Blob, bytes: &[u8], now: UnixTime) -> Result<bool, PutError> {
    let Begun::Upload(mut upload) = packs.begin(blob, QuotaRoom::Plain, now)? else {
        return Ok(false);
    };
    for part in bytes.chunks(100_000) {
        upload.write(part)?;
    }
    upload.finish(now)?;
    Ok(true)
}

pub(super) fn an_upload_is_there_when_it_is_finished(stores: &Stores) {
    let packs = stores.packs();
    for size in SIZES {
        let (blob, bytes) = blob(size);
        assert_eq!(
            packs.have(&VAULT, &[blob.pack], NOW).unwrap(),
            [Presence::Absent]
        );
        assert!(put(&packs, &blob, &bytes, NOW).unwrap());
        assert_eq!(
            packs.have(&VAULT, &[blob.pack], NOW).unwrap(),
            [Presence::There]
        );
        let mut read = vec![0; size];
        packs.read(&blob, 0, &mut read).unwrap();
        assert_eq!(read, bytes);
        assert!(!put(&packs, &blob, &bytes, NOW).unwrap(), "it was there");
    }
    let total = SIZES.iter().sum::<usize>() as u64;
    assert_eq!(stores.usage().unclaimed_bytes, total);
}

pub(super) fn the_wrong_bytes_leave_nothing(stores: &Stores) {
    let packs = stores.packs();
    for size in SIZES {
        let (blob, bytes) = blob(size);
        let mut flipped = bytes.clone();
        flipped[size - 1] ^= 1;
        let put = |bytes: &[u8]| put(&packs, &blob, bytes, NOW);
        assert!(matches!(put(&flipped), Err(PutError::HashMismatch)));
        let short = put(&bytes[1..]);
        assert!(matches!(short, Err(PutError::WrongLength { .. })));
        let long = put(&[&bytes[..], &[0]].concat());
        assert!(matches!(long, Err(PutError::WrongLength { .. })));
        assert!(!stores.blobs.is_there(&blob).unwrap());
        assert_eq!(stores.state(&blob), None);
    }
    assert_eq!(stores.usage(), Usage::default());
}

pub(super) fn an_upload_that_is_dropped_gives_its_room_back(stores: &Stores) {
    let packs = stores.packs();
    let (blob, bytes) = blob(8 << 20);
    let Begun::Upload(mut upload) = packs.begin(&blob, QuotaRoom::Plain, NOW).unwrap() else {
        panic!("nothing is there");
    };
    upload.write(&bytes[..100]).unwrap();
    let (other, _) = self::blob(4 << 20);
    let refused = packs.begin(&other, QuotaRoom::Plain, NOW);
    let Err(PutError::OverQuota(fullness)) = refused.map(|_| ()) else {
        panic!("the first upload takes the room");
    };
    assert_eq!(fullness.used_bytes, 8 << 20);
    drop(upload);
    assert!(packs.begin(&other, QuotaRoom::Plain, NOW).is_ok());
}

pub(super) fn a_full_disk_refuses_before_and_during(stores: &Stores) {
    let everything = DiskReserve {
        bytes: u64::MAX,
        percent: 0,
    };
    let (blob, bytes) = blob(SIZES[1]);
    let full = stores.packs_with(everything);
    // The memory adapter has as much room as there can be.
    if stores.blobs.room().unwrap().free_bytes < u64::MAX {
        let refused = put(&full, &blob, &bytes, NOW);
        assert!(matches!(refused, Err(PutError::DiskFull)));
    }
    assert_eq!(stores.state(&blob), None);
    // The room went back.
    assert!(put(&stores.packs(), &blob, &bytes, NOW).unwrap());
}

pub(super) fn a_lowered_quota_refuses_during(stores: &Stores) {
    let packs = stores.packs();
    let (blob, bytes) = blob(SIZES[1]);
    let Begun::Upload(mut upload) = packs.begin(&blob, QuotaRoom::Plain, NOW).unwrap() else {
        panic!("nothing is there");
    };
    upload.write(&bytes[..1000]).unwrap();
    stores.ledger.set_quota(&ACCOUNT, 1000).unwrap();
    let refused = upload.write(&bytes[1000..]);
    assert!(matches!(refused, Err(PutError::OverQuota(_))));
}

pub(super) fn the_sweep_takes_what_is_over(stores: &Stores) {
    let packs = stores.packs();
    for size in SIZES {
        let (blob, bytes) = blob(size);
        put(&packs, &blob, &bytes, NOW).unwrap();
    }
    let lease = Terms::default().lease;
    let early = packs.sweep(UnixTime::from_seconds(NOW.plus(lease).seconds() - 1));
    assert_eq!(early.unwrap(), Swept::default());
    let swept = packs.sweep(NOW.plus(lease)).unwrap();
    let bytes = SIZES.iter().sum::<usize>() as u64;
    assert_eq!(
        swept,
        Swept {
            packs: 2,
            bytes,
            ..Swept::default()
        }
    );
    for size in SIZES {
        let (blob, _) = blob(size);
        assert!(!stores.blobs.is_there(&blob).unwrap());
        assert_eq!(stores.state(&blob), None);
    }
    assert_eq!(stores.usage(), Usage::default());
}

/// The sweep marked a pack, and it is uploaded again before it is unlinked.
pub(super) fn the_sweep_spares_what_is_uploaded_again(stores: &Stores) {
    let packs = stores.packs();
    let later = NOW.plus(Terms::default().lease);
    for size in SIZES {
        let (blob, bytes) = blob(size);
        put(&packs, &blob, &bytes, NOW).unwrap();
        assert_eq!(stores.ledger.doom(later, 10).unwrap(), [blob]);
        assert!(put(&packs, &blob, &bytes, later).unwrap());
        assert_eq!(packs.sweep(later).unwrap(), Swept::default());
        stores.blobs.verify(&blob).unwrap();
    }
}

pub(super) fn a_pack_that_cannot_be_deleted_stops_no_sweep(stores: &Stores) {
    let packs = stores.packs();
    // It is due before the others, whatever their order.
    let (stuck, bytes) = blob(64 << 10);
    put(
        &packs,
        &stuck,
        &bytes,
        UnixTime::from_seconds(NOW.seconds() - 1),
    )
    .unwrap();
    for size in SIZES {
        let (blob, bytes) = blob(size);
        put(&packs, &blob, &bytes, NOW).unwrap();
    }
    let offer = NewOffer {
        account: ACCOUNT,
        hash: OfferHash::of(&[1]),
        offer: &[1],
        from: OfferFrom::Stranger,
        now: NOW,
    };
    let _ = stores.ledger.put_offer(&offer).unwrap();

    let stubborn = stores.stubborn(stuck);
    let later = NOW.plus(Terms::default().offer);
    let error = stubborn.sweep(later).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    for size in SIZES {
        let (blob, _) = blob(size);
        assert!(!stores.blobs.is_there(&blob).unwrap());
        assert_eq!(stores.state(&blob), None);
    }
    assert_eq!(stores.ledger.offers(&ACCOUNT, NOW).unwrap(), []);
    // It is left alone for a while, and then tried again.
    assert_eq!(stores.ledger.doom(later, 10).unwrap(), []);
    assert_eq!(stubborn.sweep(later).unwrap(), Swept::default());
    let hour = later.plus(std::time::Duration::from_secs(60 * 60));
    assert!(stubborn.sweep(hour).is_err());
    let swept = packs.sweep(hour.plus(std::time::Duration::from_secs(60 * 60)));
    assert_eq!(swept.unwrap().packs, 1);
    assert!(!stores.blobs.is_there(&stuck).unwrap());
    assert_eq!(stores.state(&stuck), None);
}

pub(super) fn what_the_ledger_does_not_know_is_deleted(stores: &Stores) {
    let packs = stores.packs();
    let (known, bytes) = blob(SIZES[1]);
    put(&packs, &known, &bytes, NOW).unwrap();
    let (small, bytes) = blob(SIZES[0]);
    put(&packs, &small, &bytes, NOW).unwrap();
    // Stored, and the server died before the ledger heard of it.
    let unknown = [32 << 10, 1 << 20].map(|size| {
        let (unknown, bytes) = blob(size);
        let mut incoming = stores.blobs.begin(&unknown).unwrap();
        incoming.write(&bytes).unwrap();
        incoming.settle().unwrap();
        incoming.finish().unwrap();
        unknown
    });
    let found = packs.reconcile(&NEVER).unwrap();
    let expected = Reconciled {
        unknown: 2,
        lost: 0,
    };
    assert_eq!(found, expected);
    for blob in &unknown {
        assert!(!stores.blobs.is_there(blob).unwrap());
    }
    stores.blobs.verify(&known).unwrap();
    stores.blobs.verify(&small).unwrap();
    assert_eq!(packs.reconcile(&NEVER).unwrap(), Reconciled::default());
}

pub(super) fn what_has_no_bytes_is_lost_and_repaired(stores: &Stores) {
    let packs = stores.packs();
    let (blob, bytes) = blob(SIZES[1]);
    put(&packs, &blob, &bytes, NOW).unwrap();
    stores.blobs.delete(&blob).unwrap();
    // Found by a read, or by the comparison after a start.
    assert!(packs.read(&blob, 0, &mut [0]).is_err());
    assert_eq!(stores.state(&blob), None);
    assert!(put(&packs, &blob, &bytes, NOW).unwrap());
    stores.blobs.delete(&blob).unwrap();
    assert_eq!(packs.reconcile(&NEVER).unwrap().lost, 1);
    assert_eq!(
        packs.have(&VAULT, &[blob.pack], NOW).unwrap(),
        [Presence::Absent]
    );
    assert!(put(&packs, &blob, &bytes, NOW).unwrap());
    packs.read(&blob, 0, &mut [0]).unwrap();
}
