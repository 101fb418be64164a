//! The proxy itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::answer::{Answer, Cut, millis_up_to};
use super::counts::Counts;
use super::damage::Damage;
use super::kept::Kept;
use super::plan::{Decision, FaultPlan};
use super::upstream::{Given, Upstream, streamed};
use super::wire::{Line, Noise, Wire};
use crate::failure::{Context, Failure};

/// Largest body of a request that is handed on, in bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Bytes that no HTTP client takes for an answer.
const NOT_HTTP: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\xff\xfeEHLO somewhere\r\n\r\n";

/// A proxy to one service, which does damage to GETs; requests with other methods pass. It stops when this is dropped,
/// and its connections with it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    seed: u64,
    line: Arc<Line>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plan: FaultPlan,
    random: SmallRng,
    kept: Kept,
    counts: Counts,
}

impl FaultProxy {
    /// A proxy to the service at `upstream`, such as `http://127.0.0.1:8081`, on a free port of this machine. The service
    /// need not run yet; while it does not, connections end without an answer.
    ///
    /// The same `seed`, `plan` and sequence of requests give the same damage.
    ///
    /// # Errors
    /// When no port or no HTTP client can be had.
    pub async fn start(upstream: &str, seed: u64, plan: FaultPlan) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for the fault proxy")?;
        let address = listener.local_addr().context("the fault proxy's address")?;
        let shared = Arc::new(Shared {
            upstream: Upstream::new(upstream)?,
            seed,
            line: Arc::default(),
            state: Mutex::new(State {
                plan,
                random: SmallRng::seed_from_u64(seed),
                kept: Kept::default(),
                counts: Counts::default(),
            }),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(FaultProxy {
            address,
            shared,
            task,
        })
    }

    /// `http://` and its address: what a reader takes for the service.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a path of the service through the proxy, such as `/feeds/orders`.
    pub fn through(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What its damage is drawn from.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Does this from the next request on.
    pub fn set(&self, plan: FaultPlan) {
        self.shared.state().plan = plan;
    }

    /// From the next request on everything passes, over a line that is whole.
    pub fn heal(&self) {
        self.set(FaultPlan::healed());
        self.resume();
    }

    /// Models a partition: nothing comes in or goes out any more. Connections hang, old ones and new ones.
    pub fn pause(&self) {
        self.shared.line.interrupt();
    }

    /// Ends the partition. What hung goes on.
    pub fn resume(&self) {
        self.shared.line.mend();
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.shared.state().counts.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections until it is dropped; they end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Whoever could not be taken finds a closed connection; that is what this is for.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Small pieces are to arrive as they are sent.
    let _ = stream.set_nodelay(true);
    let noise = Arc::<Noise>::default();
    let wire = Wire::new(stream, shared.line.clone(), noise.clone());
    let service = service_fn(move |request| {
        let (shared, noise) = (shared.clone(), noise.clone());
        async move { shared.answer(request, &noise).await }
    });
    // A cut ends in an error here, and so does a client that went away. Then what was asked of the upstream is dropped.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        noise: &Noise,
    ) -> Result<Response<Body>, Cut> {
        let (asked, body) = request.into_parts();
        let body = to_bytes(Body::new(body), REQUEST_BYTES_MAX).await;
        let body = body.map_err(|_| Cut)?;
        let (decision, plan) = self.decide(&asked);
        let mut random = SmallRng::seed_from_u64(decision.detail);
        if let Some(damage) = decision.damage
            && let Some(instead) = self
                .instead(damage, &asked, &mut random, &plan, noise)
                .await
        {
            self.state().counts.add(Some(damage));
            return instead;
        }
        let late = decision
            .damage
            .filter(|damage| *damage == Damage::DelayHead);
        let given = self.upstream.ask(&asked, body).await.map_err(|_| Cut)?;
        let answer = match given {
            Given::Other(response) => {
                self.state().counts.add(late);
                return Ok(streamed(response));
            }
            Given::Document(answer) => answer,
        };
        self.state()
            .kept
            .keep(&asked.uri.to_string(), answer.clone());
        let harmed = decision
            .damage
            .and_then(|damage| answer.harmed(damage, &mut random, &plan));
        let done = decision.damage.filter(|_| harmed.is_some());
        self.state().counts.add(done.or(late));
        Ok(harmed.unwrap_or_else(|| answer.whole()))
    }

    fn decide(&self, asked: &Parts) -> (Decision, FaultPlan) {
        let mut state = self.state();
        let plan = state.plan;
        let decision = if asked.method == Method::GET {
            plan.decide(&mut state.random, is_past_caches(&asked.headers))
        } else {
            Decision::NOTHING
        };
        (decision, plan)
    }

    /// What is done instead of asking the upstream; none when the upstream is to be asked.
    async fn instead(
        &self,
        damage: Damage,
        asked: &Parts,
        random: &mut SmallRng,
        plan: &FaultPlan,
        noise: &Noise,
    ) -> Option<Result<Response<Body>, Cut>> {
        match damage {
            Damage::CutHead => Some(Err(Cut)),
            Damage::NotHttp => {
                noise.send(NOT_HTTP.to_vec());
                let mut swallowed = Response::new(Body::empty());
                let close = HeaderValue::from_static("close");
                swallowed.headers_mut().insert(header::CONNECTION, close);
                Some(Ok(swallowed))
            }
            Damage::DelayHead => {
                tokio::time::sleep(millis_up_to(plan.delay_ms_max, random)).await;
                None
            }
            Damage::Again | Damage::Stale | Damage::OtherPage => {
                let url = asked.uri.to_string();
                let older = self.state().kept.instead(damage, &url, random);
                older.map(|answer| Ok(answer.whole()))
            }
            _ => Answer::made_up(damage, random, plan).map(|answer| Ok(answer.whole())),
        }
    }
}

/// Whether the reader asked caches to look at the service again (RFC 9111, section 5.2.1.4).
fn is_past_caches(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}
