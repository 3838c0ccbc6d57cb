// The program whose start is measured.
#include <stdio.h>

int main(void) { return puts("hello") < 0; }
