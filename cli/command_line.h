// The command line of `occlum`: what the options are called, and what is said when one is wrong.
#pragma once

namespace cli {

// The whole command. Returns the exit status; every failure has been said in one sentence on
// stderr.
int run_command_line(int argc, char** argv);

}  // namespace cli
