//! Lists, page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use tokio::time;
use tracer_core::resolve::{Item, Kind, Object};

use super::super::connect::{Cluster, RequestError, Server};
use super::path::{Place, places};

/// Objects of a page.
const PAGE: u32 = 500;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Namespaces that are asked at the same time.
pub(super) const AT_ONCE: usize = 8;
/// How often a list is begun anew because the cluster forgot where it was; then it is asked for in one piece.
const RESTARTS: usize = 2;

/// A version of a list, as the cluster counts.
pub(in crate::cluster) type Version = String;

/// All objects of a list.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Listed {
    pub(in crate::cluster) objects: BTreeMap<String, Vec<Object>>,
    pub(in crate::cluster) version: Version,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(default = "Option::default")]
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    rest: Option<String>,
}

/// Why a list ended early.
enum ListEnd {
    /// The cluster forgot the version that the pages are of.
    Expired,
    Failed(RequestError),
}

/// What asks a cluster, for futures: it does not hold the threads that they run on.
#[derive(Clone)]
pub(in crate::cluster) struct Asker {
    pub(in crate::cluster) client: Client,
    pub(in crate::cluster) server: Server,
}

impl Asker {
    pub(in crate::cluster) fn new(cluster: &Cluster) -> Self {
        Self { client: cluster.client(), server: cluster.server().clone() }
    }

    /// Lists a kind by the newest version of the API that the cluster serves; absent if it serves none.
    pub(super) async fn list_newest(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<Option<(Place, Listed)>, RequestError> {
        for place in places(kind, namespace) {
            match self.list(&place).await {
                Ok(listed) => return Ok(Some((place, listed))),
                Err(RequestError::Refused { code: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Lists everything in a place.
    pub(in crate::cluster) async fn list(&self, place: &Place) -> Result<Listed, RequestError> {
        let path = place.path();
        for _ in 0..=RESTARTS {
            match self.pages(&path, place.kind, Some(PAGE)).await {
                Ok(listed) => return Ok(listed),
                Err(ListEnd::Expired) => {}
                Err(ListEnd::Failed(error)) => return Err(error),
            }
        }
        match self.pages(&path, place.kind, None).await {
            Ok(listed) => Ok(listed),
            Err(ListEnd::Failed(error)) => Err(error),
            Err(ListEnd::Expired) => Err(RequestError::Refused { code: 410, message: "expired".to_owned() }),
        }
    }

    /// Names of all objects of a path.
    pub(super) async fn names(&self, path: &str) -> Result<BTreeSet<String>, RequestError> {
        let mut params = ListParams::default().limit(PAGE);
        let mut names = BTreeSet::new();
        loop {
            let page: Page<Item> = self.page(path, &params).await.map_err(|error| match error {
                ListEnd::Failed(error) => error,
                ListEnd::Expired => RequestError::Refused { code: 410, message: "expired".to_owned() },
            })?;
            names.extend(page.items.unwrap_or_default().iter().map(Item::name));
            match page.metadata.rest.filter(|rest| !rest.is_empty()) {
                Some(rest) => params.continue_token = Some(rest),
                None => return Ok(names),
            }
        }
    }

    async fn pages(&self, path: &str, kind: Kind, limit: Option<u32>) -> Result<Listed, ListEnd> {
        let mut params = ListParams { limit, ..ListParams::default() };
        let mut all = Listed::default();
        loop {
            let page: Page<Item> = self.page(path, &params).await?;
            for item in page.items.unwrap_or_default() {
                all.objects.insert(item.name(), item.into_objects(kind));
            }
            all.version = page.metadata.resource_version.unwrap_or_default();
            match page.metadata.rest.filter(|rest| !rest.is_empty()) {
                Some(rest) => params.continue_token = Some(rest),
                None => return Ok(all),
            }
        }
    }

    async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        params: &ListParams,
    ) -> Result<Page<T>, ListEnd> {
        let failed = |error| ListEnd::Failed(self.server.explain(error));
        let request =
            Request::new(path).list(params).map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        match time::timeout(PATIENCE, self.client.request(request)).await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => Err(ListEnd::Expired),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(ListEnd::Failed(self.server.silent(PATIENCE.as_secs()))),
        }
    }
}
