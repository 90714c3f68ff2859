//! A connection that has subscribed, and what waits for it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Mutex;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The most that may wait for a subscriber.
const MAXIMUM_PENDING: usize = 64 << 20;
/// The most pieces that leave together.
const PIECES: usize = 64;

pub struct Subscriber {
    pub stream: TcpStream,
    queue: Mutex<Queue>,
    /// Something waits that could not be written at once.
    behind: Notify,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    has_failed: bool,
}

impl Subscriber {
    pub fn new(stream: TcpStream) -> Self {
        Subscriber { stream, queue: Mutex::default(), behind: Notify::new() }
    }

    /// Writes at once if nothing waits, from the task of the publisher: no other has to be woken up for it. Says whether
    /// something waits now.
    pub fn write(&self, mut piece: Bytes) -> bool {
        let mut queue = self.queue.lock().unwrap();
        if queue.has_failed {
            return false;
        }
        if queue.pieces.is_empty() {
            match self.stream.try_write(&piece) {
                Ok(count) if count == piece.len() => return false,
                Ok(count) => piece.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.fail(&mut queue);
                    return false;
                }
            }
            self.behind.notify_one();
        }
        queue.bytes += piece.len();
        queue.pieces.push_back(piece);
        if queue.bytes > MAXIMUM_PENDING {
            self.fail(&mut queue);
        }
        true
    }

    /// Waits until something waits, and then until nothing does.
    pub async fn catch_up(&self) -> io::Result<()> {
        self.behind.notified().await;
        self.flush().await
    }

    pub async fn flush(&self) -> io::Result<()> {
        while self.has_pending() {
            self.stream.writable().await?;
            match self.write_pending() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                result => result?,
            }
        }
        Ok(())
    }

    fn has_pending(&self) -> bool {
        !self.queue.lock().unwrap().pieces.is_empty()
    }

    fn write_pending(&self) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap();
        if queue.has_failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut used = 0;
        for piece in queue.pieces.iter().take(PIECES) {
            slices[used] = IoSlice::new(piece);
            used += 1;
        }
        let mut written = self.stream.try_write_vectored(&slices[..used])?;
        queue.bytes -= written;
        while let Some(piece) = queue.pieces.front_mut() {
            if piece.len() > written {
                piece.advance(written);
                break;
            }
            written -= piece.len();
            queue.pieces.pop_front();
        }
        Ok(())
    }

    /// Its own task finds the connection shut down, and ends.
    fn fail(&self, queue: &mut Queue) {
        *queue = Queue { has_failed: true, ..Queue::default() };
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }
}
