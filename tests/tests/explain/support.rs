//! What the tests of `kflow explain` have in common.

use std::{ffi::OsString, net::Ipv4Addr};

use serde_json::Value;
use tests::{
    Kflow, Lab, LabConfig, Overlay,
    kflow::{self, Outcome},
    lab::topology::{POD_DEST, POD_PORT, POD_SRC},
    lab::{EndpointSpec, ServiceSpec},
    traffic::HttpServer,
};

pub(crate) type Test = Result<(), Box<dyn std::error::Error>>;

/// A lab with a web server in pod-dest.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    _server: HttpServer,
}

/// What `kflow explain -o json` says.
pub(crate) struct Told(pub(crate) Value);

impl Site {
    pub(crate) fn up() -> Result<Self, Box<dyn std::error::Error>> {
        Self::with(Overlay::Ipip)
    }

    pub(crate) fn with(overlay: Overlay) -> Result<Self, Box<dyn std::error::Error>> {
        Self::of(LabConfig { overlay, ..LabConfig::default() })
    }

    pub(crate) fn of(config: LabConfig) -> Result<Self, Box<dyn std::error::Error>> {
        let lab = Lab::up(&config)?;
        let server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
        Ok(Self { lab, _server: server })
    }

    /// Runs `kflow explain` with what it has to know of the lab and these words.
    pub(crate) fn run(&self, words: &[&str]) -> Result<Outcome, Box<dyn std::error::Error>> {
        let words = words.iter().map(OsString::from);
        let args = [OsString::from("explain")].into_iter().chain(self.lab.kflow_node_args()).chain(words);
        Ok(Kflow::run(&kflow::program(), args)?)
    }

    /// What it says as JSON.
    pub(crate) fn explain(&self, words: &[&str]) -> Result<Told, Box<dyn std::error::Error>> {
        let outcome = self.run(&[words, &["-o", "json"]].concat())?;
        assert_eq!(outcome.code, Some(0), "{}\n{}", outcome.stderr, outcome.stdout);
        Ok(Told(serde_json::from_str(&outcome.stdout)?))
    }

    /// What it says as text.
    pub(crate) fn text(&self, words: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let outcome = self.run(words)?;
        assert_eq!(outcome.code, Some(0), "{}\n{}", outcome.stderr, outcome.stdout);
        Ok(outcome.stdout)
    }
}

impl Told {
    /// Kinds of problems, the worst first.
    pub(crate) fn problems(&self) -> Vec<&str> {
        self.0["problems"].as_array().into_iter().flatten().filter_map(|each| each["kind"].as_str()).collect()
    }

    /// Fails unless there is this problem and no other kind, told with these words.
    #[track_caller]
    pub(crate) fn assert_only(&self, kind: &str, words: &[&str]) {
        let kinds = self.problems();
        assert!(
            !kinds.is_empty() && kinds.iter().all(|each| *each == kind),
            "{kind}: {:#}",
            self.0["problems"]
        );
        let texts: String = self.0["problems"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|each| each["text"].to_string())
            .collect();
        for word in words {
            assert!(texts.contains(word), "{word:?} is not in {texts}");
        }
    }

    /// The ways of packets at a door of the first port: `cluster-ip` or `node-port`.
    pub(crate) fn courses(&self, front: &str) -> &[Value] {
        let fronts = self.0["story"]["ports"][0]["fronts"].as_array();
        let own = fronts.into_iter().flatten().find(|each| each["front"] == front);
        own.and_then(|own| own["courses"].as_array()).map_or(&[], Vec::as_slice)
    }
}

/// An endpoint that is pod-dest.
pub(crate) fn pod_dest(is_ready: bool) -> EndpointSpec {
    EndpointSpec { address: POD_DEST.address.into(), node: POD_DEST.node, pod: POD_DEST.name, is_ready }
}

/// An endpoint that is pod-src.
pub(crate) fn pod_src(is_ready: bool) -> EndpointSpec {
    EndpointSpec { address: POD_SRC.address.into(), node: POD_SRC.node, pod: POD_SRC.name, is_ready }
}

/// A service besides the lab's own.
pub(crate) fn web(endpoint: EndpointSpec) -> ServiceSpec {
    ServiceSpec::new("web", Ipv4Addr::new(10, 96, 7, 1), endpoint)
}

/// `address:port` of an endpoint in JSON.
pub(crate) fn endpoint(value: &Value) -> String {
    format!("{}:{}", value["address"].as_str().unwrap_or("?"), value["port"])
}
