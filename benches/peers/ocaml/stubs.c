/* The one thing that OCaml's standard library lacks: a clock that counts nanoseconds. */

#include <time.h>

#include <caml/mlvalues.h>

intnat pagemark_now(value unit)
{
  struct timespec now;
  (void)unit;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (intnat)now.tv_sec * 1000000000 + now.tv_nsec;
}

value pagemark_now_tagged(value unit)
{
  return Val_long(pagemark_now(unit));
}
