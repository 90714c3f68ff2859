//! The channels of the protocol, called topics here: a channel is something else in Tokio.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::lines::{End, LineReader};
use crate::subscriber::Subscriber;

#[derive(Default)]
pub struct Broker {
    topics: Mutex<HashMap<Bytes, Arc<Topic>>>,
}

#[derive(Default)]
struct Topic {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    subscribers: Vec<Arc<Subscriber>>,
    publishers: usize,
}

impl Topic {
    /// Says whether someone is behind.
    fn write(&self, lines: Bytes) -> bool {
        let mut is_behind = false;
        for subscriber in &self.members.lock().unwrap().subscribers {
            is_behind |= subscriber.write(lines.clone());
        }
        is_behind
    }
}

impl Broker {
    fn enter(&self, name: &Bytes, change: impl FnOnce(&mut Members)) -> Arc<Topic> {
        let mut topics = self.topics.lock().unwrap();
        if !topics.contains_key(name) {
            // A copy: a name that is kept must not keep a receive buffer.
            topics.insert(Bytes::copy_from_slice(name), Arc::default());
        }
        let topic = topics[name].clone();
        change(&mut topic.members.lock().unwrap());
        topic
    }

    fn leave(&self, name: &Bytes, change: impl FnOnce(&mut Members)) {
        let mut topics = self.topics.lock().unwrap();
        let is_unused = match topics.get(name) {
            None => false,
            Some(topic) => {
                let mut members = topic.members.lock().unwrap();
                change(&mut members);
                members.subscribers.is_empty() && members.publishers == 0
            }
        };
        if is_unused {
            topics.remove(name);
        }
    }
}

/// One connection, from its first command to its end.
pub async fn serve(stream: TcpStream, broker: Arc<Broker>) {
    let mut lines = LineReader::new();
    let command = match lines.command(&stream).await {
        Ok(command) => command,
        Err(End::TooLong) => return refuse(stream, "command too long").await,
        Err(_) => return,
    };
    let (verb, name) = match command.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&command[..blank], command.slice(blank + 1..)),
        None => (&command[..], Bytes::new()),
    };
    match verb {
        b"BYE" if command.len() == verb.len() => {}
        b"PUBLISH" if is_name(&name) => publish(stream, lines, &broker, name).await,
        b"SUBSCRIBE" if is_name(&name) => subscribe(stream, lines, &broker, name).await,
        _ => refuse(stream, "unknown command, or a name that is none").await,
    }
}

async fn publish(mut stream: TcpStream, mut lines: LineReader, broker: &Broker, name: Bytes) {
    let topic = broker.enter(&name, |members| members.publishers += 1);
    if stream.write_all(b"OK\r\n").await.is_ok() {
        let end = loop {
            let mut is_behind = false;
            if let Err(end) = lines.whole_lines(&stream, |piece| is_behind |= topic.write(piece)).await {
                break end;
            }
            // A publisher that always has more would leave no turn to those who write what waits.
            if is_behind {
                tokio::task::yield_now().await;
            }
        };
        if let End::TooLong = end {
            refuse(stream, "line too long").await;
        }
    }
    broker.leave(&name, |members| members.publishers -= 1);
}

/// Reads what a subscriber may still say, and writes what its publishers could not write at once.
async fn subscribe(mut stream: TcpStream, mut lines: LineReader, broker: &Broker, name: Bytes) {
    if stream.write_all(b"OK\r\n").await.is_err() {
        return;
    }
    let subscriber = Arc::new(Subscriber::new(stream));
    broker.enter(&name, |members| members.subscribers.push(subscriber.clone()));
    let command = loop {
        tokio::select! {
            command = lines.command(&subscriber.stream) => break command,
            result = subscriber.catch_up() => if result.is_err() { break Err(End::Gone) },
        }
    };
    broker.leave(&name, |members| members.subscribers.retain(|other| !Arc::ptr_eq(other, &subscriber)));
    match command {
        Err(End::Gone) => return,
        Ok(line) if &line[..] == b"BYE" => {}
        _ => drop(subscriber.write(Bytes::from_static(b"ERROR unexpected command\r\n"))),
    }
    let _ = subscriber.flush().await;
}

async fn refuse(mut stream: TcpStream, reason: &str) {
    let _ = stream.write_all(format!("ERROR {reason}\r\n").as_bytes()).await;
}

fn is_name(name: &[u8]) -> bool {
    (1..=255).contains(&name.len()) && name.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}
