//! Codes that a camera reads, on the terminal.

use std::io::{self, IsTerminal, Write};

use anstyle::AnsiColor;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use rustix::termios::tcgetwinsize;

use crate::language::say;

/// Draws `text` as a QR code if standard output is a terminal: in half blocks,
/// white on black whatever the terminal's colours are, with the quiet zone that
/// readers need. `text` stands above it already: where the terminal is too narrow, so
/// that lines would break, that is all there is. Text that is too long for a code is not drawn.
pub(crate) fn draw(out: &mut dyn Write, text: &str) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    let Some(code) = encode(text) else {
        return Ok(());
    };
    let columns = tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
    let width = code.lines().next().unwrap_or_default().chars().count();
    // A terminal that does not say how wide it is may be wide enough.
    if (1..width).contains(&usize::from(columns)) {
        let text = say!(
            "(this window is too narrow for the picture that a camera reads: it needs {width} columns. The line above says the same.)",
            "(cette fenêtre est trop étroite pour l’image que lit une caméra : il faut {width} colonnes. La ligne ci-dessus dit la même chose.)",
        );
        return writeln!(out, "{text}");
    }
    // What is drawn is the light of the code, what is not its dark.
    let style = AnsiColor::BrightWhite.on(AnsiColor::Black);
    code.lines()
        .try_for_each(|line| writeln!(out, "{style}{line}{style:#}"))
}

fn encode(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_room_around_it_and_is_square() {
        let drawn = encode("coffre-pair:abc").unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        // Four modules of quiet zone are two lines.
        assert!(lines[0].chars().all(|block| block == '█'), "{}", lines[0]);
        assert!(encode(&"x".repeat(5_000)).is_none());
    }
}
