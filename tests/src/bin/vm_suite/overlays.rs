//! The kernel's own tunnels and bridges: a request through each, traced.

use std::{fs, net::Ipv4Addr, path::Path};

use serde_json::{Value, json};
use tests::{
    Namespace, Overlay,
    lab::topology::{K8S_NODE1, K8S_NODE2, Node, POD_DEST, POD_PORT, POD_SRC},
    run,
    traffic::HttpServer,
};

use crate::{
    capture::quiet,
    found::{Failure, Found, Grade, Known, ensure},
    site::{Request, Site, has_change, ip, lacks_device},
};

/// Two nodes, and each other's peer.
const PAIRS: [(Node, Node); 2] = [(K8S_NODE1, K8S_NODE2), (K8S_NODE2, K8S_NODE1)];
const WIREGUARD_PORT: u16 = 51820;
const BRIDGED: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);
const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
const HOST_PORT: u16 = 8081;

/// `tunl0` of the module `ipip`, which the three requests go through where there is one.
pub(crate) fn ipip(kflow: &Path, known: &Known) -> Result<Found, Failure> {
    let ns = quiet("ipip")?;
    let added = ip(&ns, "link add tunl0 type ipip");
    // The module adds a tunl0 to every namespace by itself, and then refuses a second one.
    let is_there = ip(&ns, "-d link show dev tunl0").is_ok_and(|said| said.contains("ipip"));
    match added {
        Err(error) if !is_there => return Ok(Found::none(error.to_string())),
        _ => ensure(is_there, || "tunl0 is of another type".to_owned())?,
    }
    if known.grade("requests") == Some(Grade::Ok) {
        return Ok(Found::ok("the three requests went through it"));
    }
    through(kflow, &Site::up(Overlay::Ipip)?, "tunl0", Some("IPIP"))
}

/// `vxlan.calico`.
pub(crate) fn vxlan(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::Vxlan)?;
    through(kflow, &site, "vxlan.calico", Some("VXLAN"))
}

/// A tunnel of two ends by Geneve (RFC 8926).
pub(crate) fn geneve(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::None)?;
    for (node, peer) in PAIRS {
        let ns = site.lab.node(node.name);
        match ip(ns, &format!("link add gnv0 type geneve id 7 remote {}", peer.address)) {
            Err(error) if lacks_device(&error) => return Ok(Found::none(error.to_string())),
            added => added?,
        };
        ip(ns, &format!("addr add {}/32 dev gnv0", node.tunnel))?;
        ip(ns, "link set gnv0 mtu 1400 up")?;
        ip(ns, &format!("route replace {} via {} dev gnv0 onlink", peer.block(), peer.tunnel))?;
    }
    through(kflow, &site, "gnv0", Some("Geneve"))
}

/// A tunnel that encrypts: its packets on the wire cannot be recognised, those at its ends can.
pub(crate) fn wireguard(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::None)?;
    let mut keys = Vec::new();
    for (node, _) in PAIRS {
        let ns = site.lab.node(node.name);
        match ip(ns, "link add wg0 type wireguard") {
            Err(error) if lacks_device(&error) => return Ok(Found::none(error.to_string())),
            added => added?,
        };
        let private = run::<&str>(ns, "wg", &["genkey"], "")?;
        let public = run::<&str>(ns, "wg", &["pubkey"], &private)?;
        keys.push((private, public.trim().to_owned()));
    }
    for (index, (node, peer)) in PAIRS.iter().enumerate() {
        let ns = site.lab.node(node.name);
        let file = site.lab.directory().join(format!("{}.key", node.name));
        fs::write(&file, &keys[index].0)?;
        let words = format!(
            "set wg0 listen-port {WIREGUARD_PORT} private-key {} peer {} allowed-ips 0.0.0.0/0 endpoint {}:{WIREGUARD_PORT}",
            file.display(),
            keys[1 - index].1,
            peer.address
        );
        run(ns, "wg", &words.split_whitespace().collect::<Vec<_>>(), "")?;
        ip(ns, &format!("addr add {}/32 dev wg0", node.tunnel))?;
        ip(ns, "link set wg0 mtu 1400 up")?;
        ip(ns, &format!("route replace {} dev wg0", peer.block()))?;
    }
    through(kflow, &site, "wg0", None)
}

