//! Compiled filters as text, for a kflow that has no libpcap.

use std::fmt::Write as _;

use tracer_core::filter::Program;

use super::{Expression, FilterError};

const ETHERNET: &str = "ethernet";
const IP: &str = "ip";
const VLAN: &str = "vlan";
/// What is against a program that is not there, as far as it can be told without the expression.
const ABSENT: &str = "its expression cannot match them";

impl Expression {
    /// Fields with `;` between them: `ethernet:PROGRAM` for packets that begin with an Ethernet header, `ip:PROGRAM` for
    /// those that begin with IP, each where there is one, and `vlan` where the programs look for tags in the packet.
    pub fn portable(&self) -> String {
        let mut text = String::new();
        for (name, program) in [(ETHERNET, &self.ethernet), (IP, &self.ip)] {
            if let Ok(program) = program {
                let _ = write!(text, "{name}:{program};");
            }
        }
        if self.has_vlan {
            text += VLAN;
        }
        text.trim_end_matches(';').to_owned()
    }

    /// Reads [`Expression::portable`], or a program alone: that is for Ethernet, and if `innermost` for IP.
    pub fn from_portable(text: &str, innermost: bool) -> Result<Self, FilterError> {
        let absent = || Err(ABSENT.to_owned());
        let mut expression =
            Self { text: String::new(), ethernet: absent(), ip: absent(), has_vlan: false, innermost };
        for field in text.split(';').map(str::trim) {
            let program = |text: &str| text.parse::<Program>().map_err(FilterError::ProgramText);
            match field.split_once(':') {
                Some((ETHERNET, text)) => expression.ethernet = Ok(program(text)?),
                Some((IP, text)) => expression.ip = Ok(program(text)?),
                None if field == VLAN => expression.has_vlan = true,
                _ if innermost => expression.ip = Ok(program(field)?),
                _ => expression.ethernet = Ok(program(field)?),
            }
        }
        if innermost {
            expression.ethernet = absent();
        }
        if expression.ethernet.is_err() && expression.ip.is_err() {
            return Err(FilterError::NoProgram);
        }
        Ok(expression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "1,6 0 0 65535";
    const NONE: &str = "1,6 0 0 0";

    #[test]
    fn text_comes_back_as_it_went() {
        for text in [
            format!("ethernet:{ALL};ip:{NONE};vlan"),
            format!("ethernet:{ALL};ip:{NONE}"),
            format!("ethernet:{ALL}"),
            format!("ip:{NONE}"),
        ] {
            assert_eq!(Expression::from_portable(&text, false).unwrap().portable(), text);
        }
    }

    #[test]
    fn program_alone_is_for_what_is_asked() {
        assert_eq!(Expression::from_portable(ALL, false).unwrap().portable(), format!("ethernet:{ALL}"));
        assert_eq!(Expression::from_portable(ALL, true).unwrap().portable(), format!("ip:{ALL}"));
        let both = format!("ethernet:{ALL};ip:{NONE}");
        assert_eq!(Expression::from_portable(&both, true).unwrap().portable(), format!("ip:{NONE}"));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for text in ["", "vlan", "tcp port 80", "ip:", "arp:1,6 0 0 0", "ethernet:2,6 0 0 0"] {
            assert!(Expression::from_portable(text, false).is_err(), "{text}");
        }
        assert!(Expression::from_portable(&format!("ethernet:{ALL}"), true).is_err());
    }

    #[test]
    fn compiled_expressions_survive_the_way() {
        for (text, innermost) in
            [("tcp port 80", false), ("arp", false), ("vlan and udp", false), ("icmp", true)]
        {
            let compiled = Expression::compile(text, innermost).unwrap();
            let carried = Expression::from_portable(&compiled.portable(), innermost).unwrap();
            assert_eq!(carried.translate().unwrap(), compiled.translate().unwrap(), "{text}");
            assert_eq!(carried.tags(), compiled.tags(), "{text}");
        }
    }
}
