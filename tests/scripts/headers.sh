#!/usr/bin/env bash
# Each public header alone, as C11 and as C++, without a warning.
set -eu
cd "$1"
for header in include/vpsde/*.h; do
  line="#include <vpsde/$(basename "$header")>"
  echo "$line" | gcc -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -x c -fsyntax-only -
  echo "$line" | g++ -std=c++11 -pedantic -Wall -Wextra -Werror -Iinclude -x c++ -fsyntax-only -
done
