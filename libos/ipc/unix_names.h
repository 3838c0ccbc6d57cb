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
  // family gets a fresh abstract name. Returns the address as getsockname(2) gives it; null: it had
  // one already, which is all that is asked of an address without a name. `is_named` says that it
  // has: an accepted socket has its listener's. kAddrInUse, kInval, and what the VFS says.
  Result<RefPtr<UnixName>> bind(Thread& self, UnixSocket& socket, const SocketAddress& address,
                                bool is_named);
  void clear();

 private:
  Result<void> bind_path(Thread& self, UnixSocket& socket, std::string_view path, bool is_named);
  bool is_bound() const { return !path_.is_null() || !abstract_.is_empty(); }
  Path path_;  // keeps the inode, whose address is the key
  String abstract_;
};

// Whether it is a unix address with a name: kInval.
Result<void> check_unix_address(const SocketAddress& address);
// connect(2) and sendto(2): the socket of this type that listens or receives there. kConnRefused,
// kPrototype (of paths: abstract names are each type's own), and what the walk says.
Result<RefPtr<UnixSocket>> find_unix_socket(Thread& self, const SocketAddress& address, int type);

}  // namespace occlum
