//! On a terminal: a pseudoterminal that these tests hold the other end of.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use qrcode::{Color, EcLevel, QrCode};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::hoster::{Device, Hoster, PLENTY};
use crate::kills::pause;
use crate::members::{Member, pair, place, text};
use crate::signup::words;

/// `coffre` on a terminal of its own.
struct Session {
    child: Child,
    keyboard: File,
    screen: Receiver<String>,
    seen: String,
}

impl Session {
    fn start(device: &Device, arguments: &[&str]) -> Self {
        Self::start_with(device, arguments, &[])
    }

    fn start_with(device: &Device, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::watch(spawn(device, arguments, environment, ""))
    }

    /// Somebody has typed ahead.
    fn start_typed(device: &Device, arguments: &[&str], typed: &str) -> Self {
        Self::watch(spawn(device, arguments, &[], typed))
    }

    /// On a terminal of that size.
    fn start_sized(device: &Device, arguments: &[&str], size: Winsize) -> Self {
        Self::watch(spawn_sized(device, arguments, &[], "", Some(size)))
    }

    fn watch((child, keyboard): (Child, File)) -> Self {
        let mut output = keyboard.try_clone().unwrap();
        let (send, screen) = sync_channel(64);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut held = Vec::new();
            // The terminal hangs up with an error when the program has ended.
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                held.extend_from_slice(&buffer[..read]);
                if send.send(take_text(&mut held)).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard,
            screen,
            seen: String::new(),
        }
    }

    /// Waits until the text is on the screen; what came before it, and it.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let more = self.screen.recv_timeout(Duration::from_secs(60));
            self.seen
                .push_str(&more.unwrap_or_else(|_| panic!("{text:?}: {}", self.seen)));
        }
    }

    /// Waits until the code for a camera that says `text` is on the screen, with the
    /// light around it, each module where it belongs.
    fn assert_drawn(&mut self, text: &str) {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let width = code.width() + 8;
        let mut drawn = drawn(&self.seen);
        while drawn.len() < width {
            let more = self.screen.recv_timeout(Duration::from_secs(60));
            self.seen
                .push_str(&more.unwrap_or_else(|_| panic!("no code: {}", self.seen)));
            drawn = self::drawn(&self.seen);
        }
        for (y, row) in drawn.iter().enumerate() {
            assert_eq!(row.len(), width, "{}", self.seen);
            for (x, is_light) in row.iter().enumerate() {
                let is_inside = |place| (4..width - 4).contains(&place);
                let is_dark = is_inside(x) && is_inside(y) && code[(x - 4, y - 4)] == Color::Dark;
                assert_eq!(*is_light, !is_dark, "{x} {y}: {}", self.seen);
            }
        }
    }

    fn type_line(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.write_all(b"\r").unwrap();
    }

    /// Likewise, at a prompt for a password, once nothing that is typed is shown: what
    /// was typed before that is thrown away.
    fn type_unseen(&mut self, text: &str) {
        const PATIENCE: Duration = Duration::from_secs(60);
        let begun = Instant::now();
        let is_shown = |keyboard| {
            let modes = tcgetattr(keyboard).unwrap().local_modes;
            modes.contains(LocalModes::ECHO)
        };
        while is_shown(&self.keyboard) {
            assert!(begun.elapsed() < PATIENCE, "shown: {}", self.seen);
            pause(Duration::from_millis(5));
        }
        self.type_line(text);
    }

    /// What Ctrl-C does on a terminal that is the program's own.
    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// The number of the word that is asked for.
    fn asked(&mut self) -> usize {
        self.until("word ");
        let text = self.until(":");
        text.trim_end_matches(':').parse().unwrap()
    }

    /// Answers, and waits until the line is shown once more with the answer in
    /// it: the next question comes after that.
    fn answer(&mut self, number: usize, text: &str) {
        self.type_line(text);
        self.until(&format!("word {number}: {text}\r\n"));
    }
}

/// All of it but a character at its end of which more is to come.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let rest = bytes.split_off(whole);
    let text = std::mem::replace(bytes, rest);
    String::from_utf8_lossy(&text).into_owned()
}

