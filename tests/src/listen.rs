//! Sockets for servers of the tests.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// A listener that shares its port with others of the same process or user.
///
/// # Errors
/// When the address cannot be bound.
pub fn reuse_port(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    tokio::net::TcpListener::from_std(socket.into())
}

/// A port of loopback that nobody uses right now.
///
/// # Errors
/// When no port can be bound.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
