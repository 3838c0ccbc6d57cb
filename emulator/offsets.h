// Offsets of the fields that assembly uses, for fast.S and, by static_assert, for internal.h.
#pragma once

#define TB_SELF 0x00
#define TB_CURRENT 0x08
#define TB_CACHED 0x10
#define TB_HOST_FS 0x18
#define TB_HOST_GS 0x20
#define TB_IN_LEAF 0x28
#define TB_DEFERRED 0x2c
#define TB_SITE_TAIL 0x30
#define TB_SITE 0x38
#define TB_REGS 0x40 /* RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 RFLAGS RIP, as GPRSGX */
#define TB_IRET 0xd0
#define TB_RESUME_RSP 0xf8
#define TB_RESUME_RBP 0x100
#define TB_COUNT_EENTER 0x108
#define TB_COUNT_EEXIT 0x110
#define TB_XSAVE 0x118
#define TB_XFRM 0x120
#define TB_NEW_FS 0x128
#define TB_NEW_GS 0x130
#define TB_PID 0x138
#define TB_TID 0x13c
#define TB_DEFERRED_INFO 0x140

#define TB_SLOT_SHIFT 16
#define TB_SLOT_SIZE 0x10000
#define TB_LEAF_STACK 0x4000 /* offset of the leaf stack's top */
#define TB_ALTSTACK 0x5000 /* offset of the alternate signal stack; it extends to the slot's end */

#define R_RAX 0x00
#define R_RCX 0x08
#define R_RDX 0x10
#define R_RBX 0x18
#define R_RSP 0x20
#define R_RBP 0x28
#define R_RSI 0x30
#define R_RDI 0x38
#define R_R8 0x40
#define R_R9 0x48
#define R_R10 0x50
#define R_R11 0x58
#define R_R12 0x60
#define R_R13 0x68
#define R_R14 0x70
#define R_R15 0x78
#define R_RFLAGS 0x80
#define R_RIP 0x88
#define R_URSP 0x90
#define R_URBP 0x98

#define TCS_ADDRESS 0x00
#define TCS_BUSY 0x08
#define TCS_VALIDATED 0x0c
#define TCS_SSA_FREE 0x10
#define TCS_GPR 0x18
#define TCS_ENTRY 0x20
#define TCS_FSBASE 0x28
#define TCS_GSBASE 0x30
#define TCS_AEP 0x38
#define TCS_CSSA 0x40

/* A patched site's stub: see patch.cpp and fast.S. */
#define STUB_SIZE 0x200
