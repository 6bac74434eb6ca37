//! Agents on nodes: one pod each, for as long as they are needed.

mod agent;
mod board;
pub(super) mod diagnosis;
pub(super) mod namespace;
mod plan;
pub(super) mod pod;
pub(super) mod rate;
pub(super) mod refusal;
mod run;
pub(super) mod spec;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{OnceCell, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::access;
use super::connect::Cluster;
use super::janitor::Janitor;
use super::remote::RemoteCapture;
use agent::Agent;
use board::Board;
pub use namespace::NamespaceError;
pub use plan::{FleetError, FleetPlan, Needs, Order, Task};
pub use pod::capabilities;
use rate::Rates;
use spec::AgentSpec;
pub use spec::SpecError;

/// Pods that are made at once.
const AT_ONCE: usize = 16;
/// How long the first list of agents may take.
const LISTING: Duration = Duration::from_secs(10);
/// How long an agent lives at most in a run whose end nobody has fixed.
const DAY: Duration = Duration::from_hours(24);
/// How long it may take to tell who the user is.
const WHO: Duration = Duration::from_secs(2);
/// A wait that a person notices.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// What an agent lives longer than its run should.
const SLACK: Duration = Duration::from_mins(5);

/// The agents of one run. One that is dropped without [`Fleet::remove`] leaves its agents to the janitor.
pub struct Fleet {
    cluster: Cluster,
    inner: Arc<Inner>,
    /// The watch on the agents, and the division of the rate.
    services: JoinSet<()>,
    /// Agents and captures.
    tasks: Mutex<JoinSet<()>>,
    agents: Mutex<HashMap<String, watch::Receiver<Agent>>>,
    notes: Vec<String>,
}

/// What the tasks of a fleet share.
struct Inner {
    client: Client,
    spec: AgentSpec,
    /// The run, as its agents are labelled.
    run: String,
    /// The most that an agent lives, in seconds.
    deadline: i64,
    /// Who the cluster takes the user for, once somebody has asked.
    user: OnceCell<Option<String>>,
    board: Board,
    rates: Rates,
    turns: Semaphore,
    serial: AtomicU32,
    /// Pods of this run.
    made: Mutex<Vec<String>>,
    janitor: Mutex<Option<Janitor>>,
}

impl Fleet {
    /// Makes ready: the namespace, what an older run left behind, and the janitor, a process that removes the agents if
    /// this one is killed. Blocks until the cluster has answered.
    pub fn start(cluster: &Cluster, plan: &FleetPlan) -> Result<Self, FleetError> {
        let mut notes = Vec::new();
        let mut inner = Inner::new(cluster, plan)?;
        inner.spec.namespace =
            cluster.wait(namespace::choose(&inner.client, inner.spec.namespace(), &inner.run));
        let inner = Arc::new(inner);
        match Janitor::start(&plan.access, inner.spec.namespace(), &inner.run) {
            Ok(janitor) => *lock(&inner.janitor) = Some(janitor),
            Err(error) => notes.push(format!(
                "if kflow is killed its agents stay until they have been idle for a while: no process can be started that removes them: {error}"
            )),
        }
        let (listed, list) = oneshot::channel();
        let mut services = JoinSet::new();
        services.spawn_on(watch_board(Arc::clone(&inner), listed), cluster.runtime());
        services.spawn_on(divide_rate(Arc::clone(&inner)), cluster.runtime());
        let fleet = Self {
            cluster: cluster.clone(),
            inner,
            services,
            tasks: Mutex::default(),
            agents: Mutex::default(),
            notes,
        };
        cluster.wait(fleet.settle(list))
    }

    /// Waits for the namespace and the list of agents, which need not wait for each other.
    async fn settle(
        mut self,
        list: oneshot::Receiver<Result<(), watcher::Error>>,
    ) -> Result<Self, FleetError> {
        let inner = Arc::clone(&self.inner);
        let space = inner.spec.namespace();
        let slow = || FleetError::Slow(space.to_owned());
        let made = namespace::ensure(&inner.client, space, &inner.run);
        let (made, listed) = tokio::join!(made, timeout(LISTING, list));
        let made = made?;
        if made.waited >= WORTH_TELLING {
            let seconds = made.waited.as_secs_f32();
            self.notes.push(format!(
                "waited {seconds:.1} s for the namespace {space}, which an earlier run was removing"
            ));
        }
        if made.is_new {
            self.notes.push(format!("made the namespace {space}; it is removed at the end"));
        }
        let listed = listed.map_err(|_| slow())?.map_err(|_| slow())?;
        listed.map_err(|error| FleetError::Watch {
            namespace: space.to_owned(),
            message: refusal::of_watch(&error),
        })?;
        if inner.spec.needs.pod_side {
            self.notes.push(
                "to look inside of pods the agents have the capability SYS_ADMIN and see the host's /run/netns".to_owned(),
            );
        }
        self.notes.extend(inner.sweep().await);
        Ok(self)
    }

    /// What a person should know about how the agents were made ready.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Starts a capture or another task, with an agent for its node if there is none. Returns at once: the streams begin
    /// when the agent runs, and where it cannot be had they end with the reason.
    pub fn capture(&self, order: Order) -> RemoteCapture {
        let (source, capture) = RemoteCapture::new();
        let agent = self.agent(&order.node);
        let share =
            if order.task == Task::Capture { self.inner.rates.join() } else { self.inner.rates.beside() };
        self.spawn(run::run(Arc::clone(&self.inner), order, agent, source, share));
        capture
    }

