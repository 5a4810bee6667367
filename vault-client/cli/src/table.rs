//! Tables for people.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// Columns with a heading, without lines. Cells hold text that is fit to be
/// shown.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            // Rows are for reading and for `grep`: they stay on their line.
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(headings.to_vec());
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    /// Columns of numbers, counted from 0.
    pub(crate) fn align_right(&mut self, columns: &[usize]) {
        for &column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells);
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0
            .lines()
            .try_for_each(|line| writeln!(out, "{}", line.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "SIZE"]);
        table.align_right(&[1]);
        table.row(vec!["photos".into(), "1.1 GB".into()]);
        table.row(vec!["été".into(), "999 B".into()]);
        let mut text = Vec::new();
        table.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "NAME      SIZE\nphotos  1.1 GB\nété      999 B\n");
    }
}
