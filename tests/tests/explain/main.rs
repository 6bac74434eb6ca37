//! `kflow explain` on the lab: what it says of services, pods and addresses, beside what real packets do.

mod agents;
mod packets;
mod pods;
mod refusals;
mod services;
mod support;
mod wrong;
