//! Sockets for servers of the tests.

use std::net::{IpAddr, SocketAddr, UdpSocket};

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

/// A listener at an address of this machine that is no loopback one, which an `EndpointSlice` must not hold. Others may
/// reach it: whoever uses it serves nobody but this machine. `None`: the machine has no such address.
///
/// # Errors
/// When it cannot be bound.
pub fn at_own_address() -> std::io::Result<Option<std::net::TcpListener>> {
    own_address().map(|address| std::net::TcpListener::bind((address, 0))).transpose()
}

/// The address by which this machine would speak to others. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("198.51.100.1", 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A port of loopback that nobody uses right now.
///
/// # Errors
/// When no port can be bound.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
