//! Several hosters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use vault_proto::ids::{AccountId, DeviceId};
use vault_proto::origin::Origin;

use super::{MemoryHoster, MemoryRemote};
use crate::remote::{Connect, Credentials, HosterAddress, Remote, RemoteError, Visitor};

/// Hosters in memory, each where it is dialled. Clones are the same network.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    hosters: Arc<Mutex<BTreeMap<Origin, MemoryHoster>>>,
}

impl MemoryNetwork {
    /// One of these hosters.
    #[must_use]
    pub fn new(hosters: &[&MemoryHoster]) -> Self {
        let network = Self::default();
        for hoster in hosters {
            network.lead(hoster.origin(), hoster);
        }
        network
    }

    /// From now on, whoever dials `origin` reaches `hoster`, whose own origin may
    /// be another. Handles that were given out already stay where they are.
    pub fn lead(&self, origin: Origin, hoster: &MemoryHoster) {
        let mut hosters = self.hosters.lock().unwrap_or_else(PoisonError::into_inner);
        hosters.insert(origin, hoster.clone());
    }

    fn at(&self, origin: &Origin) -> Result<MemoryHoster, RemoteError> {
        let hosters = self.hosters.lock().unwrap_or_else(PoisonError::into_inner);
        let hoster = hosters.get(origin).cloned();
        hoster.ok_or_else(|| RemoteError::Unreachable {
            detail: format!("nobody is at {origin}"),
        })
    }

    fn handle(
        &self,
        address: &HosterAddress,
        caller: Option<(AccountId, DeviceId)>,
    ) -> Arc<MemoryRemote> {
        let hoster = self.at(&address.origin).and_then(|hoster| {
            if hoster.id() == address.hoster {
                Ok(hoster)
            } else {
                Err(RemoteError::WrongHosterKey)
            }
        });
        Arc::new(MemoryRemote::new(hoster, caller))
    }
}

impl Connect for MemoryNetwork {
    fn connect(&self, address: HosterAddress, credentials: Credentials) -> Arc<dyn Remote> {
        let device = credentials.device.id();
        self.handle(&address, Some((credentials.account, device)))
    }

    fn visit(&self, address: HosterAddress) -> Arc<dyn Visitor> {
        self.handle(&address, None)
    }

    fn discover(&self, origin: &Origin) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError> {
        let address = HosterAddress {
            origin: origin.clone(),
            ..self.at(origin)?.address()
        };
        Ok((address.clone(), self.visit(address)))
    }
}
