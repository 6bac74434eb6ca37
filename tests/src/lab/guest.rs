//! Pods that come to a lab that is up, and go again.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::{
    Lab,
    network::{self, HOST_SIDE_MAC, ip_batch},
    state,
    topology::POD_PORT,
};
use crate::{LabError, Namespace, run};

/// A pod that was added to a lab; its link goes with this value.
#[derive(Debug)]
pub struct Guest {
    namespace: Namespace,
    object: Value,
}

impl Lab {
    /// Adds a pod to a node. The address has to be of the node's block, and `interface` a name that is free there.
    pub fn add_pod(
        &self,
        name: &str,
        node: &str,
        address: Ipv4Addr,
        interface: &str,
    ) -> Result<Guest, LabError> {
        let prefix = self.directory.file_name().unwrap_or_default().to_string_lossy();
        let namespace = Namespace::create(format!("{prefix}-{name}"))?;
        network::prepare(&namespace, self.config)?;
        let (host, mtu) = (self.node(node), self.config.pod_mtu());
        ip_batch(
            host,
            &format!(
                "link add {interface} address {HOST_SIDE_MAC} mtu {mtu} type veth peer name eth0 netns {} mtu {mtu}\n",
                namespace.name()
            ),
        )?;
        network::configure_host_side(host, interface, address)?;
        network::configure_address(&namespace, address)?;
        let object = state::running_pod(name, node, &address.to_string());
        Ok(Guest { namespace, object })
    }

    /// Lets a service have these endpoints in turn, one connection each, where kube-proxy would choose by chance.
    pub fn balance(&self, service: Ipv4Addr, endpoints: &[Ipv4Addr]) -> Result<(), LabError> {
        for node in super::NODES.map(|node| node.name) {
            for (index, endpoint) in endpoints.iter().enumerate().rev() {
                let left = endpoints.len() - index;
                let nth = format!("-m statistic --mode nth --every {left} --packet 0");
                let when = if left == 1 { "" } else { &nth };
                let rule = format!(
                    "-t nat -I KUBE-SERVICES -p tcp -d {service} --dport {POD_PORT} {when} -j DNAT --to-destination {endpoint}:{POD_PORT}"
                );
                self.iptables(node, &rule)?;
            }
        }
        Ok(())
    }
}

impl Guest {
    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What the API server would say of it, with these labels.
    pub fn object(&self, labels: &Value) -> Value {
        let mut object = self.object.clone();
        object["metadata"]["labels"] = labels.clone();
        object
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The namespace may live on for a while; its link has to be gone now, and takes the node's side along.
        let _ = run(&self.namespace, "ip", &["link", "del", "eth0"], "");
    }
}
