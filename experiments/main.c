#include <vpsde/vpsde.h>

int main(void) { return 0; }
