//! Tables for people.

use std::io;

/// Writes rows in columns below their titles; a column that nobody fills is left out.
pub fn columns<const N: usize>(
    out: &mut impl io::Write,
    titles: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let columns: Vec<_> = (0..N)
        .map(|column| (column, width(column)))
        .filter(|(_, width)| *width > 0)
        .map(|(column, width)| (column, width.max(titles[column].len())))
        .collect();
    for row in std::iter::once(&titles.map(str::to_owned)).chain(rows) {
        let cells = columns.iter().map(|(column, width)| format!("{:<width$}", row[*column]));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_longest_and_gone_where_nobody_fills_it() {
        let rows = [["ä", "", "1"], ["longer", "", ""]].map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        columns(&mut out, ["NAME", "EMPTY", "N"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME    N\nä       1\nlonger\n");
    }
}
