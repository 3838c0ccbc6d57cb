// The user's terminal. The LibOS has its own line discipline, so while a program runs the real terminal is raw; it is
// put back on every way out: the normal end, fatal signals, stops.
#pragma once

namespace host {

// Makes stdin's terminal raw if it is one and we are in its foreground. Idempotent.
void terminal_raw();
// Back to how it was found. Async-signal-safe, idempotent.
void terminal_restore();
// terminal_restore() before the process dies of a signal that nobody handles.
void terminal_restore_on_fatal_signals();

}  // namespace host
