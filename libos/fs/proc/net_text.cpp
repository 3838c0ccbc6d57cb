// /proc/net (proc(5)): the sockets that programs here have, as netstat, ss and lsof read them. The host's own tables are
// not shown; what an inet socket is connected to is asked of the host, socket by socket.
#include <algorithm>
#include <array>

#include "libos/fs/file_table.h"
#include "libos/fs/proc/proc_nodes.h"
#include "libos/ipc/unix_socket.h"
#include "libos/lib/bytes.h"
#include "libos/lib/hash_map.h"
#include "libos/process/process_table.h"

namespace occlum {

namespace {

// A socket, once however many descriptors it has, and whose it is.
struct OpenSocket {
  RefPtr<File> file;
  uint64_t number;
  uint32_t uid;
  Socket& socket() const { return static_cast<Socket&>(*file); }
};

Result<void> add_sockets(Process& process, int domain, HashMap<uint64_t, char>& seen,
                         Vec<OpenSocket>& all) {
  const RefPtr<FileTable> files = process.files();
  const RefPtr<SharedCredentials> owner = process.credentials();
  if (files == nullptr) return {};
  for (const int fd : TRY(files->numbers())) {
    auto file = files->get(fd);
    if (file.is_error() || file.value()->kind() != FileKind::kSocket) continue;
    if (static_cast<Socket&>(*file.value()).domain() != domain) continue;
    const uint64_t number = TRY(file.value()->stat()).ino;
    if (seen.find(number) != nullptr) continue;
    TRY(seen.insert(number, '\0'));
    TRY(all.push({file.release_value(), number, owner ? owner->value.euid : 0}));
  }
  return {};
}

Result<Vec<OpenSocket>> open_sockets(int domain) {
  Vec<OpenSocket> all;
  HashMap<uint64_t, char> seen;
  Result<void> outcome{};
  TRY(for_each_process([&](Process& process) {
    if (!outcome.is_error()) outcome = add_sockets(process, domain, seen, all);
  }));
  TRY(std::move(outcome));
  return all;
}

int option_of(Socket& socket, int name) {
  std::array<std::byte, sizeof(int)> value = {};
  const auto size = socket.get_option(kSolSocket, name, value);
  return size.is_error() || size.value() < value.size() ? 0 : load_le<int32_t>(value);
}

// States of TCP as the kernel numbers them; datagram sockets use two of them.
constexpr unsigned kEstablished = 1, kClosed = 7, kListening = 10;

// sockaddr_in and sockaddr_in6: family, port (big endian), address.
void add_address(ProcText& out, const Result<SocketAddress>& address, int domain) {
  const size_t words = domain == kAfInet6 ? 4 : 1;
  const size_t start = domain == kAfInet6 ? 8 : 4;
  std::span<const std::byte> bytes;
  if (!address.is_error() && address.value().size() >= start + words * 4)
    bytes = address.value().bytes();
  for (size_t word = 0; word < words; ++word) {
    out.hex(bytes.empty() ? 0 : load_le<uint32_t>(bytes.subspan(start + word * 4)), 8,
            Case::kUpper);
  }
  const unsigned port = bytes.empty() ? 0
                                      : std::to_integer<unsigned>(bytes[2]) << 8 |
                                            std::to_integer<unsigned>(bytes[3]);
  out.text(":").hex(port, 4, Case::kUpper);
}

Result<void> add_inet_table(ProcText& out, int domain, int type) {
  const std::string_view gap = domain == kAfInet6 ? "                         " : " ";
  out.text("  sl  local_address")
      .text(gap)
      .text(domain == kAfInet6 ? "remote_address" : "rem_address");
  out.text(domain == kAfInet6 ? "                        st" : "   st");
  out.text(" tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode");
  out.text(type == kDatagram ? " ref pointer drops\n" : "\n");
  uint64_t line = 0;
  for (const OpenSocket& open : TRY(open_sockets(domain))) {
    Socket& socket = open.socket();
    if (socket.type() != type) continue;
    const Result<SocketAddress> peer = socket.peer_address();
    unsigned state = peer.is_error() || peer.value().is_empty() ? kClosed : kEstablished;
    if (type == kStream && option_of(socket, kSoAcceptConn) != 0) state = kListening;
    const Result<SocketAddress> local = socket.local_address();
    // Linux lists a socket once it has a port.
    if (state == kClosed && (local.is_error() || local.value().size() < 4 ||
                             load_le<uint16_t>(local.value().bytes().subspan(2)) == 0)) {
      continue;
    }
    out.decimal(line++, 4).text(": ");
    add_address(out, local, domain);
    out.text(" ");
    add_address(out, peer, domain);
    out.text(" ").hex(state, 2, Case::kUpper).text(" 00000000:00000000 00:00000000 00000000");
    out.decimal(open.uid, 6).add("        0 {} 2 0000000000000000 0\n", open.number);
  }
  return {};
}

template <int kDomain, int kType>
Result<void> inet_text(const Subject&, ProcText& out) {
  return add_inet_table(out, kDomain, kType);
}

Result<void> unix_text(const Subject&, ProcText& out) {
  constexpr unsigned kUnconnected = 1, kConnected = 3;
  constexpr size_t kPathStart = 2;
  out.text("Num       RefCount Protocol Flags    Type St Inode Path\n");
  for (const OpenSocket& open : TRY(open_sockets(kAfUnix))) {
    Socket& socket = open.socket();
    const bool listens = option_of(socket, kSoAcceptConn) != 0;
    const bool connected = !socket.peer_address().is_error();
    out.text("0000000000000000: 00000002 00000000 ").hex(listens ? 0x10000u : 0u, 8).text(" ");
    out.hex(static_cast<unsigned>(socket.type()), 4).text(" ");
    out.hex(connected ? kConnected : kUnconnected, 2).text(" ").decimal(open.number, 5);
    const Result<SocketAddress> name = socket.local_address();
    if (!name.is_error() && name.value().size() > kPathStart) {
      const std::string_view path = bytes_text(name.value().bytes().subspan(kPathStart));
      const bool is_abstract = path.front() == '\0';
      out.text(" ");
      for (const char character : is_abstract ? path : path.substr(0, path.find('\0')))
        out.text(character == '\0' ? "@" : std::string_view(&character, 1));
    }
    out.text("\n");
  }
  return {};
}

Result<void> dev_text(const Subject&, ProcText& out) {
  out.text(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop fifo colls "
      "carrier compressed\n"
      "    lo:       0       0    0    0    0     0          0         0        0       0    0    "
      "0    0     0 "
      "      0          0\n");
  return {};
}

Result<void> route_text(const Subject&, ProcText& out) {
  out.text("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n");
  return {};
}

Result<void> netlink_text(const Subject&, ProcText& out) {
  out.text(
      "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n");
  return {};
}

Result<void> packet_text(const Subject&, ProcText& out) {
  out.text("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
  return {};
}

Result<void> sockstat_text(const Subject&, ProcText& out) {
  size_t streams = 0, datagrams = 0;
  const Vec<OpenSocket> inet = TRY(open_sockets(kAfInet));
  for (const OpenSocket& open : inet) ++(open.socket().type() == kStream ? streams : datagrams);
  out.add("sockets: used {}\nTCP: inuse {} orphan 0 tw 0 alloc {} mem 0\nUDP: inuse {} mem 0\n",
          inet.size() + TRY(open_sockets(kAfInet6)).size() + TRY(open_sockets(kAfUnix)).size(),
          streams, streams, datagrams);
  out.text("UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n");
  return {};
}

Result<void> no_lines(const Subject&, ProcText&) { return {}; }

constexpr std::array kNetEntries = {proc_file("dev", dev_text),
                                    proc_file("if_inet6", no_lines),
                                    proc_file("netlink", netlink_text),
                                    proc_file("packet", packet_text),
                                    proc_file("raw", inet_text<kAfInet, kRaw>),
                                    proc_file("raw6", inet_text<kAfInet6, kRaw>),
                                    proc_file("route", route_text),
                                    proc_file("sockstat", sockstat_text),
                                    proc_file("tcp", inet_text<kAfInet, kStream>),
                                    proc_file("tcp6", inet_text<kAfInet6, kStream>),
                                    proc_file("udp", inet_text<kAfInet, kDatagram>),
                                    proc_file("udp6", inet_text<kAfInet6, kDatagram>),
                                    proc_file("unix", unix_text)};

}  // namespace

std::span<const ProcEntry> network_entries() { return kNetEntries; }

}  // namespace occlum
