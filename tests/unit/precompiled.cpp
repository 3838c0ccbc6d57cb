// A target for precompiled.h.