/// A request from pod to pod through a tunnel's device; `tunnel` is what the wire's packets are to be told to wear, absent
/// where they cannot be recognised.
fn through(kflow: &Path, site: &Site, device: &str, tunnel: Option<&str>) -> Result<Found, Failure> {
    let (near, far) = (POD_SRC.interface, POD_DEST.interface);
    let mut way = vec!["eth0", near, device, device, far, "eth0"];
    if tunnel.is_some() {
        way.splice(3..3, ["eth0", "eth0"]);
    }
    let request = Request {
        from: site.lab.pod(POD_SRC.name),
        to: (POD_DEST.address, POD_PORT),
        words: &[POD_SRC.name, POD_DEST.name],
    };
    let flow = site.whole(kflow, &request, &way)?;
    if let Some(tunnel) = tunnel {
        let on_wire = flow["forward"]["hops"][3]["tunnels"].to_string().to_lowercase();
        ensure(on_wire.contains(&tunnel.to_lowercase()), || format!("on the wire it wears {on_wire}"))?;
    }
    Ok(Found::ok(way.join(" ")))
}

/// A pod behind a bridge as docker and CNI's `bridge` make it: masquerade on the way out.
pub(crate) fn bridge(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::None)?;
    let (node, pod) = (site.lab.node(K8S_NODE2.name), quiet("bridged")?);
    for words in [
        "link add cni0 type bridge".to_owned(),
        format!("addr add {BRIDGE}/24 dev cni0"),
        "link set cni0 up".to_owned(),
        format!("link add vethbr type veth peer name eth0 netns {}", pod.name()),
        "link set vethbr master cni0 up".to_owned(),
    ] {
        ip(node, &words)?;
    }
    ip(&pod, &format!("addr add {BRIDGED}/24 dev eth0"))?;
    ip(&pod, "link set eth0 up")?;
    ip(&pod, &format!("route add default via {BRIDGE}"))?;
    site.lab.iptables(K8S_NODE2.name, "-t nat -A POSTROUTING -s 10.88.0.0/24 ! -o cni0 -j MASQUERADE")?;
    let _server = HttpServer::start(site.lab.node(K8S_NODE1.name), HOST_PORT)?;
    wait_for_port(node)?;
    site.lab.write_state_with(&[bridged_pod()])?;
    let place = format!("bridged=netns:{}", pod.path().display());
    let target = format!("{}:{HOST_PORT}", K8S_NODE1.address);
    let words = ["bridged", &target, "--pod", &place];
    let request = Request { from: &pod, to: (K8S_NODE1.address, HOST_PORT), words: &words };
    let way = ["eth0", "vethbr", "cni0", "eth0", "eth0"];
    let flow = site.whole(kflow, &request, &way)?;
    ensure(has_change(&flow, "snat"), || format!("no masquerade is told: {}", flow["forward"]))?;
    Ok(Found::ok(way.join(" ")))
}

/// The pod as the API server would describe it.
fn bridged_pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "bridged", "namespace": "default" },
        "spec": { "nodeName": K8S_NODE2.name },
        "status": { "phase": "Running", "podIP": BRIDGED, "podIPs": [{ "ip": BRIDGED }] },
    })
}

/// A port of a bridge forwards some time after it is up.
fn wait_for_port(node: &Namespace) -> Result<(), Failure> {
    let forwards = crate::capture::comes(|| {
        run(node, "bridge", &["link", "show", "dev", "vethbr"], "")
            .map(|said| said.contains("state forwarding"))
    })?;
    ensure(forwards, || "the bridge does not forward".to_owned())
}
