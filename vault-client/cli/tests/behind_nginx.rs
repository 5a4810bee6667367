//! Through the real nginx, with the file that hosters get.

use std::fs;

use tempfile::tempdir;
use vault_proto::origin::Origin;
use vault_server::Tls;

use crate::hoster::{Device, Hoster, PLENTY, not_tested};
use crate::nginx::Nginx;
use crate::trees::{assert_same, look, noise, plant};

#[test]
fn a_member_signs_up_backs_up_and_restores() {
    let (origin, port) = Nginx::free_origin();
    let hoster = Hoster::start_with(|config| {
        config.tls = Tls::BehindProxy;
        config.public_addresses = vec![Origin::parse(&origin).unwrap()];
    });
    let nginx = match Nginx::start(port, hoster.address(), |_| {}) {
        Ok(nginx) => nginx,
        Err(error) => {
            return not_tested(&format!("behind nginx, which does not start ({error})"));
        }
    };
    let device = Device::new();
    // As the system trusts who vouches for a real hoster.
    let run = |arguments: &[&str], input: &str| {
        let mut command = device.coffre(arguments);
        command.env("SSL_CERT_FILE", nginx.authority());
        command.write_stdin(input).assert().success();
    };
    let words = device.home.path().join("phrase");
    let words = words.to_str().unwrap();
    let invitation = hoster.invitation(PLENTY);
    run(
        &["signup", "-", "--device", "laptop", "--phrase-out", words],
        &invitation,
    );
    run(&["vault", "create", "papers"], "");

    let place = tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap().join("tree");
    plant(&tree);
    for number in 0..3 {
        let film = noise(number, 15 << 20);
        fs::write(tree.join(format!("film {number}")), film).unwrap();
    }
    let before = look(&tree);
    let path = tree.to_str().unwrap();
    run(&["backup", path], "");
    let packs = hoster.pack_files();
    let largest = packs
        .iter()
        .filter(|pack| fs::metadata(pack).unwrap().len() == 16 << 20);
    assert!(largest.count() >= 2, "{packs:?}");

    let target = place.path().join("back");
    let what = format!("latest:{path}");
    run(&["restore", &what, "--to", target.to_str().unwrap()], "");
    assert_same(&before, &target);
    run(&["check", "--read-data"], "");
    assert_eq!(nginx.logs(), "");
}
