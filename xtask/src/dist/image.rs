//! Container images, made without a container engine.
//!
//! A file is two formats in one, as `docker save` writes them since version 25: an image layout of OCI (`oci-layout`,
//! `index.json`, `blobs`), which containerd, podman and skopeo read, and for an image of one architecture the
//! `manifest.json` of docker beside it, which names the same blobs.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::blob::sha256;
use super::target::Target;
use crate::tarball::{append, gzip};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image for one architecture.
pub(crate) struct Image {
    pub(crate) target: Target,
    pub(crate) layer: Layer,
    /// What a container runs, before the words of `command`.
    pub(crate) entrypoint: Vec<String>,
    /// Words that the user of the image may replace.
    pub(crate) command: Vec<String>,
    pub(crate) labels: Vec<(String, String)>,
    /// When, as RFC 3339 writes it.
    pub(crate) created: String,
}

/// The files of an image.
pub(crate) struct Layer {
    /// A tar, compressed by gzip.
    bytes: Vec<u8>,
    /// Hash of the tar as it was before.
    diff: String,
}

impl Layer {
    /// Executable files by their names in the root directory, owned by root and of no time.
    pub(crate) fn of(files: &[(&str, &Path)]) -> Result<Self> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, path) in files {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            append(&mut tar, name, 0o755, &bytes)?;
        }
        let tar = tar.into_inner().context("cannot make a layer")?;
        let mut gzip = gzip(Vec::new());
        gzip.write_all(&tar).context("cannot compress a layer")?;
        Ok(Self { bytes: gzip.finish().context("cannot compress a layer")?, diff: sha256(&tar) })
    }
}

/// The blobs of images and what is written beside them.
struct Layout {
    /// Name and bytes, in the order of their making.
    files: Vec<(String, Vec<u8>)>,
    name: String,
}

/// Writes images of one name, one for each architecture, as one file.
pub(crate) fn write(path: &Path, name: &str, images: &[Image]) -> Result<()> {
    let layout = Layout::of(name, images)?;
    let cannot = || format!("cannot write {}", path.display());
    let mut tar = tar::Builder::new(BufWriter::new(File::create(path).with_context(cannot)?));
    for (name, bytes) in &layout.files {
        append(&mut tar, name, 0o644, bytes).with_context(cannot)?;
    }
    tar.into_inner().and_then(|mut file| file.flush()).with_context(cannot)
}

impl Layout {
    fn of(name: &str, images: &[Image]) -> Result<Self> {
        let mut layout = Self { files: Vec::new(), name: name.to_owned() };
        layout.put("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
        let mut manifests = Vec::new();
        for image in images {
            manifests.push(layout.image(image)?);
        }
        let top = if let [one] = manifests.as_slice() {
            one.clone()
        } else {
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
            layout.blob(INDEX, index.to_string().into_bytes())
        };
        if let [image] = images {
            layout.docker(image, &top)?;
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [layout.annotated(top)] });
        layout.put("index.json", &index)?;
        Ok(layout)
    }

    /// The descriptor of the image's manifest.
    fn image(&mut self, image: &Image) -> Result<Value> {
        let config = self.blob(CONFIG, image.config().to_string().into_bytes());
        let layer = self.blob(LAYER, image.layer.bytes.clone());
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().into_bytes());
        let platform = json!({ "architecture": image.architecture(), "os": "linux" });
        descriptor.as_object_mut().context("no descriptor")?.insert("platform".to_owned(), platform);
        Ok(descriptor)
    }

    /// What docker and podman read in place of the index.
    fn docker(&mut self, image: &Image, manifest: &Value) -> Result<()> {
        let path = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap_or_default();
            format!("blobs/{}", digest.replace(':', "/"))
        };
        let file = path(manifest);
        let bytes = self.files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| bytes.as_slice());
        let manifest: Value = serde_json::from_slice(bytes.context("no manifest")?)?;
        debug_assert_eq!(manifest["layers"][0]["size"], image.layer.bytes.len());
        let entry = json!([{
            "Config": path(&manifest["config"]),
            "RepoTags": [&self.name],
            "Layers": [path(&manifest["layers"][0])],
        }]);
        self.put("manifest.json", &entry)
    }

    /// A descriptor with the name of the image: by containerd's annotation, and the tag alone by that of OCI.
    fn annotated(&self, mut descriptor: Value) -> Value {
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        if let Some(descriptor) = descriptor.as_object_mut() {
            let names =
                json!({ "io.containerd.image.name": self.name, "org.opencontainers.image.ref.name": tag });
            descriptor.insert("annotations".to_owned(), names);
        }
        descriptor
    }

    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let hash = sha256(&bytes);
        let size = bytes.len();
        let name = format!("blobs/sha256/{hash}");
        if self.files.iter().all(|(other, _)| *other != name) {
            self.files.push((name, bytes));
        }
        json!({ "mediaType": media_type, "digest": format!("sha256:{hash}"), "size": size })
    }

    fn put(&mut self, name: &str, value: &Value) -> Result<()> {
        self.files.push((name.to_owned(), serde_json::to_vec(value).context("cannot write JSON")?));
        Ok(())
    }
}

