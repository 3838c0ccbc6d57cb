// Where unix sockets are found: by the inode of a path, or by an abstract name (unix(7), "Address
// format").
//
// A socket that is bound stands in the table until it goes; the table holds no reference.
#pragma once

#include "libos/fs/vfs/mount.h"
#include "libos/ipc/unix_mailbox.h"

namespace occlum {

class Thread;
class UnixSocket;

// What a bound socket keeps: taken back when it is destroyed.
class UnixBinding {
 public:
  UnixBinding() = default;
  UnixBinding(const UnixBinding&) = delete;
  ~UnixBinding() { clear(); }

  // bind(2): makes the socket's inode, or takes the abstract name; an address with nothing but the
  // family gets a fresh abstract name. Returns the address as getsockname(2) gives it. kAddrInUse,
  // kInval, and what the VFS says.
  Result<RefPtr<UnixName>> bind(Thread& self, UnixSocket& socket, const SocketAddress& address);
  bool is_bound() const { return !path_.is_null() || !abstract_.is_empty(); }
  void clear();

 private:
  Result<void> bind_path(Thread& self, UnixSocket& socket, std::string_view path);
  Path path_;  // keeps the inode, whose address is the key
  String abstract_;
};

// Whether the address is a path that leads somewhere: bind(2) finds that out before anything else.
bool unix_path_exists(Thread& self, const SocketAddress& address);

// connect(2) and sendto(2): the socket that listens or receives there. kConnRefused, kPrototype is
// the caller's to say, and what the walk says.
Result<RefPtr<UnixSocket>> find_unix_socket(Thread& self, const SocketAddress& address);

}  // namespace occlum