/// The modules that are drawn, row by row: whether each is light. White on black,
/// whatever the terminal's colours are.
fn drawn(screen: &str) -> Vec<Vec<bool>> {
    const STYLE: &str = "\u{1b}[97m\u{1b}[40m";
    let lines = screen.split_inclusive("\r\n");
    let lines = lines.filter_map(|line| line.strip_suffix("\u{1b}[0m\r\n")?.strip_prefix(STYLE));
    let halves = |line: &str, upper: bool| {
        let light = |block| match block {
            '█' => true,
            '▀' => upper,
            '▄' => !upper,
            ' ' => false,
            other => panic!("{other:?}"),
        };
        line.chars().map(light).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = lines
        .flat_map(|line| [halves(line, true), halves(line, false)])
        .collect();
    // An odd number of rows ends with half a line of nothing.
    if rows
        .last()
        .is_some_and(|row| row.iter().all(|light| !light))
    {
        rows.pop();
    }
    rows
}

/// Starts `coffre` on a terminal of its own; gives the other end of that.
fn spawn<S: AsRef<OsStr>>(
    device: &Device,
    arguments: &[S],
    environment: &[(&str, &str)],
    typed: &str,
) -> (Child, File) {
    spawn_sized(device, arguments, environment, typed, None)
}

fn spawn_sized<S: AsRef<OsStr>>(
    device: &Device,
    arguments: &[S],
    environment: &[(&str, &str)],
    typed: &str,
    size: Option<Winsize>,
) -> (Child, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_bytes();
    let name = OsString::from_vec(name);
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name)
        .unwrap();
    let end = || Stdio::from(terminal.try_clone().unwrap());
    let mut master = File::from(master);
    if let Some(size) = size {
        tcsetwinsize(&master, size).unwrap();
    }
    master.write_all(typed.as_bytes()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffre"));
    command
        .args(arguments)
        .env("COFFRE_HOME", device.home.path())
        .env("TERM", "xterm")
        .env("COFFRE_LANG", "en")
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied());
    let child = command
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    (child, master)
}

/// Every byte that a run of `coffre` writes to its terminal, to the end; `typed` is
/// what its first question is answered with.
pub(crate) fn screen<S: AsRef<OsStr>>(device: &Device, arguments: &[S], typed: &str) -> Vec<u8> {
    let (mut child, mut terminal) = spawn(device, arguments, &[], "");
    let mut seen = Vec::new();
    let mut is_asked = false;
    let mut buffer = [0; 4096];
    // The terminal hangs up with an error when the program has ended.
    while let Ok(read @ 1..) = terminal.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..read]);
        if !is_asked && seen.ends_with(b"[y/N] ") {
            is_asked = true;
            terminal.write_all(typed.as_bytes()).unwrap();
        }
    }
    child.wait().unwrap();
    seen
}

#[test]
fn two_words_are_asked_back() {
    let hoster = Hoster::start();
    let (device, invitation) = (Device::new(), hoster.invitation(PLENTY));
    let mut session = Session::start(&device, &["signup", &invitation]);
    let words = words(&session.until("To see that they are on paper:"));
    assert_eq!(words.len(), 24);
    let first = session.asked();
    session.answer(first, "no word of any list");
    session.until("no, that is another word");
    assert_eq!(session.asked(), first);
    // Whoever goes away now can have the words again.
    session.child.kill().unwrap();
    session.child.wait().unwrap();

    let mut session = Session::start(&device, &["signup", &invitation]);
    let again = self::words(&session.until("To see that they are on paper:"));
    assert_eq!(again, words);
    for _ in 0..2 {
        let number = session.asked();
        session.answer(number, &words[number - 1]);
    }
    session.until("signed up at ");
    assert_eq!(session.child.wait().unwrap().code(), Some(0));
    // Now they are on paper, and nowhere else.
    let run = device.run(&["signup", &invitation]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
}

#[test]
fn a_no_is_told_and_changes_nothing() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    for command in ["delete", "reconcile"] {
        for (more, told) in [
            (&["--json"][..], "\"code\": \"cancelled\""),
            (&[], "the answer was no"),
        ] {
            let arguments = [&["vault", command, "papers"][..], more].concat();
            let mut session = Session::start(&device, &arguments);
            session.until("[y/N] ");
            session.type_line("n");
            session.until(told);
            assert_eq!(session.child.wait().unwrap().code(), Some(130));
        }
    }
    let list = device.done(&["vault", "list"]);
    assert_eq!(list["vaults"][0]["name"], "papers", "{list:#}");
}

