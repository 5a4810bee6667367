//! Lists of links.

use serde_json::{Value, json};
use vault_core::links::{Link, LinkSecret, Links, PasswordStretching};
use vault_core::snapshot::SnapshotId;
use vault_core::timestamp::Timestamp;
use vault_proto::ids::{AccountId, PackId};
use vault_proto::wire;

use super::{Described, File, Vector, changed, hex, refused, vector, with};

pub const FILE: File = File {
    name: "links",
    about: "bytes: an encoded coffre.v1.Links. The keys of the capsules are those of links \
            without a password.",
    describe,
    make,
};

fn describe(bytes: &[u8], _: &Value) -> Described {
    let links = Links::decode(bytes).map_err(refused)?;
    assert_eq!(links.encode(), bytes);
    let link = |link: &Link| {
        assert_eq!(link.capsule_key, link.secret.capsule_key(None));
        json!({
            "id": link.id().to_string(),
            "capsule": link.capsule.to_string(),
            "capsule_size": link.capsule_size,
            "password": link.password.is_some(),
            "account": link.account.to_string(),
            "created": [link.created.seconds(), link.created.nanoseconds()],
            "expires": link.expires,
            "max_downloads": link.max_downloads,
            "snapshot": link.snapshot.to_string(),
            "path": hex(&link.path),
            "label": link.label,
        })
    };
    Ok(json!({ "links": links.all().iter().map(link).collect::<Vec<_>>() }))
}

fn make() -> Vec<Vector> {
    let mut links = Links::default();
    for (number, password, label) in [(1, false, ""), (2, true, "for \u{c9}lo\u{ef}se")] {
        let secret = LinkSecret::from_array([number; 32]);
        let stretching = PasswordStretching::new(65_536, 1, 1, [number; 16]).unwrap();
        let link = Link {
            capsule_key: secret.capsule_key(None),
            secret,
            capsule: PackId::from_array([number + 2; 32]),
            capsule_size: 16 << 10,
            password: password.then_some(stretching),
            account: AccountId::from_array([5; 32]),
            created: Timestamp::new(1_795_000_000, 7).unwrap(),
            expires: if password { 1_800_000_000 } else { 0 },
            max_downloads: if password { 3 } else { 0 },
            snapshot: SnapshotId::from_slice(&[6; 32]).unwrap(),
            path: b"/home/ada".to_vec(),
            label: label.to_owned(),
        };
        links.add(link).unwrap();
    }
    let good = links.encode();
    let mut vectors = vec![
        vector("nothing", Vec::new()),
        vector("two links, one with all there is", good.clone()),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::Links)| {
        vectors.push(vector(name, changed(&good, change)));
    };
    bad("links out of order", &|l| l.links.reverse());
    bad("a link twice", &|l| l.links[1] = l.links[0].clone());
    bad("a secret of 31 bytes", &|l| l.links[0].secret.truncate(31));
    bad("a capsule of a size that no pack has", &|l| {
        l.links[0].capsule_size = 20_000
    });
    bad("no time", &|l| l.links[0].created = None);
    bad("a relative path", &|l| l.links[0].path = b"a".to_vec());
    bad("a path that goes up", &|l| {
        l.links[0].path = b"/a/..".to_vec()
    });
    bad("a label with a line break", &|l| {
        l.links[0].label = "a\nb".to_owned()
    });
    bad("a password that is stretched by nothing", &|l| {
        l.links[0].password = Some(wire::PasswordStretching::default())
    });
    vectors.push(vector("an unknown field", with(&good, &[0x78, 1])));
    vectors
}
