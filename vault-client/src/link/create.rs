//! Making a link.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use vault_core::links::{
    Capsule, CapsuleFields, CapsuleKey, Link, LinkSecret, LinkUrl, PasswordStretching, Totals,
};
use vault_core::seal::Compressor;
use vault_proto::ids::LinkId;

use super::plan::Plan;
use super::{LinkError, Password, stored};
use crate::contents::{Contents, NamedSnapshot};
use crate::files::LeftOut;
use crate::platform::Rng;
use crate::progress::{Cancellation, Meter, ProgressListener, count, reporting};
use crate::remote::{HosterAddress, LinkBlocks, NewLink, RemoteError, Traffic};
use crate::transfer::keep_alone;
use crate::vault::Vault;

/// How long a link that has expired stays on the list, in seconds: clocks differ.
const KEPT_AFTER_EXPIRY: u64 = 24 * 60 * 60;

/// How long, how often and for whom a link is good.
#[derive(Debug, Clone, Default)]
pub struct LinkOptions {
    /// Until when, in seconds since 1970; `None` for ever.
    pub expires: Option<u64>,
    /// How often it may be downloaded; `None` for any number.
    pub max_downloads: Option<NonZeroU32>,
    /// What whoever opens it must know besides the URL.
    pub password: Option<Password>,
    /// For the members of the vault: at most 255 bytes without control
    /// characters; may be empty.
    pub label: String,
}

/// A link that was made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedLink {
    /// All that it takes to open it, but for the password.
    pub url: LinkUrl,
    /// How much it shows.
    pub totals: Totals,
    /// What it cannot show.
    pub left_out: Vec<LeftOut>,
    /// What passed over the network.
    pub traffic: Traffic,
    /// How long it took.
    pub elapsed: Duration,
}

impl CreatedLink {
    /// What the hoster knows it by.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.url.id()
    }
}

/// Makes a link to what is at `path` in a snapshot of a vault that `hoster`
/// keeps.
///
/// The chunks of its files are read once, to be sure of them; nothing but the
/// capsule and the vault's list of links is uploaded.
///
/// # Errors
/// See [`LinkError`]. When the hoster does not take the link in the end, it is
/// taken off the list again; when the line breaks just then, it stays there
/// ([`LinkState::Over`](super::LinkState::Over)), to be revoked.
pub fn create(
    vault: &mut Vault,
    hoster: &HosterAddress,
    snapshot: &NamedSnapshot,
    path: &[u8],
    options: &LinkOptions,
    listener: &Arc<dyn ProgressListener>,
    cancellation: &Cancellation,
) -> Result<CreatedLink, LinkError> {
    let begun = Instant::now();
    let remote = vault.remote();
    let traffic = remote.traffic();
    vault.refresh()?;
    let last_removal_seq = vault.root()?.last_removal_seq;
    let mut rng = Rng::new(vault.randomness());
    let secret = LinkSecret::generate(&mut rng);
    let (key, stretching) = key_of(&secret, options.password.as_ref(), &mut rng)?;

    let contents = Contents::open(vault)?;
    let plan = Plan::of(&contents, snapshot, path, cancellation)?;
    let meter = Meter::default();
    count(&meter.total_bytes, plan.sealed_bytes());
    let chunks = reporting(&meter, listener, || {
        plan.read_chunks(&contents, &meter, cancellation)
    })?;
    let fields = CapsuleFields {
        link: secret.id(),
        account: vault.account(),
        created: vault.now(),
        nodes: plan.nodes,
        chunks,
    };
    let mut compressor = Compressor::default();
    let capsule = Capsule::seal(
        &fields,
        vault.device_keys(),
        &key,
        &mut compressor,
        &mut rng,
    )?;
    let link = Link {
        secret: secret.clone(),
        capsule_key: key,
        capsule: capsule.id,
        capsule_size: u32::try_from(capsule.bytes.len()).expect("a pack is at most 16 MiB"),
        password: stretching,
        account: fields.account,
        created: fields.created,
        expires: options.expires.unwrap_or(0),
        max_downloads: options.max_downloads.map_or(0, NonZeroU32::get),
        snapshot: snapshot.id,
        path: shortest(path),
        label: options.label.clone(),
    };
    // Refused before anything is uploaded.
    let mut listed = stored::read(vault)?;
    listed.add(link.clone()).map_err(LinkError::Links)?;
    keep_alone(vault, &capsule.id, &capsule.bytes)?;
    remote.put_pack(&vault.id(), &capsule.id, Bytes::from(capsule.bytes))?;
    stored::change(vault, |vault, links| {
        if vault.root()?.last_removal_seq != last_removal_seq {
            // Packs that the capsule names may be gone.
            return Err(LinkError::Overtaken);
        }
        let now = u64::try_from(vault.now().seconds()).unwrap_or(0);
        let is_over =
            |link: &Link| link.expires != 0 && link.expires.saturating_add(KEPT_AFTER_EXPIRY) < now;
        let over: Vec<_> = links
            .all()
            .iter()
            .filter(|l| is_over(l))
            .map(Link::id)
            .collect();
        for id in over {
            links.remove(&id);
        }
        links.add(link.clone()).map_err(LinkError::Links)
    })?;
    let blocks = fields.blocks().into_iter();
    let new = NewLink {
        vault: vault.id(),
        link: secret.id(),
        capsule: capsule.id,
        packs: blocks
            .map(|(pack, blocks)| LinkBlocks { pack, blocks })
            .collect(),
        expires: options.expires,
        max_downloads: options.max_downloads,
    };
    if let Err(error) = remote.create_link(&new) {
        take_back(vault, &new.link, &error);
        return Err(error.into());
    }
    Ok(CreatedLink {
        url: LinkUrl {
            origin: hoster.origin.clone(),
            hoster: hoster.hoster,
            tls: hoster.tls,
            secret,
            capsule: capsule.id,
            password: stretching,
        },
        totals: fields.totals(),
        left_out: plan.left_out,
        traffic: remote.traffic().since(traffic),
        elapsed: begun.elapsed(),
    })
}

fn key_of(
    secret: &LinkSecret,
    password: Option<&Password>,
    rng: &mut Rng,
) -> Result<(CapsuleKey, Option<PasswordStretching>), LinkError> {
    let Some(password) = password else {
        return Ok((secret.capsule_key(None), None));
    };
    let stretching = PasswordStretching::generate(rng);
    let stretched = stretching.stretch(password.as_bytes())?;
    Ok((secret.capsule_key(Some(&stretched)), Some(stretching)))
}

/// A link that the hoster will not have does not stay on the list. That this
/// fails too is not told: what went wrong first is.
fn take_back(vault: &mut Vault, link: &LinkId, error: &RemoteError) {
    if matches!(error, RemoteError::Refused(_)) && !error.is_transient() {
        let _ = stored::change(vault, |_, links| {
            links.remove(link);
            Ok(())
        });
    }
}

/// A path without needless slashes, as snapshots spell it.
fn shortest(path: &[u8]) -> Vec<u8> {
    let mut shortest = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/').filter(|c| !c.is_empty()) {
        shortest.push(b'/');
        shortest.extend_from_slice(component);
    }
    if shortest.is_empty() {
        shortest.push(b'/');
    }
    shortest
}