/// What was typed before a question answers nothing, nor does what is neither yes nor
/// no.
#[test]
fn only_a_yes_that_was_typed_at_the_question_is_one() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let delete = ["vault", "delete", "papers"];
    // Ahead of it, and in the same breath as something else.
    let mut session = Session::start_typed(&device, &delete, "y\ryes\ry\r");
    session.until("[y/N] ");
    for neither in ["maybe", "yess", "oui"] {
        session.type_line(neither);
        let asked = session.until("[y/N] ");
        assert!(asked.contains("yes or no?"), "{asked:?}");
    }
    // Ctrl-D.
    session.keyboard.write_all(b"\x04").unwrap();
    session.until("the answer was no");
    assert_eq!(session.child.wait().unwrap().code(), Some(130));

    let mut session = Session::start_with(&device, &delete, &[("COFFRE_LANG", "fr")]);
    session.until("[o/N] ");
    session.type_line("oui");
    assert_eq!(session.child.wait().unwrap().code(), Some(0));
    let list = device.done(&["vault", "list"]);
    assert_eq!(list["vaults"].as_array().unwrap().len(), 0, "{list:#}");
}

/// Whoever hands over the code does not say that the words are the same.
#[test]
fn what_is_pasted_with_a_code_says_nothing_of_the_words() {
    let hoster = Hoster::start();
    let (old, new) = (hoster.member(), Device::new());
    let mut joining = Session::start(&new, &["device", "pair", &place(&hoster)]);
    joining.until("coffre-pair:");
    let code = joining.until("\r\n");
    let mut adding = Session::start(&old, &["device", "pair", "-"]);
    adding.until("The line that the new device shows");
    adding.type_line(&format!("coffre-pair:{}\ry\ryes\r", code.trim_end()));
    adding.until("[y/N] ");
    joining.until("[y/N] ");
    joining.type_line("y");
    // It waits for somebody, who takes his time, and goes away.
    pause(Duration::from_millis(500));
    assert!(adding.child.try_wait().unwrap().is_none());
    adding.interrupt();
    adding.until("interrupted");
    assert_eq!(adding.child.wait().unwrap().code(), Some(130));
    joining.child.wait().unwrap();
    let listed = old.done(&["device", "list"]);
    assert_eq!(listed["devices"].as_array().unwrap().len(), 2, "{listed:#}");
}

/// Both sides of a pairing, with the words on the screen.
fn at_the_words(old: &Device, new: &Device, place: &str) -> (Session, Session, String) {
    let mut joining = Session::start(new, &["device", "pair", place]);
    joining.until("coffre-pair:");
    let code = format!("coffre-pair:{}", joining.until("\r\n").trim_end());
    let mut adding = Session::start(old, &["device", "pair", "-"]);
    adding.until("The line that the new device shows");
    adding.type_line(&code);
    joining.until("[y/N] ");
    adding.until("[y/N] ");
    (joining, adding, code)
}

