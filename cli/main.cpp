// `occlum`.
#include <unistd.h>

#include "cli/command_line.h"

int main(int argc, char** argv) {
  // Everything has been flushed. The runtime's threads are still there: nothing may be torn down
  // below them.
  _exit(cli::run_command_line(argc, argv));
}
