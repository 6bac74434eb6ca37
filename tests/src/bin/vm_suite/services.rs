//! Services by other means than iptables: IPVS, and kube-proxy's nftables mode.

use std::{net::Ipv4Addr, path::Path};

use tests::{
    CommandError, Overlay,
    lab::{
        EndpointSpec, ProxyMode, ServiceSpec,
        topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC},
    },
    run,
};

use crate::{
    found::{Failure, Found, Known, ensure},
    site::{Request, Site, has_change, ip, lacks_device},
};

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 100, 0, 9);
const WAY: [&str; 6] = ["eth0", POD_SRC.interface, "eth0", "eth0", POD_DEST.interface, "eth0"];

/// A virtual server with one real server, masqueraded, as kube-proxy's IPVS mode makes it.
pub(crate) fn ipvs(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::None)?;
    let node = site.lab.node(K8S_NODE2.name);
    match ip(node, "link add kube-ipvs0 type dummy") {
        Err(error) if lacks_device(&error) => return Ok(Found::none(error.to_string())),
        added => added?,
    };
    ip(node, &format!("addr add {VIRTUAL}/32 dev kube-ipvs0"))?;
    let service = format!("{VIRTUAL}:{POD_PORT}");
    let server = format!("{}:{POD_PORT}", POD_DEST.address);
    match run(node, "ipvsadm", &["-A", "-t", &service, "-s", "rr"], "") {
        Err(CommandError::Failed { stderr, .. }) if stderr.contains("Protocol not available") => {
            return Ok(Found::none(stderr));
        }
        added => added?,
    };
    // As kube-proxy does: packets that IPVS translates stay known connections to its rules.
    node.run(|| std::fs::write("/proc/sys/net/ipv4/vs/conntrack", "1"))??;
    run(node, "ipvsadm", &["-a", "-t", &service, "-r", &server, "-m"], "")?;
    translated(kflow, &site, &VIRTUAL.to_string())
}

/// Rules of kube-proxy's nftables mode.
pub(crate) fn nftables(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::None)?;
    let endpoint = EndpointSpec {
        address: POD_DEST.address.into(),
        node: K8S_NODE1.name,
        pod: POD_DEST.name,
        is_ready: true,
    };
    site.lab.serve(&[ServiceSpec::new("svc-nft", VIRTUAL, endpoint)], ProxyMode::Nftables)?;
    translated(kflow, &site, "svc/svc-nft")
}

fn translated(kflow: &Path, site: &Site, target: &str) -> Result<Found, Failure> {
    let request =
        Request { from: site.lab.pod(POD_SRC.name), to: (VIRTUAL, POD_PORT), words: &[POD_SRC.name, target] };
    let flow = site.whole(kflow, &request, &WAY)?;
    ensure(has_change(&flow, "dnat"), || format!("no translation is told: {}", flow["forward"]))?;
    Ok(Found::ok("DNAT told"))
}