#[test]
fn a_pairing_that_the_new_device_refuses_is_over_on_both() {
    let hoster = Hoster::start();
    let (old, new) = (hoster.member(), Device::new());
    let place = place(&hoster);
    let (mut joining, mut adding, code) = at_the_words(&old, &new, &place);
    joining.type_line("n");
    joining.until("you said that the words differ: nothing was paired");
    joining.until("another code");
    assert_eq!(joining.child.wait().unwrap().code(), Some(1));
    // At once, and not when the code is over.
    adding.type_line("y");
    adding.until("the other device refused the pairing");
    assert_eq!(adding.child.wait().unwrap().code(), Some(1));
    let listed = old.done(&["device", "list"]);
    assert_eq!(listed["devices"].as_array().unwrap().len(), 2, "{listed:#}");
    let (exit, none) = new.json(&["status"]);
    assert_eq!((exit, &none["code"]), (10, &"no-account".into()));

    // The code was good once.
    let (mut joining, mut adding, again) = at_the_words(&old, &new, &place);
    assert_ne!(again, code);
    adding.type_line("n");
    adding.until("you said that the words differ: nothing was paired");
    assert_eq!(adding.child.wait().unwrap().code(), Some(1));
    joining.type_line("y");
    joining.until("the other device refused the pairing");
    assert_eq!(joining.child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_picture_that_does_not_fit_is_not_drawn() {
    let hoster = Hoster::start();
    let device = hoster.member();
    let address = text(&device.done(&["whoami", "--name", "marie"]), "address");
    for (columns, is_drawn) in [(20, false), (200, true)] {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let mut session = Session::start_sized(&device, &["whoami"], size);
        session.until(&address);
        if is_drawn {
            session.assert_drawn(&address);
        } else {
            let seen = session.until("too narrow");
            assert!(!seen.contains('█'), "{seen}");
        }
        session.child.wait().unwrap();
    }
}

#[test]
fn a_password_that_is_not_typed_twice_is_asked_for_again() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let path = format!("latest:{}", member.tree.display());
    let mut session = Session::start(&member.device, &["link", "create", &path, "--password"]);
    session.until("password: ");
    session.type_unseen("one");
    session.until("once more: ");
    session.type_unseen("two");
    session.until("they differ");
    session.child.kill().unwrap();
    session.child.wait().unwrap();
}

/// Word by word, line by line.
#[test]
fn the_words_are_typed_on_several_lines() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let words = std::fs::read_to_string(member.phrase_file()).unwrap();
    let words: Vec<_> = words.split_whitespace().collect();
    let mut session = Session::start(&member.device, &["phrase", "check"]);
    session.until("the words: ");
    for (at, line) in words.chunks(8).enumerate() {
        let numbered = line.iter().zip(8 * at + 1..);
        let numbered = numbered.map(|(word, number)| format!("{number}. {word}"));
        session.type_line(&numbered.collect::<Vec<_>>().join(" "));
        if at < 2 {
            session.until("of 24 words; the next: ");
        }
    }
    session.until("the words are right");
    assert_eq!(session.child.wait().unwrap().code(), Some(0));
}

/// Who has the words comes in, and is seen.
#[test]
fn a_new_device_is_told_until_somebody_has_seen_it() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let thief = Device::new();
    let phrase = member.phrase_file();
    let names = |device: &Device| {
        let status = device.done(&["status"]);
        let new = status["new_devices"].as_array().unwrap();
        let names = new.iter().map(|device| text(device, "name"));
        names.collect::<Vec<_>>()
    };
    assert!(names(&member.device).is_empty());
    let recover = ["recover", &place(&hoster), "--phrase-file", &phrase];
    thief.done(&[&recover[..], &["--device", "of a stranger"]].concat());
    assert!(names(&thief).is_empty(), "it knows when it came in");
    // Nobody has seen it yet: a script has.
    for _ in 0..2 {
        assert_eq!(names(&member.device), ["of a stranger"]);
        let run = member.device.run(&["status"]);
        assert!(run.text().contains("\n  of a stranger ("), "{run:?}");
    }
    let shown = screen(&member.device, &["status"], "");
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("new since this device came in"), "{shown}");
    assert!(shown.contains("), with the recovery phrase"), "{shown}");
    assert!(names(&member.device).is_empty());
    let run = member.device.run(&["status"]);
    assert!(!run.text().contains("of a stranger"), "{run:?}");

    let second = Device::new();
    pair(&member.device, &second, &place(&hoster));
    assert!(names(&second).is_empty());
    let run = member.device.run(&["status"]);
    assert!(run.text().contains("new since 2"), "{run:?}");
    assert!(run.text().contains("), added by laptop"), "{run:?}");
}

