//! Sends back what it receives. The write waits for a peer that does not read, and with it the next read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that sends little keeps little.
const SIZE_AT_FIRST: usize = 1 << 10;
/// What one read can bring: 16 messages of 4 KiB.
const LARGEST_SIZE: usize = 64 << 10;

pub async fn serve(mut stream: TcpStream) {
    let mut buffer = vec![0; SIZE_AT_FIRST];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        if count == buffer.len() && count < LARGEST_SIZE {
            buffer.resize(4 * count, 0);
        }
    }
}
