#include "libos/fs/proc/mount_text.h"

namespace occlum {

namespace {

// Blanks and backslashes as octal, which getmntent(3) undoes.
void add_escaped(ProcText& out, std::string_view text) {
  for (const char character : text) {
    switch (character) {
      case ' ':
      case '\t':
      case '\n':
      case '\\':
        out.text("\\").octal(static_cast<unsigned char>(character), 3);
        break;
      default:
        out.text(std::string_view(&character, 1));
    }
  }
}

void add_flags(ProcText& out, const Mount& mount) {
  const uint32_t flags = mount.flags();
  out.text(mount.is_read_only() ? "ro" : "rw");
  if ((flags & kMountNoSuid) != 0) out.text(",nosuid");
  if ((flags & kMountNoDev) != 0) out.text(",nodev");
  if ((flags & kMountNoExec) != 0) out.text(",noexec");
  if ((flags & kMountNoAtime) != 0) out.text(",noatime");
  if ((flags & kMountRelatime) != 0) out.text(",relatime");
}

std::string_view source_of(const Mount& mount) {
  return mount.source().empty() ? mount.file_system().type_name() : mount.source();
}

// Where it is mounted, seen from the subject's root.
Result<String> place_of(const Subject& subject, const Mount& mount) {
  const Path at = mount_table().mountpoint(mount);
  if (at.is_null()) return String::create("/");
  const RefPtr<FsContext> fs = subject.process != nullptr ? subject.process->fs() : nullptr;
  return path_to_string(at, fs != nullptr ? fs->root() : mount_table().root(),
                        DeletedNames::kMarkDeleted);
}

}  // namespace

Result<void> mounts_text(const Subject& subject, ProcText& out) {
  for (const RefPtr<Mount>& mount : TRY(mount_table().all())) {
    add_escaped(out, source_of(*mount));
    out.text(" ");
    add_escaped(out, TRY(place_of(subject, *mount)).view());
    out.add(" {} ", mount->file_system().type_name());
    add_flags(out, *mount);
    out.text(TRY(mount->file_system().options()).view()).text(" 0 0\n");
  }
  return {};
}

Result<void> mountstats_text(const Subject& subject, ProcText& out) {
  for (const RefPtr<Mount>& mount : TRY(mount_table().all())) {
    out.text("device ");
    add_escaped(out, source_of(*mount));
    out.text(" mounted on ");
    add_escaped(out, TRY(place_of(subject, *mount)).view());
    out.add(" with fstype {}\n", mount->file_system().type_name());
  }
  return {};
}

Result<void> mountinfo_text(const Subject& subject, ProcText& out) {
  for (const RefPtr<Mount>& mount : TRY(mount_table().all())) {
    const RefPtr<Mount> parent = mount->parent();
    const uint64_t device = mount->file_system().device();
    out.add("{} {} {}:{} / ", mount->id(), parent != nullptr ? parent->id() : mount->id(),
            device_major(device), device_minor(device));
    add_escaped(out, TRY(place_of(subject, *mount)).view());
    out.text(" ");
    add_flags(out, *mount);
    out.add(" - {} ", mount->file_system().type_name());
    add_escaped(out, source_of(*mount));
    out.text(mount->file_system().is_read_only() ? " ro" : " rw");
    out.text(TRY(mount->file_system().options()).view()).text("\n");
  }
  return {};
}

}  // namespace occlum
