//! Which interfaces the user means.

use std::fmt;

use globset::{Glob, GlobMatcher};
use thiserror::Error;

use crate::kernel::interfaces::{Link, LinkType};

/// A name as it was typed: a literal name or a pattern.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    /// Absent for a literal name.
    glob: Option<GlobMatcher>,
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        self.glob.as_ref().map_or(self.text == name, |glob| glob.is_match(name))
    }
}

/// Interfaces by name.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Empty: all but loopback.
    patterns: Vec<Pattern>,
}

/// Why the chosen interfaces cannot be observed.
#[derive(Debug, Error)]
pub enum SelectionError {
    /// The pattern cannot be read.
    #[error("`{text}` is no pattern of interface names")]
    Pattern {
        /// As it was typed.
        text: String,
        /// Why.
        source: globset::Error,
    },
    /// No interface of this name.
    #[error("there is no interface {name}{}; there are {}", did_you_mean(nearest.as_ref()), existing.join(", "))]
    NoSuchInterface {
        /// As it was typed.
        name: String,
        /// The most similar name there is.
        nearest: Option<String>,
        /// All names.
        existing: Vec<String>,
    },
    /// An interface whose packets cannot be read was named.
    #[error("the interface {name} has a link layer (ARPHRD {arphrd}) that kflow cannot read")]
    Unsupported {
        /// Its name.
        name: String,
        /// Its `ARPHRD_*` number.
        arphrd: u16,
    },
}

fn did_you_mean(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

impl Selection {
    /// Reads names and globs as typed; `any`, or nothing at all, is every interface but loopback.
    pub fn parse(texts: &[String]) -> Result<Self, SelectionError> {
        if texts.iter().any(|text| text == "any") {
            return Ok(Self::default());
        }
        texts.iter().map(|text| pattern(text)).collect::<Result<_, _>>().map(|patterns| Self { patterns })
    }

    /// Whether an interface is chosen. One with a link layer that cannot be read never is.
    pub fn contains(&self, link: &Link) -> bool {
        if matches!(link.link_type, LinkType::Unsupported(_)) {
            false
        } else if self.patterns.is_empty() {
            !link.is_loopback()
        } else {
            self.patterns.iter().any(|pattern| pattern.matches(&link.name))
        }
    }

    /// Whether it can only ever be one interface.
    pub fn is_one_name(&self) -> bool {
        matches!(&self.patterns[..], [pattern] if pattern.glob.is_none())
    }

    /// Whether an interface was chosen by its very name.
    pub fn names(&self, link: &Link) -> bool {
        self.patterns.iter().any(|pattern| pattern.glob.is_none() && pattern.text == link.name)
    }

    /// Fails when a name that is no pattern names nothing, or something that cannot be read. A pattern may match
    /// nothing yet.
    pub fn check(&self, links: &[Link]) -> Result<(), SelectionError> {
        for pattern in self.patterns.iter().filter(|pattern| pattern.glob.is_none()) {
            match links.iter().find(|link| link.name == pattern.text) {
                None => return Err(no_such_interface(&pattern.text, links)),
                Some(Link { name, link_type: LinkType::Unsupported(arphrd), .. }) => {
                    return Err(SelectionError::Unsupported { name: name.clone(), arphrd: *arphrd });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.patterns.is_empty() {
            return f.write_str("any");
        }
        let texts: Vec<_> = self.patterns.iter().map(|pattern| pattern.text.as_str()).collect();
        f.write_str(&texts.join(", "))
    }
}

fn pattern(text: &str) -> Result<Pattern, SelectionError> {
    let glob = if text.contains(['*', '?', '[', '{']) {
        let glob =
            Glob::new(text).map_err(|source| SelectionError::Pattern { text: text.to_owned(), source })?;
        Some(glob.compile_matcher())
    } else {
        None
    };
    Ok(Pattern { text: text.to_owned(), glob })
}

fn no_such_interface(name: &str, links: &[Link]) -> SelectionError {
    const SIMILAR: f64 = 0.7;
    let similarity = |link: &Link| strsim::jaro_winkler(&link.name, name);
    let nearest = links
        .iter()
        .map(|link| (similarity(link), &link.name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.clone());
    let existing = links.iter().map(|link| link.name.clone()).collect();
    SelectionError::NoSuchInterface { name: name.to_owned(), nearest, existing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::interfaces::IfIndex;

    fn link(name: &str, link_type: LinkType) -> Link {
        Link { index: IfIndex(1), name: name.to_owned(), link_type, kind: None, mac: None }
    }

    fn select(texts: &[&str]) -> Selection {
        Selection::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn names_and_patterns() {
        let table: [(&[&str], &[&str]); 6] = [
            (&[], &["eth0", "cali1", "cali2", "tunl0"]),
            (&["any"], &["eth0", "cali1", "cali2", "tunl0"]),
            (&["lo"], &["lo"]),
            (&["cali*"], &["cali1", "cali2"]),
            (&["cali[1]", "eth0"], &["eth0", "cali1"]),
            (&["e???"], &["eth0"]),
        ];
        let links = ["lo", "eth0", "cali1", "cali2", "tunl0"].map(|name| link(name, LinkType::Ethernet));
        for (texts, expected) in table {
            let selection = select(texts);
            let chosen: Vec<_> =
                links.iter().filter(|link| selection.contains(link)).map(|link| link.name.as_str()).collect();
            assert_eq!(chosen, expected, "{texts:?}");
        }
    }

    #[test]
    fn unknown_name_comes_with_the_nearest() {
        let links = [link("lo", LinkType::Ethernet), link("eth0", LinkType::Ethernet)];
        assert_eq!(
            select(&["eth1"]).check(&links).unwrap_err().to_string(),
            "there is no interface eth1 (did you mean eth0?); there are lo, eth0"
        );
        assert_eq!(
            select(&["wg"]).check(&links).unwrap_err().to_string(),
            "there is no interface wg; there are lo, eth0"
        );
        assert!(select(&["cali*"]).check(&links).is_ok(), "a pattern may match later");
        assert!(Selection::parse(&["[".to_owned()]).is_err());
    }

    #[test]
    fn unreadable_link_layers_are_chosen_by_nothing_and_refused_by_name() {
        let links = [link("ib0", LinkType::Unsupported(32))];
        assert!(!select(&["any"]).contains(&links[0]) && !select(&["ib*"]).contains(&links[0]));
        assert!(matches!(
            select(&["ib0"]).check(&links),
            Err(SelectionError::Unsupported { arphrd: 32, .. })
        ));
    }
}
