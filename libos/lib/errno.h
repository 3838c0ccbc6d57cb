// Linux's error numbers as a type.
//
// The names are Linux's in CamelCase (ENAMETOOLONG is kNameTooLong, EACCES is kAcces); EBADF is
// kBadFd and E2BIG is kTooBig. The values are the ABI's (include/uapi/asm-generic/errno-base.h and
// errno.h). The codes 512..516 never reach a program: a blocking call that a signal interrupted
// returns one, and the signal code decides from it whether the call is restarted
// (include/linux/errno.h).
#pragma once

#include <string_view>

#define OCCLUM_ERRNO_LIST(X)                 \
  X(kPerm, 1, "EPERM")                       \
  X(kNoEnt, 2, "ENOENT")                     \
  X(kSrch, 3, "ESRCH")                       \
  X(kIntr, 4, "EINTR")                       \
  X(kIo, 5, "EIO")                           \
  X(kNxIo, 6, "ENXIO")                       \
  X(kTooBig, 7, "E2BIG")                     \
  X(kNoExec, 8, "ENOEXEC")                   \
  X(kBadFd, 9, "EBADF")                      \
  X(kChild, 10, "ECHILD")                    \
  X(kAgain, 11, "EAGAIN")                    \
  X(kNoMem, 12, "ENOMEM")                    \
  X(kAcces, 13, "EACCES")                    \
  X(kFault, 14, "EFAULT")                    \
  X(kNotBlk, 15, "ENOTBLK")                  \
  X(kBusy, 16, "EBUSY")                      \
  X(kExist, 17, "EEXIST")                    \
  X(kXDev, 18, "EXDEV")                      \
  X(kNoDev, 19, "ENODEV")                    \
  X(kNotDir, 20, "ENOTDIR")                  \
  X(kIsDir, 21, "EISDIR")                    \
  X(kInval, 22, "EINVAL")                    \
  X(kNFile, 23, "ENFILE")                    \
  X(kMFile, 24, "EMFILE")                    \
  X(kNotTty, 25, "ENOTTY")                   \
  X(kTxtBsy, 26, "ETXTBSY")                  \
  X(kFBig, 27, "EFBIG")                      \
  X(kNoSpc, 28, "ENOSPC")                    \
  X(kSPipe, 29, "ESPIPE")                    \
  X(kRoFs, 30, "EROFS")                      \
  X(kMLink, 31, "EMLINK")                    \
  X(kPipe, 32, "EPIPE")                      \
  X(kDom, 33, "EDOM")                        \
  X(kRange, 34, "ERANGE")                    \
  X(kDeadLk, 35, "EDEADLK")                  \
  X(kNameTooLong, 36, "ENAMETOOLONG")        \
  X(kNoLck, 37, "ENOLCK")                    \
  X(kNoSys, 38, "ENOSYS")                    \
  X(kNotEmpty, 39, "ENOTEMPTY")              \
  X(kLoop, 40, "ELOOP")                      \
  X(kNoMsg, 42, "ENOMSG")                    \
  X(kIdRm, 43, "EIDRM")                      \
  X(kChRng, 44, "ECHRNG")                    \
  X(kL2NSync, 45, "EL2NSYNC")                \
  X(kL3Hlt, 46, "EL3HLT")                    \
  X(kL3Rst, 47, "EL3RST")                    \
  X(kLnRng, 48, "ELNRNG")                    \
  X(kUnAtch, 49, "EUNATCH")                  \
  X(kNoCsi, 50, "ENOCSI")                    \
  X(kL2Hlt, 51, "EL2HLT")                    \
  X(kBadE, 52, "EBADE")                      \
  X(kBadR, 53, "EBADR")                      \
  X(kXFull, 54, "EXFULL")                    \
  X(kNoAno, 55, "ENOANO")                    \
  X(kBadRqc, 56, "EBADRQC")                  \
  X(kBadSlt, 57, "EBADSLT")                  \
  X(kBFont, 59, "EBFONT")                    \
  X(kNoStr, 60, "ENOSTR")                    \
  X(kNoData, 61, "ENODATA")                  \
  X(kTime, 62, "ETIME")                      \
  X(kNoSr, 63, "ENOSR")                      \
  X(kNoNet, 64, "ENONET")                    \
  X(kNoPkg, 65, "ENOPKG")                    \
  X(kRemote, 66, "EREMOTE")                  \
  X(kNoLink, 67, "ENOLINK")                  \
  X(kAdv, 68, "EADV")                        \
  X(kSrMnt, 69, "ESRMNT")                    \
  X(kComm, 70, "ECOMM")                      \
  X(kProto, 71, "EPROTO")                    \
  X(kMultiHop, 72, "EMULTIHOP")              \
  X(kDotDot, 73, "EDOTDOT")                  \
  X(kBadMsg, 74, "EBADMSG")                  \
  X(kOverflow, 75, "EOVERFLOW")              \
  X(kNotUniq, 76, "ENOTUNIQ")                \
  X(kBadFdState, 77, "EBADFD")               \
  X(kRemChg, 78, "EREMCHG")                  \
  X(kLibAcc, 79, "ELIBACC")                  \
  X(kLibBad, 80, "ELIBBAD")                  \
  X(kLibScn, 81, "ELIBSCN")                  \
  X(kLibMax, 82, "ELIBMAX")                  \
  X(kLibExec, 83, "ELIBEXEC")                \
  X(kIlSeq, 84, "EILSEQ")                    \
  X(kRestart, 85, "ERESTART")                \
  X(kStrPipe, 86, "ESTRPIPE")                \
  X(kUsers, 87, "EUSERS")                    \
  X(kNotSock, 88, "ENOTSOCK")                \
  X(kDestAddrReq, 89, "EDESTADDRREQ")        \
  X(kMsgSize, 90, "EMSGSIZE")                \
  X(kPrototype, 91, "EPROTOTYPE")            \
  X(kNoProtoOpt, 92, "ENOPROTOOPT")          \
  X(kProtoNoSupport, 93, "EPROTONOSUPPORT")  \
  X(kSocktNoSupport, 94, "ESOCKTNOSUPPORT")  \
  X(kOpNotSupp, 95, "EOPNOTSUPP")            \
  X(kPfNoSupport, 96, "EPFNOSUPPORT")        \
  X(kAfNoSupport, 97, "EAFNOSUPPORT")        \
  X(kAddrInUse, 98, "EADDRINUSE")            \
  X(kAddrNotAvail, 99, "EADDRNOTAVAIL")      \
  X(kNetDown, 100, "ENETDOWN")               \
  X(kNetUnreach, 101, "ENETUNREACH")         \
  X(kNetReset, 102, "ENETRESET")             \
  X(kConnAborted, 103, "ECONNABORTED")       \
  X(kConnReset, 104, "ECONNRESET")           \
  X(kNoBufs, 105, "ENOBUFS")                 \
  X(kIsConn, 106, "EISCONN")                 \
  X(kNotConn, 107, "ENOTCONN")               \
  X(kShutdown, 108, "ESHUTDOWN")             \
  X(kTooManyRefs, 109, "ETOOMANYREFS")       \
  X(kTimedOut, 110, "ETIMEDOUT")             \
  X(kConnRefused, 111, "ECONNREFUSED")       \
  X(kHostDown, 112, "EHOSTDOWN")             \
  X(kHostUnreach, 113, "EHOSTUNREACH")       \
  X(kAlready, 114, "EALREADY")               \
  X(kInProgress, 115, "EINPROGRESS")         \
  X(kStale, 116, "ESTALE")                   \
  X(kUClean, 117, "EUCLEAN")                 \
  X(kNotNam, 118, "ENOTNAM")                 \
  X(kNAvail, 119, "ENAVAIL")                 \
  X(kIsNam, 120, "EISNAM")                   \
  X(kRemoteIo, 121, "EREMOTEIO")             \
  X(kDQuot, 122, "EDQUOT")                   \
  X(kNoMedium, 123, "ENOMEDIUM")             \
  X(kMediumType, 124, "EMEDIUMTYPE")         \
  X(kCanceled, 125, "ECANCELED")             \
  X(kNoKey, 126, "ENOKEY")                   \
  X(kKeyExpired, 127, "EKEYEXPIRED")         \
  X(kKeyRevoked, 128, "EKEYREVOKED")         \
  X(kKeyRejected, 129, "EKEYREJECTED")       \
  X(kOwnerDead, 130, "EOWNERDEAD")           \
  X(kNotRecoverable, 131, "ENOTRECOVERABLE") \
  X(kRfKill, 132, "ERFKILL")                 \
  X(kHwPoison, 133, "EHWPOISON")             \
  X(kRestartSys, 512, "ERESTARTSYS")         \
  X(kRestartNoIntr, 513, "ERESTARTNOINTR")   \
  X(kRestartNoHand, 514, "ERESTARTNOHAND")   \
  X(kNoIoctlCmd, 515, "ENOIOCTLCMD")         \
  X(kRestartRestartBlock, 516, "ERESTART_RESTARTBLOCK")

namespace occlum {

enum class Errno : int {
#define OCCLUM_ERRNO_ENUMERATOR(name, number, text) name = number,
  OCCLUM_ERRNO_LIST(OCCLUM_ERRNO_ENUMERATOR)
#undef OCCLUM_ERRNO_ENUMERATOR
      kWouldBlock = kAgain,
  kDeadLock = kDeadLk,
  kNotSup = kOpNotSupp,
};

// Linux's name ("ENOENT"), or "E?" for a number that has none.
std::string_view errno_name(Errno error);

// The value that a syscall returns for `error`: its number, negated.
constexpr long errno_return_value(Errno error) { return -static_cast<long>(error); }

}  // namespace occlum
