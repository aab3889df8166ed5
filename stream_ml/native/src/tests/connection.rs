use std::cell::Cell;
use std::future::Future;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::front::tests::{front, score};
use crate::reply::tests::decoded;

/// A call that is answered with a few bytes, *bytes* long itself: nothing is served.
fn call(bytes: usize) -> Vec<u8> {
    let head =
        b"\x80\x01\x00\x01\x00\x00\x00\x05score\x00\x00\x00\x00\x0f\x00\x01\x0b\x00\x00\x00\x01";
    let event = bytes - 4 - head.len() - 5;
    let mut frame = ((bytes - 4) as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(head);
    frame.extend_from_slice(&(event as u32).to_be_bytes());
    frame.resize(bytes, 0); // the event, then the end of the arguments
    frame
}

fn framed(call: &[u8]) -> Vec<u8> {
    [&(call.len() as u32).to_be_bytes(), call].concat()
}

/// What the connections of a test share, where nothing is served.
fn shared(limits: Limits) -> (Arc<Shared>, Rc<RefCell<Worker>>) {
    serving(Arc::default(), limits)
}

fn serving(front: Arc<Front>, limits: Limits) -> (Arc<Shared>, Rc<RefCell<Worker>>) {
    let shared = Shared {
        front,
        limits,
        buffered: AtomicUsize::new(0),
    };
    let worker = Worker::new(shared.front.clone(), shared.limits.clone(), Rc::default());
    (Arc::new(shared), Rc::new(RefCell::new(worker)))
}

/// A connection that has read *input* already, and its client.
async fn connected(
    (shared, worker): &(Arc<Shared>, Rc<RefCell<Worker>>),
    input: Vec<u8>,
) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let mut connection = admit(accepted.unwrap().0, shared, worker).unwrap();
    connection.input = input;
    connection.input.reserve(1); // as long as it was not filled, no more is waiting
    // Known to the runtime, or the first write would wait and let others by.
    connection.stream.writable().await.unwrap();
    (connection, client.unwrap())
}

fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_long_pipelined_input_is_answered_in_turns_with_others() {
    on_one_thread(async {
        let server = shared(Limits::default());
        let (mut greedy, _client) = connected(&server, call(1000).repeat(200)).await;
        let (mut modest, _other) = connected(&server, call(1000)).await;
        let ended = Rc::new(RefCell::new(Vec::new()));
        let (first, second) = (ended.clone(), ended.clone());
        let greedy = spawn_local(async move {
            assert_eq!(greedy.burst().await, Ok(true));
            first.borrow_mut().push("greedy");
        });
        let modest = spawn_local(async move {
            assert_eq!(modest.burst().await, Ok(true));
            second.borrow_mut().push("modest");
        });
        greedy.await.unwrap();
        modest.await.unwrap();
        assert_eq!(*ended.borrow(), ["modest", "greedy"]);
    });
}

#[test]
fn a_large_call_is_answered_in_pieces_with_others_between() {
    on_one_thread(async {
        let server = serving(front(&["m"]), Limits::default());
        let event = format!(r#"{{"c": "{}"}}"#, "a".repeat(10_000));
        let large = framed(&score(None, &[event.as_str(); 200], &[]));
        let (mut greedy, mut client) = connected(&server, large).await;
        let (mut modest, _other) = connected(&server, call(1000)).await;
        let (meanwhile, shared) = (Rc::new(Cell::new((0, 0))), server.0.clone());
        let seen = meanwhile.clone();
        let ended = Rc::new(RefCell::new(Vec::new()));
        let (first, second) = (ended.clone(), ended.clone());
        let greedy = spawn_local(async move {
            assert_eq!(greedy.burst().await, Ok(true));
            first.borrow_mut().push("greedy");
        });
        let modest = spawn_local(async move {
            assert_eq!(modest.burst().await, Ok(true));
            second.borrow_mut().push("modest");
            let scored = &shared.front.counters.events_scored;
            seen.set((scored.load(Relaxed), shared.buffered.load(Relaxed)));
        });
        greedy.await.unwrap();
        modest.await.unwrap();
        assert_eq!(*ended.borrow(), ["modest", "greedy"]);
        let (scored, held) = meanwhile.get();
        assert!(
            (1..200).contains(&scored),
            "{scored} before the others' turn"
        );
        assert!(held > 1_900_000, "what waits is charged for");
        let mut answer = vec![0; 4];
        client.read_exact(&mut answer).await.unwrap();
        let length = u32::from_be_bytes(answer[..].try_into().unwrap());
        answer.resize(4 + length as usize, 0);
        client.read_exact(&mut answer[4..]).await.unwrap();
        let scores = &decoded(&answer).fields["0"]["1"];
        assert_eq!(scores.as_array().unwrap().len(), 200);
    });
}

#[test]
fn every_turn_answers_a_call_and_the_rest_of_the_input_stays() {
    on_one_thread(async {
        for turn_bytes in [1, 1500, 1 << 20] {
            let server = shared(Limits {
                turn_bytes,
                ..Limits::default()
            });
            let mut input = call(1000).repeat(20);
            input.extend_from_slice(&call(1000)[..300]);
            let (mut connection, _client) = connected(&server, input).await;
            assert_eq!(connection.burst().await, Ok(true));
            assert_eq!(connection.input, call(1000)[..300]);
            assert_eq!(connection.burst().await, Ok(false));
            let counters = &server.0.front.counters;
            assert_eq!(counters.latencies().0.iter().sum::<u64>(), 20, "each once");
            assert!(connection.output.is_empty(), "all were written");
        }
    });
}

#[test]
fn what_waits_between_turns_is_charged_for() {
    on_one_thread(async {
        let server = shared(Limits {
            buffered_bytes: 100_000,
            ..Limits::default()
        });
        let (mut greedy, _client) = connected(&server, call(1000).repeat(200)).await;
        assert_eq!(greedy.burst().await, Err(Some(Closed::OutOfBuffers)));
        drop(greedy);
        assert_eq!(server.0.buffered.load(Relaxed), 0);
    });
}

#[test]
fn the_memory_of_a_large_frame_does_not_outlast_it() {
    on_one_thread(async {
        let server = shared(Limits::default());
        for left in [0, 1, 100_000] {
            let mut input = call(8 << 20);
            input.extend_from_slice(&call(1 << 20)[..left]);
            let (mut connection, _client) = connected(&server, input).await;
            assert_eq!(connection.burst().await, Ok(true));
            connection.make_room();
            assert_eq!(connection.input.len(), left);
            assert!(connection.input.capacity() <= 4 * READ_BYTES + 2 * left);
        }
    });
}
