//! The Tokio twin: what `samples echo-server` and `samples pubsub-server` do, over a runtime of one thread.
//!
//!     twin-tokio echo|pubsub [--port N]

mod echo;
mod lines;
mod pubsub;
mod subscriber;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{signal, SignalKind};

#[derive(Clone, Copy)]
enum Service {
    Echo,
    PubSub,
}

fn main() -> io::Result<()> {
    let (service, port) = options();
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = listen(port)?;
        println!("listening on {}", listener.local_addr()?);
        io::stdout().flush()?;
        let mut termination = signal(SignalKind::terminate())?;
        // A task of its own: what `block_on` runs is polled whenever the runtime wakes up.
        tokio::spawn(accept(listener, service));
        termination.recv().await;
        Ok(())
    })
}

fn options() -> (Service, u16) {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (service, port) = match words[..] {
        [service] => (service, Ok(0)),
        [service, "--port", port] => (service, port.parse()),
        _ => ("", Ok(0)),
    };
    match (service, port) {
        ("echo", Ok(port)) => (Service::Echo, port),
        ("pubsub", Ok(port)) => (Service::PubSub, port),
        _ => {
            eprintln!("usage: twin-tokio echo|pubsub [--port N]");
            std::process::exit(64);
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener, service: Service) {
    let broker = Arc::new(pubsub::Broker::default());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("accept: {error}");
                continue;
            }
        };
        // A connection that has already gone says so when it is read.
        let _ = stream.set_nodelay(true);
        match service {
            Service::Echo => drop(tokio::spawn(echo::serve(stream))),
            Service::PubSub => drop(tokio::spawn(pubsub::serve(stream, broker.clone()))),
        }
    }
}

/// Raises the limit of open descriptors as far as this process may: each connection takes one.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to memory that outlives them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
