//! Divides what a connection sends into lines. Each byte is looked at once, and only a short rest is copied.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::TcpStream;

/// The longest command, its ending included.
const LONGEST_COMMAND: usize = "SUBSCRIBE ".len() + 255 + 2;
/// The longest line of a publisher, its ending included.
const LONGEST_LINE: usize = 4 << 20;
/// A connection begins with a small block, since most say no more than a command.
const SMALL_BLOCK: usize = 1 << 10;
const LARGE_BLOCK: usize = 256 << 10;

/// Why there is no next line.
pub enum End {
    Bye,
    TooLong,
    Gone,
}

pub struct LineReader {
    /// What has been received and not given away; its spare capacity is what is read into.
    block: BytesMut,
    /// How much of `block` holds no line feed for certain.
    scanned: usize,
    /// Pieces of a line that began in earlier blocks.
    earlier: Vec<Bytes>,
    earlier_count: usize,
}

impl LineReader {
    pub fn new() -> Self {
        LineReader { block: BytesMut::with_capacity(SMALL_BLOCK), scanned: 0, earlier: Vec::new(), earlier_count: 0 }
    }

    /// The next short line, without its ending.
    pub async fn command(&mut self, stream: &TcpStream) -> Result<Bytes, End> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.block) {
                let mut line = self.block.split_to(end + 1).freeze();
                line.truncate(if line[..end].ends_with(b"\r") { end - 1 } else { end });
                return Ok(line);
            }
            if self.block.len() > LONGEST_COMMAND {
                return Err(End::TooLong);
            }
            self.fill(stream).await?;
        }
    }

    /// Reads until there is a whole line, and passes all there are to `emit`, in pieces: what ends in the block that was
    /// read into is one.
    pub async fn whole_lines(&mut self, stream: &TcpStream, mut emit: impl FnMut(Bytes)) -> Result<(), End> {
        loop {
            let (whole, end) = self.scan();
            if whole > 0 {
                self.earlier.drain(..).for_each(&mut emit);
                self.earlier_count = 0;
                emit(self.block.split_to(whole).freeze());
            }
            if let Some(end) = end {
                return Err(end);
            }
            self.scanned = self.block.len();
            if whole > 0 {
                return Ok(());
            }
            self.fill(stream).await?;
        }
    }

    /// How many bytes of the block belong to whole lines, and what ends them.
    fn scan(&self) -> (usize, Option<End>) {
        let (mut start, mut from) = (0, self.scanned);
        while let Some(at) = memchr::memchr(b'\n', &self.block[from..]) {
            let next = from + at + 1;
            let earlier = if start == 0 { self.earlier_count } else { 0 };
            let length = earlier + next - start;
            if length > LONGEST_LINE {
                return (start, Some(End::TooLong));
            }
            if length <= 5 && self.is_bye(earlier > 0, &self.block[start..next]) {
                return (start, Some(End::Bye));
            }
            start = next;
            from = next;
        }
        let rest = if start == 0 { self.earlier_count } else { 0 } + self.block.len() - start;
        (start, if rest > LONGEST_LINE { Some(End::TooLong) } else { None })
    }

    fn is_bye(&self, has_earlier: bool, end: &[u8]) -> bool {
        let mut line = if has_earlier { self.earlier.concat() } else { Vec::new() };
        line.extend_from_slice(end);
        line == b"BYE\n" || line == b"BYE\r\n"
    }

    /// Reads once, into a new block if little of this one is free.
    async fn fill(&mut self, stream: &TcpStream) -> Result<(), End> {
        if self.block.capacity() - self.block.len() < SMALL_BLOCK / 8 {
            self.change_block();
        }
        loop {
            stream.readable().await.map_err(|_| End::Gone)?;
            match stream.try_read_buf(&mut self.block) {
                Ok(0) => return Err(End::Gone),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Err(End::Gone),
            }
        }
    }

    /// Leaves the block to those who have pieces of it. A long rest stays in it too; a short one is copied.
    fn change_block(&mut self) {
        let mut block = BytesMut::with_capacity(LARGE_BLOCK);
        let rest = std::mem::take(&mut self.block).freeze();
        if rest.len() > LARGE_BLOCK / 8 {
            self.earlier_count += rest.len();
            self.earlier.push(rest);
            self.scanned = 0;
        } else {
            block.extend_from_slice(rest.chunk());
        }
        self.block = block;
    }
}