impl Image {
    /// As images name it.
    pub(crate) const fn architecture(&self) -> &'static str {
        self.target.architecture()
    }

    fn config(&self) -> Value {
        let labels: serde_json::Map<String, Value> =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        json!({
            "architecture": self.architecture(),
            "os": "linux",
            "created": self.created,
            "config": { "Entrypoint": self.entrypoint, "Cmd": self.command, "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", self.layer.diff)] },
            "history": [{ "created": self.created, "created_by": "cargo xtask dist" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(target: Target) -> Image {
        Image {
            target,
            layer: Layer::of(&[("nothing", Path::new("/dev/null"))]).expect("a layer"),
            entrypoint: vec!["/nothing".to_owned()],
            command: vec!["agent".to_owned()],
            labels: vec![("a".to_owned(), "b".to_owned())],
            created: "1970-01-01T00:00:00Z".to_owned(),
        }
    }

    fn json(layout: &Layout, name: &str) -> Value {
        let found = layout.files.iter().find(|(other, _)| other == name);
        serde_json::from_slice(&found.unwrap_or_else(|| panic!("no {name}")).1).expect("JSON")
    }

    fn blob(layout: &Layout, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().expect("a digest");
        json(layout, &format!("blobs/{}", digest.replace(':', "/")))
    }

    #[test]
    fn every_blob_is_where_its_hash_says() {
        let layout = Layout::of("docker.io/library/x:1", &[image(Target::X86_64)]).expect("a layout");
        let blobs: Vec<_> = layout
            .files
            .iter()
            .filter_map(|(name, bytes)| Some((name.strip_prefix("blobs/sha256/")?, bytes)))
            .collect();
        assert_eq!(blobs.len(), 3);
        for (hash, bytes) in blobs {
            assert_eq!(hash, sha256(bytes));
        }
    }

    #[test]
    fn an_image_is_found_by_both_formats() {
        let layout = Layout::of("docker.io/library/x:1", &[image(Target::X86_64)]).expect("a layout");
        let top = &json(&layout, "index.json")["manifests"][0];
        assert_eq!(top["annotations"]["io.containerd.image.name"], "docker.io/library/x:1");
        assert_eq!(top["annotations"]["org.opencontainers.image.ref.name"], "1");
        assert_eq!(top["platform"]["architecture"], "amd64");
        let config = blob(&layout, &blob(&layout, top)["config"]);
        assert_eq!(config["config"]["Entrypoint"][0], "/nothing");
        let docker = &json(&layout, "manifest.json")[0];
        assert_eq!(docker["RepoTags"][0], "docker.io/library/x:1");
        assert_eq!(json(&layout, docker["Config"].as_str().expect("a name")), config);
    }

    #[test]
    fn several_architectures_are_one_index() {
        let images = Target::ALL.map(image);
        let layout = Layout::of("docker.io/library/x:1", &images).expect("a layout");
        let top = &json(&layout, "index.json")["manifests"][0];
        assert_eq!(top["mediaType"], INDEX);
        let nested = blob(&layout, top);
        let found: Vec<_> = nested["manifests"].as_array().expect("two").iter().collect();
        assert_eq!(found.len(), 2);
        for (descriptor, image) in found.iter().zip(&images) {
            assert_eq!(descriptor["platform"]["architecture"], image.architecture());
            let config = blob(&layout, &blob(&layout, descriptor)["config"]);
            assert_eq!(config["architecture"], image.architecture());
        }
        assert!(layout.files.iter().all(|(name, _)| name != "manifest.json"));
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let [one, two] = [(); 2].map(|()| Layer::of(&[("null", Path::new("/dev/null"))]).expect("a layer"));
        assert_eq!(one.bytes, two.bytes);
        let mut tar = Vec::new();
        let mut plain = flate2::read::GzDecoder::new(one.bytes.as_slice());
        std::io::Read::read_to_end(&mut plain, &mut tar).expect("gzip");
        assert_eq!(sha256(&tar), one.diff);
    }
}
