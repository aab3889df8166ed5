//! Sockets: accepts connections, and drains them.
//!
//! One current-thread runtime a server thread.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{TcpListener as StdListener, ToSocketAddrs};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout_at};

use crate::front::{Front, Worker};
pub use crate::limits::Limits;
use crate::slices::ask_for_short_slices;
use connection::{Draining, Shared, admit, deadline};

mod connection;

const LAG_PROBE: Duration = Duration::from_millis(50);

/// A running server; dropping it without `drain` cuts its connections.
pub struct Server {
    port: u16,
    drain: watch::Sender<Option<Instant>>,
    threads: Mutex<Vec<JoinHandle<bool>>>,
}

impl Server {
    /// Bind and answer from *threads* threads; port 0 picks a free one.
    pub fn start(
        address: impl ToSocketAddrs,
        threads: usize,
        limits: Limits,
        front: Arc<Front>,
    ) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (drain, draining) = watch::channel(None);
        let shared = Arc::new(Shared {
            front,
            limits,
            buffered: AtomicUsize::new(0),
        });
        let server = Server {
            port,
            drain,
            threads: Mutex::new(Vec::new()),
        };
        for number in 0..threads.max(1) {
            let (listener, shared, draining) =
                (listener.try_clone()?, shared.clone(), draining.clone());
            let thread = Builder::new()
                .name(format!("front-{number}"))
                .spawn(move || run(listener, shared, draining).unwrap_or(false))?;
            server.handles().push(thread);
        }
        Ok(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stop accepting, answer what is in flight, close; false if *timeout* ran out before all were answered.
    pub fn drain(&self, timeout: Duration) -> bool {
        self.drain.send_replace(Some(Instant::now() + timeout));
        let threads: Vec<_> = self.handles().drain(..).collect();
        let mut in_time = true;
        for thread in threads {
            in_time &= thread.join().unwrap_or(false);
        }
        in_time
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<bool>>> {
        self.threads
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain(Duration::ZERO);
    }
}

fn run(listener: StdListener, shared: Arc<Shared>, draining: Draining) -> io::Result<bool> {
    ask_for_short_slices();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, accept(listener, shared, draining))
}

/// Accept until drained, then wait for the connections; whether all of them ended in time.
async fn accept(
    listener: StdListener,
    shared: Arc<Shared>,
    draining: Draining,
) -> io::Result<bool> {
    let listener = TcpListener::from_std(listener)?;
    let lag = Rc::new(Cell::new(Duration::ZERO));
    let worker = Worker::new(shared.front.clone(), shared.limits.clone(), lag.clone());
    let worker = Rc::new(RefCell::new(worker));
    spawn_local(watch_lag(lag));
    let mut connections = JoinSet::new();
    let mut drained = pin!(deadline(draining.clone()));
    let deadline = loop {
        tokio::select! {
            deadline = &mut drained => break deadline,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Some(connection) = admit(stream, &shared, &worker) {
                        connections.spawn_local(connection.converse(draining.clone()));
                    }
                }
                // Out of descriptors: connections must end before more can be taken.
                Err(_) => sleep(LAG_PROBE).await,
            },
        }
    };
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    Ok(timeout_at(deadline, ended).await.is_ok())
}

/// Keep *lag* at how late this thread gets round to what is ready.
async fn watch_lag(lag: Rc<Cell<Duration>>) {
    loop {
        let before = Instant::now();
        sleep(LAG_PROBE).await;
        lag.set(before.elapsed().saturating_sub(LAG_PROBE));
    }
}
