// What the driver needs of the engine.
#pragma once

struct options {
  int length;           // operations in a sequence
  const char* skip;     // positions left out: "3,7"
  const char* only;     // the one family
  const char* without;  // operations left out: "splice,tee"
};

int sequence_main(int argc, char** argv);
int print_kinds(void);
