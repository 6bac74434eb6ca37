//! The tables of docs/performance.md, each between a line that names it and one that ends it.

/// The page with these tables, by their titles, in their places; those that have no place are left out.
pub(super) fn with_tables(page: &str, tables: &[(String, String)]) -> String {
    let mut replaced = String::with_capacity(page.len());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        replaced.extend([line, "\n"]);
        let title = line.strip_prefix("<!-- bench: ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some((_, table)) = tables.iter().find(|(name, _)| Some(name.as_str()) == title) else { continue };
        // An empty line, so that what is between is no part of the comment.
        replaced.extend(["\n", table, "\n\n"]);
        if let Some(end) = lines.by_ref().find(|line| *line == END) {
            replaced.extend([end, "\n"]);
        }
    }
    replaced
}

const END: &str = "<!-- end -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_the_places_of_older_ones() {
        let page = "# Page\n<!-- bench: One -->\n\n| old |\n\n<!-- end -->\ntext\n<!-- bench: Two -->\n<!-- end -->\n";
        let table = |title: &str, text: &str| (title.to_owned(), text.to_owned());
        let tables = [table("One", "| new |"), table("Three", "| nowhere |")];
        let expected = "# Page\n<!-- bench: One -->\n\n| new |\n\n<!-- end -->\ntext\n<!-- bench: Two -->\n<!-- end -->\n";
        assert_eq!(with_tables(page, &tables), expected);
        assert_eq!(with_tables(expected, &tables), expected);
    }
}