    /// The node's agent: the one there is or that is coming, else a new one.
    fn agent(&self, node: &str) -> watch::Receiver<Agent> {
        let mut agents = lock(&self.agents);
        if let Some(agent) = agents.get(node)
            && !matches!(&*agent.borrow(), Agent::Failed(_))
        {
            return agent.clone();
        }
        let (sender, agent) = watch::channel(Agent::Coming(None));
        agents.insert(node.to_owned(), agent.clone());
        self.spawn(agent::bring_up(Arc::clone(&self.inner), node.to_owned(), sender));
        agent
    }

    /// Removes the agents of this run, and the namespace if a run made it and no other run uses it. Returns what could
    /// not be removed, for a person.
    pub fn remove(self) -> Vec<String> {
        let is_making = self.inner.turns.available_permits() < AT_ONCE;
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        let failures = self.cluster.wait(async {
            tasks.shutdown().await;
            self.inner.remove().await
        });
        // A pod that is being made may come after its removal: the janitor waits for it.
        if failures.is_empty()
            && !is_making
            && let Some(janitor) = lock(&self.inner.janitor).as_mut()
        {
            janitor.all_is_done();
        }
        failures
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, self.cluster.runtime());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.services.abort_all();
        // Tasks that have not ended yet hold what they share, and with it the pipe that the janitor watches.
        drop(lock(&self.inner.janitor).take());
    }
}

impl Inner {
    fn new(cluster: &Cluster, plan: &FleetPlan) -> Result<Self, SpecError> {
        let lifetime = plan.duration.unwrap_or(DAY).saturating_add(SLACK);
        Ok(Self {
            client: cluster.client(),
            spec: AgentSpec::parse(&plan.agents, plan.needs)?,
            run: new_run(),
            deadline: i64::try_from(lifetime.as_secs()).unwrap_or(i64::from(i32::MAX)).min(i32::MAX.into()),
            user: OnceCell::new(),
            board: Board::default(),
            rates: Rates::new(plan.agents.max_rate),
            turns: Semaphore::new(AT_ONCE),
            serial: AtomicU32::new(0),
            made: Mutex::default(),
            janitor: Mutex::default(),
        })
    }

    /// Who the cluster takes the user for; absent where it does not tell in time.
    async fn user(&self) -> Option<&str> {
        let ask = || async { timeout(WHO, access::user(&self.client)).await.ok().flatten() };
        self.user.get_or_init(ask).await.as_deref()
    }

    /// Number of the next pod.
    fn next(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// A pod is about to be made: whoever removes it has to know before it is.
    fn announce(&self, pod: &str) {
        lock(&self.made).push(pod.to_owned());
        if let Some(janitor) = lock(&self.janitor).as_mut() {
            janitor.watch_over(pod);
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.spec.namespace())
    }

    /// Removes what older runs left behind. Returns what a person should know of it.
    async fn sweep(&self) -> Vec<String> {
        let now = Timestamp::now();
        namespace::sweep(&self.client, &self.run, now).await;
        let left = self.board.pods().into_iter().filter(|pod| sweep::is_left_behind(pod, now));
        let names: Vec<_> = left.map(|pod| pod.name_any()).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let found = format!("removed agents that older runs left behind: {}", names.join(", "));
        let mut notes = delete_pods(&self.pods(), names, &DeleteParams::default()).await;
        notes.push(found);
        notes
    }

    async fn remove(&self) -> Vec<String> {
        let names = std::mem::take(&mut *lock(&self.made));
        let unheard = self
            .board
            .pods()
            .into_iter()
            .filter(|pod| diagnosis::is_unheard_of(pod))
            .map(|pod| pod.name_any());
        let unheard: HashSet<_> = unheard.collect();
        let (at_once, names): (Vec<_>, _) = names.into_iter().partition(|name| unheard.contains(name));
        let mut failures = delete_pods(&self.pods(), names, &DeleteParams::default()).await;
        failures.extend(delete_pods(&self.pods(), at_once, &DeleteParams::default().grace_period(0)).await);
        let space = self.spec.namespace();
        if let Err(error) = namespace::release(&self.client, space, &self.run).await {
            failures.push(format!("the namespace {space} is not removed: {}", refusal::words(&error)));
        }
        failures
    }
}

async fn watch_board(inner: Arc<Inner>, listed: oneshot::Sender<Result<(), watcher::Error>>) {
    inner.board.watch(inner.pods(), listed).await;
}

async fn divide_rate(inner: Arc<Inner>) {
    let mut turn = interval(rate::TURN);
    loop {
        turn.tick().await;
        inner.rates.turn();
    }
}

/// Deletes pods. Returns what went wrong; one that is gone already is as it should be.
pub(super) async fn delete_pods(api: &Api<Pod>, names: Vec<String>, how: &DeleteParams) -> Vec<String> {
    let turns = &Semaphore::new(AT_ONCE);
    let deletions = names.into_iter().map(|name| async move {
        let _turn = turns.acquire().await;
        match api.delete(&name, how).await {
            Err(error) if !refusal::is(&error, 404) => {
                Some(format!("the agent's pod {name} is not removed: {}", refusal::words(&error)))
            }
            _ => None,
        }
    });
    join_all(deletions).await.into_iter().flatten().collect()
}

/// A name that no other run has: 40 bits of the process's random keys.
fn new_run() -> String {
    let number = RandomState::new().hash_one((Timestamp::now().as_nanosecond(), std::process::id()));
    format!("{:010x}", number & 0xFF_FFFF_FFFF)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
