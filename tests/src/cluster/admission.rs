//! What a new pod is refused for before anything looks at its node: its form, its namespace, Pod Security, quota.

use serde_json::{Value, json};

use super::{answer::Refusal, resource::PODS};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Capabilities that Pod Security's `baseline` lets a container add.
const BASELINE: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "NET_RAW",
];

/// Whether a namespace takes a pod.
pub(super) fn admit(pod: &Value, namespace: Option<&Value>, is_full: bool) -> Result<(), Refusal> {
    let name = word(&pod["metadata"]["name"]);
    let Some(namespace) = namespace else {
        let missing = word(&pod["metadata"]["namespace"]);
        return Err(Refusal::not_found(&super::resource::NAMESPACES, missing));
    };
    if namespace["status"]["phase"] == "Terminating" {
        return Err(terminating(name, word(&namespace["metadata"]["name"])));
    }
    let level = namespace["metadata"]["labels"][ENFORCE].as_str().unwrap_or("privileged");
    let violations = violations(level, pod);
    if !violations.is_empty() {
        let why = format!("violates PodSecurity \"{level}:latest\": {}", violations.join(", "));
        return Err(Refusal::forbidden(&PODS, name, &why));
    }
    if is_full {
        let why = "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
        return Err(Refusal::forbidden(&PODS, name, why));
    }
    Ok(())
}

fn terminating(name: &str, namespace: &str) -> Refusal {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut refusal = Refusal::forbidden(&PODS, name, &why);
    if let Some(details) = &mut refusal.details {
        details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
    }
    refusal
}

/// Whether the pod is a pod at all.
pub(super) fn validate(pod: &Value) -> Result<(), Refusal> {
    let name = word(&pod["metadata"]["name"]);
    let mut causes = Vec::new();
    let is_label =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_edge =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let (first, last) = (name.bytes().next(), name.bytes().last());
    if !name.bytes().all(is_label) || !is_edge(first) || !is_edge(last) || name.len() > 253 {
        causes.push(cause("FieldValueInvalid", &invalid_name(name), "metadata.name"));
    }
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(cause("FieldValueRequired", "Required value", "spec.containers"));
    }
    for (index, container) in containers.iter().enumerate() {
        if word(&container["image"]).is_empty() {
            causes.push(cause(
                "FieldValueRequired",
                "Required value",
                &format!("spec.containers[{index}].image"),
            ));
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(invalid(name, &causes)) }
}

fn invalid(name: &str, causes: &[Value]) -> Refusal {
    let told: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", word(&cause["field"]), word(&cause["message"])))
        .collect();
    let told = if told.len() > 1 { format!("[{}]", told.join(", ")) } else { told.join(", ") };
    let details = json!({ "name": name, "kind": "Pod", "causes": causes });
    let refusal = Refusal::new(422, "Invalid", format!("Pod {name:?} is invalid: {told}"));
    Refusal { details: Some(details), ..refusal }
}

fn cause(reason: &str, message: &str, field: &str) -> Value {
    json!({ "reason": reason, "message": message, "field": field })
}

fn invalid_name(name: &str) -> String {
    format!(
        "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
         characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
         used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )
}

/// What of the pod a level of Pod Security forbids, in the order and the words of the admission plugin.
fn violations(level: &str, pod: &Value) -> Vec<String> {
    let is_restricted = match level {
        "baseline" => false,
        "restricted" => true,
        _ => return Vec::new(),
    };
    let (host, capabilities) = (host_namespaces(pod), added_capabilities(pod, is_restricted));
    // The plugin goes through its checks by their identifiers, and a restricted one replaces its baseline.
    let mut found = if is_restricted {
        vec![host, host_paths(pod), privilege_escalation(pod), capabilities]
    } else {
        vec![capabilities, host, host_paths(pod)]
    };
    if is_restricted {
        found.extend([not_root(pod), seccomp(pod)]);
    }
    found.into_iter().flatten().collect()
}

fn host_namespaces(pod: &Value) -> Option<String> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|flag| pod["spec"][flag] == true);
    let shared: Vec<String> = shared.map(|flag| format!("{flag}=true")).collect();
    (!shared.is_empty()).then(|| format!("host namespaces ({})", shared.join(", ")))
}

fn host_paths(pod: &Value) -> Option<String> {
    let volumes = pod["spec"]["volumes"].as_array()?;
    let host = volumes.iter().filter(|volume| !volume["hostPath"].is_null());
    let names: Vec<String> = host.map(|volume| volume["name"].to_string()).collect();
    let noun = if names.len() == 1 { "volume" } else { "volumes" };
    (!names.is_empty()).then(|| format!("hostPath volumes ({noun} {})", names.join(", ")))
}

fn added_capabilities(pod: &Value, is_restricted: bool) -> Option<String> {
    let container = &pod["spec"]["containers"][0];
    let added = container["securityContext"]["capabilities"]["add"].as_array()?;
    let allowed: &[&str] = if is_restricted { &["NET_BIND_SERVICE"] } else { &BASELINE };
    let wrong = added.iter().filter(|each| !allowed.contains(&word(each)));
    let wrong: Vec<String> = wrong.map(Value::to_string).collect();
    let kind = if is_restricted { "unrestricted" } else { "non-default" };
    (!wrong.is_empty()).then(|| {
        format!(
            "{kind} capabilities (container {} must not include {} in securityContext.capabilities.add)",
            container["name"],
            wrong.join(", ")
        )
    })
}

fn privilege_escalation(pod: &Value) -> Option<String> {
    let container = &pod["spec"]["containers"][0];
    (container["securityContext"]["allowPrivilegeEscalation"] != false).then(|| {
        format!(
            "allowPrivilegeEscalation != false (container {} must set \
             securityContext.allowPrivilegeEscalation=false)",
            container["name"]
        )
    })
}

fn not_root(pod: &Value) -> Option<String> {
    let container = &pod["spec"]["containers"][0];
    let is_set = |scope: &Value| scope["securityContext"]["runAsNonRoot"] == true;
    (!is_set(container) && !is_set(&pod["spec"])).then(|| {
        format!(
            "runAsNonRoot != true (pod or container {} must set securityContext.runAsNonRoot=true)",
            container["name"]
        )
    })
}

fn seccomp(pod: &Value) -> Option<String> {
    let container = &pod["spec"]["containers"][0];
    let is_set = |scope: &Value| {
        matches!(word(&scope["securityContext"]["seccompProfile"]["type"]), "RuntimeDefault" | "Localhost")
    };
    (!is_set(container) && !is_set(&pod["spec"])).then(|| {
        format!(
            "seccompProfile (pod or container {} must set securityContext.seccompProfile.type to \
             \"RuntimeDefault\" or \"Localhost\")",
            container["name"]
        )
    })
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
