//! The real nginx, with the file that is shipped: only ports, paths and what a test
//! says are put in their place. The tests of `coffre` use it too.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

const SHIPPED: &str = include_str!("../../nginx.conf");

/// nginx before a server, until it is dropped.
pub(crate) struct Nginx {
    child: Child,
    directory: TempDir,
    port: u16,
    public_key: Vec<u8>,
}

impl Nginx {
    /// What the server is to be told that members dial, and the port of it.
    pub(crate) fn free_origin() -> (String, u16) {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        (format!("localhost:{port}"), port)
    }

    /// Starts nginx on `port` before the server at `server`, with the shipped file as
    /// `change` leaves it.
    ///
    /// An error where nginx is not installed.
    pub(crate) fn start(
        port: u16,
        server: SocketAddr,
        change: impl FnOnce(&mut String),
    ) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let public_key = make_certificates(path);
        let mut shipped = SHIPPED.to_owned();
        let dial6 = format!("listen [::1]:{port} ssl http2;");
        let dial6 = match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            Ok(_) => &dial6[..],
            // There is no IPv6 on this machine.
            Err(_) => "",
        };
        for (there, here) in [
            (
                "listen 443 ssl http2;",
                &format!("listen 127.0.0.1:{port} ssl http2;")[..],
            ),
            ("listen [::]:443 ssl http2;", dial6),
            ("server_name vault.example.org;", "server_name localhost;"),
            (
                "/etc/letsencrypt/live/vault.example.org/fullchain.pem",
                "fullchain.pem",
            ),
            (
                "/etc/letsencrypt/live/vault.example.org/privkey.pem",
                "privkey.pem",
            ),
            ("/var/log/nginx/error.log", "error.log"),
            ("server 127.0.0.1:8443;", &format!("server {server};")),
        ] {
            substitute(&mut shipped, there, here);
        }
        change(&mut shipped);
        fs::write(path.join("coffre.conf"), shipped)?;
        fs::write(path.join("nginx.conf"), around(path))?;
        let mut child = spawn(path)?;
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = child.try_wait()?;
            if ended.is_some() || begun.elapsed() > Duration::from_secs(60) {
                let said = fs::read_to_string(path.join("nginx.log")).unwrap_or_default();
                panic!("nginx does not start ({ended:?}): {said}");
            }
            std::thread::yield_now();
        }
        Ok(Self {
            child,
            directory,
            port,
            public_key,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The address again, from which a call looks like another network's.
    pub(crate) fn address_of_another_network(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    /// The public key that it shows, as in a certificate.
    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Who vouches for it, in PEM.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// All that it wrote down since it began.
    pub(crate) fn logs(&self) -> String {
        let logs = ["access.log", "error.log"].map(|name| self.directory.path().join(name));
        let logs = logs.map(|path| fs::read_to_string(path).unwrap_or_default());
        logs.concat()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it, unless it is killed.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Puts `here` where the shipped file says `there`: once at least, or it says
/// something else by now.
#[track_caller]
pub(crate) fn substitute(shipped: &mut String, there: &str, here: &str) {
    assert!(shipped.contains(there), "nginx.conf has no {there:?}");
    *shipped = shipped.replace(there, here);
}

/// What stands around the shipped file: as its own first lines say, and else what
/// keeps nginx within the directory.
fn around(directory: &Path) -> String {
    let said = |start: &str| {
        let mut lines = SHIPPED
            .lines()
            .filter_map(|line| line.strip_prefix("#     "));
        lines.find(|line| line.starts_with(start)).unwrap()
    };
    let directory = directory.display();
    let user = match geteuid().is_root() {
        true => "user root;",
        false => "",
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {directory}/{name};\n"));
    format!(
        "daemon off;\n{user}\npid {directory}/pid;\nerror_log {directory}/nginx.log warn;\n\
         worker_processes 2;\n{}\n{}\n\
         http {{\n{}access_log {directory}/access.log;\ninclude coffre.conf;\n}}\n",
        said("worker_rlimit_nofile"),
        said("events"),
        temporary.concat(),
    )
}

/// On Debian it is where only root looks by default.
fn spawn(directory: &Path) -> io::Result<Child> {
    let log = fs::File::create(directory.join("nginx.log"))?;
    let start = |program: &str| {
        let mut command = Command::new(program);
        command.arg("-p").arg(directory);
        command.arg("-e").arg(directory.join("nginx.log"));
        command.arg("-c").arg(directory.join("nginx.conf"));
        command.stdout(Stdio::null()).stderr(log.try_clone()?);
        command.spawn()
    };
    match start("nginx") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => start("/usr/sbin/nginx"),
        started => started,
    }
}

/// Writes an authority, and what it says of `localhost`; gives the public key of that.
fn make_certificates(directory: &Path) -> Vec<u8> {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "an authority for a test");
    let made = authority.self_signed(&authority_key).unwrap();
    fs::write(directory.join("authority.pem"), made.pem()).unwrap();
    let authority = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let made = server.signed_by(&key, &authority).unwrap();
    fs::write(directory.join("fullchain.pem"), made.pem()).unwrap();
    fs::write(directory.join("privkey.pem"), key.serialize_pem()).unwrap();
    key.subject_public_key_info()
}
