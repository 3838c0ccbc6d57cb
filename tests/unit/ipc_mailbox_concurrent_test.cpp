// Mailboxes of unix sockets: order, endings, room, places to peek at, and files in flight.
#include "libos/ipc/unix_mailbox.h"

#include <gtest/gtest.h>

#include <thread>

#include "libos/ipc/event_file.h"
#include "tests/unit/harness/heap.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {
namespace {

OwnPtr<Packet> packet(size_t size, uint8_t value) {
  auto made = MUST(make_own<Packet>());
  made->data = MUST(Vec<std::byte>::create(size));
  for (std::byte& byte : made->data) byte = std::byte{value};
  return made;
}

TEST(Mailbox, PacketsComeInOrderAndGo) {
  const size_t before = testing::live_allocations();
  {
    auto box = MUST(make_ref<Mailbox>());
    EXPECT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kNothing);
    EXPECT_TRUE(box->post(packet(10, 1)));
    EXPECT_TRUE(box->post(packet(20, 2)));
    EXPECT_EQ(box->queued_bytes(), 30u);
    ASSERT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kPacket);
    EXPECT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kBusy);
    Packet* first = box->first();
    EXPECT_EQ(first->left(), 10u);
    box->consumed(*first, 4);
    EXPECT_EQ(box->first()->left(), 6u);
    box->consumed(*first, 6);
    EXPECT_EQ(box->first()->left(), 20u);
    box->end_read();
    box->end_of_data(Mailbox::Ending::kOrderly);
    ASSERT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kPacket);
    box->pop(*box->first());
    box->end_read();
    EXPECT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kEnd);
    EXPECT_TRUE(box->post(packet(5, 3)));
    EXPECT_TRUE(box->stop_reading());
    EXPECT_FALSE(box->post(packet(5, 3)));
    EXPECT_TRUE(box->send_state(*box).refused);
  }
  EXPECT_EQ(testing::live_allocations(), before);
}

TEST(Mailbox, WhatIsUnreadCountsForTheSender) {
  auto sender = MUST(make_ref<Mailbox>()), box = MUST(make_ref<Mailbox>());
  sender->set_send_limit(4096);
  for (int i = 0; i < 2; ++i) {
    auto one = packet(10, 1);
    one->set_sender(sender, 2048);
    EXPECT_TRUE(box->post(std::move(one)));
  }
  EXPECT_FALSE(sender->has_send_room());
  ASSERT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kPacket);
  box->consumed(*box->first(), 9);
  EXPECT_FALSE(sender->has_send_room());
  box->consumed(*box->first(), 1);
  EXPECT_TRUE(sender->has_send_room());
  EXPECT_FALSE(sender->is_writable());
  box->end_read();
  box->stop_reading();
  EXPECT_EQ(sender->unread_bytes(), 0u);
  EXPECT_TRUE(sender->is_writable());
}

TEST(Mailbox, BytesBehindOthersCanBeWaitedFor) {
  auto box = MUST(make_ref<Mailbox>());
  EXPECT_TRUE(box->post(packet(10, 1)));
  EXPECT_TRUE(box->post(packet(20, 2)));
  EXPECT_EQ(box->begin_read(Mailbox::First::kPackets, {}, 30u), Mailbox::Look::kNothing);
  ASSERT_EQ(box->begin_read(Mailbox::First::kPackets, {}, 29u), Mailbox::Look::kPacket);
  size_t skip = 29;
  EXPECT_EQ(box->packet_at(skip)->left(), 20u);
  EXPECT_EQ(skip, 19u);
  box->end_read();
}

TEST(Mailbox, AResetIsReportedOnce) {
  auto box = MUST(make_ref<Mailbox>());
  box->end_of_data(Mailbox::Ending::kReset);
  EXPECT_TRUE(box->has_error());
  EXPECT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kError);
  EXPECT_EQ(box->take_error(), Errno::kConnReset);
  EXPECT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kEnd);
}

TEST(Mailbox, FilesInFlightCountAsDescriptors) {
  class Watched : public EventFile {
   public:
    using EventFile::EventFile;
    void last_close() override { closed = true; }
    bool closed = false;
  };
  auto file = MUST(make_ref<Watched>(uint64_t{0}, EventFile::Mode::kCounter, 2u));
  file->add_descriptor();
  {
    FilesInFlight files;
    MUST(files.add(file));
    file->remove_descriptor();
    EXPECT_FALSE(file->closed);
    FilesInFlight copy = MUST(files.clone());
    files = FilesInFlight();
    EXPECT_FALSE(file->closed);
  }
  EXPECT_TRUE(file->closed);
}

TEST(Mailbox, SendersAndAReader) {
  auto box = MUST(make_ref<Mailbox>());
  constexpr int kSenders = 3, kPackets = 2000;
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&, s] {
      for (int i = 0; i < kPackets; ++i) {
        MUST(wait_until(box->space, kNever, Interruptible::kNo,
                        [&] { return box->send_state(*box).has_packet_room; }));
        ASSERT_TRUE(box->post(packet(static_cast<size_t>(i % 100 + 1), static_cast<uint8_t>(s))));
      }
    });
  }
  int received = 0;
  while (received < kSenders * kPackets) {
    MUST(wait_until(box->readable, kNever, Interruptible::kNo, [&] { return box->has_packet(); }));
    ASSERT_EQ(box->begin_read(Mailbox::First::kPackets), Mailbox::Look::kPacket);
    Packet* one = box->first();
    for (const std::byte byte : one->data) ASSERT_EQ(byte, one->data[0]);
    box->pop(*one);
    box->end_read();
    box->space.wake_all();
    ++received;
  }
  for (auto& thread : senders) thread.join();
  EXPECT_FALSE(box->has_packet());
}

}  // namespace
}  // namespace occlum