/// Whether a bar was drawn: it is wiped away in the end.
fn has_bar(screen: &[u8]) -> bool {
    let screen = String::from_utf8_lossy(screen);
    assert!(screen.contains("snapshot "), "{screen:?}");
    screen.contains("\u{1b}[2K")
}

#[test]
fn there_is_a_bar_on_a_terminal_and_nowhere_else() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_str().unwrap();
    let backup = |number: u64, more: &[&str]| {
        let content = crate::trees::noise(number, 30_000_000);
        std::fs::write(place.path().join("file"), content).unwrap();
        screen(&device, &[&["backup", path][..], more].concat(), "")
    };
    let seen = backup(1, &[]);
    assert!(has_bar(&seen));
    // What counts is in it, and not only in the summary.
    let text = String::from_utf8_lossy(&seen);
    assert!(text.contains(" MB new; "), "{text:?}");
    assert!(!has_bar(&backup(2, &["--progress", "none"])));
    let quiet = backup(3, &["--quiet"]);
    assert!(quiet.is_empty(), "{:?}", String::from_utf8_lossy(&quiet));
    let run = device.run(&["backup", path]);
    assert!(run.exit == 0 && run.stderr.is_empty(), "{run:?}");
}

#[test]
fn an_address_is_drawn_for_a_camera() {
    let hoster = Hoster::start();
    let device = hoster.member();
    let address = text(&device.done(&["whoami", "--name", "marie"]), "address");
    let mut session = Session::start(&device, &["whoami"]);
    session.until(&address);
    session.assert_drawn(&address);
    assert_eq!(session.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_pairing_code_is_drawn_for_a_camera() {
    let hoster = Hoster::start();
    let device = Device::new();
    let mut session = Session::start(&device, &["device", "pair", &place(&hoster)]);
    session.until("coffre-pair:");
    let rest = session.until("\r\n");
    session.assert_drawn(&format!("coffre-pair:{}", rest.trim_end()));
    session.child.kill().unwrap();
    session.child.wait().unwrap();
}

/// What is asked is what is done.
#[test]
fn who_deletes_a_shared_vault_is_asked_whether_he_leaves_it() {
    let hoster = Hoster::start();
    let (marie, paul) = (Member::new(&hoster), Member::new(&hoster));
    marie.device.done(&["whoami", "--name", "marie"]);
    paul.device.done(&["whoami", "--name", "paul"]);
    marie.device.done(&["share", "papers", &paul.address()]);
    paul.device.done(&["share", "accept", "--name", "hers"]);
    for (name, question, answer, exit) in [
        ("hers", "Leave it?", "n", 130),
        ("papers", "Delete papers, with all its snapshots?", "n", 130),
        ("hers", "Leave it?", "y", 0),
    ] {
        let mut session = Session::start(&paul.device, &["vault", "delete", name]);
        session.until(question);
        session.type_line(answer);
        assert_eq!(session.child.wait().unwrap().code(), Some(exit), "{name}");
    }
    marie.assert_restored_by(&marie.device, &[]);
    paul.assert_restored_by(&paul.device, &[]);
}

#[test]
fn errors_are_red_on_a_terminal_only() {
    let device = Device::new();
    let mut session = Session::start(&device, &["snapshots"]);
    let shown = session.until("sign up first");
    assert!(
        shown.contains("\u{1b}[") && shown.contains("coffre:"),
        "{shown:?}"
    );
    session.child.wait().unwrap();
    assert!(!device.run(&["snapshots"]).stderr.contains('\u{1b}'));
}

#[test]
fn errors_are_not_red_where_nobody_wants_colours() {
    let device = Device::new();
    for (variable, is_red) in [(("NO_COLOR", "1"), false), (("NO_COLOR", ""), true)] {
        let mut session = Session::start_with(&device, &["snapshots"], &[variable]);
        let shown = session.until("sign up first");
        assert_eq!(shown.contains('\u{1b}'), is_red, "{variable:?}: {shown:?}");
        session.child.wait().unwrap();
    }
}
