//! A relay between a device and its hoster: bytes pass, until they do not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Where devices are, as a hoster sees it.
pub(crate) const DEVICES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// What is more than any call but an upload or a download is on the way at one time, in
/// bytes.
const LONG: u64 = 32 << 10;

/// What happens to a connection. Bytes are those towards the device.
#[derive(Clone, Copy, Default)]
pub(crate) struct Line {
    /// How long bytes take, each way.
    pub(crate) delay: Duration,
    /// The connection breaks after so many.
    pub(crate) breaks_after: Option<u64>,
    /// Nothing comes any more after so many.
    pub(crate) stalls_after: Option<u64>,
    /// After so many, one byte comes in each such time.
    pub(crate) dribbles_after: Option<(u64, Duration)>,
    /// Likewise towards the hoster: the connection breaks after so many.
    pub(crate) upload_breaks_after: Option<u64>,
    /// Nothing goes up any more after so many.
    pub(crate) upload_stalls_after: Option<u64>,
}

pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    /// For the next connections, the first one first; then `standing`.
    next: Mutex<Vec<Line>>,
    standing: Mutex<Line>,
    connections: AtomicUsize,
    muted: AtomicBool,
    up: Passing,
    down: Passing,
}

/// What passes one way, in bytes.
#[derive(Default)]
struct Passing {
    /// All of it.
    passed: AtomicU64,
    /// Nothing arrives before so many are on the way; 0 when all does.
    awaited: watch::Sender<u64>,
}

impl Passing {
    /// So many are on the way on one connection.
    fn note(&self, on_the_way: u64) {
        self.awaited.send_if_modified(|awaited| {
            let enough = *awaited > 0 && on_the_way >= *awaited;
            if enough {
                *awaited = 0;
            }
            enough
        });
    }

    /// Short messages arrive all the same.
    async fn may_arrive(&self, on_the_way: &AtomicU64) {
        if on_the_way.load(Ordering::Relaxed) < LONG {
            return;
        }
        let mut awaited = self.awaited.subscribe();
        // The sender is `self`.
        let _ = awaited.wait_for(|awaited| *awaited == 0).await;
    }
}

impl Relay {
    /// Listens; in a tokio context.
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(None),
            next: Mutex::default(),
            standing: Mutex::default(),
            connections: AtomicUsize::new(0),
            muted: AtomicBool::new(false),
            up: Passing::default(),
            down: Passing::default(),
        });
        tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(target);
    }

    /// What happens to the connection after those that were ordered before.
    pub(crate) fn spoil_next(&self, line: Line) {
        self.shared.next.lock().unwrap().push(line);
    }

    /// What happens to all connections of which nothing else was said.
    pub(crate) fn spoil_all(&self, line: Line) {
        *self.shared.standing.lock().unwrap() = line;
    }

    /// Whether the hoster's words still reach the device. A connection on which
    /// one did not is lost.
    pub(crate) fn mute(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Bytes that have reached the hoster.
    pub(crate) fn uploaded_bytes(&self) -> u64 {
        self.shared.up.passed.load(Ordering::Relaxed)
    }

    /// Holds back what goes to the hoster, once, from the first [`LONG`] bytes on until
    /// so many are on their way on one connection. That is a line as long as it takes:
    /// who sends only a little before he has an answer never sends any more.
    pub(crate) fn await_up(&self, bytes: u64) {
        self.shared.up.awaited.send_replace(bytes);
    }

    /// Whether so many never were on their way.
    pub(crate) fn awaits_up(&self) -> bool {
        *self.shared.up.awaited.borrow() > 0
    }

    /// Likewise what goes to a device.
    pub(crate) fn await_down(&self, bytes: u64) {
        self.shared.down.awaited.send_replace(bytes);
    }

    /// Whether so many never were on their way.
    pub(crate) fn awaits_down(&self) -> bool {
        *self.shared.down.awaited.borrow() > 0
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((device, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let line = {
            let mut next = shared.next.lock().unwrap();
            if next.is_empty() {
                *shared.standing.lock().unwrap()
            } else {
                next.remove(0)
            }
        };
        let target = *shared.target.lock().unwrap();
        let shared = shared.clone();
        tokio::spawn(async move {
            let Some(target) = target else { return };
            let Ok(hoster) = dial(target).await else {
                return;
            };
            device.set_nodelay(true).unwrap();
            hoster.set_nodelay(true).unwrap();
            let (from_device, to_device) = device.into_split();
            let (from_hoster, to_hoster) = hoster.into_split();
            let up = Line {
                delay: line.delay,
                breaks_after: line.upload_breaks_after,
                stalls_after: line.upload_stalls_after,
                ..Line::default()
            };
            let never = AtomicBool::new(false);
            // Whichever way ends takes the other along.
            tokio::select! {
                () = pump(from_device, to_hoster, up, &never, &shared.up) => {}
                () = pump(from_hoster, to_device, line, &shared.muted, &shared.down) => {}
            }
        });
    }
}

async fn dial(target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((DEVICES, 0).into())?;
    socket.connect(target).await
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    line: Line,
    muted: &AtomicBool,
    passing: &Passing,
) {
    let on_the_way = &AtomicU64::new(0);
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(4_096);
    let read = async move {
        loop {
            let mut bytes = vec![0; 64 << 10];
            match from.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(length) => bytes.truncate(length),
            }
            let length = bytes.len() as u64;
            passing.note(on_the_way.fetch_add(length, Ordering::Relaxed) + length);
            if sender.send((Instant::now(), bytes)).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        let mut passed = 0;
        while let Some((arrived, bytes)) = receiver.recv().await {
            if muted.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            passing.may_arrive(on_the_way).await;
            if !line.delay.is_zero() {
                tokio::time::sleep_until(arrived + line.delay).await;
            }
            let before = passed;
            let goes_on = pass(&mut to, &bytes, &mut passed, &line).await;
            passing.passed.fetch_add(passed - before, Ordering::Relaxed);
            on_the_way.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
            if !goes_on {
                return;
            }
        }
    };
    // What was read before the one side hung up still goes out to the other.
    let read_all = async {
        read.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = write => {}
        () = read_all => {}
    }
}

/// Passes bytes on; whether the connection goes on.
async fn pass(
    to: &mut (impl AsyncWriteExt + Unpin),
    bytes: &[u8],
    passed: &mut u64,
    line: &Line,
) -> bool {
    let until = |limit: Option<u64>| limit.map_or(u64::MAX, |limit| limit.saturating_sub(*passed));
    let dribbling = line.dribbles_after.map(|(after, _)| after);
    let free = until(line.breaks_after)
        .min(until(line.stalls_after))
        .min(until(dribbling));
    let free = usize::try_from(free).unwrap_or(usize::MAX).min(bytes.len());
    let (now, later) = bytes.split_at(free);
    *passed += now.len() as u64;
    if to.write_all(now).await.is_err() {
        return false;
    }
    if later.is_empty() {
        return true;
    }
    if line.breaks_after.is_some_and(|after| *passed >= after) {
        return false;
    }
    if line.stalls_after.is_some_and(|after| *passed >= after) {
        std::future::pending::<()>().await;
    }
    let (_, pause) = line.dribbles_after.expect("why bytes are held back");
    for byte in later {
        tokio::time::sleep(pause).await;
        if to.write_all(&[*byte]).await.is_err() {
            return false;
        }
        *passed += 1;
    }
    true
}
