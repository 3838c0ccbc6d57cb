// Names in a union: creating, removing, renaming and reading merged directories. See union_fs.h.
#include "libos/fs/union/union_fs.h"

namespace occlum {

Result<void> UnionInode::put_whiteout(Inode& upper, std::string_view name) {
  for (int tries = 0; tries < 3; ++tries) {
    Result<RefPtr<Inode>> made = upper.create(name, {.mode = type_bits(FileType::kCharDevice)});
    if (!made.is_error()) return {};
    if (made.error() != Errno::kExist) return made.error();
    // The file was copied up just now: it goes as well.
    const RefPtr<Inode> there = TRY(upper.lookup(name));
    if (is_whiteout(*there)) return {};
    TRY(there->is_directory() ? upper.rmdir(name, *there) : upper.unlink(name, *there));
  }
  return Errno::kBusy;
}

Result<bool> UnionInode::clear_whiteout(Inode& upper, std::string_view name) {
  Result<RefPtr<Inode>> found = upper.lookup(name);
  if (found.is_error()) {
    if (found.error() == Errno::kNoEnt) return false;
    return found.error();
  }
  if (!is_whiteout(*found.value())) return Errno::kExist;
  TRY(upper.unlink(name, *found.value()));
  return true;
}

Result<RefPtr<Inode>> UnionInode::create(std::string_view name, const NewInode& attributes) {
  if (!is_directory()) return Errno::kNotDir;
  // A 0/0 character device would be a whiteout.
  if (type_of_mode(attributes.mode) == FileType::kCharDevice && attributes.rdev == 0)
    return Errno::kPerm;
  const RefPtr<Inode> directory = TRY(copy_up());
  const bool was_hidden = TRY(clear_whiteout(*directory, name));
  Result<RefPtr<Inode>> made = directory->create(name, attributes);
  Result<void> covered;
  if (!made.is_error() && was_hidden && made.value()->is_directory())
    covered = set_opaque(*made.value());
  if (made.is_error() || covered.is_error()) {
    if (was_hidden) static_cast<void>(put_whiteout(*directory, name).is_error());
    return made.is_error() ? made.error() : covered.error();
  }
  return TRY(fs().inode_for(made.release_value(), {}, ref_to(*this), name));
}

Result<RefPtr<Inode>> UnionInode::create_unnamed(const NewInode& attributes) {
  const RefPtr<Inode> directory = TRY(copy_up());
  return TRY(fs().inode_for(TRY(directory->create_unnamed(attributes)), {}, ref_to(*this), ""));
}

Result<void> UnionInode::link(std::string_view name, Inode& target) {
  if (&target.file_system() != &file_system()) return Errno::kXDev;
  const RefPtr<Inode> directory = TRY(copy_up());
  const RefPtr<Inode> file = TRY(static_cast<UnionInode&>(target).copy_up());
  const bool was_hidden = TRY(clear_whiteout(*directory, name));
  const Result<void> linked = directory->link(name, *file);
  if (linked.is_error() && was_hidden) static_cast<void>(put_whiteout(*directory, name).is_error());
  return linked;
}

Result<void> UnionInode::unlink(std::string_view name, Inode&) {
  const bool below = TRY(lower_has(name));
  const RefPtr<Inode> directory = TRY(copy_up());
  if (const RefPtr<Inode> top = TRY(upper_child(name))) {
    if (is_whiteout(*top)) return Errno::kNoEnt;
    TRY(directory->unlink(name, *top));
  }
  if (below) TRY(put_whiteout(*directory, name));
  return {};
}

Result<void> UnionInode::check_empty() {
  NameSnapshot names;
  TRY(merge_names(names));
  return names.is_empty() ? Result<void>() : Errno::kNotEmpty;
}

// Of a directory that shows nothing: its upper part may still hold whiteouts.
Result<void> UnionInode::drop_whiteouts_inside() {
  const RefPtr<Inode> directory = upper();
  if (directory == nullptr) return {};
  Vec<String> hidden;
  Result<void> noted;
  TRY(directory->readdir(0, [&](const DirectoryEntry& entry) {
    noted = [&]() -> Result<void> { return hidden.push(TRY(String::create(entry.name))); }();
    return !noted.is_error();
  }));
  TRY(std::move(noted));
  for (const String& name : hidden) TRY(clear_whiteout(*directory, name.view()));
  return {};
}

Result<void> UnionInode::rmdir(std::string_view name, Inode& child) {
  UnionInode& victim = static_cast<UnionInode&>(child);
  TRY(victim.check_empty());
  const bool below = TRY(lower_has(name));
  const RefPtr<Inode> directory = TRY(copy_up());
  if (const RefPtr<Inode> top = TRY(upper_child(name))) {
    if (is_whiteout(*top)) return Errno::kNoEnt;
    TRY(victim.drop_whiteouts_inside());
    TRY(directory->rmdir(name, *top));
  }
  if (below) TRY(put_whiteout(*directory, name));
  return {};
}

Result<void> UnionInode::rename(std::string_view old_name, Inode& child, Inode& new_parent,
                                std::string_view new_name, Inode* replaced, uint32_t flags) {
  if (&new_parent.file_system() != &file_system()) return Errno::kXDev;
  if ((flags & ~(kRenameNoReplace | kRenameExchange)) != 0) return Errno::kInval;
  const bool exchange = (flags & kRenameExchange) != 0;
  UnionInode& moved = static_cast<UnionInode&>(child);
  UnionInode& to = static_cast<UnionInode&>(new_parent);
  UnionInode* const target = static_cast<UnionInode*>(replaced);
  // A directory's lower part cannot move.
  if (moved.is_directory() && moved.has_lower()) return Errno::kXDev;
  if (exchange && target->is_directory() && target->has_lower()) return Errno::kXDev;

  const bool below_old = TRY(lower_has(old_name)), below_new = TRY(to.lower_has(new_name));
  const RefPtr<Inode> from_upper = TRY(copy_up());
  const RefPtr<Inode> to_upper = TRY(to.copy_up());
  const RefPtr<Inode> moved_upper = TRY(moved.copy_up());
  String new_place = TRY(String::create(new_name)), old_place = TRY(String::create(old_name));

  if (exchange) {
    const RefPtr<Inode> target_upper = TRY(target->copy_up());
    if (moved.is_directory() && below_new) TRY(set_opaque(*moved_upper));
    if (target->is_directory() && below_old) TRY(set_opaque(*target_upper));
    TRY(from_upper->rename(old_name, *moved_upper, *to_upper, new_name, target_upper.get(),
                           kRenameExchange));
    moved.set_place(ref_to(to), std::move(new_place));
    target->set_place(ref_to(*this), std::move(old_place));
    return {};
  }

  RefPtr<Inode> there = TRY(to.upper_child(new_name));
  if (target != nullptr && target->is_directory()) {
    TRY(target->check_empty());
    TRY(target->drop_whiteouts_inside());
  }
  bool was_hidden = false;
  if (there != nullptr && moved.is_directory() && is_whiteout(*there)) {
    was_hidden = TRY(clear_whiteout(*to_upper, new_name));
    there = nullptr;
  }
  if (moved.is_directory() && (below_new || was_hidden)) TRY(set_opaque(*moved_upper));
  const Result<void> done =
      from_upper->rename(old_name, *moved_upper, *to_upper, new_name, there.get(), 0);
  if (done.is_error()) {
    if (was_hidden) static_cast<void>(put_whiteout(*to_upper, new_name).is_error());
    return done;
  }
  moved.set_place(ref_to(to), std::move(new_place));
  if (below_old) TRY(put_whiteout(*from_upper, old_name));
  return {};
}

// The names of all layers: the upper ones first, then lower ones that nothing hides.
Result<void> UnionInode::merge_names(NameSnapshot& names) {
  HashMap<String, bool> hidden;
  names.begin_update();
  const auto collect = [&](Inode& layer,
                           FunctionRef<Result<void>(const DirectoryEntry&)> take) -> Result<void> {
    Result<void> result;
    TRY(layer.readdir(0, [&](const DirectoryEntry& entry) {
      result = take(entry);
      return !result.is_error();
    }));
    return result;
  };
  // Character devices may be whiteouts; they are looked at after the directory was read, not under its lock.
  Vec<String> devices;
  if (const RefPtr<Inode> top = upper()) {
    TRY(collect(*top, [&](const DirectoryEntry& entry) -> Result<void> {
      if (entry.type == FileType::kCharDevice) return devices.push(TRY(String::create(entry.name)));
      return names.add(entry.name, fs().number_in(*top, entry.ino), entry.type);
    }));
    for (String& name : devices) {
      const Result<RefPtr<Inode>> found = top->lookup(name.view());
      if (found.is_error()) continue;
      if (is_whiteout(*found.value())) {
        TRY(hidden.insert(std::move(name), true));
      } else {
        TRY(names.add(name.view(), fs().number_in(*top, TRY(found.value()->stat()).ino),
                      FileType::kCharDevice));
      }
    }
  }
  for (const RefPtr<Inode>& lower : lowers_) {
    devices.truncate(0);
    TRY(collect(*lower, [&](const DirectoryEntry& entry) -> Result<void> {
      if (hidden.contains(entry.name)) return {};
      if (entry.type == FileType::kCharDevice) return devices.push(TRY(String::create(entry.name)));
      const uint64_t number = fs().number_in(*lower, entry.ino);
      if (!names.has_this_round(entry.name)) return names.add(entry.name, number, entry.type);
      // The same name above: copied up, or a merged directory, which has the number of its topmost lower part.
      if (lower == lowers_[0]) names.renumber(entry.name, number);
      return {};
    }));
    for (String& name : devices) {
      const Result<RefPtr<Inode>> found = lower->lookup(name.view());
      if (found.is_error()) continue;
      if (is_whiteout(*found.value())) {
        TRY(hidden.insert(std::move(name), true));
      } else {
        TRY(names.add(name.view(), fs().number_in(*lower, TRY(found.value()->stat()).ino),
                      FileType::kCharDevice));
      }
    }
  }
  names.finish_update();
  return {};
}

std::optional<uint64_t> UnionInode::end_cookie() const {
  return has_lower() ? std::nullopt : upper()->end_cookie();
}

Result<void> UnionInode::readdir(uint64_t cookie, DirectoryEmitter emit) {
  if (!is_directory()) return Errno::kNotDir;
  if (!has_lower()) {
    // Only the upper layer: nothing to merge, and so no whiteouts either.
    const RefPtr<Inode> top = upper();
    return top->readdir(cookie, [&](const DirectoryEntry& entry) {
      return emit({entry.name, fs().number_in(*top, entry.ino), entry.type, entry.next});
    });
  }
  return names_.with([&](NameSnapshot& names) -> Result<void> {
    if (cookie == 0 || names.is_empty()) TRY(merge_names(names));
    names.emit(cookie, emit);
    return {};
  });
}

}  // namespace occlum
